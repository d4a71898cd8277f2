//! A hub: opened on a data folder, started, asked, closed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mihwar_ledger::Signer;
use mihwar_model::{
    Actor, Clock, EventBody, Ids, InstanceConfigured, InstanceName, OsRandomness, Randomness, SystemClock,
};
use mihwar_sandbox::{Capability, Engine, EngineError, EngineSettings};
use mihwar_store::{Batch, BlobError, BlobFolder, Edit, RedbSettings, RedbStore, StoreError};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::core::{Core, Wake};
use crate::fault::Fault;
use crate::instances::{self, Instances};
use crate::master_key::{self, MASTER_KEY_VARIABLE, MasterKeyError};
use crate::vault::Vault;
use crate::{delivery, idempotency, inbound, keys, ledger, pipeline, poll, projection, rows};

/// Why a hub does not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data folder cannot be used.
    #[error("the data folder {path} cannot be used: {source}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("another hub runs on {path}; stop it, or use another folder (--data)", path = path.display())]
    AlreadyServed {
        /// The folder.
        path: PathBuf,
    },
    /// No usable master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The store does not open.
    #[error(transparent)]
    Store(StoreError),
    /// The folder of files does not open.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The sandbox does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The configuration does not fit the plugins.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something at rest is not as it should be.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The doors to the world: where time and randomness come from.
#[derive(Clone)]
pub struct Doors {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub randomness: Arc<dyn Randomness>,
}

impl Doors {
    /// The machine's own.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            randomness: Arc::new(OsRandomness),
        }
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReloadReport {
    /// Instances that are new.
    pub added: Vec<InstanceName>,
    /// Instances that run with another configuration or plugin.
    pub changed: Vec<InstanceName>,
    /// Instances that are gone.
    pub removed: Vec<InstanceName>,
}

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) engine: Engine,
    pub(crate) signer: Arc<Signer>,
    config: RwLock<Arc<Config>>,
    instances: RwLock<Arc<Instances>>,
}

