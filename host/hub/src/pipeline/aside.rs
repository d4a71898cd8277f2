//! Entries of the queue that are passed over for now, so that one that cannot be read does not hold up all behind it.

use std::collections::HashMap;
use std::time::Duration;

use mihwar_store::Key;
use tokio::time::Instant;

/// When an entry whose file could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(60);
/// Entries that may be passed over at once. Beyond that it is no matter of single ones: the disk fails.
const ENTRIES_MAX: usize = 1_024;

/// Entries that are passed over. In memory only: a start tries all of them again.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// When each is tried again; none for those that are damaged themselves.
    until: HashMap<Key, Option<Instant>>,
}

impl Aside {
    /// Whether an entry is passed over now.
    pub(super) fn holds(&self, entry: &Key, now: Instant) -> bool {
        let until = self.until.get(entry);
        until.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Passes an entry over until it may be read again. False when too many are passed over already.
    pub(super) fn put_off(&mut self, entry: &Key, now: Instant) -> bool {
        if self.until.len() >= ENTRIES_MAX {
            // Those whose time has come may have left the queue unseen, when what they stand for was erased.
            self.until.retain(|_, until| until.is_none_or(|until| now < until));
        }
        self.put(entry, Some(now + PAUSE))
    }

    /// Passes an entry over as long as the hub runs. False when too many are passed over already.
    pub(super) fn give_up(&mut self, entry: &Key) -> bool {
        self.put(entry, None)
    }

    /// Forgets an entry: it has left the queue.
    pub(super) fn forget(&mut self, entry: &Key) {
        self.until.remove(entry);
    }

    fn put(&mut self, entry: &Key, until: Option<Instant>) -> bool {
        let has_room = self.until.len() < ENTRIES_MAX || self.until.contains_key(entry);
        if has_room {
            self.until.insert(entry.clone(), until);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::FeedbackId;
    use tokio::time::Instant;

    use super::{Aside, ENTRIES_MAX, PAUSE};
    use crate::keys;

    #[test]
    fn what_is_put_off_is_tried_again_and_what_is_damaged_is_not() {
        let (mut aside, now) = (Aside::default(), Instant::now());
        let entry = |revision| keys::queue(FeedbackId::from_bytes([1; 16]), revision);
        assert!(!aside.holds(&entry(1), now));
        assert!(aside.put_off(&entry(1), now) && aside.give_up(&entry(2)));
        assert!(aside.holds(&entry(1), now) && aside.holds(&entry(2), now));
        assert!(!aside.holds(&entry(1), now + PAUSE), "its time has come");
        assert!(aside.holds(&entry(2), now + PAUSE));
        assert!(!aside.holds(&entry(3), now), "another revision goes on");
    }

    #[test]
    fn no_more_are_passed_over_than_single_ones() {
        let (mut aside, now) = (Aside::default(), Instant::now());
        let entry = |revision: usize| keys::queue(FeedbackId::from_bytes([1; 16]), u32::try_from(revision).unwrap());
        assert!((0..ENTRIES_MAX).all(|revision| aside.put_off(&entry(revision), now)));
        assert!(!aside.put_off(&entry(ENTRIES_MAX), now) && !aside.give_up(&entry(ENTRIES_MAX)));
        assert!(aside.put_off(&entry(0), now), "it has its place already");
        aside.forget(&entry(7));
        assert!(aside.put_off(&entry(ENTRIES_MAX), now));
        assert!(!aside.put_off(&entry(7), now));
        assert!(
            aside.put_off(&entry(7), now + PAUSE),
            "nobody may come back for the others"
        );
    }
}
