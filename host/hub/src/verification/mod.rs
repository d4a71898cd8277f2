//! Verification: everything that follows from the ledger is made anew from it and compared with what is there. In memory is
//! held what is still open at the place where the walk is (not yet routed, not yet delivered), never the whole.

mod contents;
mod files;
mod known;
mod ledger;
mod open;
mod queue;
mod reports;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use mihwar_ledger::{Hash, Signer};
use mihwar_model::ContactId;
use mihwar_store::{StoreError, View};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rebuild::{Anew, ModelReport, compare, compared_until};
use crate::walk::{StageProgress, StageTime, Stages};

use files::Tally;

/// Findings told one by one; beyond it they are counted.
const FINDINGS_MAX: usize = 50;

/// What a checkpoint says that was kept outside of the hub. Its signature was verified already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessedHead {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether everything that was checked is as the ledger says. Whether that is everything, [`Self::is_complete`] says.
    pub ok: bool,
    /// Entries hashed.
    pub events: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Stored tiles of the tree that were compared.
    pub tiles: u64,
    /// Signed checkpoints that were compared with the tree.
    pub checkpoints: u64,
    /// Checkpoints that were kept outside of the hub and were compared with the tree.
    #[serde(default)]
    pub witnessed: u64,
    /// Contents opened and compared with their commitment.
    pub contents: u64,
    /// Attached files opened.
    #[serde(default)]
    pub files: u64,
    /// Contents that are gone: withdrawn or erased.
    pub contents_gone: u64,
    /// Deliveries that are compared with the outbox.
    pub deliveries_open: u64,
    /// Rows of read models, folded anew and compared.
    pub read_model_rows: u64,
    /// Why the read models were not compared; nothing when they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_models_unchecked: Option<String>,
    /// How long it took.
    pub stages: Vec<StageTime>,
    /// What does not fit.
    pub findings: Vec<String>,
    /// Findings beyond those told.
    pub findings_untold: u64,
}

impl VerifyReport {
    /// Whether all was compared that should have been: what was not, may be wrong.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.read_models_unchecked.is_none()
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_untold += 1;
        }
    }

    /// The result, or nothing: that something at rest cannot be read is a finding, and no reason to stop looking.
    fn or_finding<T>(&mut self, what: &str, result: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.is_damage() || is_damaged_store(&fault) => {
                self.find(format!("{what} cannot be read to the end: {fault}"));
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// What became of the read models. Where there is no room, they cannot be made anew: the report says so, and all else
    /// is looked at. A disk that fails ends the verification: what it would still say is worth nothing.
    fn or_unchecked(&mut self, result: Result<(), Fault>) -> Result<(), Fault> {
        match result {
            Err(fault) if fault.is_out_of_room() => {
                self.read_models_unchecked = Some(fault.to_string());
                Ok(())
            }
            result => result,
        }
    }
}

/// Whether the store's file is not what was written.
fn is_damaged_store(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Store(StoreError::Corrupt { .. } | StoreError::Engine { .. })
    )
}

/// Hashes every entry again and compares with the stored tree, its tiles, every signed checkpoint, and those that somebody
/// kept elsewhere: who writes the store may rewrite all of it so that it fits, but not these.
pub(crate) async fn verify_ledger(
    core: &Core,
    signer: &Signer,
    origin: &str,
    heads: Vec<WitnessedHead>,
    listener: mpsc::Sender<StageProgress>,
) -> Result<VerifyReport, Fault> {
    let mut work = Verification::begin(core, listener).await?;
    let ledger = work.ledger(signer, origin, heads).await;
    work.report.or_finding("the ledger", ledger)?;
    Ok(work.end())
}

/// As [`verify_ledger`]; besides opens every content with its files and compares with its commitment, compares queue,
/// outbox and the rows of files with what is still open and named, makes the read models anew and compares row by row.
pub(crate) async fn verify(
    core: &Core,
    signer: &Signer,
    origin: &str,
    heads: Vec<WitnessedHead>,
    listener: mpsc::Sender<StageProgress>,
) -> Result<VerifyReport, Fault> {
    let caught_up = projection::catch_up(core).await;
    let mut work = Verification::begin(core, listener).await?;
    let caught_up = work.report.or_unchecked(caught_up);
    work.report.or_finding("what is new for the read models", caught_up)?;
    let ledger = work.ledger(signer, origin, heads).await;
    work.report.or_finding("the ledger", ledger)?;
    let contents = work.contents().await;
    work.report.or_finding("the contents", contents)?;
    if work.report.is_complete() {
        let read_models = work.read_models().await;
        let read_models = work.report.or_unchecked(read_models);
        work.report.or_finding("the read models", read_models)?;
    }
    Ok(work.end())
}

struct Verification<'a> {
    core: &'a Core,
    view: Arc<dyn View>,
    report: VerifyReport,
    stages: Stages,
    tally: Tally,
    /// Contacts whose keys do not open: told once each.
    damaged_contacts: BTreeSet<ContactId>,
}

impl<'a> Verification<'a> {
    async fn begin(core: &'a Core, listener: mpsc::Sender<StageProgress>) -> Result<Self, Fault> {
        let view = Arc::from(core.store.view().await?);
        Ok(Self {
            core,
            view,
            report: VerifyReport::default(),
            stages: Stages::new(listener),
            tally: Tally::default(),
            damaged_contacts: BTreeSet::new(),
        })
    }

    fn end(mut self) -> VerifyReport {
        self.report.ok = self.report.findings.is_empty();
        self.report.stages = self.stages.taken();
        self.report
    }

    async fn read_models(&mut self) -> Result<(), Fault> {
        let position = self.view.get(&keys::position()).await?;
        let position = position.as_ref().map(|row| &row.bytes[..]);
        let until = compared_until(position, self.view.tree().size());
        let stages = &self.stages;
        let folded = Anew::fold(self.core, &self.view, until, |done| {
            stages.tell("read models: folding", done, until);
        });
        let anew = match folded.await {
            Ok(anew) => anew,
            Err(error) if error.is_damage() => {
                self.report
                    .find(format!("the read models cannot be made anew: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.stages.end("read models: folding", "events", until);
        let stages = &self.stages;
        let models = compare(&*self.view, &anew, None, |done| {
            stages.tell("read models: comparing", done, anew.rows().max(done));
        });
        for model in models.await? {
            self.report.read_model_rows += model.rows;
            if model.differences() > 0 {
                self.report.find(told(&model));
            }
        }
        let rows = self.report.read_model_rows;
        self.stages.end("read models: comparing", "rows", rows);
        anew.close().await
    }
}

fn told(model: &ModelReport) -> String {
    let ModelReport {
        model: name,
        missing,
        different,
        surplus,
        examples,
        ..
    } = model;
    format!(
        "the read model \"{name}\" is not what the ledger gives: {missing} rows missing, {different} different, {surplus} too \
         many ({}); stop the hub and run: mihwar doctor --rebuild",
        examples.join("; ")
    )
}
