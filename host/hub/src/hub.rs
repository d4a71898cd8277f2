//! A hub: opened on a data folder, started, asked, closed.

use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mihwar_ledger::Signer;
use mihwar_model::{Actor, Clock, EventBody, Ids, InstanceConfigured, InstanceName, Time};
use mihwar_sandbox::{Engine, EngineError, EngineSettings};
use mihwar_store::{Batch, BlobError, Edit, RedbSettings, Store, StoreError};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::core::{Core, Wake};
use crate::delivery::Outboxes;
use crate::doors::{Disk, Doors};
use crate::fault::Fault;
use crate::format::{self, FormatError, STORE_FILE, Standing};
use crate::instances::{self, Instances};
use crate::intake::{Desk, Redactors};
use crate::master_key::{self, MASTER_KEY_VARIABLE, MasterKey, MasterKeyError};
use crate::passed_over::PassedOver;
use crate::rebuild::{self, SideStores};
use crate::right_of_way::RightOfWay;
use crate::tokens::KnownTokens;
use crate::turns::Turns;
use crate::vault::Vault;
use crate::workers::Workers;
use crate::{keys, ledger};

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
    /// The machine's clock was never set.
    #[error(
        "this machine's clock says {now}: it was never set; set it (its battery may be empty), then start again. Nothing was changed"
    )]
    Clock {
        /// What it says.
        now: Time,
    },
    /// Another process has it open.
    #[error("another hub runs on {path}; stop it, or use another folder (--data)", path = path.display())]
    AlreadyServed {
        /// The folder.
        path: PathBuf,
    },
    /// Another process brings it to this hub's format.
    #[error("another mihwar is upgrading {path}; wait until it is done, then start again", path = path.display())]
    BeingUpgraded {
        /// The folder.
        path: PathBuf,
    },
    /// Nobody has made a hub here.
    #[error("{path} holds no hub yet; start one with: mihwar serve (or name another folder with --data)", path = path.display())]
    NoHub {
        /// The folder.
        path: PathBuf,
    },
    /// The folder's format is not this hub's.
    #[error(transparent)]
    Format(#[from] FormatError),
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

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReloadReport {
    /// Instances that are new, and departments that ask.
    pub added: Vec<InstanceName>,
    /// Instances that run with another configuration or plugin.
    pub changed: Vec<InstanceName>,
    /// Instances that are gone, and departments that asked.
    pub removed: Vec<InstanceName>,
}

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) core: Arc<Core>,
    pub(crate) engine: Engine,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) signer: Arc<Signer>,
    /// Why the ledger's head was not kept outside the last time; `None` when it was.
    pub(crate) unwitnessed: Mutex<Option<String>>,
    /// Taken while a backup is made: one at a time, since each keeps the store from using space again.
    pub(crate) backups: Arc<tokio::sync::Mutex<()>>,
    /// Taken while the ledger is exported, likewise.
    pub(crate) exports: Arc<tokio::sync::Mutex<()>>,
    /// Taken while a figure is made: one at a time, since each holds every record of its period in memory.
    pub(crate) figures: tokio::sync::Mutex<()>,
    /// Taken while rules are tried on what is stored: one at a time, since each reads and opens all of a period.
    pub(crate) trials: tokio::sync::Mutex<()>,
    /// Whether it was told that the hub sends to itself.
    pub(crate) loop_told: AtomicBool,
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
    pub(crate) stop: CancellationToken,
    pub(crate) workers: Arc<Mutex<Workers>>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// Opens the data folder, or makes it, and loads the plugins. Nothing works yet: see [`Hub::start`].
    ///
    /// # Errors
    /// Says what is in the way. Records that are there are not touched.
    pub async fn open(config: Config, doors: Doors) -> Result<Self, OpenError> {
        let core = open_core(&config, &doors, None).await?;
        let disk = doors.disk.clone();
        let engine = engine(&config, Some(&core), doors)?;
        let built = instances::build(&engine, &*disk, &config, &Instances::default()).await?;
        Self::assemble(core, config, engine, disk, built).await
    }

    /// Opens a data folder that holds a hub already, without any plugin and therefore without their secrets: to read,
    /// to verify, to manage tokens.
    ///
    /// # Errors
    /// [`OpenError::NoHub`] when there is none, and nothing is made; else as [`Hub::open`].
    pub async fn open_existing(config: Config, doors: Doors) -> Result<Self, OpenError> {
        Self::open_existing_with(config, doors, None).await
    }

    /// As [`Hub::open_existing`]; with a master key that is given, none is looked for.
    ///
    /// # Errors
    /// As [`Hub::open_existing`].
    pub async fn open_existing_with(config: Config, doors: Doors, key: Option<&MasterKey>) -> Result<Self, OpenError> {
        if !config.data.exists() || format::standing(&config.data).await? == Standing::New {
            return Err(OpenError::NoHub { path: config.data });
        }
        let core = open_core(&config, &doors, key).await?;
        let disk = doors.disk.clone();
        let engine = engine(&config, None, doors)?;
        Self::assemble(core, config, engine, disk, Instances::default()).await
    }

    /// Builds the instances of a configuration as a start would, without a data folder. Answers what is not wrong but
    /// worth a thought.
    ///
    /// # Errors
    /// Every problem, with file, line and key.
    pub async fn check_config(config: &Config) -> Result<Vec<String>, OpenError> {
        let doors = Doors::real();
        let disk = doors.disk.clone();
        let engine = engine(config, None, doors)?;
        let built = instances::build(&engine, &*disk, config, &Instances::default()).await?;
        let warnings = built
            .by_name
            .values()
            .flat_map(|running| running.warnings.iter().cloned());
        Ok(warnings.collect())
    }

    /// A hub without plugins over a core that is made already.
    #[cfg(test)]
    pub(crate) async fn over(core: Arc<Core>, config: Config, doors: Doors) -> Result<Self, OpenError> {
        let disk = doors.disk.clone();
        let engine = engine(&config, None, doors)?;
        Self::assemble(core, config, engine, disk, Instances::default()).await
    }

    async fn assemble(
        core: Arc<Core>,
        config: Config,
        engine: Engine,
        disk: Arc<dyn Disk>,
        built: Instances,
    ) -> Result<Self, OpenError> {
        check_origin(&core, &config).await?;
        rebuild::finish(&core).await?;
        let signer = Arc::new(ledger::signer(&core, &config.ledger.origin).await?);
        let shared = Shared {
            core,
            engine,
            disk,
            signer,
            unwitnessed: Mutex::default(),
            backups: Arc::default(),
            exports: Arc::default(),
            figures: tokio::sync::Mutex::default(),
            trials: tokio::sync::Mutex::default(),
            loop_told: AtomicBool::new(false),
            config: RwLock::new(Arc::new(config)),
            instances: RwLock::new(Arc::new(Instances::default())),
        };
        let hub = Self {
            shared: Arc::new(shared),
            stop: CancellationToken::new(),
            workers: Arc::default(),
        };
        hub.note_configured(&built).await?;
        hub.shared.core.redactors.set(built.redactors());
        *hub.shared.instances.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(built);
        Ok(hub)
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
        check_origin(&self.shared.core, &config).await?;
        let before = self.shared.instances();
        let built = instances::build(&self.shared.engine, &*self.shared.disk, &config, &before).await?;
        let report = difference(&before, &built);
        self.note_configured(&built).await?;
        self.shared.core.redactors.set(built.redactors());
        *self.shared.instances.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(built);
        *self.shared.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.shared.core.outboxes.ring_all();
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
    report.added.extend(after.asking.difference(&before.asking).cloned());
    report.removed.extend(before.asking.difference(&after.asking).cloned());
    report
}

