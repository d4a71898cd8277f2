//! Half-open ranges of keys.

use std::ops::Bound;

use crate::Key;

/// Direction of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key up.
    Ascending,
    /// From the highest key down.
    Descending,
}

/// The keys from `start` (included) to `end` (excluded; none means to the very end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Key,
    end: Option<Key>,
}

impl KeyRange {
    /// All keys that start with the bytes of `prefix`, itself included.
    #[must_use]
    pub fn prefix(prefix: Key) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        // The next key that does not start with the prefix: drop bytes that cannot be raised, raise the last one.
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        let end = end.pop().map(|last| {
            end.push(last + 1);
            Key::from_bytes(end)
        });
        Self { start: prefix, end }
    }

    /// The keys from `start` (included) to `end` (excluded). Empty when `end` is not above `start`.
    #[must_use]
    pub fn between(start: Key, end: Key) -> Self {
        Self { start, end: Some(end) }
    }

    /// Every key in the store.
    #[must_use]
    pub fn all() -> Self {
        Self {
            start: Key::from_bytes(Vec::new()),
            end: None,
        }
    }

    /// The part of the range above `key`: where an ascending scan goes on.
    #[must_use]
    pub fn after(mut self, key: &Key) -> Self {
        let mut next = key.as_bytes().to_vec();
        next.push(0);
        self.start = self.start.max(Key::from_bytes(next));
        self
    }

    /// The part of the range below `key`: where a descending scan goes on.
    #[must_use]
    pub fn before(mut self, key: &Key) -> Self {
        self.end = Some(self.end.map_or_else(|| key.clone(), |end| end.min(key.clone())));
        self
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        *key >= self.start && self.end.as_ref().is_none_or(|end| key < end)
    }

    /// First key of the range.
    #[must_use]
    pub fn start(&self) -> &Key {
        &self.start
    }

    /// First key after the range, if it has an end.
    #[must_use]
    pub fn end(&self) -> Option<&Key> {
        self.end.as_ref()
    }

    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self.end.as_ref();
        (
            Bound::Included(self.start.as_bytes()),
            end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_bytes())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::from_bytes(bytes.to_vec())
    }

    #[test]
    fn a_prefix_ends_before_the_next_key_without_it() {
        let range = KeyRange::prefix(key(&[0x10, 0xFF, 0xFF]));
        assert_eq!(range.end(), Some(&key(&[0x11])));
        assert!(range.contains(&key(&[0x10, 0xFF, 0xFF])));
        assert!(range.contains(&key(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF])));
        assert!(!range.contains(&key(&[0x10, 0xFF, 0xFE, 0xFF])));
        assert!(!range.contains(&key(&[0x11])));
        assert_eq!(KeyRange::prefix(key(&[0xFF, 0xFF])).end(), None);
        assert_eq!(KeyRange::prefix(key(&[])), KeyRange::all());
    }

    #[test]
    fn a_continued_range_never_grows() {
        let range = KeyRange::between(key(&[2]), key(&[4]));
        assert_eq!(range.clone().after(&key(&[1])).start(), &key(&[2]));
        assert_eq!(range.clone().after(&key(&[3])).start(), &key(&[3, 0]));
        assert_eq!(range.clone().before(&key(&[9])).end(), Some(&key(&[4])));
        assert_eq!(range.clone().before(&key(&[3])).end(), Some(&key(&[3])));
        assert!(range.clone().after(&key(&[4])).is_empty());
        assert!(range.before(&key(&[2])).is_empty());
    }
}
