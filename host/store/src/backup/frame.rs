//! Chunks: packing, hashing, and taking apart what may be damaged.

use std::io::{ErrorKind, Read};

use sha2::{Digest, Sha256};

use super::BackupError;
use crate::StoreError;

/// Format of the file. Another number means that the bytes mean something else.
pub(super) const FORMAT: u32 = 1;
/// What a chunk is closed at, in bytes before packing.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// No chunk is written that is larger than this: one record more than the above at most, and every record is smaller than
/// that.
const CHUNK_BYTES_MAX: usize = 2 << 20;
/// No chunk is read that is larger than this. Early versions wrote some that were up to 35 bytes over the limit above.
const CHUNK_BYTES_READ: u32 = (2 << 20) + 4_096;

const MAGIC: [u8; 16] = *b"\x89mihwar-backup\r\n";
const END: [u8; 8] = *b"\r\nwhole\n";
/// Length of what stands before the first chunk.
const PROLOGUE_BYTES: u64 = 20;
/// Length of what stands after the last chunk.
pub(super) const EPILOGUE_BYTES: usize = 16;
/// Length of a chunk's head without its hash.
const HEAD_BYTES: usize = 16;

/// What is in a chunk. Chunks come in the order of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Header = 1,
    Rows,
    Journal,
    Files,
    Footer,
    /// The hub could not go on; the reason, as text.
    Stopped,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Header,
        Self::Rows,
        Self::Journal,
        Self::Files,
        Self::Footer,
        Self::Stopped,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// How the bytes of a chunk are packed.
const AS_THEY_ARE: u8 = 0;
const LZ4: u8 = 1;

/// The running hash, and the number of the next chunk.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    hash: [u8; 32],
    number: u32,
}

impl Chain {
    /// The bytes that begin a file, and the chain that goes on from them.
    pub(super) fn begin() -> (Self, Vec<u8>) {
        let mut prologue = MAGIC.to_vec();
        prologue.extend_from_slice(&FORMAT.to_be_bytes());
        let hash = Sha256::digest(&prologue).into();
        (Self { hash, number: 0 }, prologue)
    }

    /// Number of the next chunk.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Packs a chunk.
    ///
    /// # Errors
    /// It is larger than [`CHUNK_BYTES_MAX`]: a backup that nobody could read must not be called finished.
    pub(super) fn seal(&mut self, kind: Kind, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        if plain.len() > CHUNK_BYTES_MAX {
            return Err(StoreError::Engine {
                what: "packing a chunk of a backup",
                reason: format!(
                    "it has {} bytes, and {CHUNK_BYTES_MAX} is the most; this is a fault of mihwar, please report it",
                    plain.len()
                ),
            });
        }
        Ok(self.pack(kind, plain))
    }

    fn pack(&mut self, kind: Kind, plain: &[u8]) -> Vec<u8> {
        let packed = lz4_flex::block::compress(plain);
        // Sealed contents do not get smaller; they are left as they are.
        let (packing, stored) = if packed.len() < plain.len() {
            (LZ4, packed.as_slice())
        } else {
            (AS_THEY_ARE, plain)
        };
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut chunk = vec![kind as u8, packing, 0, 0];
        chunk.extend_from_slice(&self.number.to_be_bytes());
        chunk.extend_from_slice(&length(plain));
        chunk.extend_from_slice(&length(stored));
        self.hash = self.next_hash(&chunk, stored);
        self.number += 1;
        chunk.extend_from_slice(&self.hash);
        chunk.extend_from_slice(stored);
        chunk
    }

    fn next_hash(&self, head: &[u8], stored: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.hash)
            .chain_update(head)
            .chain_update(stored)
            .finalize()
            .into()
    }
}

/// The bytes that end a file whose footer begins at `footer`.
pub(super) fn epilogue(footer: u64) -> [u8; EPILOGUE_BYTES] {
    let mut bytes = [0; EPILOGUE_BYTES];
    bytes[..8].copy_from_slice(&footer.to_be_bytes());
    bytes[8..].copy_from_slice(&END);
    bytes
}

/// A chunk, unpacked.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) plain: Vec<u8>,
}

/// Reads chunk after chunk and believes none that does not hash to what it should.
pub(super) struct Frames<R> {
    input: R,
    file: String,
    chain: Chain,
    /// Where the chunk begins that is read now or was read last.
    begins: u64,
    /// Where it ends.
    ends: u64,
}

impl<R: Read> Frames<R> {
    /// Reads the beginning of a file. `file` is its name for errors.
    pub(super) fn begin(mut input: R, file: String) -> Result<Self, BackupError> {
        let (chain, expected) = Chain::begin();
        let mut found = Vec::new();
        (&mut input)
            .take(PROLOGUE_BYTES)
            .read_to_end(&mut found)
            .map_err(BackupError::io(file.as_str()))?;
        if !found.is_empty() && found.len() < expected.len() && expected.starts_with(&found) {
            return Err(BackupError::CutShort {
                file,
                chunk: 0,
                offset: 0,
            });
        }
        let format = found.strip_prefix(&MAGIC).and_then(|format| format.try_into().ok());
        match format.map(u32::from_be_bytes) {
            None => Err(BackupError::Foreign { file }),
            Some(FORMAT) => Ok(Self {
                input,
                file,
                chain,
                begins: 0,
                ends: PROLOGUE_BYTES,
            }),
            Some(found) => Err(BackupError::Format { file, found }),
        }
    }

