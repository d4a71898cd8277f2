//! One group of batches as it lies in the log: what it hangs on, what it changes, and a hash over both.

use std::convert::Infallible;
use std::io;

use mihwar_ledger::Hash;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use redb::StorageBackend;
use sha2::{Digest, Sha256};

use crate::{Key, StoreError};

/// Frames begin at multiples of this: writing one never touches a sector of the one before it.
pub(crate) const ALIGNMENT: u64 = 4_096;
const MAGIC: [u8; 8] = *b"mihwarL1";
/// Magic, length, version before, origin, synced, the log's name, hash.
const HEAD_BYTES: usize = 8 + 4 + 8 + 40 + 8 + NAME_BYTES + Hash::LENGTH;
/// Where the hash begins; what is before it is hashed.
const HASHED_HEAD_BYTES: usize = HEAD_BYTES - Hash::LENGTH;

const NAME_BYTES: usize = 16;
/// Random, new for each log, and known to the store's file: no other log's frames fit, and nobody can make up bytes that would
/// be taken for one.
pub(crate) type LogName = [u8; NAME_BYTES];

/// The state of the file that a pass through the log goes on from: that of the file's last durable commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) version: u64,
    /// Of the ledger's tree.
    pub(crate) root: Hash,
}

/// What stands before the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: LogName,
    pub(crate) origin: Origin,
    /// Version of the last batch before this group.
    pub(crate) before: u64,
    /// How much of the log was on the disk for certain when this was written, in bytes.
    pub(crate) synced: u64,
}

/// A frame that was read and is whole.
pub(crate) struct Frame {
    pub(crate) head: Head,
    pub(crate) changes: Vec<u8>,
    /// Where the next one begins.
    pub(crate) end: u64,
}

/// Reads the frame at `at`, if there is a whole one.
pub(crate) fn read(file: &dyn StorageBackend, length: u64, at: u64) -> io::Result<Option<Frame>> {
    if length.saturating_sub(at) < HEAD_BYTES as u64 {
        return Ok(None);
    }
    let mut head = [0; HEAD_BYTES];
    file.read(at, &mut head)?;
    let Some((parsed, count)) = parse(&head) else {
        return Ok(None);
    };
    let end = at + round_up(HEAD_BYTES as u64 + count);
    let (Ok(size), true) = (usize::try_from(count), end <= length) else {
        return Ok(None);
    };
    let mut changes = vec![0; size];
    file.read(at + HEAD_BYTES as u64, &mut changes)?;
    let is_whole = head.split_at(HASHED_HEAD_BYTES).1 == hash(&head, &changes).0;
    Ok(is_whole.then_some(Frame {
        head: parsed,
        changes,
        end,
    }))
}

fn parse(head: &[u8; HEAD_BYTES]) -> Option<(Head, u64)> {
    let rest = head.strip_prefix(&MAGIC)?;
    let (count, rest) = rest.split_first_chunk()?;
    let (before, rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (root, rest) = rest.split_first_chunk()?;
    let (synced, rest) = rest.split_first_chunk()?;
    let (name, _hash) = rest.split_first_chunk()?;
    let head = Head {
        name: *name,
        origin: Origin {
            version: u64::from_le_bytes(*version),
            root: Hash(*root),
        },
        before: u64::from_le_bytes(*before),
        synced: u64::from_le_bytes(*synced),
    };
    Some((head, u64::from(u32::from_le_bytes(*count))))
}

fn hash(head: &[u8], changes: &[u8]) -> Hash {
    let hashed = head.get(..HASHED_HEAD_BYTES).unwrap_or(head);
    Hash(
        Sha256::new()
            .chain_update(hashed)
            .chain_update(changes)
            .finalize()
            .into(),
    )
}

fn round_up(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGNMENT)
}

/// A frame in the making. Its memory is used for the next one.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
    /// Something could not be encoded. Writing to memory does not fail, but the encoder's types do not say so.
    broken: bool,
}

/// Memory that is kept for the next frame, in bytes.
const KEPT_BYTES: usize = 1 << 20;

