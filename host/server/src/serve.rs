//! From sockets to answers, and the recorder behind `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use mihwar_hub::Hub;
use thiserror::Error;

use crate::http::listen::{ConnectionBounds, Listeners, accept_until};
use crate::http::open_files;
use crate::http::overload::Entrance;
use crate::routes::router_over;
use crate::surface::Surface;

/// How often measurements are folded together when nobody asks for them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
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

/// Answers on `listeners` until `stop` is done. Then readiness says no for `server.stop-notice` while everything goes on;
/// after that nobody new gets in, and open exchanges may end within `server.stop-timeout`.
pub async fn serve(hub: Hub, metrics: Metrics, listeners: Listeners, stop: impl Future<Output = ()>) {
    let config = hub.config();
    let server = &config.server;
    let bounds = ConnectionBounds {
        connections_max: open_files::connections(server.connections),
        connections_per_address_max: server.connections_per_address,
        header_read_max: server.header_timeout.0,
        write_stall_max: server.stall_timeout.0,
        drain_max: server.stop_timeout.0,
    };
    let upkeep = metrics.handle().map(|handle| tokio::spawn(upkeep(handle)));
    let surface = Surface::new(hub, metrics.handle());
    let entrance = Arc::new(Entrance::new(server));
    let told = async {
        stop.await;
        surface.stop();
        entrance.close();
        tokio::time::sleep(server.stop_notice.0).await;
        surface.end_waiting();
    };
    accept_until(router_over(surface.clone()), entrance.clone(), listeners, bounds, told).await;
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
