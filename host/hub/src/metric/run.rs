//! A figure that a hub makes of its own ledger, and the receipt of it.

use std::sync::Arc;

use mihwar_ledger::{FigureLimits, FigureModule, FigureReceipt, SignedNote};
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
    /// personal content. Nothing else is written. Waits for figures that others have made: there is one at a time.
    ///
    /// # Errors
    /// Says why there is no such figure.
    pub async fn figure(
        &self,
        metric: &str,
        selection: FigureFilter,
        progress: mpsc::Sender<StageProgress>,
    ) -> Result<FigureReceipt, FigureRefusal> {
        let turn = &self.shared.figures;
        let _turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                tell(&progress, "waiting for another figure", 0, 1);
                turn.lock().await
            }
        };
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
        let (plugin, limits) = (running.sandbox.plugin(), running.sandbox.limits());
        Ok(FigureReceipt {
            metric: running.name.to_string(),
            module: FigureModule {
                plugin: plugin.manifest().plugin.id.clone(),
                version: plugin.manifest().plugin.version.clone(),
                sha256: plugin.inspection().sha256.clone(),
            },
            limits: FigureLimits {
                memory: limits.memory,
                table: limits.table,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::Time;
    use mihwar_store::MemoryStore;
    use tokio::sync::mpsc;

    use super::{FigureFilter, FigureRefusal};
    use crate::config::Config;
    use crate::core::Core;
    use crate::doors::Doors;
    use crate::hub::Hub;

    #[tokio::test]
    async fn figures_wait_for_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder.path(), Time(1_790_000_000_000));
        let config = Config::parse("mihwar.toml".as_ref(), "", Vec::new()).unwrap();
        let hub = Hub::over(Arc::new(core), config, Doors::real()).await.unwrap();
        let first = hub.shared.figures.lock().await;
        let (sender, mut progress) = mpsc::channel(16);
        let filter = FigureFilter::new(Time(0), Time(1), None).unwrap();
        let second = hub.figure("رضا", filter, sender);
        tokio::pin!(second);
        tokio::select! {
            ended = &mut second => panic!("{ended:?}"),
            told = progress.recv() => assert_eq!(told.unwrap().stage, "waiting for another figure"),
        }
        drop(first);
        let ended = second.await.unwrap_err();
        assert!(matches!(ended, FigureRefusal::NoMetric { .. }), "{ended}");
    }
}
