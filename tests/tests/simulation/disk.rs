//! The disk of a simulated machine: what is done to it is simulated by the store's room; here it is told what goes wrong.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mihwar_store::{DiskFault, FileSystem, FreeSpace, SimulatedDisk};

use crate::luck::Luck;

/// What a disk does at one of its coming operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One operation fails, the next ones work again.
    Error,
    /// Nothing works from here on: the power is gone.
    Death,
}

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The process is killed: what it wrote is there, synced or not.
    Kill,
    /// The power is cut: of what was not synced, each part is kept or lost on its own.
    PowerCut,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It failed, as ordered.
    Failed,
    /// The power went at it.
    Died,
}

/// A disk. Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk {
    simulated: SimulatedDisk,
    /// Whether a fault has struck in this life.
    has_failed: Arc<AtomicBool>,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    /// An empty disk that tells when a fault strikes.
    pub(crate) fn new(tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        let disk = Self {
            simulated: SimulatedDisk::default(),
            has_failed: Arc::default(),
            is_full: Arc::default(),
        };
        disk.simulated.ignore_looks();
        let has_failed = Arc::clone(&disk.has_failed);
        disk.simulated.tell(move |fault| {
            has_failed.store(true, Ordering::Relaxed);
            tell(match fault {
                DiskFault::DeadFrom(_) => Told::Died,
                _ => Told::Failed,
            });
        });
        disk
    }

    /// What lies on it, for this life of the machine.
    pub(crate) fn files(&self) -> Arc<dyn FileSystem> {
        self.simulated.files()
    }

    /// Orders a fault at the operation that is so many away. Only what changes the disk is one.
    pub(crate) fn order(&self, fault: Fault, after: u64) {
        let at = self.operations() + after;
        self.simulated.order(Some(match fault {
            Fault::Error => DiskFault::Once(at),
            Fault::Death => DiskFault::DeadFrom(at),
        }));
    }

    /// From now on it is full, or has room.
    pub(crate) fn set_full(&self, full: bool) {
        self.is_full.store(full, Ordering::Relaxed);
    }

    /// From now on it lies about syncs: what a power cut would lose is acknowledged all the same.
    pub(crate) fn lie(&self) {
        self.simulated.lie();
    }

    /// Takes back every fault that was ordered.
    pub(crate) fn heal(&self) {
        self.simulated.order(None);
        self.set_full(false);
    }

    /// Whether whoever uses it has a reason to fail.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed) || self.is_full.load(Ordering::Relaxed)
    }

    pub(crate) fn operations(&self) -> u64 {
        self.simulated.operations().0
    }

    /// Ends a life. Nothing that still holds a file can reach it afterwards.
    pub(crate) fn end(&self, ending: Ending, luck: &mut Luck) {
        match ending {
            Ending::Kill => self.simulated.kill(),
            Ending::PowerCut => self.simulated.cut_power(luck.numbers()),
        }
        self.has_failed.store(false, Ordering::Relaxed);
    }
}

impl FreeSpace for Disk {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(if self.is_full.load(Ordering::Relaxed) {
            1_000
        } else {
            u64::MAX
        })
    }
}