/// A clock before this (2026-01-01) was never set: certificates, signatures, tokens and schedules would be wrong.
pub const CLOCK_MIN: Time = Time(1_767_225_600_000);
/// A clock that is further behind the ledger than this is worth a word.
const BEHIND_LEDGER_MS: i64 = 24 * 3600 * 1000;

/// A clock that was never set is refused. One that is behind the ledger is not: the clock under which the ledger was
/// written may have been the wrong one, and then nobody could ever start again.
pub(crate) fn check_clock(clock: &dyn Clock) -> Result<(), OpenError> {
    unset_clock(clock).map_or(Ok(()), |now| Err(OpenError::Clock { now }))
}

/// What a clock says that was never set.
pub(crate) fn unset_clock(clock: &dyn Clock) -> Option<Time> {
    Some(clock.now()).filter(|now| *now < CLOCK_MIN)
}

/// The newest moment that the ledger knows of. What is made from now on gets ids behind it.
async fn newest_moment(store: &dyn Store, clock: &dyn Clock) -> Time {
    let newest = match store.view().await {
        Ok(view) => ledger::newest_moment(&*view).await,
        Err(error) => Err(error.into()),
    };
    match newest {
        Ok(newest) if clock.now().plus_millis(BEHIND_LEDGER_MS) < newest => {
            let now = clock.now();
            tracing::warn!(%now, %newest, "the clock is behind the newest entry of the ledger; if it is this clock that is wrong, set it");
            newest
        }
        Ok(newest) => newest,
        Err(error) => {
            tracing::warn!("the end of the ledger cannot be read: {error}");
            CLOCK_MIN
        }
    }
}
/// The folder of files in the data folder.
pub(crate) const FILES: &str = "blobs";

