//! What stands in the chunks: rows, journal entries, pieces of files.

use uuid::Uuid;

use crate::{Key, Row, Versioned};

/// A row as a backup tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It is there.
    Row(Row),
    /// It was deleted by the commit with this version.
    Removed(Key, u64),
}

const ROW: u8 = 0;
const REMOVED: u8 = 1;

impl Record {
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Row(row) => &row.key,
            Self::Removed(key, _) => key,
        }
    }

    /// Version of the commit that it tells of.
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Row(row) => row.value.version,
            Self::Removed(_, version) => *version,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let tag = match self {
            Self::Row(_) => ROW,
            Self::Removed(..) => REMOVED,
        };
        out.push(tag);
        write_bytes(out, self.key().as_bytes());
        out.extend_from_slice(&self.version().to_be_bytes());
        if let Self::Row(row) = self {
            write_bytes(out, &row.value.bytes);
        }
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        let tag = from.array::<1>()?;
        let key = Key::from_bytes(from.bytes()?.to_vec());
        let version = from.number()?;
        match tag {
            [ROW] => Some(Self::Row(Row {
                key,
                value: Versioned {
                    version,
                    bytes: from.bytes()?.to_vec(),
                },
            })),
            [REMOVED] => Some(Self::Removed(key, version)),
            _ => None,
        }
    }
}

/// The records of a chunk of rows; none when the bytes are not that.
pub(super) fn read_records(plain: &[u8]) -> Option<Vec<Record>> {
    let mut from = Cursor { rest: plain };
    let mut records = Vec::new();
    while !from.rest.is_empty() {
        records.push(Record::read(&mut from)?);
    }
    Some(records)
}

/// Begins a chunk of the journal.
pub(super) fn write_first_sequence(out: &mut Vec<u8>, sequence: u64) {
    out.extend_from_slice(&sequence.to_be_bytes());
}

pub(super) fn write_entry(out: &mut Vec<u8>, entry: &[u8]) {
    write_bytes(out, entry);
}

/// The first sequence number of a chunk of the journal, and its entries.
pub(super) fn read_entries(plain: &[u8]) -> Option<(u64, Vec<Vec<u8>>)> {
    let mut from = Cursor { rest: plain };
    let first = from.number()?;
    let mut entries = Vec::new();
    while !from.rest.is_empty() {
        entries.push(from.bytes()?.to_vec());
    }
    Some((first, entries))
}

/// A piece of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: Uuid,
    /// Size of the whole blob in bytes; none when there is no such blob although there should be.
    pub(super) size: Option<u64>,
    /// Where in the blob the piece begins.
    pub(super) from: u64,
    pub(super) bytes: Vec<u8>,
}

/// Stands for the size of a blob that is not there.
const MISSING: u64 = u64::MAX;

impl Piece {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.size.unwrap_or(MISSING).to_be_bytes());
        out.extend_from_slice(&self.from.to_be_bytes());
        write_bytes(out, &self.bytes);
    }

    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            id: Uuid::from_bytes(from.array()?),
            size: Some(from.number()?).filter(|size| *size != MISSING),
            from: from.number()?,
            bytes: from.bytes()?.to_vec(),
        })
    }
}

/// The pieces of a chunk of files.
pub(super) fn read_pieces(plain: &[u8]) -> Option<Vec<Piece>> {
    let mut from = Cursor { rest: plain };
    let mut pieces = Vec::new();
    while !from.rest.is_empty() {
        pieces.push(Piece::read(&mut from)?);
    }
    Some(pieces)
}

/// A length, then the bytes. Longer than a chunk they never are.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Cursor<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Cursor<'bytes> {
    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn bytes(&mut self) -> Option<&'bytes [u8]> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}
