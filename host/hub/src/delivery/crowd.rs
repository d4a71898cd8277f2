//! Whose deliveries lie in a backlog that is too long to be known one by one. A counting Bloom filter of a fixed size: it may
//! take somebody for one of them who is not, and never the other way round. Who is taken for one waits, and nothing else.

use std::fmt;

use mihwar_model::ContactId;

/// Counters: 8 MiB. A million contacts leave one in four hundred others waiting; beyond some ten million all wait.
const COUNTERS_LOG2: u32 = 24;
/// Counters of one contact.
const PLACES: u64 = 4;
/// A counter that came here stays here: nobody knows any more how many it stands for.
const STUCK: u8 = 15;

/// A crowd of contacts, some of them several times.
pub(super) struct Crowd {
    /// Two counters of four bits in each byte.
    counters: Vec<u8>,
    mask: u64,
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").finish_non_exhaustive()
    }
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self::of_size(COUNTERS_LOG2)
    }

    fn of_size(log2: u32) -> Self {
        let counters = 1_usize << log2;
        Self {
            counters: vec![0; counters / 2],
            mask: (1_u64 << log2) - 1,
        }
    }

    /// One more delivery of a contact.
    pub(super) fn add(&mut self, contact: ContactId) {
        for place in self.places(contact) {
            self.change(place, |count| (count + 1).min(STUCK));
        }
    }

    /// One delivery less of a contact who was added.
    pub(super) fn remove(&mut self, contact: ContactId) {
        for place in self.places(contact) {
            self.change(
                place,
                |count| if count == STUCK { STUCK } else { count.saturating_sub(1) },
            );
        }
    }

    /// Whether a contact may be among them.
    pub(super) fn may_hold(&self, contact: ContactId) -> bool {
        self.places(contact).into_iter().all(|place| self.count(place) > 0)
    }

    fn count(&self, place: u64) -> u8 {
        let (byte, shift) = Self::where_is(place);
        self.counters.get(byte).map_or(0, |pair| (pair >> shift) & STUCK)
    }

    fn change(&mut self, place: u64, change: impl Fn(u8) -> u8) {
        let (byte, shift) = Self::where_is(place);
        if let Some(pair) = self.counters.get_mut(byte) {
            let count = change((*pair >> shift) & STUCK);
            *pair = (*pair & !(STUCK << shift)) | (count << shift);
        }
    }

    fn where_is(place: u64) -> (usize, u32) {
        let shift = if place.is_multiple_of(2) { 0 } else { 4 };
        (usize::try_from(place / 2).unwrap_or(usize::MAX), shift)
    }

    /// Four different places: the step between them is odd, and so does not come back to the first before the end.
    fn places(&self, contact: ContactId) -> [u64; 4] {
        let whole = u128::from_be_bytes(contact.to_bytes());
        let halves = [whole >> 64, whole & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
        let first = mixed(halves[0] ^ mixed(halves[1]));
        let step = mixed(first ^ 0x9E37_79B9_7F4A_7C15) | 1;
        let mut places = [0; 4];
        for (number, place) in (0..PLACES).zip(&mut places) {
            *place = first.wrapping_add(step.wrapping_mul(number)) & self.mask;
        }
        places
    }
}

/// Spreads a number over all bits: the finalizer of SplitMix64.
pub(super) const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mihwar_model::ContactId;
    use proptest::prelude::*;

    use super::Crowd;

    fn contact(number: u32) -> ContactId {
        let mut bytes = [7; 16];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        ContactId::from_bytes(bytes)
    }

    proptest! {
        #[test]
        fn nobody_who_is_there_is_ever_missed(steps in proptest::collection::vec((0_u32..400, any::<bool>()), 0..3_000)) {
            // So small that all collide, and counters get stuck.
            let (mut crowd, mut there) = (Crowd::of_size(8), BTreeMap::<u32, u32>::new());
            for (number, comes) in steps {
                let count = there.entry(number).or_default();
                if comes {
                    crowd.add(contact(number));
                    *count += 1;
                } else if *count > 0 {
                    crowd.remove(contact(number));
                    *count -= 1;
                }
            }
            for (number, count) in there {
                prop_assert!(count == 0 || crowd.may_hold(contact(number)), "{number} is there {count} times");
            }
        }
    }

    #[test]
    fn who_has_left_is_forgotten_and_few_are_taken_for_others() {
        let mut crowd = Crowd::of_size(18);
        for number in 0..16_000 {
            crowd.add(contact(number));
        }
        let mistaken = (100_000..200_000)
            .filter(|number| crowd.may_hold(contact(*number)))
            .count();
        assert!(mistaken < 1_000, "{mistaken} of a hundred thousand");
        for number in 0..16_000 {
            crowd.remove(contact(number));
        }
        assert_eq!((0..16_000).filter(|number| crowd.may_hold(contact(*number))).count(), 0);
    }
}
