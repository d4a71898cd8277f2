//! From sockets to answers, and the recorder behind `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use mihwar_hub::Hub;
use thiserror::Error;

use crate::http::listen::{ConnectionBounds, Listeners, accept_until};
use crate::routes::router;

/// How often measurements are folded together when nobody asks for them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a caller may take over a request's headers.
const HEADER_READ_MAX: Duration = Duration::from_secs(10);
/// How long a caller may read nothing of an answer before the connection is closed.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// Connections that one address may hold; this machine's own are not counted. A setting for all of them together is
/// `server.connections`.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Upper bounds of the buckets for durations, in seconds: from a cached answer to a slow disk.
const SECONDS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// Where measurements are gathered, and read for `/metrics`.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<PrometheusHandle>>);

/// The recorder could not be set up; usually because the process has one already.
#[derive(Debug, Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Gathers what the whole process measures from here on. Call it once, before the hub opens.
    ///
    /// # Errors
    /// The process has a recorder already.
    pub fn install() -> Result<Self, MetricsError> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
        Ok(Self(Some(Arc::new(builder.install_recorder()?))))
    }

    /// Gathers nothing; `/metrics` says so.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Where they are read.
    pub(crate) fn handle(&self) -> Option<Arc<PrometheusHandle>> {
        self.0.clone()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

/// Answers on `listeners` until `stop` is done; then nobody new gets in, and open exchanges may end within 20 seconds.
pub async fn serve(hub: Hub, metrics: Metrics, listeners: Listeners, stop: impl Future<Output = ()>) {
    let bounds = ConnectionBounds {
        connections_max: hub.config().server.connections,
        connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
        header_read_max: HEADER_READ_MAX,
        write_stall_max: WRITE_STALL_MAX,
    };
    let upkeep = metrics.handle().map(|handle| tokio::spawn(upkeep(handle)));
    accept_until(router(hub, &metrics), listeners, bounds, stop).await;
    if let Some(upkeep) = upkeep {
        upkeep.abort();
    }
}

async fn upkeep(handle: Arc<PrometheusHandle>) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}
