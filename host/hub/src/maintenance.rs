//! Looking after the store's file as a whole.

use mihwar_store::{CompactError, CompactionStage, Integrity, RedbStore, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::fault::Fault;
use crate::hub::{Hub, OpenError, STORE};

/// How far a compaction is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactProgress {
    /// What is being done.
    pub stage: String,
    /// Rows and entries taken over.
    pub done: u64,
    /// Of how many; it grows with what is written meanwhile.
    pub total: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactReport {
    /// Bytes on disk before.
    pub before: u64,
    /// Bytes on disk now.
    pub after: u64,
    /// Rows and entries taken over.
    pub rows: u64,
    /// How long nothing could be written, in milliseconds.
    pub pause_millis: u64,
}

const fn words(stage: CompactionStage) -> &'static str {
    match stage {
        CompactionStage::Copying => "copying what is live",
        CompactionStage::CatchingUp => "catching up with what was written meanwhile",
        CompactionStage::Switching => "changing over",
        CompactionStage::Renamed => "changed over",
    }
}

impl Hub {
    /// Rewrites the store's file without what was freed, while the hub goes on. Progress that nobody takes is dropped.
    ///
    /// # Errors
    /// Any [`CompactError`]: the store is as it was then, and in use.
    pub async fn compact(&self, progress: mpsc::Sender<CompactProgress>) -> Result<CompactReport, CompactError> {
        let tell = Box::new(move |now: mihwar_store::CompactionProgress| {
            let step = CompactProgress {
                stage: words(now.stage).to_owned(),
                done: now.done,
                total: now.total,
            };
            progress.try_send(step).ok();
        });
        let done = self.shared.core.store.compact(tell).await?;
        let pause_millis = u64::try_from(done.pause.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            before = done.before,
            after = done.after,
            rows = done.rows,
            pause_millis,
            "the store was compacted"
        );
        Ok(CompactReport {
            before: done.before,
            after: done.after,
            rows: done.rows,
            pause_millis,
        })
    }

    /// Reads the whole store of a data folder that nobody serves, and compares every page with its checksum and the ledger
    /// with its root. Needs no key and changes nothing. Takes as long as reading the file does.
    ///
    /// # Errors
    /// [`OpenError::NoHub`], [`OpenError::AlreadyServed`], or [`OpenError::Store`] with the first damage that was found.
    pub async fn check_integrity(config: &Config) -> Result<Integrity, OpenError> {
        let folder = config.data.clone();
        let path = folder.join(STORE);
        if !path.exists() {
            return Err(OpenError::NoHub { path: folder });
        }
        let checked = tokio::task::spawn_blocking(move || RedbStore::check_integrity(path)).await;
        match checked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(StoreError::AlreadyOpen { .. })) => Err(OpenError::AlreadyServed { path: folder }),
            Ok(Err(error)) => Err(OpenError::Store(error)),
            Err(error) => Err(OpenError::Fault(Fault::Blob(error.to_string()))),
        }
    }
}
