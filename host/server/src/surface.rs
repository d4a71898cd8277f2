//! What handlers share.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use mihwar_hub::{Check, Config, Hub};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

/// How long an answer about readiness may be given again. Each new one writes to the disk, and anybody may ask.
const READINESS_FRESH: Duration = Duration::from_secs(1);

/// When readiness was last looked at, and what was found.
type Looked = Option<(Instant, Vec<Check>)>;

/// The hub behind the handlers, and where its metrics are read.
#[derive(Clone)]
pub(crate) struct Surface {
    /// The hub.
    pub(crate) hub: Hub,
    /// Where metrics are read; `None` when nobody installed a recorder.
    pub(crate) metrics: Option<Arc<PrometheusHandle>>,
    readiness: Arc<Mutex<Looked>>,
}

impl Surface {
    /// What the handlers of one router share.
    pub(crate) fn new(hub: Hub, metrics: Option<Arc<PrometheusHandle>>) -> Self {
        Self {
            hub,
            metrics,
            readiness: Arc::default(),
        }
    }

    /// Looks at everything that must work. However many ask, the hub looks at most once a second.
    pub(crate) async fn readiness(&self) -> Vec<Check> {
        let mut last = self.readiness.lock().await;
        if let Some((at, checks)) = &*last
            && at.elapsed() < READINESS_FRESH
        {
            return checks.clone();
        }
        let checks = self.hub.readiness().await;
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.hub.config()
    }
}
