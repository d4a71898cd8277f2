//! Entries of the queue that are passed over for now, so that one that cannot be read does not hold up all behind it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mihwar_model::ContactId;
use mihwar_store::Key;
use tokio::time::Instant;

/// When an entry whose file could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(60);
/// How often an entry is tried while what its contact said afterwards waits behind it. One that cannot be read for so long
/// may never be.
const TRIES_WAITED_FOR: u32 = 10;
/// Entries that may be passed over at once. Beyond that it is no matter of single ones: the disk fails.
const ENTRIES_MAX: usize = 1_024;

/// Entries that are passed over. In memory only: a start tries all of them again.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    entries: HashMap<Key, PassedOver>,
}

#[derive(Debug)]
enum PassedOver {
    /// It is damaged itself.
    ForGood,
    Until {
        again: Instant,
        /// How often it was tried.
        tries: u32,
        /// Who said what it stands for.
        contact: ContactId,
    },
}

impl Aside {
    /// Whether an entry is passed over now.
    pub(super) fn holds(&self, entry: &Key, now: Instant) -> bool {
        match self.entries.get(entry) {
            Some(PassedOver::ForGood) => true,
            Some(PassedOver::Until { again, .. }) => now < *again,
            None => false,
        }
    }

    /// Whose entries wait for what they said before, which is put off: departments are given what one contact says in its
    /// order, and a revision that comes before the one that it corrects would look like something new to them.
    pub(super) fn waited_for(&self, now: Instant) -> HashSet<ContactId> {
        let waited_for = self.entries.values().filter_map(|passed_over| match passed_over {
            PassedOver::Until { again, tries, contact } => {
                (now < *again && *tries < TRIES_WAITED_FOR).then_some(*contact)
            }
            PassedOver::ForGood => None,
        });
        waited_for.collect()
    }

    /// Passes an entry over until it may be read again. False when too many are passed over already.
    pub(super) fn put_off(&mut self, entry: &Key, contact: ContactId, now: Instant) -> bool {
        let before = match self.entries.get(entry) {
            Some(PassedOver::Until { tries, .. }) => *tries,
            _ => 0,
        };
        if self.entries.len() >= ENTRIES_MAX {
            // Those whose time has come may have left the queue unseen, when what they stand for was erased.
            self.entries.retain(|_, passed_over| match passed_over {
                PassedOver::ForGood => true,
                PassedOver::Until { again, .. } => now < *again,
            });
        }
        let again = now + PAUSE;
        let tries = before.saturating_add(1);
        self.put(entry, PassedOver::Until { again, tries, contact })
    }

    /// Passes an entry over as long as the hub runs. False when too many are passed over already.
    pub(super) fn give_up(&mut self, entry: &Key) -> bool {
        self.put(entry, PassedOver::ForGood)
    }

    /// Forgets an entry: it has left the queue.
    pub(super) fn forget(&mut self, entry: &Key) {
        self.entries.remove(entry);
    }

    fn put(&mut self, entry: &Key, passed_over: PassedOver) -> bool {
        let has_room = self.entries.len() < ENTRIES_MAX || self.entries.contains_key(entry);
        if has_room {
            self.entries.insert(entry.clone(), passed_over);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mihwar_model::{ContactId, FeedbackId};
    use mihwar_store::Key;
    use tokio::time::Instant;

    use super::{Aside, ENTRIES_MAX, PAUSE, TRIES_WAITED_FOR};
    use crate::keys;

    const WHO: ContactId = ContactId::from_bytes([2; 16]);

    fn entry(revision: usize) -> Key {
        keys::queue(FeedbackId::from_bytes([1; 16]), u32::try_from(revision).unwrap())
    }

    #[test]
    fn what_is_put_off_is_tried_again_and_what_is_damaged_is_not() {
        let (mut aside, now) = (Aside::default(), Instant::now());
        assert!(!aside.holds(&entry(1), now));
        assert!(aside.put_off(&entry(1), WHO, now) && aside.give_up(&entry(2)));
        assert!(aside.holds(&entry(1), now) && aside.holds(&entry(2), now));
        assert!(!aside.holds(&entry(1), now + PAUSE), "its time has come");
        assert!(aside.holds(&entry(2), now + PAUSE));
        assert!(!aside.holds(&entry(3), now), "another revision goes on");
    }

    #[test]
    fn a_contact_waits_for_what_is_put_off_but_not_for_ever() {
        let (mut aside, mut now) = (Aside::default(), Instant::now());
        assert!(aside.give_up(&entry(9)));
        assert_eq!(
            aside.waited_for(now),
            HashSet::new(),
            "nobody waits for what is damaged"
        );
        for _ in 1..TRIES_WAITED_FOR {
            assert!(aside.put_off(&entry(1), WHO, now));
            assert_eq!(aside.waited_for(now), HashSet::from([WHO]));
            now += PAUSE;
            assert_eq!(aside.waited_for(now), HashSet::new(), "it is tried first, now");
        }
        assert!(aside.put_off(&entry(1), WHO, now));
        assert_eq!(aside.waited_for(now), HashSet::new());
        assert!(aside.holds(&entry(1), now), "it is tried again all the same");
        aside.forget(&entry(1));
        assert!(aside.put_off(&entry(1), WHO, now));
        assert_eq!(aside.waited_for(now), HashSet::from([WHO]));
    }

    #[test]
    fn no_more_are_passed_over_than_single_ones() {
        let (mut aside, now) = (Aside::default(), Instant::now());
        assert!((0..ENTRIES_MAX).all(|revision| aside.put_off(&entry(revision), WHO, now)));
        assert!(!aside.put_off(&entry(ENTRIES_MAX), WHO, now) && !aside.give_up(&entry(ENTRIES_MAX)));
        assert!(aside.put_off(&entry(0), WHO, now), "it has its place already");
        aside.forget(&entry(7));
        assert!(aside.put_off(&entry(ENTRIES_MAX), WHO, now));
        assert!(!aside.put_off(&entry(7), WHO, now));
        assert!(
            aside.put_off(&entry(7), WHO, now + PAUSE),
            "nobody may come back for the others"
        );
    }
}
