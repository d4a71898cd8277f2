//! What every part of the hub stands on: the store, the keys, the doors to the world.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, Clock, Event, EventBody, Ids};
use mihwar_store::{ApplyError, Batch, BlobFolder, Commit, Store};
use tokio::sync::Notify;

use crate::delivery::{Outboxes, Written};
use crate::fault::Fault;
use crate::intake::{Desk, Redactors};
use crate::passed_over::PassedOver;
use crate::rebuild::SideStores;
use crate::right_of_way::RightOfWay;
use crate::tokens::KnownTokens;
use crate::turns::Turns;
use crate::vault::Vault;

/// How often a batch that must not be given up meets a busy writer before it is.
const PATIENCE: u32 = 500;

/// Shared by all parts of a hub.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    /// The last commit that was there when the store was opened. Of what it or an earlier one wrote an earlier process may
    /// have done more than it could write down.
    pub(crate) opened_at: u64,
    pub(crate) blobs: BlobFolder,
    pub(crate) vault: Vault,
    pub(crate) ids: Ids,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake: Wake,
    pub(crate) right_of_way: RightOfWay,
    pub(crate) side_stores: SideStores,
    pub(crate) tokens: KnownTokens,
    pub(crate) desk: Desk,
    pub(crate) turns: Turns,
    pub(crate) redactors: Redactors,
    pub(crate) passed_over: PassedOver,
    pub(crate) outboxes: Outboxes,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

/// Tells the workers that something was committed. They also look by themselves now and then, so a lost
/// wake-up costs time and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pub(crate) pipeline: Notify,
    pub(crate) projector: Notify,
    pub(crate) inbound: Notify,
}

impl Wake {
    pub(crate) fn notify(&self) {
        self.pipeline.notify_one();
        self.projector.notify_one();
    }
}

impl Core {
    /// Applies a batch, waiting while the writer is busy.
    pub(crate) async fn apply_patiently(&self, batch: Batch) -> Result<(), Fault> {
        self.commit_patiently(batch).await?;
        Ok(())
    }

    /// As [`Core::apply_patiently`]; answers what the batch became.
    pub(crate) async fn commit_patiently(&self, batch: Batch) -> Result<Commit, Fault> {
        for _ in 0..PATIENCE {
            match self.store.apply(batch.clone()).await {
                Ok(commit) => return Ok(commit),
                Err(ApplyError::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Fault::Contended)
    }

    /// Tells who delivers and who keeps the read models that a batch was written, or may have been: whatever came of it.
    pub(crate) fn tell_written(&self, written: Written) {
        self.outboxes.tell(written);
        self.wake.projector.notify_one();
    }

    /// A core over a store and a folder for files, for tests: keys, ids and time are the same in every run.
    #[cfg(test)]
    pub(crate) fn for_tests(store: Arc<dyn Store>, folder: &std::path::Path, start: mihwar_model::Time) -> Self {
        Self::with_clock(store, folder, Arc::new(mihwar_model::ManualClock::at(start)), 3)
    }

    /// As [`Core::for_tests`], by a clock that the test moves, with ids of its own for each seed.
    #[cfg(test)]
    pub(crate) fn with_clock(
        store: Arc<dyn Store>,
        folder: &std::path::Path,
        clock: Arc<mihwar_model::ManualClock>,
        seed: u64,
    ) -> Self {
        let randomness = Arc::new(mihwar_model::SeededRandomness::new(seed));
        Self {
            store,
            opened_at: 0,
            blobs: BlobFolder::open(folder).expect("a folder for files"),
            vault: Vault::new(&[5; 32], randomness.clone()),
            ids: Ids::new(clock.clone(), randomness),
            clock,
            wake: Wake::default(),
            right_of_way: RightOfWay::default(),
            side_stores: SideStores::in_memory(),
            tokens: KnownTokens::default(),
            desk: Desk::default(),
            turns: Turns::default(),
            redactors: Redactors::default(),
            passed_over: PassedOver::default(),
            outboxes: Outboxes::default(),
        }
    }

    /// Called between two steps of work that can wait: lets intake go first, those too who stand in line for it.
    pub(crate) async fn give_way(&self, took: Duration, late: bool) {
        self.right_of_way.give(took, self.desk.waiting(), late).await;
    }

    /// How much the next step of work that can wait should take on, of `most` at a quiet time.
    pub(crate) fn step_size(&self, most: usize) -> usize {
        self.right_of_way.step_size(most, self.desk.waiting())
    }

    /// By how much a pause is shortened at random.
    pub(crate) fn jitter(&self) -> u16 {
        u16::from_be_bytes(self.vault.random())
    }

    /// The ledger bytes of something that happens now.
    pub(crate) fn event(&self, actor: Actor, body: EventBody) -> Result<Vec<u8>, Fault> {
        Event {
            at: self.clock.now(),
            actor,
            body,
        }
        .to_bytes()
        .map_err(Fault::Encoding)
    }
}
