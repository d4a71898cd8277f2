//! Looking at every page of a file that nobody has open, without changing a byte of it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::ops::{Bound, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use crate::StoreError;

/// Memory for pages while a file is looked through.
const CACHE_BYTES: usize = 20 << 20;
/// Changes are kept in pieces of this size.
const BLOCK: u64 = 4096;

/// Compares every page of a store's file with its checksum: what an open store reads it believes. Whatever the engine
/// would mend is mended in memory only. Blocks, for as long as reading the whole file takes.
///
/// # Errors
/// [`StoreError::Corrupt`] when a page is not what was written, [`StoreError::AlreadyOpen`] while another process has
/// it open, or an engine failure.
pub fn check_file(path: &Path) -> Result<(), StoreError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(|error| StoreError::Engine {
        what: "opening the file",
        reason: format!("{}: {error}", path.display()),
    })?;
    let failed = |error: DatabaseError| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::AlreadyOpen { path: path.to_owned() }
        }
        error => StoreError::engine("looking through the file")(error.into()),
    };
    let backend = FileBackend::new(file).map_err(failed)?;
    let length = backend.len().map_err(|error| StoreError::Engine {
        what: "looking through the file",
        reason: error.to_string(),
    })?;
    let unchanged = Unchanged {
        inner: backend,
        inner_length: length,
        changes: Mutex::new(Changes {
            length,
            blocks: BTreeMap::new(),
        }),
    };
    // The engine promises an error for a damaged file; a panic must not be the answer either.
    let looked = catch_unwind(AssertUnwindSafe(|| {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(unchanged)
    }));
    match looked {
        Ok(database) => database.map(drop).map_err(failed),
        Err(_) => Err(StoreError::corrupt("the engine cannot make sense of it")),
    }
}

/// A file that is read and never written: changes stay in memory.
#[derive(Debug)]
struct Unchanged<B> {
    inner: B,
    inner_length: u64,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    length: u64,
    /// By number: what stands there now instead of what is in the file.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl<B: StorageBackend> Unchanged<B> {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file holds there; zeros behind its end.
    fn read_inner(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let there = self.inner_length.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        match out.get_mut(..there) {
            Some(part) if !part.is_empty() => self.inner.read(offset, part),
            _ => Ok(()),
        }
    }
}

/// The numbers of the blocks that `length` bytes from `offset` touch.
fn touched(offset: u64, length: usize) -> Range<u64> {
    offset / BLOCK..(offset + length as u64).div_ceil(BLOCK)
}

/// Where a block and `length` bytes from `offset` meet: the place in the block, and the place in the bytes.
fn overlap(number: u64, offset: u64, length: usize) -> Option<(Range<usize>, Range<usize>)> {
    let start = (number * BLOCK).max(offset);
    let end = ((number + 1) * BLOCK).min(offset + length as u64);
    let within = |from: u64| -> Option<Range<usize>> {
        Some(usize::try_from(start.checked_sub(from)?).ok()?..usize::try_from(end.checked_sub(from)?).ok()?)
    };
    Some((within(number * BLOCK)?, within(offset)?))
}

impl<B: StorageBackend> StorageBackend for Unchanged<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if offset + out.len() as u64 > changes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_inner(offset, out)?;
        for (number, block) in changes.blocks.range(touched(offset, out.len())) {
            if let Some((from, to)) = overlap(*number, offset, out.len())
                && let (Some(block), Some(out)) = (block.get(from), out.get_mut(to))
            {
                out.copy_from_slice(block);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        changes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        for number in touched(offset, data.len()) {
            let mut block = match changes.blocks.remove(&number) {
                Some(block) => block,
                None => {
                    let mut block = vec![0; usize::try_from(BLOCK).unwrap_or_default()];
                    self.read_inner(number * BLOCK, &mut block)?;
                    block
                }
            };
            if let Some((to, from)) = overlap(number, offset, data.len())
                && let (Some(block), Some(data)) = (block.get_mut(to), data.get(from))
            {
                block.copy_from_slice(data);
            }
            changes.blocks.insert(number, block);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn changes_are_seen_and_the_file_is_not_touched() {
        let inner = InMemoryBackend::new();
        inner.set_len(10_000).unwrap();
        inner.write(0, &[7; 10_000]).unwrap();
        let over = Unchanged {
            inner,
            inner_length: 10_000,
            changes: Mutex::new(Changes {
                length: 10_000,
                blocks: BTreeMap::new(),
            }),
        };
        over.write(4_000, &[1; 5_000]).unwrap();
        over.set_len(20_000).unwrap();
        over.write(12_000, &[2; 10]).unwrap();
        let mut seen = vec![9; 20_000];
        over.read(0, &mut seen).unwrap();
        let expected = |place: usize| {
            if (4_000..9_000).contains(&place) {
                1
            } else if (12_000..12_010).contains(&place) {
                2
            } else if place < 10_000 {
                7
            } else {
                0
            }
        };
        assert!(seen.iter().enumerate().all(|(place, byte)| *byte == expected(place)));
        let mut middle = [9; 3];
        over.read(8_998, &mut middle).unwrap();
        assert_eq!(middle, [1, 1, 7]);
        let mut below = vec![0; 10_000];
        over.inner.read(0, &mut below).unwrap();
        assert_eq!(below, [7; 10_000]);
        assert!(over.read(19_999, &mut middle).is_err());
    }
}
