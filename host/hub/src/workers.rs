//! The workers of an open hub: started together, watched, stopped together.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_sandbox::Capability;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::fault::Fault;
use crate::hub::{Hub, Shared};
use crate::{delivery, erasure, idempotency, inbound, ledger, pipeline, poll, projection, withdrawal, witness};

/// How long the workers have, all together, to finish what they began.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// The workers that run, by name.
#[derive(Default)]
pub(crate) struct Workers {
    named: Vec<(&'static str, JoinHandle<()>)>,
}

impl Hub {
    /// Starts the workers: read models, enrichment and routing, deliveries, stored requests, checkpoints,
    /// watching the configuration, retention.
    pub fn start(&self) {
        let (shared, stop) = (&self.shared, &self.stop);
        let ledger = shared.config().ledger.clone();
        let core = shared.core.clone();
        self.spawn("read models", projection::run(core.clone(), stop.clone()));
        self.spawn("pipeline", pipeline::run(shared.clone(), stop.clone()));
        self.spawn("stored requests", inbound::run(shared.clone(), stop.clone()));
        self.spawn(
            "checkpoints",
            ledger::run(
                core.clone(),
                shared.signer.clone(),
                ledger.origin,
                ledger.checkpoint_every.0,
                stop.clone(),
            ),
        );
        if let Some(file) = ledger.witness_file {
            let every = ledger.witness_every.0;
            self.spawn("witness file", witness::run(shared.clone(), file, every, stop.clone()));
        }
        self.spawn("configuration", watch(self.clone(), stop.clone()));
        self.spawn("deliveries and polling", deliver(shared.clone(), stop.clone()));
        self.spawn("overlooked deliveries", delivery::sweep(core.clone(), stop.clone()));
        self.spawn("idempotency", sweep(core, stop.clone()));
        self.spawn("retention", erasure::retention::run(shared.clone(), stop.clone()));
        tokio::spawn(finish_destroying(shared.core.clone()));
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(work);
        self.workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .named
            .push((name, handle));
    }

    /// Names of workers that ended although nobody stopped them.
    pub(crate) fn fallen_workers(&self) -> Vec<&'static str> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = self.stop.is_cancelled();
        workers
            .named
            .iter()
            .filter(|(_, handle)| !stopped && handle.is_finished())
            .map(|(name, _)| *name)
            .collect()
    }

    /// Whether the workers were started.
    pub(crate) fn is_started(&self) -> bool {
        !self
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .named
            .is_empty()
    }

    /// Stops the workers, lets them finish what they began, signs the ledger and closes the store.
    ///
    /// # Errors
    /// When the store cannot be closed cleanly; what was acknowledged is safe all the same.
    pub async fn close(&self) -> Result<(), Fault> {
        self.stop.cancel();
        let named = std::mem::take(&mut self.workers.lock().unwrap_or_else(PoisonError::into_inner).named);
        let was_started = !named.is_empty();
        let end = tokio::time::Instant::now() + STOP_WAIT;
        for (name, handle) in named {
            if tokio::time::timeout_at(end, handle).await.is_err() {
                tracing::warn!("{name} did not stop in time; its work is kept and goes on at the next start");
            }
        }
        let config = self.shared.config();
        if let Err(error) = ledger::checkpoint(&self.shared.core, &self.shared.signer, &config.ledger.origin).await {
            tracing::warn!("the ledger could not be signed at the end: {error}");
        }
        // A command that looks at a copy of the folder is no part of its history.
        if let Some(file) = config.ledger.witness_file.as_ref().filter(|_| was_started) {
            witness::keep(&self.shared, file).await;
        }
        self.shared.core.store.close().await.map_err(Fault::from)
    }
}

/// What a crash left of files that were to go.
async fn finish_destroying(core: Arc<Core>) {
    match withdrawal::destroy_doomed(&core).await {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "files that were to go were still there, and are destroyed now"),
        Err(error) => tracing::error!("files that are to go could not be destroyed: {error}"),
    }
}

/// Carries erasures to their end that were cut off.
async fn finish_erasing(shared: &Shared, stop: &CancellationToken) {
    let config = shared.config();
    let finished = tokio::select! {
        biased;
        // Cut off once more; they go on at the next start.
        () = stop.cancelled() => return,
        finished = erasure::finish(&shared.core, &config.holds) => finished,
    };
    match finished {
        Ok(0) => {}
        Ok(contacts) => tracing::info!(contacts, "erasures that were cut off were carried to their end"),
        Err(error) => tracing::error!("erasures that were cut off do not go on: {error}"),
    }
}

/// Deliveries and polling, after the erasures that were cut off: what they have not come to yet must not go out.
async fn deliver(shared: Arc<Shared>, stop: CancellationToken) {
    finish_erasing(&shared, &stop).await;
    dispatch(shared, stop).await;
}

/// What a worker does for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    Deliver,
    Poll,
}

/// Runs one delivery worker per department and one poller per channel that can be asked, as they come
/// and go.
async fn dispatch(shared: Arc<Shared>, stop: CancellationToken) {
    let mut running: BTreeMap<(InstanceName, Duty), JoinHandle<()>> = BTreeMap::new();
    loop {
        let (ended, going): (BTreeMap<_, _>, _) = running.into_iter().partition(|(_, handle)| handle.is_finished());
        running = going;
        tell_the_fallen(ended).await;
        for instance in shared.instances().by_name.values() {
            for (duty, capability) in [(Duty::Deliver, Capability::Deliver), (Duty::Poll, Capability::Pull)] {
                if instance.can(capability) {
                    let name = instance.name.clone();
                    let work = (shared.clone(), name.clone(), stop.clone());
                    running.entry((name, duty)).or_insert_with(|| spawn_duty(duty, work));
                }
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    tell_the_fallen(running).await;
}

fn spawn_duty(duty: Duty, (shared, name, stop): (Arc<Shared>, InstanceName, CancellationToken)) -> JoinHandle<()> {
    match duty {
        Duty::Deliver => tokio::spawn(delivery::run(shared, name, stop)),
        Duty::Poll => tokio::spawn(poll::run(shared, name, stop)),
    }
}

/// Waits for workers that end; one that panicked is told, and started anew by the caller.
async fn tell_the_fallen(ended: BTreeMap<(InstanceName, Duty), JoinHandle<()>>) {
    for ((name, duty), handle) in ended {
        if let Err(error) = handle.await {
            metrics::counter!("mihwar_workers_fallen_total").increment(1);
            tracing::error!(instance = %name, ?duty, "a worker fell and is started again: {error}");
        }
    }
}

/// Reloads the configuration when its file changes.
async fn watch(hub: Hub, stop: CancellationToken) {
    let path = hub.config().path.clone();
    let stamp = |path: &std::path::Path| std::fs::metadata(path).and_then(|m| Ok((m.modified()?, m.len()))).ok();
    let mut seen = stamp(&path);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
        let now = stamp(&path);
        if now.is_none() || now == seen {
            continue;
        }
        seen = now;
        match hub.reload().await {
            Ok(report) => {
                tracing::info!(added = ?report.added, changed = ?report.changed, removed = ?report.removed, "the configuration was reloaded");
            }
            Err(error) => {
                tracing::error!("the changed configuration is not taken over, the old one stays in force:\n{error}");
            }
        }
    }
}

async fn sweep(core: Arc<Core>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
        if let Err(error) = idempotency::sweep(&core).await {
            tracing::warn!("old idempotency keys could not be removed: {error}");
        }
    }
}
