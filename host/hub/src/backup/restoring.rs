//! A data folder from backups: all of it, or none.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mihwar_model::{Clock, OsRandomness, SystemClock, Time};
use mihwar_store::backup::{self, BackupError};
use thiserror::Error;

use super::check::{BackupReport, Looking};
use super::tokens_gone;
use crate::fault::Fault;
use crate::format::STORE_FILE;
use crate::hub::{FILES, unset_clock};
use crate::ledger;
use crate::master_key::{self, MasterKey, MasterKeyError};
use crate::vault::Vault;

/// Why nothing was restored. The folder is as it was.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Something is in the folder already.
    #[error("{} is not empty, and nothing in it is touched; name a folder that is not there yet", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is a disk of its own, and cannot be put in place at once.
    #[error("{} is where a disk begins; name a folder inside it", path.display())]
    MountPoint {
        /// The folder.
        path: PathBuf,
    },
    /// Another restore to this folder runs, or was cut off.
    #[error("{} is there: another restore runs, or one was cut off; if none runs, delete it", path.display())]
    Unfinished {
        /// The folder in which a restore works.
        path: PathBuf,
    },
    /// The key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The key opens nothing of this backup.
    #[error("the master key in {} is not the one of this backup; find the one that belongs to it", path.display())]
    OtherKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The backups, or the disk below the new store.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The machine's clock was never set, and what is revoked stands in the ledger for ever, with its time.
    #[error(
        "this machine's clock says {now}: it was never set, and the ledger would say for ever that the tokens were revoked \
         then; set it, and restore again. Nothing was changed"
    )]
    Clock {
        /// What it says.
        now: Time,
    },
    /// The tokens of the older state could not be revoked.
    #[error("the API tokens in it cannot be revoked: {0}")]
    Tokens(#[from] Fault),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Io { path, source }
}

/// How a restore is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions<'a> {
    /// The copy of the master key that belongs to the backups. It is tried.
    pub master_key: Option<&'a MasterKey>,
    /// Whether the key is put into the folder. Without it, whoever opens the hub gives the key.
    pub keep_key: bool,
    /// Whether the API tokens of that state are revoked: some may have been since.
    pub without_tokens: bool,
}

/// The folder in which a restore to `folder` works. It is there while one runs, and after one that was killed.
#[must_use]
pub fn restoring_folder(folder: &Path) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".restoring");
    PathBuf::from(path)
}

/// Makes the data folder `folder`, which must be empty or not there, from a full backup and its increments. It is built
/// beside its place and put there as a whole, so that a restore that was cut off is never taken for a hub. The master key
/// is in no backup: see [`RestoreOptions`]. Read models are folded again when the hub is opened. Blocks, and must not be
/// called on a thread that runs tasks.
///
/// # Errors
/// Says what is in the way; the folder is as it was then.
pub fn restore_backup(
    files: &[PathBuf],
    folder: &Path,
    options: RestoreOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, RestoreError> {
    restore_at(&SystemClock, files, folder, options, progress)
}

fn restore_at(
    clock: &dyn Clock,
    files: &[PathBuf],
    folder: &Path,
    options: RestoreOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport, RestoreError> {
    if options.without_tokens
        && let Some(now) = unset_clock(clock)
    {
        return Err(RestoreError::Clock { now });
    }
    let folder = std::path::absolute(folder).map_err(at(folder))?;
    let parent = folder.parent().unwrap_or(&folder).to_owned();
    check_place(&folder, &parent)?;
    let mut looking = Looking::new(files, progress)?;
    fs::create_dir_all(&parent).map_err(at(&parent))?;
    let building = Building::begin(&folder)?;
    let (store, blobs) = (building.0.join(STORE_FILE), building.0.join(FILES));
    let replayed = backup::restore(files, &store, &blobs, &mut looking)?;
    if let Some(key) = options.master_key {
        let bytes = key.bytes();
        let vault = Vault::new(&bytes, Arc::new(OsRandomness));
        let place = ledger::seed_key();
        let sealed = looking.sealed_seed.as_ref();
        if sealed.is_some_and(|sealed| vault.open_own(place.as_bytes(), sealed).is_err()) {
            return Err(RestoreError::OtherKey {
                path: key.path().to_owned(),
            });
        }
        if options.keep_key {
            master_key::write(&building.0, &bytes)?;
        }
    }
    if options.without_tokens {
        tokens_gone::revoke_all(&store, clock.now())?;
    }
    sync(&building.0)?;
    // Takes the place of an empty folder too, and of no other.
    fs::rename(&building.0, &folder).map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
            RestoreError::NotEmpty { path: folder.clone() }
        }
        _ => at(&folder)(error),
    })?;
    sync(&parent)?;
    Ok(looking.report(&replayed))
}

/// Refuses a place where something is already.
fn check_place(folder: &Path, parent: &Path) -> Result<(), RestoreError> {
    let metadata = match fs::symlink_metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(folder)(error)),
    };
    let not_empty = || RestoreError::NotEmpty {
        path: folder.to_owned(),
    };
    if !metadata.is_dir() || fs::read_dir(folder).map_err(at(folder))?.next().is_some() {
        return Err(not_empty());
    }
    let around = fs::metadata(parent).map_err(at(parent))?;
    if around.dev() != metadata.dev() {
        return Err(RestoreError::MountPoint {
            path: folder.to_owned(),
        });
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

/// The folder in which a restore works; removed with all in it unless it was put in place.
struct Building(PathBuf);

impl Building {
    fn begin(folder: &Path) -> Result<Self, RestoreError> {
        let path = restoring_folder(folder);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => RestoreError::Unfinished { path: path.clone() },
                _ => at(&path)(error),
            })?;
        Ok(Self(path))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.0.display(), "what an unfinished restore left could not be removed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{ManualClock, Time};

    use super::{RestoreError, RestoreOptions, restore_at};

    #[test]
    fn a_clock_that_was_never_set_revokes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, place) = (folder.path().join("أمس.mbk"), folder.path().join("data"));
        let restored = |without_tokens, now| {
            let options = RestoreOptions {
                without_tokens,
                ..RestoreOptions::default()
            };
            let clock = ManualClock::at(Time(now));
            restore_at(&clock, std::slice::from_ref(&backup), &place, options, &mut |_, _| {}).unwrap_err()
        };
        assert!(matches!(restored(true, 0), RestoreError::Clock { now: Time(0) }));
        // There is no such backup; that is looked at afterwards.
        assert!(matches!(restored(true, 1_790_000_000_000), RestoreError::Backup(_)));
        assert!(matches!(restored(false, 0), RestoreError::Backup(_)));
        assert!(!place.exists());
    }
}