/// Opens store, keys and files of a data folder.
async fn open_core(config: &Config, doors: &Doors, key: Option<&MasterKey>) -> Result<Arc<Core>, OpenError> {
    check_clock(&*doors.clock)?;
    let folder = config.data.clone();
    let unusable = |source| OpenError::Folder {
        path: folder.clone(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(unusable)?;
    if doors.disk.is_folder() {
        format::require_current(&folder).await?;
    }
    let settings = RedbSettings {
        queue_batches: config.storage.queue,
        readers: config.storage.readers,
        free_space_floor: config.storage.free_space_floor.0,
        cache_bytes: usize::try_from(config.storage.cache.0).unwrap_or(usize::MAX),
        natures: keys::NATURES,
        ..RedbSettings::default()
    };
    let path = folder.join(STORE_FILE);
    // The lock on the store comes first: whoever has it may make the key.
    let store = match doors.disk.store(&path, settings).await {
        Ok(store) => store,
        Err(StoreError::AlreadyOpen { .. }) => return Err(OpenError::AlreadyServed { path: folder }),
        Err(error) => return Err(OpenError::Store(error)),
    };
    // A start that was cut off before its first row left nothing that a key would be missed for.
    let is_new = format::row(&*store).await?.is_none();
    let newest = newest_moment(&*store, &*doors.clock).await;
    let opened_at = store.view().await.map_err(Fault::from)?.version();
    let master = match key {
        Some(key) => key.bytes(),
        None => {
            let variable = std::env::var(MASTER_KEY_VARIABLE).ok();
            master_key::find_or_make(&folder, variable.as_deref(), is_new, &*doors.randomness)?
        }
    };
    format::settle(&*store, &folder, is_new, doors.disk.is_folder()).await?;
    Ok(Arc::new(Core {
        store,
        opened_at,
        blobs: doors.disk.blobs(&folder.join(FILES))?,
        vault: Vault::new(&master, doors.randomness.clone()),
        ids: Ids::new(doors.clock.clone(), doors.randomness.clone()).after(newest),
        clock: doors.clock.clone(),
        wake: Wake::default(),
        right_of_way: RightOfWay::default(),
        side_stores: SideStores::in_folder(doors.disk.clone(), folder, config.storage.free_space_floor.0),
        tokens: KnownTokens::default(),
        desk: Desk::default(),
        turns: Turns::default(),
        redactors: Redactors::default(),
        passed_over: PassedOver::default(),
        outboxes: Outboxes::default(),
    }))
}

/// By what a hub knows its own requests again: the same after every start, and telling nothing else of it.
pub(crate) fn hop(core: &Core) -> String {
    hex::encode(core.vault.name(&[b"hop"]))
}

/// The sandbox. With a core, compiled code is kept beside the data.
fn engine(config: &Config, core: Option<&Arc<Core>>, doors: Doors) -> Result<Engine, EngineError> {
    if let Some(engine) = doors.sandbox {
        return Ok(engine);
    }
    Engine::new(EngineSettings {
        cache_folder: core.map(|_| config.data.join("compiled")),
        cache_key: core.map_or_else(Default::default, |core| core.vault.purpose_key(b"compiled code")),
        concurrent_calls: u32::try_from(config.engine.concurrent_calls).unwrap_or(u32::MAX),
        memory_ceiling: config.engine.memory.0,
        clock: doors.clock,
        randomness: doors.randomness,
        network: doors.network,
        hop: core.map(|core| hop(core)),
        ..EngineSettings::default()
    })
}

/// The origin is the ledger's name for ever: under another one no checkpoint that was handed out would verify.
async fn check_origin(core: &Core, config: &Config) -> Result<(), OriginError> {
    let key = keys::setting("ledger-origin");
    let wanted = &config.ledger.origin;
    match core
        .store
        .view()
        .await
        .map_err(Fault::from)?
        .get(&key)
        .await
        .map_err(Fault::from)?
    {
        Some(row) if row.bytes == wanted.as_bytes() => Ok(()),
        Some(row) => {
            let known = String::from_utf8_lossy(&row.bytes);
            let message =
                format!("this folder's ledger is called \"{known}\" since its first start and cannot be renamed");
            Err(config.problem(&["ledger", "origin"], message).into())
        }
        None => {
            let batch = Batch {
                edits: vec![Edit::Put(key, wanted.clone().into_bytes())],
                ..Batch::default()
            };
            Ok(core.apply_patiently(batch).await?)
        }
    }
}

/// Why an origin is not taken.
#[derive(Debug, Error)]
enum OriginError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<OriginError> for OpenError {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::Config(error) => error.into(),
            OriginError::Fault(fault) => fault.into(),
        }
    }
}

impl From<OriginError> for ReloadError {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::Config(error) => error.into(),
            OriginError::Fault(fault) => fault.into(),
        }
    }
}
