//! Verification: everything that follows from the ledger is made anew from it and compared with what is there. In memory is
//! held what is still open at the place where the walk is (not yet routed, not yet delivered), never the whole.

mod contents;
mod ledger;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mihwar_ledger::Signer;
use mihwar_store::View;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rebuild::{Anew, ModelReport, compare, compared_until};
use crate::walk::{StageProgress, StageTime, Stages};

/// Findings told one by one; beyond it they are counted.
const FINDINGS_MAX: usize = 50;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether everything that was checked is as the ledger says.
    pub ok: bool,
    /// Entries hashed.
    pub events: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Stored tiles of the tree that were compared.
    pub tiles: u64,
    /// Signed checkpoints that were compared with the tree.
    pub checkpoints: u64,
    /// Contents opened and compared with their commitment.
    pub contents: u64,
    /// Contents that are gone: withdrawn or erased.
    pub contents_gone: u64,
    /// Deliveries that are compared with the outbox.
    pub deliveries_open: u64,
    /// Rows of read models, folded anew and compared.
    pub read_model_rows: u64,
    /// How long it took.
    pub stages: Vec<StageTime>,
    /// What does not fit.
    pub findings: Vec<String>,
    /// Findings beyond those told.
    pub findings_untold: u64,
}

impl VerifyReport {
    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_untold += 1;
        }
    }
}

/// Hashes every entry again and compares with the stored tree, its tiles and every signed checkpoint.
pub(crate) async fn verify_ledger(
    core: &Core,
    signer: &Signer,
    origin: &str,
    listener: mpsc::Sender<StageProgress>,
) -> Result<VerifyReport, Fault> {
    let mut work = Verification::begin(core, listener).await?;
    work.ledger(signer, origin).await?;
    Ok(work.end())
}

/// As [`verify_ledger`]; besides opens every content and compares with its commitment, compares queue and outbox with what
/// is still open, makes the read models anew and compares row by row.
pub(crate) async fn verify(
    core: &Core,
    signer: &Signer,
    origin: &str,
    listener: mpsc::Sender<StageProgress>,
) -> Result<VerifyReport, Fault> {
    let behind = match projection::catch_up(core).await {
        Ok(()) => None,
        Err(error) if error.is_damage() => Some(format!("the read models do not go on: {error}")),
        Err(error) => return Err(error),
    };
    let mut work = Verification::begin(core, listener).await?;
    behind.into_iter().for_each(|finding| work.report.find(finding));
    work.ledger(signer, origin).await?;
    work.contents().await?;
    work.read_models().await?;
    Ok(work.end())
}

struct Verification<'a> {
    core: &'a Core,
    view: Arc<dyn View>,
    report: VerifyReport,
    stages: Stages,
}

impl<'a> Verification<'a> {
    async fn begin(core: &'a Core, listener: mpsc::Sender<StageProgress>) -> Result<Self, Fault> {
        let view = Arc::from(core.store.view().await?);
        Ok(Self {
            core,
            view,
            report: VerifyReport::default(),
            stages: Stages::new(listener),
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
