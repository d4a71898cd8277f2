//! Sizes and spans as people write them: `64MiB`, `5s`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written as `1MiB`, `64 KiB`, `10MB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A length of time, written as `500ms`, `5s`, `10m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const SIZES: [(&str, u64); 8] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("", 1),
];

impl ByteSize {
    /// Reads `64MiB`, `1000`, `10 kB`. The error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let factor = SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, factor)| *factor);
        match (number.parse::<u64>(), factor) {
            (Ok(number), Some(factor)) => number
                .checked_mul(factor)
                .map(Self)
                .ok_or_else(|| format!("`{text}` is more than fits into 64 bits")),
            _ => Err(format!(
                "`{text}` is no size; write it like `64MiB`, `500KiB` or `1000`"
            )),
        }
    }
}

impl Span {
    /// Reads `500ms`, `5s`, `10m`, `1h`. The error says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let millis = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        match (number.parse::<u64>(), millis) {
            (Ok(number), Some(millis)) => number
                .checked_mul(millis)
                .map(|millis| Self(Duration::from_millis(millis)))
                .ok_or_else(|| format!("`{text}` is longer than fits")),
            _ => Err(format!(
                "`{text}` is no length of time; write it like `500ms`, `5s`, `10m` or `1h`"
            )),
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

impl fmt::Display for ByteSize {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(to, "{}{name}", self.0 / factor);
            }
        }
        write!(to, "{}", self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => write!(to, "0ms"),
            _ if millis.is_multiple_of(3_600_000) => write!(to, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(to, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(to, "{}s", millis / 1_000),
            _ => write!(to, "{millis}ms"),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = ByteSize;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a size such as \"64MiB\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).map_err(E::custom)
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::custom("a size cannot be negative"))
            }
            fn visit_u64<E: Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
        }
        from.deserialize_any(Size)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_read_and_print_the_same() {
        for text in ["1MiB", "64KiB", "3GiB", "1000"] {
            assert_eq!(ByteSize::parse(text).unwrap().to_string(), text);
        }
        for text in ["500ms", "5s", "10m", "1h"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ByteSize::parse("10 MB").unwrap().0, 10_000_000);
    }

    #[test]
    fn odd_sizes_and_spans_are_refused_with_an_example() {
        for text in [
            "",
            "MiB",
            "-1",
            "1TiB",
            "١MiB",
            "99999999999999999999",
            "18446744073709551615GiB",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
        for text in ["", "5", "5 days", "s", "-1s"] {
            assert!(Span::parse(text).unwrap_err().contains("10m"), "{text}");
        }
    }
}
