//! A store whose log is damaged: what is whole of it is taken, at a person's word, and the damaged log is set aside.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{ReadableTable, StorageBackend};

use super::applying::Tables;
use super::containment::contained;
use super::create;
use super::database::SharedDatabase;
use super::layout::{Layout, refuse_old_log};
use super::log::{LogNote, LogPlace, LostGroup, Taken, take_whole};
use super::overlay::Overlay;
use super::schema::{META, META_LOG, engine, opening};
use super::writer::Committed;
use crate::file_system::{OsFiles, folder_of};
use crate::{FileSystem, Key, OpenedFile, Opening, StoreError};

/// Memory for pages.
const CACHE_BYTES: usize = 20 << 20;

/// How far a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Version of its last batch.
    pub version: u64,
    /// Entries of its journal.
    pub entries: u64,
}

impl Reached {
    fn of(committed: &Committed) -> Self {
        Self {
            version: committed.version,
            entries: committed.tree.size(),
        }
    }
}

/// What the log of a store that was not closed in order still has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogExamined {
    /// How far the store's file is by itself.
    pub stored: Reached,
    /// How far it is with the groups of the log that go on from it without a gap.
    pub whole: Reached,
    /// How many groups those are.
    pub groups: u64,
    /// The last entry of the journal then.
    pub last_entry: Option<Vec<u8>>,
    /// What is wrong with the log. Nothing when it ends as a crash ends one: then opening the store is all there is to do.
    pub damage: Option<String>,
    /// Groups behind the damage, as far as they can be read. They are lost.
    pub beyond: Vec<LostGroup>,
    /// Where the log lies; nothing when it is gone.
    pub log: Option<PathBuf>,
    /// Where it lies when it was set aside.
    pub aside: PathBuf,
}

impl LogExamined {
    /// How many batches are lost for certain. There may be more when nothing behind the damage can be read.
    #[must_use]
    pub fn batches_lost(&self) -> u64 {
        self.last_version().saturating_sub(self.whole.version)
    }

    fn last_version(&self) -> u64 {
        let last = self.beyond.iter().map(|group| group.last).max();
        last.unwrap_or_default().max(self.whole.version)
    }
}

/// Looks at the log of the store's file at `path`, and changes nothing. `None` when the store has no log: then it was closed in
/// order. Blocks.
///
/// # Errors
/// [`StoreError::AlreadyOpen`] while somebody has it open; a damaged file, another format, or an engine failure. A damaged log
/// is no error.
pub fn examine_log(path: &Path) -> Result<Option<LogExamined>, StoreError> {
    let files: Arc<dyn FileSystem> = Arc::new(OsFiles);
    let file = create::existing(&*files, path)?;
    let overlay = Overlay::new(file).map_err(|error| failed(path, &error))?;
    contained("examining the log", || {
        let database = SharedDatabase::open(overlay, path, CACHE_BYTES)?;
        let found = match noted(&database)? {
            Some(noted) => {
                let found = Found::look(&files, path, &noted)?;
                Some(take_over(&database, &found, &noted, |_| Vec::new())?)
            }
            None => None,
        };
        database.close()?;
        Ok(found)
    })
}

/// Makes a store of what is whole: sets the damaged log aside, beside the file and under a name that says so, and brings the
/// groups before the damage into the file, together with the rows that `further` gives (a key without a value is deleted). What
/// lies behind the damage stays in the log that was set aside, and is lost to the store. `None`, and nothing changed, when no
/// log is damaged.
///
/// Cut off at any moment it can be done again, and comes to the same. Versions of lost batches are not given again. Blocks.
///
/// # Errors
/// As [`examine_log`]. The log may be set aside already then; another try finds it there.
pub fn salvage_log(
    path: &Path,
    further: impl FnOnce(&LogExamined) -> Vec<(Key, Option<Vec<u8>>)>,
) -> Result<Option<LogExamined>, StoreError> {
    if examine_log(path)?.is_none_or(|found| found.damage.is_none()) {
        return Ok(None);
    }
    let files: Arc<dyn FileSystem> = Arc::new(OsFiles);
    let file = create::existing(&*files, path)?;
    let opened = file.id();
    contained("salvaging the log", || {
        let database = SharedDatabase::open(file, path, CACHE_BYTES)?;
        opened.still_at(&*files, path)?;
        let done = match noted(&database)? {
            Some(noted) => {
                let found = Found::look(&files, path, &noted)?;
                found.set_aside(&*files)?;
                Some(take_over(&database, &found, &noted, further)?)
            }
            None => None,
        };
        database.close()?;
        Ok(done)
    })
}

