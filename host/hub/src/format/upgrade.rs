//! The upgrade itself: the backup, then one migration after the other. Cut off anywhere, it goes on at the next start.

use std::path::{Path, PathBuf};

use mihwar_model::Clock;
use mihwar_store::{Held, RedbSettings, RedbStore, Store, StoreError};

use super::alone::Alone;
use super::migrations::{Files, Migration, NATURES, Tell, next};
use super::note::{Moving, Note};
use super::refusal::FormatError;
use super::{FORMAT, STORE_FILE, Standing, backup, set_row, standing};
use crate::config::Config;
use crate::fault::Fault;
use crate::hub::{OpenError, check_clock};

/// How far an upgrade is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UpgradeProgress {
    /// What is being done.
    pub step: &'static str,
    /// How much of it, in the step's own unit.
    pub done: u64,
    /// Out of how much.
    pub total: u64,
}

/// What an upgrade did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Upgraded {
    /// The format that it found.
    pub from: u32,
    /// The format that the folder has now.
    pub to: u32,
    /// The copy of the store from before. The hub never deletes it.
    pub backup: PathBuf,
}

/// Brings the data folder of a configuration to [`FORMAT`], with a backup first. `None` when there was nothing to do: it
/// has that format, or nobody made a hub in it yet. Dropped or killed in the middle, it goes on when called again.
///
/// # Errors
/// [`FormatError`] and others of [`OpenError`], a clock that was never set among them: nothing is changed by a refusal,
/// and what failed half-way goes on when its cause is gone.
pub async fn upgrade(
    config: &Config,
    clock: &dyn Clock,
    tell: &mut (dyn FnMut(UpgradeProgress) + Send),
) -> Result<Option<Upgraded>, OpenError> {
    // The hub would refuse after it, and an older one could not go back.
    check_clock(clock)?;
    let data = config.data.as_path();
    if !data.exists() {
        return Ok(None);
    }
    let (mut done, mut alone) = (None, None);
    // Once more to look when nobody else upgrades it any more, and once more when it is done.
    loop {
        let (from, mut moving) = match standing(data).await? {
            Standing::New | Standing::Current => break,
            Standing::Unfinished { reached, moving } => (reached, moving),
            Standing::Older(from) => {
                backup::check_place(data, FORMAT)?;
                let moving = Moving {
                    to: FORMAT,
                    backed_up: false,
                    position: String::new(),
                };
                (from, moving)
            }
        };
        if alone.is_none() {
            let upgraded = || OpenError::BeingUpgraded { path: data.to_owned() };
            alone = Some(Alone::in_folder(data)?.ok_or_else(upgraded)?);
            continue;
        }
        if moving.to < FORMAT {
            // An older hub began it. It ends here at once: a copy made half-way would be of a store that no hub knows.
            backup::take_over(data, moving.to, FORMAT)?;
            moving.to = FORMAT;
        }
        if !moving.backed_up {
            backup::check_room(data, moving.to, config.storage.free_space_floor.0)?;
        }
        let backup = backup::folder_before(data, moving.to);
        tracing::info!(from, to = moving.to, backup = %backup.display(), "upgrading the data folder");
        let to = moving.to;
        let mut upgrade = Upgrade {
            data,
            reached: from,
            moving,
            tell: &mut *tell,
        };
        // Opening the store is the first change of it.
        upgrade.back_up_first().await?;
        let store = open(data, config).await?;
        let went = upgrade.run(&store).await;
        let closed = store.close().await;
        went?;
        closed.map_err(OpenError::Store)?;
        tracing::info!(format = to, backup = %backup.display(), "the data folder is upgraded; the backup stays until you delete it");
        done = Some(Upgraded { from, to, backup });
    }
    Ok(done)
}

/// Opens the store, which brings its file along and keeps others away from the folder.
async fn open(data: &Path, config: &Config) -> Result<RedbStore, OpenError> {
    let path = data.join(STORE_FILE);
    let settings = RedbSettings {
        readers: 1,
        free_space_floor: config.storage.free_space_floor.0,
        cache_bytes: usize::try_from(config.storage.cache.0).unwrap_or(usize::MAX),
        natures: NATURES,
        ..RedbSettings::default()
    };
    blocking(data, move || RedbStore::open(path, settings)).await
}

