//! How a file is asked for: how many items at once, and what is done when reading them ends the call.

/// Items asked for in one page.
const ITEMS_MAX: u32 = 256;

/// Why a page was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) code: String,
    pub(super) reason: String,
}

/// How the next page of a file is asked for.
///
/// When reading a page ends the call, the same page is asked for by halves until one item is alone, and that one is
/// passed over. A page that was too large as a whole stays halved, until an item is passed over.
#[derive(Debug)]
pub(super) struct Pace {
    items: u32,
    is_growing: bool,
    /// Why the next item is passed over.
    passing: Option<Why>,
    /// Answers in a row that asked to come again.
    put_off: u32,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            items: ITEMS_MAX,
            is_growing: true,
            passing: None,
            put_off: 0,
        }
    }

    /// The highest number of items of the next page, and how many items are passed over before.
    pub(super) const fn ask(&self) -> (u32, u32) {
        match self.passing {
            Some(_) => (0, 1),
            None => (self.items, 0),
        }
    }

    /// A page was read. Answers why an item was passed over with it.
    pub(super) fn went_on(&mut self) -> Option<Why> {
        self.put_off = 0;
        let passed = self.passing.take();
        self.is_growing |= passed.is_some();
        if self.is_growing {
            self.items = self.items.saturating_mul(2).min(ITEMS_MAX);
        }
        passed
    }

    /// Reading ended the call. The error is why there is no other way to read on: not even passing over helped.
    pub(super) fn broke(&mut self, why: Why) -> Result<(), Why> {
        if let Some(first) = self.passing.take() {
            return Err(first);
        }
        self.put_off = 0;
        if self.items > 1 {
            self.items /= 2;
            self.is_growing = false;
        } else {
            self.passing = Some(why);
        }
        Ok(())
    }

    /// The plugin asked to come again. Answers how often in a row it has, or nothing when that was often enough.
    pub(super) fn asked_to_wait(&mut self, attempts: u32) -> Option<u32> {
        self.put_off += 1;
        (self.put_off < attempts).then_some(self.put_off)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{ITEMS_MAX, Pace, Why};

    fn why() -> Why {
        Why {
            code: "plugin-trap".to_owned(),
            reason: "السطر لا يُقرأ".to_owned(),
        }
    }

    /// Reads a file of `items`, where reading any of `bad` ends the call. Answers what was read, what was passed over,
    /// and how many calls it took.
    fn read(items: u32, bad: &BTreeSet<u32>) -> (Vec<u32>, Vec<u32>, u32) {
        let (mut read, mut passed, mut calls, mut cursor) = (Vec::new(), Vec::new(), 0, 0);
        let mut pace = Pace::new();
        while cursor < items {
            calls += 1;
            let (most, skip) = pace.ask();
            let start = cursor + skip;
            let end = (start + most).min(items);
            if bad.range(start..end.max(start)).next().is_some() {
                pace.broke(why()).unwrap();
                continue;
            }
            if pace.went_on().is_some() {
                passed.push(cursor);
            }
            read.extend(start..end);
            cursor = end.max(start);
        }
        (read, passed, calls)
    }

    proptest! {
        #[test]
        fn exactly_the_bad_items_are_passed_over(bad in prop::collection::btree_set(0_u32..2_000, 0..12)) {
            let (read, passed, calls) = read(2_000, &bad);
            prop_assert_eq!(&passed, &bad.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(read, (0..2_000).filter(|item| !bad.contains(item)).collect::<Vec<_>>());
            let found = u32::try_from(bad.len()).unwrap();
            // Down by halves, up to the item by halves, over it, and up again by doubles.
            prop_assert!(calls <= 2_000 / ITEMS_MAX + 1 + found * 40, "{} calls", calls);
        }
    }

    #[test]
    fn a_page_that_is_too_large_as_a_whole_stays_halved() {
        let mut pace = Pace::new();
        pace.broke(why()).unwrap();
        assert_eq!(pace.went_on(), None);
        assert_eq!(pace.ask(), (ITEMS_MAX / 2, 0));
    }

    #[test]
    fn a_plugin_that_cannot_pass_over_ends_the_file_with_the_first_reason() {
        let mut pace = Pace::new();
        while pace.ask().1 == 0 {
            pace.broke(why()).unwrap();
        }
        let other = Why {
            code: "limit-time".to_owned(),
            reason: String::new(),
        };
        assert_eq!(pace.broke(other), Err(why()));
    }

    #[test]
    fn waiting_has_an_end_and_begins_anew_after_a_page() {
        let mut pace = Pace::new();
        assert_eq!((pace.asked_to_wait(3), pace.asked_to_wait(3)), (Some(1), Some(2)));
        assert_eq!(pace.went_on(), None);
        assert_eq!((pace.asked_to_wait(3), pace.asked_to_wait(3)), (Some(1), Some(2)));
        assert_eq!(pace.asked_to_wait(3), None);
    }
}