/// Which log goes on from a file of this version's format.
fn noted(database: &SharedDatabase) -> Result<Option<LogNote>, StoreError> {
    let layout = database.make_or_tell_layout()?;
    let noted = database.log()?;
    if layout == Layout::Older {
        refuse_old_log(noted.is_some())?;
    }
    Ok(noted)
}

/// A log as it lies there.
struct Found {
    backend: Option<OpenedFile>,
    log: Option<PathBuf>,
    aside: PathBuf,
    /// What is wrong with it as a whole.
    damage: Option<String>,
}

impl Found {
    /// Looks for the log in its place, and where an earlier try that was cut off set it aside.
    fn look(files: &Arc<dyn FileSystem>, store: &Path, noted: &LogNote) -> Result<Self, StoreError> {
        let in_use = LogPlace::path_beside(store);
        let [a, b, c, d, ..] = noted.name;
        let mut aside = in_use.clone().into_os_string();
        aside.push(format!(".damaged-{:08x}", u32::from_be_bytes([a, b, c, d])));
        let aside = PathBuf::from(aside);
        let mut found = Self {
            backend: None,
            log: None,
            damage: Some(format!("{} is missing", in_use.display())),
            aside: aside.clone(),
        };
        for path in [in_use, aside] {
            match files.open(&path, Opening::Reading) {
                Ok(file) => {
                    found.damage = wrong(&file, noted);
                    (found.backend, found.log) = (Some(file), Some(path));
                    return Ok(found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path, &error)),
            }
        }
        Ok(found)
    }

    /// Gives it the name of a damaged one, durably. It is never written to and never removed.
    fn set_aside(&self, files: &dyn FileSystem) -> Result<(), StoreError> {
        let Some(log) = self.log.as_ref().filter(|log| **log != self.aside) else {
            return Ok(());
        };
        files
            .rename_new(log, &self.aside)
            .and_then(|()| files.sync_folder(&folder_of(log)))
            .map_err(|error| failed(&self.aside, &error))
    }
}

/// What is wrong with a log as a whole.
fn wrong(file: &OpenedFile, noted: &LogNote) -> Option<String> {
    let length = file.len().unwrap_or_default();
    if length < noted.length {
        let least = noted.length;
        return Some(format!(
            "the log is cut off: {length} bytes are there of at least {least}"
        ));
    }
    let mut name = [0; 16];
    match file.read(0, &mut name) {
        Ok(()) if name == noted.name => None,
        Ok(()) => Some(
            "the log does not begin as the one of this store does: its beginning is damaged, or it is that of another one"
                .to_owned(),
        ),
        Err(error) => Some(format!("the beginning of the log cannot be read: {error}")),
    }
}

/// Brings what is whole into the file, in one durable commit that ends the log; tells what there was.
fn take_over(
    database: &SharedDatabase,
    found: &Found,
    noted: &LogNote,
    further: impl FnOnce(&LogExamined) -> Vec<(Key, Option<Vec<u8>>)>,
) -> Result<LogExamined, StoreError> {
    let mut reached = database.load()?;
    let stored = Reached::of(&reached);
    let transaction = database.begin_write()?;
    let mut examined;
    {
        let mut tables = Tables::open(&transaction)?;
        let Taken { groups, damage, beyond } = match &found.backend {
            Some(log) => take_whole(&mut tables, &mut reached, log, noted)?,
            None => Taken::default(),
        };
        examined = LogExamined {
            stored,
            whole: Reached::of(&reached),
            groups,
            last_entry: None,
            damage: found.damage.clone().or(damage),
            beyond,
            log: found.log.clone(),
            aside: found.aside.clone(),
        };
        if examined.damage.is_some() {
            // Whoever has seen a lost batch's version must not take another batch for it.
            reached.version = examined.last_version().saturating_add(1);
            for (key, value) in further(&examined) {
                match value {
                    Some(value) => tables.put(key, reached.version, value),
                    None => tables.remove(key, reached.version),
                }
            }
        }
        tables.finish(&reached)?;
        let mut meta = transaction.open_table(META).map_err(opening)?;
        meta.remove(META_LOG).map_err(engine("ending the damaged log"))?;
    }
    transaction
        .commit()
        .map_err(|error| StoreError::engine("bringing what is whole into the file")(error.into()))?;
    examined.last_entry = last_entry(database, examined.whole.entries)?;
    Ok(examined)
}

fn last_entry(database: &SharedDatabase, entries: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(last) = entries.checked_sub(1) else {
        return Ok(None);
    };
    let snapshot = database.snapshot()?;
    let entry = ReadableTable::get(&snapshot.journal, last).map_err(engine("reading the journal"))?;
    Ok(entry.map(|entry| entry.value().to_vec()))
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Engine {
        what: "salvaging the log",
        reason: format!("{}: {error}", path.display()),
    }
}
