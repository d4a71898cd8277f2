//! The host's side of the contract: what a guest may call.

mod blobs;
mod clock;
mod config;
mod http;
mod log;
mod metrics;
mod net;
mod random;
mod secrets;
mod state;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mihwar_model::{Clock, Randomness};
use rand_core::{Rng as _, TryRng};
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::call::Call;
use crate::contract::types;
use crate::effects::{Effects, LogLine, NewBlob, StateWrite};
use crate::engine::Inner;
use crate::instance::Bound;
use crate::meter::Meter;
use crate::stdio::Ring;
use crate::teller::Teller;
use metrics::Samples;
use net::Streams;

/// Most WASI handles (streams, pollables) of one call; a runtime needs a handful.
const WASI_HANDLES: usize = 64;
/// Most random bytes that WASI gives at once.
const WASI_RANDOM_BYTES: u64 = 4096;

/// Whether a call may reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Within the grants.
    Online,
    /// Not at all: the function must answer from its settings.
    Offline,
}

/// A panic that the guest reported before it broke off.
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) place: String,
}

struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

/// Everything that belongs to one call; dies with its store.
pub(crate) struct CallState {
    pub(crate) bound: Arc<Bound>,
    pub(crate) meter: Meter,
    pub(crate) ticks: u64,
    pub(crate) stdio: Ring,
    pub(crate) panic: Option<Panic>,
    call: Call,
    admission: Admission,
    deadline: Instant,
    /// Never locked (calls have it to themselves); the mutex makes the rest of the state shareable
    /// across an await.
    wasi: Mutex<Wasi>,
    log: Vec<LogLine>,
    log_dropped: u64,
    writes: BTreeMap<String, Option<Vec<u8>>>,
    state_used: Option<u64>,
    blobs: Vec<NewBlob>,
    blob_bytes: u64,
    samples: Samples,
    requests: u32,
    exchanges: u32,
    /// Closed with the call. Behind a mutex as `wasi` is.
    streams: Mutex<Streams>,
    held_back: Vec<String>,
    teller: Teller,
}

impl CallState {
    pub(crate) fn new(bound: &Arc<Bound>, call: Call, admission: Admission, deadline: Instant) -> Self {
        let stdio = Ring::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(WASI_HANDLES);
        Self {
            meter: Meter::new(bound.limits.memory, bound.limits.table),
            ticks: 0,
            panic: None,
            wasi: Mutex::new(Wasi {
                context: empty_wasi(&stdio, &bound.plugin.engine),
                table,
            }),
            stdio,
            call,
            admission,
            deadline,
            log: Vec::new(),
            log_dropped: 0,
            writes: BTreeMap::new(),
            state_used: None,
            blobs: Vec::new(),
            blob_bytes: 0,
            samples: Samples::default(),
            requests: 0,
            exchanges: 0,
            streams: Mutex::default(),
            held_back: Vec::new(),
            teller: Teller::default(),
            bound: Arc::clone(bound),
        }
    }

    /// What the call wants kept.
    pub(crate) fn into_effects(self) -> Effects {
        Effects {
            state: self
                .writes
                .into_iter()
                .map(|(key, value)| StateWrite { key, value })
                .collect(),
            blobs: self.blobs,
            log: self.log,
            log_dropped: self.log_dropped,
            metrics_dropped: self.samples.dropped,
            metrics: self.samples.taken,
            http_exchanges: self.exchanges,
            connections: self.streams.into_inner().unwrap_or_else(PoisonError::into_inner).made,
            held_back: self.held_back,
            told: self.teller.told(),
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// WASI so that language runtimes start: no files, environment, arguments or sockets.
fn empty_wasi(stdio: &Ring, engine: &Inner) -> WasiCtx {
    let random = || Random(Arc::clone(&engine.randomness));
    WasiCtxBuilder::new()
        .stdout(stdio.clone())
        .stderr(stdio.clone())
        .max_random_size(WASI_RANDOM_BYTES)
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(u128::from(random().next_u64()))
        .wall_clock(WallClock(Arc::clone(&engine.clock)))
        .monotonic_clock(MonotonicClock(Instant::now()))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// The host's clock, in WASI's shape.
struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().0).unwrap_or(0))
    }
}

/// The time that the call has taken.
struct MonotonicClock(Instant);

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The host's randomness, in WASI's shape.
struct Random(Arc<dyn Randomness>);

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_mut().unwrap_or_else(PoisonError::into_inner);
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

impl types::Host for CallState {}
