//! A disk in memory with a volatile cache, for tests: it fails when told to, and forgets when the power goes.
//!
//! Nothing is durable that was not synced, names as little as bytes: a new file whose folder was not synced may be gone, and
//! one that was renamed may have its old name, its new one, or (from one folder into another) both or none. It knows no
//! links and no permissions, and gives no locks.

mod cached;
mod files;
mod recording;
mod tree;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mihwar_model::SplitMix64;

use self::cached::{Cut, Naming};
use self::files::Files;
pub use self::recording::Recording;
pub use self::tree::DiskImage;
use self::tree::{Change, Left, NodeId, Tree};
use crate::FileSystem;

/// What goes wrong with a disk, at one of its operations; the first has the number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// From this operation on every operation fails.
    DeadFrom(u64),
    /// This operation fails; the others do not.
    Once(u64),
    /// If this operation is a write, half of it is done, and then every operation fails.
    ShortFrom(u64),
    /// From this operation that takes room on, counted by themselves, the disk is full.
    FullFrom(u64),
}

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It only looks.
    Look,
    Change,
    /// A change that takes room.
    Growth,
    /// Writing bytes, which may be done by half.
    Write,
}

type Tell = Arc<dyn Fn(DiskFault) + Send + Sync>;

/// The disk. Cheap to clone; all clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tree: Tree,
    operations: u64,
    growing: u64,
    ignores_looks: bool,
    fault: Option<DiskFault>,
    tell: Option<Tell>,
    dead: bool,
    /// Whether the write that was let through is to be done by half.
    is_torn: bool,
    lies: bool,
    /// What was opened in an earlier life is of no use.
    life: u64,
    recording: Option<Recording>,
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// A disk on which this lies, durably.
    #[must_use]
    pub fn of(image: &DiskImage) -> Self {
        Self(Arc::new(Mutex::new(State {
            tree: Tree::of(image),
            ..State::default()
        })))
    }

    /// The same disk, with something that will go wrong.
    #[must_use]
    pub fn with(self, fault: DiskFault) -> Self {
        self.order(Some(fault));
        self
    }

    /// From now on this goes wrong, or nothing more that was ordered.
    pub fn order(&self, fault: Option<DiskFault>) {
        self.lock().fault = fault;
    }

    /// From now on only operations that change something count and fail: how often an engine reads is its own affair.
    pub fn ignore_looks(&self) {
        self.lock().ignores_looks = true;
    }

    /// Has somebody told when a fault strikes, in the thread that it strikes; once of a death.
    pub fn tell(&self, tell: impl Fn(DiskFault) + Send + Sync + 'static) {
        self.lock().tell = Some(Arc::new(tell));
    }

    /// From now on it lies about syncs: what a power cut would lose is acknowledged all the same.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// Operations so far: all that count, and those that take room.
    #[must_use]
    pub fn operations(&self) -> (u64, u64) {
        let state = self.lock();
        (state.operations, state.growing)
    }

    /// The files on it, for this life of the machine.
    #[must_use]
    pub fn files(&self) -> Arc<dyn FileSystem> {
        let life = self.lock().life;
        Arc::new(Files::new(self.clone(), life))
    }

    /// The process is killed, and another one starts: what was opened is of no use any more, and what was not synced is there
    /// and still not durable.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.dead = false;
        state.life += 1;
    }

    /// The power goes, and comes back: as [`SimulatedDisk::kill`] on what [`SimulatedDisk::after_power_cut`] leaves.
    pub fn cut_power(&self, numbers: &mut SplitMix64) {
        let left = self.after_power_cut(numbers);
        self.lock().tree = Tree::of(&left);
        self.kill();
    }

    /// What the next process finds when only this one died.
    #[must_use]
    pub fn after_kill(&self) -> DiskImage {
        self.lock().tree.image(Left::Seen)
    }

    /// What is found when the power goes and everything not synced is lost.
    #[must_use]
    pub fn after_the_worst_power_cut(&self) -> DiskImage {
        self.lock().tree.image(Left::Durable)
    }

    /// What may be found after a power cut: all that was synced, and of the rest any sectors in any order, any of the lengths
    /// that a file had meanwhile, and any of the changes of names.
    pub fn after_power_cut(&self, numbers: &mut SplitMix64) -> DiskImage {
        self.lock().tree.image(Left::Cut(Cut::drawn(numbers)))
    }

    /// From now on all that is done to it is kept, for [`SimulatedDisk::recorded`].
    pub fn record(&self) {
        let mut state = self.lock();
        let from = state.tree.clone();
        state.recording = Some(Recording::of(from));
    }

    /// Puts a mark between what was done before and what will be done.
    pub fn mark(&self, number: u64) {
        if let Some(recording) = &mut self.lock().recording {
            recording.mark(number);
        }
    }

    /// What was done since [`SimulatedDisk::record`], which ends it.
    #[must_use]
    pub fn recorded(&self) -> Recording {
        self.lock().recording.take().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation, unless it is to fail.
    fn operation(&self, life: u64, kind: Kind) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.dead || state.life != life {
            return Err(io::Error::other("the machine is off"));
        }
        if kind == Kind::Look && state.ignores_looks {
            return Ok(state);
        }
        state.operations += 1;
        state.growing += u64::from(matches!(kind, Kind::Growth | Kind::Write));
        let Some((fault, error)) = state.strike(kind) else {
            return Ok(state);
        };
        let tell = state.tell.clone();
        drop(state);
        if let Some(tell) = tell {
            tell(fault);
        }
        Err(error)
    }
}

