//! A disk for tests that holds a sync back.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use mihwar_store::{FreeSpace, RedbSettings, StorageBackend};
use redb::backends::InMemoryBackend;

/// Settings without a reserve, with a small cache.
pub(crate) fn settings() -> RedbSettings {
    RedbSettings {
        free_space_floor: 0,
        cache_bytes: 8 * 1024 * 1024,
        ..RedbSettings::default()
    }
}

/// More room than anything needs.
pub(crate) struct Endless;

impl FreeSpace for Endless {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// A disk in memory whose syncs wait while the gate is shut.
#[derive(Debug)]
pub(crate) struct GatedDisk {
    inner: InMemoryBackend,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    shut: bool,
    waiting: bool,
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().shut = false;
        self.changed.notify_all();
    }

    /// Waits until a sync stands before the shut gate. Blocks.
    pub(crate) fn until_waiting(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.waiting).unwrap());
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting = state.shut;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.shut).unwrap();
        state.waiting = false;
    }
}

impl GatedDisk {
    pub(crate) fn new() -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (
            Self {
                inner: InMemoryBackend::new(),
                gate: Arc::clone(&gate),
            },
            gate,
        )
    }
}

impl StorageBackend for GatedDisk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}
