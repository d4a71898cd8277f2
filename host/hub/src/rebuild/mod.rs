//! Making the read models anew: the whole ledger is folded into a store beside the one in use, both are compared row by
//! row, and what differs is put right. Readers never see read models that are missing, and what is held in memory does not
//! grow with the ledger.

mod anew;
mod compare;
mod mending;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mihwar_store::View;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rows;
use crate::status_reports;
use crate::walk::{StageProgress, StageTime, Stages};

pub(crate) use anew::{Anew, SideStores};
pub use compare::ModelReport;
pub(crate) use compare::compare;
use mending::Mending;

/// Read models that are behind by more events than this are compared with the whole ledger; what they lack is told as
/// missing then. Closer than that they are compared as of where they stand.
const BEHIND_MAX: u64 = 100_000;

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Events folded.
    pub events: u64,
    /// Rows that were not as the ledger says, over all read models; they are now.
    pub mended: u64,
    /// What was found, by read model.
    pub models: Vec<ModelReport>,
    /// How long it took.
    pub stages: Vec<StageTime>,
}

/// Folds the ledger anew, compares the read models with that, and puts right what differs. Nobody else may write read
/// models meanwhile: if somebody does, it is given up with [`Fault::Contended`]. Cut off while it mends, it leaves a
/// mark, and [`finish`] does all of it again.
pub(crate) async fn rebuild(core: &Core, listener: mpsc::Sender<StageProgress>) -> Result<RebuildReport, Fault> {
    let mut stages = Stages::new(listener);
    let view: Arc<dyn View> = Arc::from(core.store.view().await?);
    let row = view.get(&keys::position()).await?;
    let until = compared_until(row.as_ref().map(|row| &row.bytes[..]), view.tree().size());
    let anew = Anew::fold(core, &view, until, |done| stages.tell("folding", done, until)).await?;
    stages.end("folding", "events", until);
    let is_marked = view.get(&mending::mark()).await?.is_some();
    let mut mending = Mending::new(core, projection::guard(row.map(|row| row.version)), is_marked);
    let models = compare(&*view, &anew, Some(&mut mending), |done| {
        stages.tell("comparing", done, anew.rows().max(done));
    })
    .await?;
    // What is freed from here on can be used again.
    drop(view);
    mending.finish().await?;
    stages.end("comparing", "rows", models.iter().map(|model| model.rows).sum());
    anew.close().await?;
    projection::catch_up(core).await?;
    // No read model, and made of what departments call items all the same.
    let named = status_reports::anew(core).await?;
    stages.end("names", "items", named);
    Ok(RebuildReport {
        events: until,
        mended: models.iter().map(ModelReport::differences).sum(),
        models,
        stages: stages.taken(),
    })
}

/// Rebuilds if a rebuild was cut off in the middle of mending: half of it is not the whole.
pub(crate) async fn finish(core: &Core) -> Result<(), Fault> {
    if core.store.view().await?.get(&mending::mark()).await?.is_none() {
        return Ok(());
    }
    tracing::warn!("a rebuild of the read models was cut off; it is made again first");
    let (listener, _) = mpsc::channel(1);
    rebuild(core, listener).await.map(drop)
}

/// As of which event the rows that are there are judged.
pub(crate) fn compared_until(position: Option<&[u8]>, size: u64) -> u64 {
    position
        .and_then(|bytes| rows::decode::<u64>("the read models' position", bytes).ok())
        .filter(|position| *position <= size && size - position <= BEHIND_MAX)
        .unwrap_or(size)
}
