//! Sets of places in a block.

/// A set of numbers from 0 to 255: the places in a block whose records have something in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Places {
    low: u128,
    high: u128,
}

/// How many numbers each half has.
const HALF: usize = 128;

impl Places {
    /// One place alone.
    pub(super) fn only(place: u8) -> Self {
        if usize::from(place) < HALF {
            Self {
                low: 1_u128 << place,
                high: 0,
            }
        } else {
            Self {
                low: 0,
                high: 1_u128 << (usize::from(place) - HALF),
            }
        }
    }

    /// The first `count` places.
    pub(super) fn first(count: usize) -> Self {
        let ones = |count: usize| match count {
            0 => 0,
            1..HALF => u128::MAX >> (HALF - count),
            _ => u128::MAX,
        };
        Self {
            low: ones(count),
            high: ones(count.saturating_sub(HALF)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            low: self.low & other.low,
            high: self.high & other.high,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self {
            low: self.low | other.low,
            high: self.high | other.high,
        }
    }

    /// Puts a place in if it is not there, and takes it out if it is.
    pub(super) fn toggle(&mut self, place: u8) {
        let only = Self::only(place);
        self.low ^= only.low;
        self.high ^= only.high;
    }

    pub(super) fn contains(self, place: u8) -> bool {
        !self.and(Self::only(place)).is_empty()
    }

    pub(super) fn is_empty(self) -> bool {
        self.low == 0 && self.high == 0
    }

    pub(super) fn count(self) -> usize {
        // At most 256.
        (self.low.count_ones() + self.high.count_ones()) as usize
    }

    /// Moves `place` and all above it up by one, so that `place` is free. What was at 255 is lost.
    pub(super) fn open(&mut self, place: u8) {
        let moved = |half: u128, from: usize| {
            let below = Self::first(from).low;
            (half & below) | ((half & !below) << 1)
        };
        let place = usize::from(place);
        if place < HALF {
            self.high = (self.high << 1) | (self.low >> (HALF - 1));
            self.low = moved(self.low, place);
        } else {
            self.high = moved(self.high, place - HALF);
        }
    }

    /// Takes the places from 128 on away; in the answer they begin at 0.
    pub(super) fn take_upper_half(&mut self) -> Self {
        Self {
            low: std::mem::take(&mut self.high),
            high: 0,
        }
    }

    /// The places, ascending.
    pub(super) fn iter(mut self) -> impl Iterator<Item = u8> {
        std::iter::from_fn(move || {
            let place = if self.low != 0 {
                self.low.trailing_zeros()
            } else if self.high != 0 {
                u128::BITS + self.high.trailing_zeros()
            } else {
                return None;
            };
            let place = u8::try_from(place).ok()?;
            self.toggle(place);
            Some(place)
        })
    }

    /// A bit for each place, the lowest bit of the first byte for place 0.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.low.to_le_bytes());
        bytes[16..].copy_from_slice(&self.high.to_le_bytes());
        bytes
    }

    /// What [`Self::to_bytes`] was given; bytes that are left out are zero. `None` for more than 32.
    pub(super) fn from_bytes(some: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..some.len())?.copy_from_slice(some);
        let (low, high) = bytes.split_first_chunk()?;
        Some(Self {
            low: u128::from_le_bytes(*low),
            high: u128::from_le_bytes(*high.first_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Places;

    fn of(numbers: &BTreeSet<u8>) -> Places {
        let only = numbers.iter().map(|number| Places::only(*number));
        only.fold(Places::default(), Places::or)
    }

    fn numbers(places: Places) -> BTreeSet<u8> {
        places.iter().collect()
    }

    fn any_numbers() -> impl Strategy<Value = BTreeSet<u8>> {
        let edge = prop_oneof![Just(0_u8), Just(127), Just(128), Just(255), any::<u8>()];
        prop::collection::btree_set(edge, 0..40)
    }

    proptest! {
        #[test]
        fn places_are_a_set_of_numbers(
            one in any_numbers(), other in any_numbers(), place in any::<u8>(), count in 0_usize..=256,
        ) {
            let (a, b) = (of(&one), of(&other));
            prop_assert_eq!(numbers(a), one.clone());
            prop_assert_eq!((a.count(), a.is_empty()), (one.len(), one.is_empty()));
            prop_assert_eq!(numbers(a.and(b)), &one & &other);
            prop_assert_eq!(numbers(a.or(b)), &one | &other);
            prop_assert_eq!(a.contains(place), one.contains(&place));
            prop_assert_eq!(Places::from_bytes(&a.to_bytes()), Some(a));
            prop_assert_eq!(Places::first(count).count(), count);
            let first: BTreeSet<u8> = (0..=u8::MAX).take(count).collect();
            prop_assert_eq!(numbers(Places::first(count)), first);
            let mut toggled = a;
            toggled.toggle(place);
            prop_assert_eq!(numbers(toggled), &one ^ &BTreeSet::from([place]));
        }

        #[test]
        fn what_is_behind_a_place_moves(one in any_numbers(), place in any::<u8>()) {
            let mut places = of(&one);
            places.open(place);
            let moved = one.iter().filter_map(|n| if *n < place { Some(*n) } else { n.checked_add(1) });
            prop_assert_eq!(numbers(places), moved.collect::<BTreeSet<u8>>());
            let mut lower = of(&one);
            let upper = lower.take_upper_half();
            let above: BTreeSet<u8> = one.iter().filter_map(|n| n.checked_sub(128)).collect();
            prop_assert_eq!(numbers(upper), above);
            prop_assert_eq!(numbers(lower), one.into_iter().filter(|n| *n < 128).collect::<BTreeSet<u8>>());
        }
    }

    #[test]
    fn too_many_bytes_are_no_places() {
        assert_eq!(Places::from_bytes(&[1; 33]), None);
        assert_eq!(Places::from_bytes(&[]), Some(Places::default()));
    }
}
