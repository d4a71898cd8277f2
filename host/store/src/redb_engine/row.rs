//! How a row lies in the table of its space. There are many rows and most are short, so what the table says already is
//! left out: the space, and the zeros before a small number of an organisation. A version takes the bytes that it needs.

use std::borrow::Cow;
use std::ops::Bound;

use super::spaces::space_of;
use crate::{Key, KeyRange, StoreError, Versioned};

/// What a stored key begins with unless its organisation's number is below 256, whose stored key begins with a zero.
const OTHER: u8 = 1;
/// Zeros that are left out, behind the space.
const LEFT_OUT: usize = 2;
/// Bytes that the longest version takes.
const VERSION_BYTES_MAX: usize = 10;

/// A key as it stands in the table of its space. Keys keep their order. One of fewer than four bytes may stand for no row,
/// only for the end of a range; all of these lie below every row.
pub(crate) fn stored_key(key: &Key) -> Cow<'_, [u8]> {
    let rest = key.as_bytes().get(1..).unwrap_or_default();
    match rest {
        [0, 0, 0, ..] => Cow::Borrowed(rest.get(LEFT_OUT..).unwrap_or_default()),
        [] | [0] | [0, 0] => Cow::Borrowed(&[]),
        other => Cow::Owned([&[OTHER], other].concat()),
    }
}

/// The key that lies in the table of a space as these bytes.
///
/// # Errors
/// No key is stored so.
pub(crate) fn key_of(space: u8, stored: &[u8]) -> Result<Key, StoreError> {
    let bytes = match stored {
        [0, ..] => [&[space, 0, 0], stored].concat(),
        [OTHER, rest @ ..] => [&[space], rest].concat(),
        _ => {
            return Err(StoreError::corrupt(
                "a row's key has a form that the store does not write",
            ));
        }
    };
    Ok(Key::from_bytes(bytes))
}

type StoredBound<'a> = Bound<Cow<'a, [u8]>>;

/// The part of a range in the table of a space; `None` when no row of it can be in there.
pub(crate) fn stored_bounds(range: &KeyRange, space: u8) -> Option<(StoredBound<'_>, StoredBound<'_>)> {
    let start = (space_of(range.start()) == space).then(|| stored_key(range.start()));
    let end = range.end().filter(|end| space_of(end) == space).map(stored_key);
    if end
        .as_deref()
        .is_some_and(|end| start.as_deref().unwrap_or_default() >= end)
    {
        return None;
    }
    Some((
        start.map_or(Bound::Unbounded, Bound::Included),
        end.map_or(Bound::Unbounded, Bound::Excluded),
    ))
}

/// A row as it is stored: its version, seven bits to a byte from the lowest on, each but the last with its high bit set;
/// then its value.
pub(crate) fn encode_row(version: u64, value: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(VERSION_BYTES_MAX + value.len());
    let mut rest = version;
    while rest > 0x7F {
        row.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    row.push(rest.to_le_bytes()[0]);
    row.extend_from_slice(value);
    row
}

/// Version and value of a row.
///
/// # Errors
/// Its version has no end, or is too large.
pub(crate) fn split_row(row: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    let mut version = 0_u64;
    for (index, byte) in row.iter().take(VERSION_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7F);
        let shifted = bits << (7 * index);
        if shifted >> (7 * index) != bits {
            break;
        }
        version |= shifted;
        if byte & 0x80 == 0 {
            return Ok((version, row.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(StoreError::corrupt("a row begins with no version"))
}

/// A row for who reads it.
///
/// # Errors
/// As [`split_row`].
pub(crate) fn decode_row(row: &[u8]) -> Result<Versioned, StoreError> {
    split_row(row).map(|(version, value)| Versioned {
        version,
        bytes: value.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(space: u8, rest: &[u8]) -> Key {
        Key::from_bytes([&[space], rest].concat())
    }

    #[test]
    fn of_an_ordinary_key_one_byte_of_five_is_left() {
        let ordinary = key(0x10, &[0, 0, 0, 1, 0xD8, 0xB9]);
        assert_eq!(&*stored_key(&ordinary), [0, 1, 0xD8, 0xB9]);
        let large = key(0x10, &[0, 0, 1, 0, 7]);
        assert_eq!(&*stored_key(&large), [OTHER, 0, 0, 1, 0, 7]);
        assert_eq!(encode_row(5, "قيمة".as_bytes()).len(), 1 + 8);
        assert!(key_of(0x10, &[]).is_err() && key_of(0x10, &[2, 0]).is_err());
    }

    #[test]
    fn a_version_that_is_cut_off_or_too_large_is_damage() {
        let largest = encode_row(u64::MAX, &[]);
        assert_eq!(split_row(&largest), Ok((u64::MAX, [].as_slice())));
        let last = largest.len() - 1;
        assert!(split_row(&largest[..last]).is_err());
        let mut too_large = largest;
        too_large[last] = 2;
        assert!(split_row(&too_large).is_err());
        assert!(split_row(&[]).is_err());
    }

    /// Mostly zeros in front, where the forms part.
    fn rest() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..8)
    }

    fn is_row(rest: &[u8]) -> bool {
        !matches!(rest, [] | [0] | [0, 0])
    }

    proptest! {
        #[test]
        fn keys_come_back_and_keep_their_order(one in rest(), other in rest()) {
            prop_assume!(is_row(&one) && is_row(&other));
            let (one, other) = (key(0x21, &one), key(0x21, &other));
            prop_assert_eq!(key_of(0x21, &stored_key(&one)), Ok(one.clone()));
            prop_assert_eq!(stored_key(&one).cmp(&stored_key(&other)), one.cmp(&other));
        }

        #[test]
        fn a_range_holds_the_same_rows_as_before(start in (0x20_u8..0x23, rest()), end in (0x20_u8..0x23, rest()), row in rest()) {
            prop_assume!(is_row(&row));
            let range = KeyRange::between(key(start.0, &start.1), key(end.0, &end.1));
            prop_assume!(!range.is_empty());
            for space in start.0..=end.0 {
                let row = key(space, &row);
                let is_in = stored_bounds(&range, space).is_some_and(|(start, end)| {
                    let stored = stored_key(&row);
                    let above = match &start {
                        Bound::Included(start) => stored >= *start,
                        _ => true,
                    };
                    above && match &end {
                        Bound::Excluded(end) => stored < *end,
                        _ => true,
                    }
                });
                prop_assert_eq!(is_in, range.contains(&row));
            }
        }

        #[test]
        fn versions_and_values_come_back(version in any::<u64>(), value in prop::collection::vec(any::<u8>(), 0..20)) {
            let row = encode_row(version, &value);
            prop_assert_eq!(split_row(&row), Ok((version, value.as_slice())));
        }
    }
}
