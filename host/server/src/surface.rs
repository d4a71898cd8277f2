//! What handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use mihwar_hub::{Check, Config, Hub};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long an answer about readiness may be given again. Each new one writes to the disk, and anybody may ask.
const READINESS_FRESH: Duration = Duration::from_secs(1);

/// Groups of streamed lines that are at the writer at once, or on their way to it. Enough to keep it busy; more would only make
/// those wait who bring one record at a time.
const STREAMED_GROUPS: usize = 4;

/// When readiness was last looked at, and what was found.
type Looked = Option<(Instant, Vec<Check>)>;

/// What is [`Shared`]. Every layer around a route clones it for every request, so that it has to be one pointer.
#[derive(Clone)]
pub(crate) struct Surface(Arc<Shared>);

impl Deref for Surface {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The hub behind the handlers, and where its metrics are read.
pub(crate) struct Shared {
    /// The hub.
    pub(crate) hub: Hub,
    /// Where metrics are read; `None` when nobody installed a recorder.
    pub(crate) metrics: Option<Arc<PrometheusHandle>>,
    /// One permit for each group of streamed lines that may be at the writer.
    pub(crate) streamed_groups: Arc<Semaphore>,
    readiness: Mutex<Looked>,
    stopping: AtomicBool,
    /// From here on nobody waits for anything any more.
    ending: CancellationToken,
}

impl Surface {
    /// What the handlers of one router share.
    pub(crate) fn new(hub: Hub, metrics: Option<Arc<PrometheusHandle>>) -> Self {
        Self(Arc::new(Shared {
            hub,
            metrics,
            streamed_groups: Arc::new(Semaphore::new(STREAMED_GROUPS)),
            readiness: Mutex::default(),
            stopping: AtomicBool::new(false),
            ending: CancellationToken::new(),
        }))
    }

    /// Looks at everything that must work. However many ask, the hub looks at most once a second.
    pub(crate) async fn readiness(&self) -> Vec<Check> {
        let mut checks = self.looked_at().await;
        if self.stopping.load(Ordering::Relaxed) {
            checks.push(Check {
                name: "stop".into(),
                ok: false,
                vital: true,
                detail: "the hub was told to stop; send requests elsewhere".into(),
            });
        }
        checks
    }

    /// From here on the hub is not ready, whatever else is found.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Has those who wait for something be answered with what there is: open exchanges have to come to their end.
    pub(crate) fn end_waiting(&self) {
        self.ending.cancel();
    }

    /// Told when nobody should wait any more.
    pub(crate) fn ending(&self) -> &CancellationToken {
        &self.ending
    }

    async fn looked_at(&self) -> Vec<Check> {
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