/// Keeps other hubs, those that do not know the file `FORMAT` too, from writing to the store while it is copied.
async fn hold(data: &Path) -> Result<Held, OpenError> {
    let path = data.join(STORE_FILE);
    blocking(data, move || mihwar_store::hold(&path)).await
}

/// Opens something of the folder's store, which blocks.
async fn blocking<T: Send + 'static>(
    data: &Path,
    open: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, OpenError> {
    let opened = tokio::task::spawn_blocking(open).await;
    match opened.map_err(|error| Fault::Blob(error.to_string()))? {
        Ok(opened) => Ok(opened),
        Err(StoreError::AlreadyOpen { .. }) => Err(OpenError::AlreadyServed { path: data.to_owned() }),
        Err(error) => Err(OpenError::Store(error)),
    }
}

/// One upgrade on its way.
struct Upgrade<'a> {
    data: &'a Path,
    reached: u32,
    moving: Moving,
    tell: &'a mut Tell<'a>,
}

impl Upgrade<'_> {
    async fn back_up_first(&mut self) -> Result<(), OpenError> {
        if self.moving.backed_up {
            // Where an older hub had begun, the file names its format: from here on that hub refuses.
            return Ok(self.write_down()?);
        }
        // First, so that nothing is changed when a hub has it open.
        let held = hold(self.data).await?;
        // From here on an older hub that reads this file refuses, and so does this one until it is done.
        self.write_down()?;
        self.back_up().await?;
        self.moving.backed_up = true;
        self.write_down()?;
        held.release().map_err(OpenError::Store)
    }

    async fn run(mut self, store: &RedbStore) -> Result<(), OpenError> {
        while self.reached < self.moving.to {
            let migration = next(self.reached)?;
            tracing::info!(
                from = migration.from,
                to = migration.to,
                "upgrading: {}",
                migration.name
            );
            (migration.rows)(store, self.data, &mut *self.tell).await?;
            self.migrate(&migration).await?;
            // The store first: it is what counts, and the file follows at the next start if this is cut off between.
            set_row(store, migration.to).await?;
            self.reached = migration.to;
            self.moving.position.clear();
            if self.reached < self.moving.to {
                self.write_down()?;
            }
        }
        Ok(Note::at(self.reached).write(self.data)?)
    }

    fn write_down(&self) -> Result<(), FormatError> {
        let note = Note {
            format: self.reached,
            moving: Some(self.moving.clone()),
        };
        note.write(self.data)
    }

    async fn back_up(&mut self) -> Result<(), FormatError> {
        let mut told = 0;
        let tell = &mut *self.tell;
        let mut tell_copied = |done: u64, total: u64| {
            // A tenth at a time in the log; every piece on a bar.
            if total > 0 && done * 10 / total > told {
                told = done * 10 / total;
                tracing::info!(done, total, "upgrading: copying the store");
            }
            tell(UpgradeProgress {
                step: "copying the store",
                done,
                total,
            });
        };
        backup::make(self.data, self.reached, self.moving.to, &mut tell_copied).await
    }

    async fn migrate(&mut self, migration: &Migration) -> Result<(), FormatError> {
        let Files { pieces, piece } = migration.files;
        let pieces = pieces(self.data)?;
        let total = pieces.len() as u64;
        let mut told = 0;
        for (number, name) in (1_u64..).zip(&pieces) {
            if *name <= self.moving.position {
                continue;
            }
            piece(self.data, name)?;
            self.moving.position.clone_from(name);
            self.write_down()?;
            if number * 10 / total > told {
                told = number * 10 / total;
                tracing::info!(done = number, total, "upgrading: {}", migration.name);
            }
            (self.tell)(UpgradeProgress {
                step: migration.name,
                done: number,
                total,
            });
            // Lets a signal be heard between two pieces.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