impl Shared {
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn instances(&self) -> Arc<Instances> {
        self.instances.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A hub. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
    stop: CancellationToken,
    workers: Arc<Mutex<Workers>>,
}

#[derive(Default)]
struct Workers {
    named: Vec<(&'static str, JoinHandle<()>)>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// Opens the data folder and loads the plugins. Nothing works yet: see [`Hub::start`].
    ///
    /// # Errors
    /// Says what is in the way, and changes nothing.
    pub async fn open(config: Config, doors: Doors) -> Result<Self, OpenError> {
        let folder = config.data.clone();
        let is_new = prepare_folder(&folder).map_err(|source| OpenError::Folder {
            path: folder.clone(),
            source,
        })?;
        let variable = std::env::var(MASTER_KEY_VARIABLE).ok();
        let settings = RedbSettings {
            queue_batches: config.storage.queue,
            readers: config.storage.readers,
            free_space_floor: config.storage.free_space_floor.0,
            cache_bytes: usize::try_from(config.storage.cache.0).unwrap_or(usize::MAX),
            ..RedbSettings::default()
        };
        let path = folder.join("mihwar.redb");
        // The lock on the store comes first: whoever has it may make the key.
        let opened = tokio::task::spawn_blocking(move || RedbStore::open(path, settings)).await;
        let store = match opened {
            Ok(Ok(store)) => store,
            Ok(Err(StoreError::AlreadyOpen { .. })) => {
                return Err(OpenError::AlreadyServed { path: folder });
            }
            Ok(Err(error)) => return Err(OpenError::Store(error)),
            Err(error) => return Err(OpenError::Fault(Fault::Blob(error.to_string()))),
        };
        let master = master_key::find_or_make(&folder, variable.as_deref(), is_new, &*doors.randomness)?;
        let core = Core {
            store: Arc::new(store),
            blobs: BlobFolder::open(folder.join("blobs"))?,
            vault: Vault::new(&master, doors.randomness.clone()),
            ids: Ids::new(doors.clock.clone(), doors.randomness.clone()),
            clock: doors.clock.clone(),
            wake: Wake::default(),
        };
        Self::assemble(Arc::new(core), config, doors).await
    }

    async fn assemble(core: Arc<Core>, config: Config, doors: Doors) -> Result<Self, OpenError> {
        ledger::check_format(&core).await?;
        let signer = Arc::new(ledger::signer(&core, &config.ledger.origin).await?);
        let engine = Engine::new(EngineSettings {
            cache_folder: Some(config.data.join("compiled")),
            cache_key: core.vault.purpose_key(b"compiled code"),
            concurrent_calls: u32::try_from(config.engine.concurrent_calls).unwrap_or(u32::MAX),
            memory_ceiling: config.engine.memory.0,
            clock: doors.clock,
            randomness: doors.randomness,
            ..EngineSettings::default()
        })?;
        let built = instances::build(&engine, &config, &Instances::default()).await?;
        let shared = Shared {
            core,
            engine,
            signer,
            config: RwLock::new(Arc::new(config)),
            instances: RwLock::new(Arc::new(Instances::default())),
        };
        let hub = Self {
            shared: Arc::new(shared),
            stop: CancellationToken::new(),
            workers: Arc::default(),
        };
        hub.note_configured(&built).await?;
        *hub.shared.instances.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(built);
        Ok(hub)
    }

    /// Starts the workers: read models, enrichment and routing, deliveries, stored requests, checkpoints,
    /// watching the configuration.
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
        self.spawn("configuration", watch(self.clone(), stop.clone()));
        self.spawn("deliveries and polling", dispatch(shared.clone(), stop.clone()));
        self.spawn("idempotency", sweep(core, stop.clone()));
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
        for (name, handle) in named {
            if tokio::time::timeout(Duration::from_secs(20), handle).await.is_err() {
                tracing::warn!("{name} did not stop in time; its work is kept and goes on at the next start");
            }
        }
        let origin = self.shared.config().ledger.origin.clone();
        if let Err(error) = ledger::checkpoint(&self.shared.core, &self.shared.signer, &origin).await {
            tracing::warn!("the ledger could not be signed at the end: {error}");
        }
        self.shared.core.store.close().await.map_err(Fault::from)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.shared.config()
    }

    /// Reads the configuration again and swaps what changed. Calls that run finish with what they began
    /// with; a bad file changes nothing.
    ///
    /// # Errors
    /// Every problem of the file.
    pub async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let config = self.shared.config().reload()?;
        let before = self.shared.instances();
        let built = instances::build(&self.shared.engine, &config, &before).await?;
        let report = difference(&before, &built);
        self.note_configured(&built).await?;
        *self.shared.instances.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(built);
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.shared.core.wake.deliveries();
        self.shared.core.wake.inbound.notify_one();
        Ok(report)
    }

    /// Writes an event for each instance that runs with something new since the last time.
    async fn note_configured(&self, built: &Instances) -> Result<(), Fault> {
        let core = &self.shared.core;
        let view = core.store.view().await?;
        let mut batch = Batch::default();
        for running in built.by_name.values() {
            let key = keys::setting(&format!("instance/{}", running.name));
            let known = view.get(&key).await?;
            if known.is_some_and(|row| row.bytes == running.fingerprint) {
                continue;
            }
            let plugin = running.sandbox.plugin();
            let mut module = [0; 32];
            if hex::decode_to_slice(&plugin.inspection().sha256, &mut module).is_err() {
                return Err(Fault::Encoding("a plugin's hash is not 64 hexadecimal digits".into()));
            }
            let body = InstanceConfigured {
                instance: running.name.clone(),
                plugin: running.config.plugin.clone(),
                version: plugin.manifest().plugin.version.clone(),
                module,
            };
            batch
                .journal
                .push(core.event(Actor::Hub, EventBody::InstanceConfigured(body))?);
            batch.edits.push(Edit::Put(key, running.fingerprint.to_vec()));
        }
        drop(view);
        if batch.journal.is_empty() {
            Ok(())
        } else {
            core.apply_patiently(batch).await
        }
    }
}

