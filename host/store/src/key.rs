//! Keys: a space, an organisation, then fields encoded so that byte order is the order of the fields.

use std::borrow::Borrow;
use std::fmt;

use mihwar_model::OrgId;

/// The first byte of every key: which kind of row it is. `0x00..=0x0F` belong to the store; a batch that writes there is
/// refused. The rooms above define their own from `0x10` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u8);

impl Space {
    /// The lowest space that rooms above may use.
    pub const FIRST_FREE: Self = Self(0x10);
}

/// Bytes that every row's key begins with: its space and its organisation.
pub(crate) const KEY_START_BYTES: usize = 5;

/// A row's key: space, organisation and fields, at most [`crate::MAX_KEY_BYTES`] long. A shorter or longer one is refused when
/// written and never found when read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// Starts a key with its space and organisation.
    #[must_use]
    pub fn space(space: Space, org: OrgId) -> KeyBuilder {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(space.0);
        bytes.extend_from_slice(&org.0.to_be_bytes());
        KeyBuilder { bytes }
    }

    /// A key from bytes that were a key before, as a backup holds them.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, whose order is the order of the keys.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the fields after space and organisation, in the order in which they were built.
    #[must_use]
    pub fn read(&self) -> KeyReader<'_> {
        KeyReader {
            rest: self.0.get(KEY_START_BYTES..).unwrap_or_default(),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key({self})")
    }
}

/// Closes a text or bytes field. Sorts below every byte that may follow in a longer field.
const FIELD_END: [u8; 2] = [0x00, 0x01];
/// Stands for a zero byte inside a field.
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xFF];

/// Puts a [`Key`] together, field by field.
#[derive(Clone, Debug)]
pub struct KeyBuilder {
    bytes: Vec<u8>,
}

impl KeyBuilder {
    /// Adds a number of one byte.
    #[must_use]
    pub fn u8(mut self, number: u8) -> Self {
        self.bytes.push(number);
        self
    }

    /// Adds a number of four bytes.
    #[must_use]
    pub fn u32(mut self, number: u32) -> Self {
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a number of eight bytes.
    #[must_use]
    pub fn u64(mut self, number: u64) -> Self {
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds an id of sixteen bytes.
    #[must_use]
    pub fn id(mut self, id: [u8; 16]) -> Self {
        self.bytes.extend_from_slice(&id);
        self
    }

    /// Adds a text. A text sorts before every longer one that starts with it, whatever follows in the key.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds bytes of any length, in the same encoding as a text.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut this = self.bytes_prefix(bytes);
        this.bytes.extend_from_slice(&FIELD_END);
        this
    }

    /// Adds the beginning of a text, as the last field of a prefix to scan: see [`crate::KeyRange::prefix`].
    #[must_use]
    pub fn text_prefix(self, text: &str) -> Self {
        self.bytes_prefix(text.as_bytes())
    }

    fn bytes_prefix(mut self, bytes: &[u8]) -> Self {
        for &byte in bytes {
            if byte == 0 {
                self.bytes.extend_from_slice(&ESCAPED_ZERO);
            } else {
                self.bytes.push(byte);
            }
        }
        self
    }

    /// The key.
    #[must_use]
    pub fn finish(self) -> Key {
        Key(self.bytes)
    }
}

/// A key whose bytes are not the fields that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key does not hold the field {field} where it was expected")]
pub struct KeyReadError {
    field: &'static str,
}

/// Takes a [`Key`] apart, field by field.
#[derive(Clone, Debug)]
pub struct KeyReader<'key> {
    rest: &'key [u8],
}

impl KeyReader<'_> {
    /// A number of one byte.
    ///
    /// # Errors
    /// When the key ends before.
    pub fn u8(&mut self) -> Result<u8, KeyReadError> {
        self.array("u8").map(u8::from_be_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// When the key ends before.
    pub fn u32(&mut self) -> Result<u32, KeyReadError> {
        self.array("u32").map(u32::from_be_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// When the key ends before.
    pub fn u64(&mut self) -> Result<u64, KeyReadError> {
        self.array("u64").map(u64::from_be_bytes)
    }

    /// An id of sixteen bytes.
    ///
    /// # Errors
    /// When the key ends before.
    pub fn id(&mut self) -> Result<[u8; 16], KeyReadError> {
        self.array("id")
    }

    /// A text.
    ///
    /// # Errors
    /// When the field is not closed or not UTF-8.
    pub fn text(&mut self) -> Result<String, KeyReadError> {
        String::from_utf8(self.bytes()?).map_err(|_| KeyReadError { field: "text" })
    }

    /// Bytes of any length.
    ///
    /// # Errors
    /// When the field is not closed.
    pub fn bytes(&mut self) -> Result<Vec<u8>, KeyReadError> {
        let mut bytes = Vec::new();
        loop {
            match self.rest {
                [0x00, 0x01, rest @ ..] => {
                    self.rest = rest;
                    return Ok(bytes);
                }
                [0x00, 0xFF, rest @ ..] => {
                    bytes.push(0);
                    self.rest = rest;
                }
                [0x00, ..] | [] => return Err(KeyReadError { field: "bytes" }),
                [byte, rest @ ..] => {
                    bytes.push(*byte);
                    self.rest = rest;
                }
            }
        }
    }

    fn array<const LENGTH: usize>(&mut self, field: &'static str) -> Result<[u8; LENGTH], KeyReadError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(KeyReadError { field })?;
        self.rest = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(fields: &(String, u32, Vec<u8>, u64)) -> Key {
        Key::space(Space(0x10), OrgId::FIRST)
            .text(&fields.0)
            .u32(fields.1)
            .bytes(&fields.2)
            .u64(fields.3)
            .finish()
    }

    fn any_fields() -> impl Strategy<Value = (String, u32, Vec<u8>, u64)> {
        (
            // Zero bytes and shared beginnings are what could break the order; Arabic is the usual text.
            "[\u{0}a-bش-ض]{0,5}",
            prop_oneof![Just(0), Just(0xFF00_0000), any::<u32>()],
            prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xFF)], 0..5),
            any::<u64>(),
        )
    }

    proptest! {
        #[test]
        fn order_of_bytes_is_order_of_fields(left in any_fields(), right in any_fields()) {
            let by_fields = (left.0.as_bytes(), left.1, &left.2, left.3)
                .cmp(&(right.0.as_bytes(), right.1, &right.2, right.3));
            prop_assert_eq!(build(&left).cmp(&build(&right)), by_fields);
        }

        #[test]
        fn fields_are_read_back(fields in any_fields()) {
            let key = build(&fields);
            let mut reader = key.read();
            prop_assert_eq!(reader.text(), Ok(fields.0));
            prop_assert_eq!(reader.u32(), Ok(fields.1));
            prop_assert_eq!(reader.bytes(), Ok(fields.2));
            prop_assert_eq!(reader.u64(), Ok(fields.3));
            prop_assert!(reader.u8().is_err());
        }
    }

    #[test]
    fn a_text_prefix_is_the_beginning_of_every_longer_text() {
        let space = || Key::space(Space(0x10), OrgId::FIRST);
        let prefix = space().text_prefix("شكو").finish();
        assert!(space().text("شكوى").finish().as_bytes().starts_with(prefix.as_bytes()));
        assert!(!space().text("شكر").finish().as_bytes().starts_with(prefix.as_bytes()));
    }
}
