//! Backups of a hub: made while it runs, checked and restored where none runs.
//!
//! What a backup is, the store knows; here stands what the hub adds: which rows go into it ([`keys::NATURES`]), whose it
//! is, whether its signed checkpoints fit, and the folder that a restore makes.

mod check;
mod restoring;
mod tokens_gone;

use std::sync::Arc;

use mihwar_store::backup::{About, Backup, BackupError, Mark, Owner};
use mihwar_store::{ApplyError, Batch, Edit, Guard};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::keys;

pub use check::{BackupReport, verify_backup};
pub use restoring::{RestoreError, RestoreOptions, restore_backup, restoring_folder};

/// A backup that was begun.
#[derive(Debug)]
pub struct RunningBackup {
    /// Its bytes. They hold it up while nobody takes them, and end it when this is dropped.
    pub chunks: mpsc::Receiver<Vec<u8>>,
    /// Why no increment will go on from it; nothing when one can.
    pub no_increment: Option<String>,
}

/// Chunks that may wait for a slow reader before the backup waits for them.
const CHUNKS_WAITING_MAX: usize = 4;

/// Why no backup was begun.
#[derive(Debug, Error)]
pub enum BackupRefusal {
    /// One at a time.
    #[error("a backup is being made already; wait until it is finished")]
    Running,
    /// No increment can go on from that state.
    #[error("{0}")]
    Since(String),
    /// The store cannot be read or written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Hub {
    /// Begins a backup: a full one, or an increment since the state of an earlier one. It is whole when it ends as one:
    /// [`mihwar_store::backup::receive`] looks.
    ///
    /// # Errors
    /// Says why it was not begun.
    pub async fn backup(&self, since: Option<Mark>) -> Result<RunningBackup, BackupRefusal> {
        let shared = &self.shared;
        let Ok(only) = Arc::clone(&shared.backups).try_lock_owned() else {
            return Err(BackupRefusal::Running);
        };
        // So that a signed statement of about this state is in it.
        match self.checkpoint().await {
            // A backup is wanted most where nothing can be written any more.
            Err(error) if error.is_write_refused() || error.is_damage() => {
                tracing::warn!(
                    "a backup is made with the last checkpoint that there is, and without a new one: {error}"
                );
            }
            signed => drop(signed?),
        }
        let core = &shared.core;
        let (lineage, no_increment) = lineage(core).await?;
        let about = About {
            owner: Owner {
                origin: shared.config().ledger.origin.clone(),
                verifier_key: self.verifier_key(),
            },
            lineage,
            made_at: core.clock.now(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            since,
        };
        let backup = Backup::begin(core.store.clone(), &core.blobs, about).await;
        let backup = backup.map_err(|error| match error {
            error @ BackupError::Since { .. } => BackupRefusal::Since(error.to_string()),
            BackupError::Store(error) => Fault::from(error).into(),
            other => Fault::Blob(other.to_string()).into(),
        })?;
        let (sink, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        tokio::spawn(async move {
            backup.stream(sink).await;
            drop(only);
        });
        Ok(RunningBackup { chunks, no_increment })
    }
}

/// Which hub this is among those that were restored from its backups: drawn by the first backup of each. Where it cannot
/// be written down, no increment goes on from this backup, and the answer says why.
async fn lineage(core: &Core) -> Result<([u8; 16], Option<String>), Fault> {
    let key = keys::lineage();
    loop {
        if let Some(row) = core.store.view().await?.get(&key).await? {
            let known: [u8; 16] = row.bytes.try_into().map_err(|_| Fault::Damaged {
                what: "the row that says which hub this is",
                detail: "it should have 16 bytes".into(),
            })?;
            return Ok((known, None));
        }
        let drawn = core.vault.random::<16>();
        let batch = Batch {
            guards: vec![Guard::Absent(key.clone())],
            edits: vec![Edit::Put(key.clone(), drawn.to_vec())],
            ..Batch::default()
        };
        let error = match core.store.apply(batch).await {
            Ok(_) | Err(ApplyError::Stale(_)) => continue,
            Err(error) => Fault::from(error),
        };
        if !error.is_write_refused() {
            return Err(error);
        }
        tracing::warn!("no increment can be made since the backup that begins now: {error}");
        return Ok((drawn, Some(error.to_string())));
    }
}
