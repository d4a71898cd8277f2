//! A figure that a hub makes of its own ledger, and the receipt of it.

use std::sync::Arc;

use mihwar_ledger::{FigureModule, FigureReceipt, SignedNote};
use mihwar_sandbox::Capability;
use mihwar_store::View;
use tokio::sync::mpsc;

use super::measuring::{Measured, measure, tell};
use super::selection::{Selected, Selecting};
use super::{FigureFilter, FigureRefusal};
use crate::fault::Fault;
use crate::hub::Hub;
use crate::instances::{Instances, Running};
use crate::ledger;
use crate::walk::{StageProgress, aside, entries};

impl Hub {
    /// Makes a figure of what the ledger tells now, which is signed for it, by an instance of a metric plugin. Holds facts and no
    /// personal content. Nothing else is written.
    ///
    /// # Errors
    /// Says why there is no such figure.
    pub async fn figure(
        &self,
        metric: &str,
        selection: FigureFilter,
        progress: mpsc::Sender<StageProgress>,
    ) -> Result<FigureReceipt, FigureRefusal> {
        let core = &self.shared.core;
        let running = find(&self.shared.instances(), metric)?;
        let origin = self.shared.config().ledger.origin.clone();
        let (view, note) = ledger::sign_head(core, &self.shared.signer, &origin).await?;
        let checkpoint = SignedNote::parse(&note).map_err(|error| Fault::Encoding(error.to_string()))?;
        let view: Arc<dyn View> = Arc::from(view);
        let selected = select(&view, selection, &progress).await?;
        let told = selected.told.clone();
        let measured = measure(&running.sandbox, selected, &progress).await;
        let now = core.clock.now();
        match &measured {
            Ok(_) => running.record.succeeded(now),
            Err(error) => running.record.failed(now, &error.to_string()),
        }
        let Measured { definition, groups } = measured?;
        let plugin = running.sandbox.plugin();
        Ok(FigureReceipt {
            metric: running.name.to_string(),
            module: FigureModule {
                plugin: plugin.manifest().plugin.id.clone(),
                version: plugin.manifest().plugin.version.clone(),
                sha256: plugin.inspection().sha256.clone(),
            },
            definition,
            key: self.shared.signer.verifying_key(),
            checkpoint,
            selection: told,
            groups,
        })
    }
}

/// The instance of this name, if it makes figures.
fn find(instances: &Instances, name: &str) -> Result<Arc<Running>, FigureRefusal> {
    let metrics = || {
        let running = instances.by_name.values();
        running.filter(|running| running.can(Capability::Measure))
    };
    if let Some(running) = metrics().find(|running| running.name.as_str() == name) {
        return Ok(Arc::clone(running));
    }
    let names: Vec<&str> = metrics().map(|running| running.name.as_str()).collect();
    let known = if names.is_empty() {
        "there is none: a metric plugin becomes one by a [[plugin]] and an [[instance]] in the configuration".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    Err(FigureRefusal::NoMetric {
        name: name.chars().take(80).collect(),
        known,
    })
}

/// Folds the whole ledger that a view shows, page by page; the next page is read meanwhile.
async fn select(
    view: &Arc<dyn View>,
    selection: FigureFilter,
    progress: &mpsc::Sender<StageProgress>,
) -> Result<Selected, FigureRefusal> {
    let size = view.tree().size();
    let mut pages = entries(view, size);
    let (mut selecting, mut done) = (Selecting::new(selection), 0);
    while let Some(page) = pages.recv().await {
        let page = page?;
        done += page.len() as u64;
        selecting = aside(move || {
            let taken = page
                .iter()
                .try_for_each(|entry| selecting.take(entry.sequence, &entry.bytes));
            taken.map(|()| selecting)
        })
        .await??;
        tell(progress, "reading the ledger", done, size);
    }
    if done < size {
        return Err(FigureRefusal::Fault(Fault::Damaged {
            what: "the ledger",
            detail: format!("it ends after {done} of its {size} entries"),
        }));
    }
    selecting.finish()
}
