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
        // So short that the file is made durable again and again.
        log_bytes: 48 * 1024,
        readers: 1,
        natures: Natures::all(Nature::Lasting),
        ..RedbSettings::default()
    };
    RedbStore::open_with(
        disk.file(Name::Store),
        disk.file(Name::Log),
        Arc::new(Endless),
        settings,
    )
}

/// What lies on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) store: Vec<u8>,
    pub(crate) log: Vec<u8>,
}

/// A disk with two files. Cheap to clone; all clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Store,
    Log,
}

/// One of its files.
#[derive(Clone, Debug)]
pub(crate) struct DiskFile {
    disk: Disk,
    name: Name,
}

#[derive(Debug, Default)]
struct Contents {
    store: FileContents,
    log: FileContents,
    /// Operations so far, by what may fail.
    operations: u64,
    growing: u64,
    fault: Option<Fault>,
}

#[derive(Debug, Default)]
struct FileContents {
    /// What a read sees.
    visible: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
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

impl FileContents {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            visible: bytes.clone(),
            durable: bytes,
            unsynced: Vec::new(),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    fn after_power_cut(&self, sector: usize, kept: usize, random: &mut Random) -> Vec<u8> {
        let mut lengths = vec![self.durable.len()];
        let mut pieces = Vec::new();
        for change in &self.unsynced {
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
        let mut bytes = self.durable.clone();
        pieces.iter().for_each(|piece| piece.apply(&mut bytes));
        bytes.resize(lengths[random.below(lengths.len())], 0);
        bytes
    }
}

impl Disk {
    /// A disk with these contents.
    pub(crate) fn of(image: Image) -> Self {
        let contents = Contents {
            store: FileContents::of(image.store),
            log: FileContents::of(image.log),
            ..Contents::default()
        };
        Self(Arc::new(Mutex::new(contents)))
    }

    pub(crate) fn file(&self, name: Name) -> DiskFile {
        DiskFile {
            disk: self.clone(),
            name,
        }
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
    pub(crate) fn after_kill(&self) -> Image {
        self.image(|file| file.visible.clone())
    }

    /// What is found when the power goes and everything not synced is lost.
    pub(crate) fn after_the_worst_power_cut(&self) -> Image {
        self.image(|file| file.durable.clone())
    }

    /// What may be found after a power cut: all that was synced, and of the rest any sectors, in any order. Of the
    /// lengths that a file had meanwhile, any may have been kept.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> Image {
        let sector = if random.chance(50) { 512 } else { 4_096 };
        // Everything from nothing kept to all of it.
        let kept = random.below(101);
        self.image(|file| file.after_power_cut(sector, kept, random))
    }

    fn image(&self, mut bytes: impl FnMut(&FileContents) -> Vec<u8>) -> Image {
        let contents = self.lock();
        Image {
            store: bytes(&contents.store),
            log: bytes(&contents.log),
        }
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
    fn file(&mut self, name: Name) -> &mut FileContents {
        match name {
            Name::Store => &mut self.store,
            Name::Log => &mut self.log,
        }
    }

    fn is_cut_short(&self) -> bool {
        self.fault == Some(Fault::ShortFrom(self.operations))
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        let mut contents = self.disk.operation(Operation::Other)?;
        Ok(contents.file(self.name).visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut contents = self.disk.operation(Operation::Other)?;
        let start = usize::try_from(offset).unwrap();
        // A damaged file makes the engine read at any place.
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let found = contents.file(self.name).visible.get(start..end);
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut contents = self.disk.operation(Operation::Growing)?;
        if contents.is_cut_short() {
            return Err(io::Error::other("the disk died while the file grew"));
        }
        let length = usize::try_from(length).unwrap();
        contents.file(self.name).change(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut contents = self.disk.operation(Operation::Other)?;
        let FileContents { durable, unsynced, .. } = contents.file(self.name);
        for change in unsynced.drain(..) {
            change.apply(durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut contents = self.disk.operation(Operation::Growing)?;
        let start = usize::try_from(offset).unwrap();
        if contents.is_cut_short() {
            let half = data[..data.len() / 2].to_vec();
            contents.file(self.name).change(Change::Write(start, half));
            return Err(io::Error::other("the disk died half-way through a write"));
        }
        contents.file(self.name).change(Change::Write(start, data.to_vec()));
        Ok(())
    }
}
