//! Counts what the engine asks of the disk.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{BackendError, StorageBackend};

use super::counters::Counters;
use super::scratch::Keeping;

/// Hands everything on to `inner`, and counts.
#[derive(Debug)]
pub(crate) struct CountingBackend<B> {
    inner: B,
    counters: Arc<Counters>,
    /// Which of the store's files this is.
    number: u64,
}

impl<B: StorageBackend> CountingBackend<B> {
    pub(crate) fn new(inner: B, counters: Arc<Counters>) -> Self {
        let number = counters.number_file();
        Self {
            inner,
            counters,
            number,
        }
    }
}

impl<B> CountingBackend<B> {
    fn note_length(&self, length: u64) {
        if self.counters.compare_file(self.number).is_eq() {
            self.counters.file_bytes.store(length, Ordering::Relaxed);
        }
    }
}

impl<B: StorageBackend> StorageBackend for CountingBackend<B> {
    fn len(&self) -> io::Result<u64> {
        let length = self.inner.len()?;
        self.note_length(length);
        Ok(length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)?;
        self.note_length(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        // A file that another one has replaced has lost its name, durably so, and will never be opened again.
        let is_replaced = self.counters.compare_file(self.number).is_lt();
        if is_replaced || self.counters.keeping == Keeping::Scratch {
            return Ok(());
        }
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("mihwar_store_fsyncs_total").increment(1);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
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