/// Why a reload changed nothing.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The file, or what it asks for, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The change could not be recorded.
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn difference(before: &Instances, after: &Instances) -> ReloadReport {
    let mut report = ReloadReport::default();
    for (name, running) in &after.by_name {
        match before.by_name.get(name) {
            None => report.added.push(name.clone()),
            Some(known) if known.fingerprint != running.fingerprint => report.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    report.removed = before
        .by_name
        .keys()
        .filter(|name| !after.by_name.contains_key(*name))
        .cloned()
        .collect();
    report
}

/// Makes the data folder if it is not there; answers whether it holds no records yet.
fn prepare_folder(folder: &std::path::Path) -> std::io::Result<bool> {
    use std::os::unix::fs::DirBuilderExt;
    let is_new = !folder.join("mihwar.redb").exists();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(is_new)
}

/// Runs one delivery worker per department and one poller per channel that can be asked, as they come
/// and go.
async fn dispatch(shared: Arc<Shared>, stop: CancellationToken) {
    let mut running: BTreeMap<InstanceName, JoinHandle<()>> = BTreeMap::new();
    loop {
        running.retain(|_, handle| !handle.is_finished());
        for department in shared.instances().departments() {
            let name = department.name.clone();
            running
                .entry(name.clone())
                .or_insert_with(|| tokio::spawn(delivery::run(shared.clone(), name, stop.clone())));
        }
        for channel in shared
            .instances()
            .by_name
            .values()
            .filter(|running| running.can(Capability::Pull))
        {
            let name = channel.name.clone();
            running
                .entry(name.clone())
                .or_insert_with(|| tokio::spawn(poll::run(shared.clone(), name, stop.clone())));
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    for (name, handle) in running {
        if handle.await.is_err() {
            tracing::error!(instance = %name, "a worker fell");
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
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
        if let Err(error) = idempotency::sweep(&core).await {
            tracing::warn!("old idempotency keys could not be removed: {error}");
        }
    }
}

/// Puts dead letters back into the outbox.
pub(crate) async fn replay_deliveries(
    shared: &Shared,
    actor: &Actor,
    which: &crate::ReplaySelection,
) -> Result<u64, Fault> {
    let core = &shared.core;
    let mut replayed = 0;
    let mut range = match which {
        crate::ReplaySelection::Destination(name) => keys::dead_of(name),
        crate::ReplaySelection::Id(_) | crate::ReplaySelection::All => keys::all(keys::DEAD),
    };
    loop {
        let page = core
            .store
            .view()
            .await?
            .scan(range, mihwar_store::Order::Ascending, 500)
            .await?;
        let mut batch = Batch::default();
        for row in page.rows {
            let Some(id) = keys::last_id(&row.key).map(mihwar_model::DeliveryId::from_bytes) else {
                continue;
            };
            if matches!(which, crate::ReplaySelection::Id(wanted) if *wanted != id) {
                continue;
            }
            let Some(destination) = keys::dead_destination(&row.key) else {
                continue;
            };
            let dead: rows::DeadRow = rows::decode("a dead letter", &row.value.bytes)?;
            let body = mihwar_model::Replayed {
                delivery: id,
                feedback: dead.entry.feedback,
                destination: destination.clone(),
            };
            let entry = crate::query::replayed(dead, core.clock.now());
            batch
                .guards
                .push(mihwar_store::Guard::At(row.key.clone(), row.value.version));
            batch.edits.push(Edit::Delete(row.key));
            batch
                .edits
                .push(Edit::Put(keys::outbox(&destination, id), rows::encode(&entry)?));
            batch
                .journal
                .push(core.event(actor.clone(), EventBody::DeliveryReplayed(body))?);
            replayed += 1;
        }
        if !batch.edits.is_empty() {
            core.apply_patiently(batch).await?;
        }
        match page.next {
            Some(next) => range = next,
            None => break,
        }
    }
    core.wake.deliveries();
    Ok(replayed)
}