impl State {
    /// The fault that strikes an operation, and its error. One that has struck does not strike again.
    fn strike(&mut self, kind: Kind) -> Option<(DiskFault, io::Error)> {
        let (now, fault) = (self.operations, self.fault?);
        match fault {
            DiskFault::DeadFrom(at) | DiskFault::ShortFrom(at) if now >= at => self.dead = true,
            DiskFault::Once(at) if now >= at => {}
            DiskFault::FullFrom(at) if matches!(kind, Kind::Growth | Kind::Write) && self.growing >= at => {
                return Some((fault, io::ErrorKind::StorageFull.into()));
            }
            _ => return None,
        }
        self.fault = None;
        self.is_torn = kind == Kind::Write && matches!(fault, DiskFault::ShortFrom(_));
        if self.is_torn {
            // It is let through, to do its half.
            return None;
        }
        Some((fault, io::Error::other("the disk failed, as ordered")))
    }

    fn change(&mut self, change: Change) {
        if let Some(recording) = &mut self.recording {
            recording.note(change.clone());
        }
        self.tree.apply(change);
    }

    fn make(&mut self, path: &Path, is_folder: bool) -> io::Result<NodeId> {
        let (folder, name) = self.tree.place(path)?;
        if self.tree.entry(folder, &name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.tree.next();
        self.change(Change::Make {
            folder,
            name,
            node,
            is_folder,
        });
        Ok(node)
    }

    fn rename(&mut self, from: &Path, to: &Path, may_replace: bool) -> io::Result<()> {
        let node = self.tree.find(from)?;
        let ((old, old_name), (new, new_name)) = (self.tree.place(from)?, self.tree.place(to)?);
        match self.tree.entry(new, &new_name) {
            Some(_) if !may_replace => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(there) if self.tree.is_folder(there) => return Err(io::ErrorKind::IsADirectory.into()),
            _ => {}
        }
        let (gone, there) = ((old_name, None), (new_name, Some(node)));
        if old == new {
            self.name(old, vec![gone, there]);
        } else {
            self.name(new, vec![there]);
            self.name(old, vec![gone]);
        }
        Ok(())
    }

    fn name(&mut self, folder: NodeId, names: Vec<(OsString, Option<NodeId>)>) {
        let naming = Naming(names);
        self.change(Change::Names { folder, naming });
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.tree.place(path)?;
        self.name(folder, vec![(name, None)]);
        Ok(())
    }

    /// Takes the names of all that is in a folder.
    fn empty(&mut self, folder: NodeId) -> io::Result<()> {
        for (name, node) in self.tree.names(folder)?.clone() {
            if self.tree.is_folder(node) {
                self.empty(node)?;
            }
            self.name(folder, vec![(name, None)]);
        }
        Ok(())
    }

    fn sync(&mut self, node: NodeId) {
        if !self.lies {
            self.change(Change::Sync(node));
        }
    }
}
