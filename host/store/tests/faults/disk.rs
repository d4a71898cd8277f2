//! A disk in memory with a volatile cache, that fails when told to and forgets when the power goes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use mihwar_store::{FreeSpace, Nature, Natures, RedbSettings, RedbStore, StorageBackend, StoreError};

use crate::random::Random;

/// More room than anything needs.
pub(crate) struct Endless;

impl FreeSpace for Endless {
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// A store on such a disk. Its cache is so small that transactions read and write while they are open.
pub(crate) fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let settings = RedbSettings {
        free_space_floor: 0,
        cache_bytes: 64 * 1024,
        readers: 1,
        natures: Natures::all(Nature::Lasting),
        ..RedbSettings::default()
    };
    RedbStore::open_with(disk.clone(), Arc::new(Endless), settings)
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    /// What a read sees.
    visible: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
    /// Operations so far, by what may fail.
    operations: u64,
    growing: u64,
    fault: Option<Fault>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From this operation on every operation fails.
    DeadFrom(u64),
    /// This operation fails; the others do not.
    Once(u64),
    /// If this operation is a write, half of it is done, and then every operation fails.
    ShortFrom(u64),
    /// From this write (or growth) on, the disk is full.
    FullFrom(u64),
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(start, data) => {
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*start..end].copy_from_slice(data);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Other,
    Growing,
}

impl Disk {
    /// A disk with these contents.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let contents = Contents {
            visible: bytes.clone(),
            durable: bytes,
            ..Contents::default()
        };
        Self(Arc::new(Mutex::new(contents)))
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        self.lock().fault = Some(fault);
        self
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.lock().fault = None;
    }

    /// Operations so far: all, and those that write.
    pub(crate) fn operations(&self) -> (u64, u64) {
        let contents = self.lock();
        (contents.operations, contents.growing)
    }

    /// What the next process finds when only this one died.
    pub(crate) fn after_kill(&self) -> Vec<u8> {
        self.lock().visible.clone()
    }

    /// What is found when the power goes and everything not synced is lost.
    pub(crate) fn after_the_worst_power_cut(&self) -> Vec<u8> {
        self.lock().durable.clone()
    }

    /// What may be found after a power cut: all that was synced, and of the rest any sectors, in any order. Of the
    /// lengths that the file had meanwhile, any may have been kept.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> Vec<u8> {
        let contents = self.lock();
        let sector = if random.chance(50) { 512 } else { 4_096 };
        // Everything from nothing kept to all of it.
        let kept = random.below(101);
        let mut lengths = vec![contents.durable.len()];
        let mut pieces = Vec::new();
        for change in &contents.unsynced {
            match change {
                Change::Length(length) => lengths.push(*length),
                Change::Write(start, data) => {
                    let mut at = 0;
                    while at < data.len() {
                        let end = data.len().min(at + sector - (start + at) % sector);
                        if random.chance(kept) {
                            pieces.push(Change::Write(start + at, data[at..end].to_vec()));
                        }
                        at = end;
                    }
                }
            }
        }
        random.shuffle(&mut pieces);
        let mut bytes = contents.durable.clone();
        pieces.iter().for_each(|piece| piece.apply(&mut bytes));
        bytes.resize(lengths[random.below(lengths.len())], 0);
        bytes
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    fn operation(&self, kind: Operation) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.lock();
        contents.operations += 1;
        contents.growing += u64::from(kind == Operation::Growing);
        let now = contents.operations;
        let dead = match contents.fault {
            Some(Fault::DeadFrom(at)) => now >= at,
            Some(Fault::Once(at)) => now == at,
            Some(Fault::ShortFrom(at)) => now > at || (now == at && kind != Operation::Growing),
            Some(Fault::FullFrom(at)) if kind == Operation::Growing && contents.growing >= at => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            None | Some(Fault::FullFrom(_)) => false,
        };
        if dead {
            return Err(io::Error::other("the disk is dead"));
        }
        Ok(contents)
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    fn is_cut_short(&self) -> bool {
        self.fault == Some(Fault::ShortFrom(self.operations))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.operation(Operation::Other)?.visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let contents = self.operation(Operation::Other)?;
        let start = usize::try_from(offset).unwrap();
        // A damaged file makes the engine read at any place.
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let found = contents.visible.get(start..end);
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut contents = self.operation(Operation::Growing)?;
        if contents.is_cut_short() {
            return Err(io::Error::other("the disk died while the file grew"));
        }
        contents.change(Change::Length(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.operation(Operation::Other)?;
        let Contents { durable, unsynced, .. } = &mut *contents;
        for change in unsynced.drain(..) {
            change.apply(durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut contents = self.operation(Operation::Growing)?;
        let start = usize::try_from(offset).unwrap();
        if contents.is_cut_short() {
            contents.change(Change::Write(start, data[..data.len() / 2].to_vec()));
            return Err(io::Error::other("the disk died half-way through a write"));
        }
        contents.change(Change::Write(start, data.to_vec()));
        Ok(())
    }
}
