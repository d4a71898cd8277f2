//! A store on a simulated disk.

use std::io;
use std::sync::Arc;

pub(crate) use mihwar_store::{DiskFault as Fault, DiskImage as Image, SimulatedDisk as Disk};
use mihwar_store::{FreeSpace, Nature, Natures, RedbSettings, RedbStore, StoreError};

/// Where the store lies.
pub(crate) const STORE: &str = "/store.redb";
/// Where its log lies.
pub(crate) const LOG: &str = "/store.redb.wal";

/// More room than anything needs.
struct Endless;

impl FreeSpace for Endless {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// So short a log that the file is made durable again and again.
pub(crate) const LOG_BYTES: u64 = 48 * 1024;

/// A store on such a disk. Its cache is so small that transactions read and write while they are open.
pub(crate) fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let settings = RedbSettings {
        free_space_floor: 0,
        cache_bytes: 64 * 1024,
        log_bytes: LOG_BYTES,
        readers: 1,
        natures: Natures::all(Nature::Lasting),
        ..RedbSettings::default()
    };
    RedbStore::open_on(disk.files(), STORE, Arc::new(Endless), settings)
}
