//! A file that can be looked at as if it could be written: nothing reaches it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

const BLOCK: usize = 4_096;

/// Reads from `inner`, and keeps what is written in memory. For looking at a damaged file without repairing it: a repair
/// can destroy what a person could still save.
#[derive(Debug)]
pub(crate) struct Overlay<B> {
    inner: B,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// Bytes of `inner` that were never cut off; what lies beyond reads as zeros.
    below: u64,
    /// Written blocks, by their number.
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl<B: StorageBackend> Overlay<B> {
    pub(crate) fn new(inner: B) -> io::Result<Self> {
        let length = inner.len()?;
        Ok(Self {
            inner,
            state: Mutex::new(State {
                length,
                below: length,
                blocks: BTreeMap::new(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, state: &State, number: u64) -> io::Result<Box<[u8]>> {
        if let Some(block) = state.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK].into_boxed_slice();
        let start = number * BLOCK as u64;
        let there = usize::try_from(state.below.saturating_sub(start))
            .unwrap_or(BLOCK)
            .min(BLOCK);
        if let Some(part) = block.get_mut(..there).filter(|part| !part.is_empty()) {
            self.inner.read(start, part)?;
        }
        Ok(block)
    }
}

/// The parts of blocks that `length` bytes from `offset` on touch: block number, place in the block, place in the bytes,
/// number of bytes.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        let within = usize::try_from(at % BLOCK as u64).unwrap_or_default();
        let count = (BLOCK - within).min(length - done);
        let part = (at / BLOCK as u64, within, done, count);
        done += count;
        Some(part)
    })
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the file")
}

impl<B: StorageBackend> StorageBackend for Overlay<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let end = offset.checked_add(out.len() as u64).ok_or_else(beyond)?;
        if end > state.length {
            return Err(beyond());
        }
        // The usual case, without a detour.
        if state.blocks.is_empty() && end <= state.below {
            drop(state);
            return self.inner.read(offset, out);
        }
        for (number, within, at, count) in parts(offset, out.len()) {
            let block = self.block(&state, number)?;
            out[at..at + count].copy_from_slice(&block[within..within + count]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        if length < state.length {
            state.below = state.below.min(length);
            let cut = length.div_ceil(BLOCK as u64);
            state.blocks.split_off(&cut);
            let within = usize::try_from(length % BLOCK as u64).unwrap_or_default();
            if let Some(block) = state.blocks.get_mut(&(length / BLOCK as u64)) {
                block[within..].fill(0);
            }
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        for (number, within, at, count) in parts(offset, data.len()) {
            let mut block = self.block(&state, number)?;
            block[within..within + count].copy_from_slice(&data[at..at + count]);
            state.blocks.insert(number, block);
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

    fn all(file: &impl StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn shows_what_was_written_and_leaves_the_file_alone() {
        let file = InMemoryBackend::new();
        file.set_len(10_000).unwrap();
        file.write(0, &[7; 10_000]).unwrap();
        let overlay = Overlay::new(file).unwrap();
        let mut wanted = vec![7; 10_000];
        overlay.write(4_000, &[1; 5_000]).unwrap();
        wanted[4_000..9_000].fill(1);
        assert_eq!(all(&overlay), wanted);
        // Cut off and grown again, the file has zeros there.
        overlay.set_len(4_500).unwrap();
        overlay.set_len(9_500).unwrap();
        wanted.truncate(4_500);
        wanted.resize(9_500, 0);
        assert_eq!(all(&overlay), wanted);
        assert!(overlay.read(9_000, &mut [0; 501]).is_err());
        assert_eq!(all(&overlay.inner), [7; 10_000]);
    }
}
