//! The engine: wasmtime set up once for all plugins, with its clock tick and its slots.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mihwar_model::{Clock, OsRandomness, Randomness, SystemClock};
use thiserror::Error;
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::contract::Everything;
use crate::egress::{CheckedNetwork, Transport};
use crate::figures;
use crate::host::CallState;
use crate::limits::Ceiling;
use crate::plugin::Plugin;

/// Memories and tables that one component may have; components of compiled languages have one or two.
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLES_PER_COMPONENT: u32 = 8;
const CORE_INSTANCES_PER_COMPONENT: u32 = 32;
const TABLE_ELEMENTS: usize = 100_000;

/// How the engine is set up.
#[derive(Clone)]
pub struct EngineSettings {
    /// Where compiled code is kept (made with mode 0700); `None` compiles at each start.
    pub cache_folder: Option<PathBuf>,
    /// Key of the MAC over cached code. Must be secret and the same at each start.
    pub cache_key: [u8; 32],
    /// Calls that may run at once.
    pub concurrent_calls: u32,
    /// How long a call waits for a slot before it fails as busy.
    pub slot_wait: Duration,
    /// Most linear memory that any call can be granted, in bytes. Address space, not use.
    pub memory_ceiling: u64,
    /// Longest call that a plugin can wish for; an admin can set more.
    pub time_ceiling: Duration,
    /// How often running guests are looked at. Deadlines are kept to about this.
    pub tick: Duration,
    /// Wall clock of calls.
    pub clock: Arc<dyn Clock>,
    /// Randomness of calls.
    pub randomness: Arc<dyn Randomness>,
    /// Where requests of calls leave the host.
    pub network: Arc<dyn Transport>,
    /// Goes along with every request as [`crate::HOP`], if it is given: visible ASCII.
    pub hop: Option<String>,
}

impl Default for EngineSettings {
    /// 32 calls at once, 256 MiB and 60 s ceilings, a tick of 10 ms, the machine's clock,
    /// randomness and network, no cache.
    fn default() -> Self {
        Self {
            cache_folder: None,
            cache_key: [0; 32],
            concurrent_calls: 32,
            slot_wait: Duration::from_secs(10),
            memory_ceiling: 256 << 20,
            time_ceiling: Duration::from_secs(60),
            tick: Duration::from_millis(10),
            clock: Arc::new(SystemClock),
            randomness: Arc::new(OsRandomness),
            network: Arc::new(CheckedNetwork::default()),
            hop: None,
        }
    }
}

/// The engine could not be set up.
#[derive(Debug, Error)]
#[error("the WebAssembly engine cannot start: {0}")]
pub struct EngineError(String);

/// Runs plugins. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) linker: Linker<CallState>,
    /// What metric plugins are linked with, and nothing else.
    pub(crate) figures: Linker<CallState>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) slot_count: usize,
    pub(crate) slot_wait: Duration,
    pub(crate) tick: Duration,
    pub(crate) ceiling: Ceiling,
    pub(crate) cache: Option<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) network: Arc<dyn Transport>,
    pub(crate) hop: Option<String>,
    /// The plugins that somebody still holds, by the hash of their file: loading one again costs nothing.
    loaded: Mutex<HashMap<[u8; 32], Weak<Plugin>>>,
}

impl Inner {
    /// The plugin of this hash, if it is loaded.
    pub(crate) fn loaded(&self, hash: &[u8; 32]) -> Option<Arc<Plugin>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get(hash)?.upgrade()
    }

    /// Remembers a plugin for as long as somebody holds it.
    pub(crate) fn remember(&self, hash: [u8; 32], plugin: &Arc<Plugin>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, plugin| plugin.strong_count() > 0);
        loaded.insert(hash, Arc::downgrade(plugin));
    }
}

impl Engine {
    /// Sets the engine up and starts its tick thread, which ends with the engine.
    ///
    /// # Errors
    /// When this machine cannot run wasmtime (unsupported processor, no address space).
    pub fn new(settings: EngineSettings) -> Result<Self, EngineError> {
        let fault = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let wasm = match wasmtime::Engine::new(&pooling(&settings)) {
            Ok(engine) => engine,
            Err(error) => {
                // Pools reserve much address space; under a tight `ulimit -v` plain allocation still works.
                tracing::warn!(%error, "no address space for pooled instances; calls will start more slowly");
                wasmtime::Engine::new(&common()).map_err(fault)?
            }
        };
        let mut linker = Linker::new(&wasm);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fault)?;
        Everything::add_to_linker::<CallState, HasSelf<CallState>>(&mut linker, |state| state).map_err(fault)?;
        let figures = figures::linker(&wasm).map_err(fault)?;
        start_ticking(&wasm, settings.tick)?;
        let slot_count = usize::try_from(settings.concurrent_calls.max(1)).unwrap_or(1);
        Ok(Self {
            inner: Arc::new(Inner {
                cache: settings
                    .cache_folder
                    .map(|folder| Cache::new(folder, settings.cache_key, &wasm)),
                wasm,
                linker,
                figures,
                slots: Arc::new(Semaphore::new(slot_count)),
                slot_count,
                slot_wait: settings.slot_wait,
                tick: settings.tick,
                ceiling: Ceiling {
                    time: settings.time_ceiling,
                    memory: settings.memory_ceiling,
                    table: u64::try_from(TABLE_ELEMENTS).unwrap_or(u64::MAX),
                },
                clock: settings.clock,
                randomness: settings.randomness,
                network: settings.network,
                hop: settings.hop,
                loaded: Mutex::default(),
            }),
        })
    }
}

fn common() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // Figures must be the same digits on every machine. Both hold for the whole engine, and one engine is enough:
        // plugins that compute no figures hardly feel them, and a second one would reserve every pool again.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .wasm_backtrace_max_frames(NonZeroUsize::new(24));
    config
}

fn pooling(settings: &EngineSettings) -> Config {
    let calls = settings.concurrent_calls.max(1);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(calls.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(calls.saturating_mul(TABLES_PER_COMPONENT))
        .total_stacks(calls)
        .max_memory_size(usize::try_from(settings.memory_ceiling).unwrap_or(usize::MAX))
        .table_elements(TABLE_ELEMENTS)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        // Where the kernel tells which pages a call wrote to, only those are put back: less than half the
        // cost of a fresh call.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(512 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .max_unused_warm_slots(calls.min(64));
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Moves the engine's epoch on at each tick until the engine is gone.
fn start_ticking(engine: &wasmtime::Engine, tick: Duration) -> Result<(), EngineError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("sandbox-tick".to_owned())
        .spawn(move || {
            loop {
                std::thread::park_timeout(tick);
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map(drop)
        .map_err(|error| EngineError(format!("no thread for the tick: {error}")))
}
