//! Looking after the store's file as a whole.

use mihwar_store::{CompactError, CompactionProgress, CompactionStage};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::hub::Hub;
use crate::walk::StageProgress;

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
    pub async fn compact(&self, progress: mpsc::Sender<StageProgress>) -> Result<CompactReport, CompactError> {
        let tell = Box::new(move |now: CompactionProgress| {
            let step = StageProgress {
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
}
