//! How C2SP tlog-tiles names a tile, or a bundle of entries, within its level.

use std::fmt;

use crate::TILE_WIDTH;

/// The last part of a tile's address: `067`, `x001/x234/067`, or `067.p/8` for a tile of 8 hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileAddress {
    /// Number of the tile within its level, from the left.
    pub index: u64,
    /// Hashes or entries that are asked for: 1 to 256.
    pub width: usize,
}

impl TileAddress {
    /// Reads an address; `None` for anything that is not exactly as the format writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (groups, width) = match text.split_once(".p/") {
            Some((groups, width)) => {
                let width: usize = width.parse().ok()?;
                (groups, Some(width).filter(|width| (1..TILE_WIDTH).contains(width))?)
            }
            None => (text, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        let mut groups = groups.split('/').peekable();
        while let Some(group) = groups.next() {
            let is_last = groups.peek().is_none();
            let digits = if is_last { group } else { group.strip_prefix('x')? };
            if digits.len() != 3 {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse::<u64>().ok()?)?;
        }
        let address = Self { index, width };
        // Signs, leading zeros and empty groups that the parsing above lets through are in no written address.
        (address.to_string() == text).then_some(address)
    }
}

impl fmt::Display for TileAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 {
                write!(out, "x{group:03}/")?;
            } else {
                write!(out, "{group:03}")?;
            }
        }
        if self.width < TILE_WIDTH {
            write!(out, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::TileAddress;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_format_are_read_and_written() {
        for (text, index, width) in [
            ("000", 0, 256),
            ("067", 67, 256),
            ("x001/x234/067", 1_234_067, 256),
            ("x001/x234/067.p/8", 1_234_067, 8),
            ("x018/x446/x744/x073/x709/x551/615", u64::MAX, 256),
        ] {
            let address = TileAddress { index, width };
            assert_eq!(TileAddress::parse(text), Some(address), "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in [
            "",
            "0",
            "00",
            "0000",
            "x000",
            "x000/067",
            "001/234",
            "x01/234",
            "x001/x234",
            "067.p/0",
            "067.p/256",
            "067.p/08",
            "067.p/+8",
            "067.p/",
            "067.p",
            "+67",
            "-01",
            "٠٦٧",
            "067/",
            "/067",
            "x001//067",
            "067.p/8/",
            "x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TileAddress::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_address_is_read_as_it_was_written(index: u64, width in 1..=256_usize) {
            let address = TileAddress { index, width };
            prop_assert_eq!(TileAddress::parse(&address.to_string()), Some(address));
        }

        #[test]
        fn no_text_ends_it(text in ".{0,40}") {
            if let Some(address) = TileAddress::parse(&text) {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