impl FrameBuilder {
    /// Forgets what was put in.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.bytes.resize(HEAD_BYTES, 0);
        self.broken = false;
    }

    /// Begins a batch of so many rows.
    pub(crate) fn batch(&mut self, version: u64, rows: usize) {
        self.write(|to| to.u64(version)?.array(rows as u64)?.ok());
    }

    /// A row of it that was written.
    pub(crate) fn put(&mut self, key: &Key, value: &[u8]) {
        self.write(|to| to.bytes(key.as_bytes())?.bytes(value)?.ok());
    }

    /// A row of it that was deleted, and whether that was noted.
    pub(crate) fn remove(&mut self, key: &Key, noted: bool) {
        self.write(|to| to.bytes(key.as_bytes())?.bool(noted)?.ok());
    }

    /// Its journal entries, which end it.
    pub(crate) fn entries(&mut self, entries: &[Vec<u8>]) {
        self.write(|to| {
            to.array(entries.len() as u64)?;
            entries.iter().try_for_each(|entry| to.bytes(entry)?.ok())
        });
    }

    /// The whole frame, ready to be written. `None` if it is too long for one.
    pub(crate) fn finish(&mut self, head: &Head) -> Option<&[u8]> {
        if self.broken {
            return None;
        }
        let count = u32::try_from(self.bytes.len().checked_sub(HEAD_BYTES)?).ok()?;
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &count.to_le_bytes(),
            &head.before.to_le_bytes(),
            &head.origin.version.to_le_bytes(),
            &head.origin.root.0,
            &head.synced.to_le_bytes(),
            &head.name,
        ];
        let (start, changes) = self.bytes.split_at_mut(HEAD_BYTES);
        let (hashed, place) = start.split_at_mut(HASHED_HEAD_BYTES);
        hashed.copy_from_slice(&fields.concat());
        place.copy_from_slice(&hash(hashed, changes).0);
        let padded = self.bytes.len().next_multiple_of(usize::try_from(ALIGNMENT).ok()?);
        self.bytes.resize(padded, 0);
        Some(&self.bytes)
    }

    fn write(
        &mut self,
        put: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<Infallible>>,
    ) {
        self.broken |= put(&mut Encoder::new(&mut self.bytes)).is_err();
    }
}

/// What a row became.
pub(crate) enum RowChange<'a> {
    Put(&'a [u8]),
    Removed { noted: bool },
}

/// One batch of a frame.
pub(crate) struct LoggedBatch<'a> {
    pub(crate) version: u64,
    pub(crate) rows: Vec<(Key, RowChange<'a>)>,
    pub(crate) entries: Vec<Vec<u8>>,
}

/// The batches of a frame's changes, in their order.
pub(crate) fn batches(changes: &[u8]) -> Result<Vec<LoggedBatch<'_>>, StoreError> {
    let mut from = Decoder::new(changes);
    let mut batches = Vec::new();
    while from.position() < changes.len() {
        let batch = batch(&mut from);
        batches.push(batch.map_err(|error| StoreError::corrupt(format!("the log cannot be read: {error}")))?);
    }
    Ok(batches)
}

fn batch<'a>(from: &mut Decoder<'a>) -> Result<LoggedBatch<'a>, minicbor::decode::Error> {
    let version = from.u64()?;
    let count = length(from)?;
    let rows = (0..count).map(|_| {
        let key = Key::from_bytes(from.bytes()?.to_vec());
        let change = match from.datatype()? {
            Type::Bool => RowChange::Removed { noted: from.bool()? },
            _ => RowChange::Put(from.bytes()?),
        };
        Ok((key, change))
    });
    let rows = rows.collect::<Result<_, minicbor::decode::Error>>()?;
    let count = length(from)?;
    let entries = (0..count).map(|_| Ok(from.bytes()?.to_vec()));
    let entries = entries.collect::<Result<_, minicbor::decode::Error>>()?;
    Ok(LoggedBatch { version, rows, entries })
}

fn length(from: &mut Decoder<'_>) -> Result<u64, minicbor::decode::Error> {
    from.array()?
        .ok_or_else(|| minicbor::decode::Error::message("a list without a length"))
}