    /// What it is read from.
    pub(super) fn into_input(self) -> R {
        self.input
    }

    /// The file's name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// How much was read.
    pub(super) const fn offset(&self) -> u64 {
        self.ends
    }

    /// Whatever was read so far is worth nothing because of `what`, seen in the last chunk.
    pub(super) fn damaged(&self, what: impl Into<String>) -> BackupError {
        BackupError::Damaged {
            file: self.file.clone(),
            chunk: self.chain.number().saturating_sub(1),
            offset: self.begins,
            what: what.into(),
        }
    }

    /// The next chunk. There is always one before the end: the footer is the last.
    pub(super) fn next(&mut self) -> Result<Frame, BackupError> {
        self.begins = self.ends;
        let mut head = [0; HEAD_BYTES];
        let mut hash = [0; 32];
        self.read(&mut head)?;
        self.read(&mut hash)?;
        let [kind, packing, 0, 0, rest @ ..] = head else {
            return Err(self.here("its head is none"));
        };
        let (numbers, _) = rest.as_chunks::<4>();
        let [number, plain, stored] = [0, 1, 2].map(|at| numbers.get(at).map_or(0, |bytes| u32::from_be_bytes(*bytes)));
        if number != self.chain.number || plain > CHUNK_BYTES_READ || stored > plain {
            return Err(self.here("its head is none, or that of another chunk"));
        }
        let mut bytes = vec![0; stored as usize];
        self.read(&mut bytes)?;
        let expected = self.chain.next_hash(&head, &bytes);
        if expected != hash {
            return Err(self.here("its hash does not fit"));
        }
        let unpacked = match packing {
            AS_THEY_ARE if stored == plain => Some(bytes),
            LZ4 => lz4_flex::block::decompress(&bytes, plain as usize).ok(),
            _ => None,
        };
        let unpacked = unpacked.filter(|bytes| bytes.len() == plain as usize);
        let (Some(plain), Some(kind)) = (unpacked, Kind::from_byte(kind)) else {
            return Err(self.here("it cannot be unpacked"));
        };
        self.chain.hash = hash;
        self.chain.number += 1;
        self.ends += (HEAD_BYTES + hash.len()) as u64 + u64::from(stored);
        if kind == Kind::Stopped {
            return Err(BackupError::Stopped {
                file: self.file.clone(),
                reason: String::from_utf8_lossy(&plain).into_owned(),
            });
        }
        Ok(Frame { kind, plain })
    }

    /// Reads what follows the footer: the epilogue, and nothing more.
    pub(super) fn end(&mut self) -> Result<(), BackupError> {
        let footer = self.begins;
        let mut found = [0; EPILOGUE_BYTES];
        self.read(&mut found)?;
        if found != epilogue(footer) {
            return Err(self.damaged("the end mark behind it is not that of this backup"));
        }
        self.ends += EPILOGUE_BYTES as u64;
        let mut more = Vec::new();
        let input = &mut self.input;
        input
            .take(1)
            .read_to_end(&mut more)
            .map_err(BackupError::io(self.file.as_str()))?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(self.damaged("something follows the end mark behind it"))
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.input.read_exact(bytes).map_err(|error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                BackupError::CutShort {
                    file: self.file.clone(),
                    chunk: self.chain.number,
                    offset: self.begins,
                }
            } else {
                BackupError::io(self.file.as_str())(error)
            }
        })
    }

    /// As [`Frames::damaged`], of the chunk that is being read.
    fn here(&self, what: &str) -> BackupError {
        BackupError::Damaged {
            file: self.file.clone(),
            chunk: self.chain.number,
            offset: self.begins,
            what: what.to_owned(),
        }
    }
}

/// Whether the last bytes of a file end a backup; where its footer begins.
pub(super) fn read_epilogue(bytes: &[u8; EPILOGUE_BYTES]) -> Option<u64> {
    let (footer, end) = bytes.split_first_chunk::<8>()?;
    (end == END).then(|| u64::from_be_bytes(*footer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chunk_is_written_that_would_not_be_read() {
        let plain = vec![7; CHUNK_BYTES_MAX + 35];
        let (mut chain, mut file) = Chain::begin();
        file.extend(chain.seal(Kind::Files, &plain[..CHUNK_BYTES_MAX]).unwrap());
        let error = chain.seal(Kind::Files, &plain[..=CHUNK_BYTES_MAX]).unwrap_err();
        assert!(error.to_string().contains("it has 2097153 bytes"), "{error}");
        // As an early version wrote it.
        file.extend(chain.pack(Kind::Files, &plain));
        let mut frames = Frames::begin(file.as_slice(), "نسخة".to_owned()).unwrap();
        for length in [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 35] {
            assert_eq!(frames.next().unwrap().plain.len(), length);
        }
    }
}
