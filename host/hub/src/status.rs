//! How the hub is: instances, counts, readiness.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use mihwar_model::{InstanceName, Time};
use mihwar_sandbox::Capability;
use mihwar_store::{Order, Row};
use serde::Serialize;

use crate::fault::Fault;
use crate::hub::Hub;
use crate::instances::{Role, Running};
use crate::{keys, projection, query};

/// How an instance is.
#[derive(Debug, Clone, Serialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: InstanceName,
    /// The plugin it runs.
    pub plugin: InstanceName,
    /// The plugin's name for people, English and Arabic.
    pub plugin_name: PluginName,
    /// The plugin's version.
    pub version: String,
    /// What it is for.
    pub role: Role,
    /// What the plugin can do.
    pub capabilities: Vec<String>,
    /// SHA-256 of the plugin file.
    pub sha256: String,
    /// Why it is not called; `None` while it runs.
    pub paused: Option<String>,
    /// Calls that succeeded since the start.
    pub calls_ok: u64,
    /// Calls that failed since the start.
    pub calls_failed: u64,
    /// The last failure.
    pub last_error: Option<LastError>,
    /// When a call last succeeded.
    pub last_success: Option<Time>,
    /// Deliveries that wait, for a department; counting stops at 10 000.
    pub waiting: u64,
    /// Dead letters, for a department; counting stops at 10 000.
    pub dead: u64,
}

/// A name in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginName {
    /// English.
    pub en: String,
    /// Arabic.
    pub ar: String,
}

/// A failure and when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When.
    pub at: Time,
    /// What.
    pub message: String,
}

/// Counts over everything.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overview {
    /// Pieces of feedback.
    pub feedback: u64,
    /// By channel instance.
    pub by_instance: BTreeMap<String, u64>,
    /// By kind; `unknown` where nobody said.
    pub by_kind: BTreeMap<String, u64>,
    /// By department, then by state.
    pub deliveries: BTreeMap<String, BTreeMap<String, u64>>,
    /// Entries of the ledger.
    pub ledger_size: u64,
    /// Those of them that the read models, and so the counts above, do not know yet.
    pub unfolded: u64,
    /// The last kept checkpoint: its size.
    pub last_checkpoint: Option<u64>,
    /// Bytes of the store's file.
    pub file_bytes: u64,
    /// Commits and fsyncs since the start.
    pub commits: u64,
    /// See `commits`.
    pub fsyncs: u64,
}

impl Overview {
    /// Takes a row of counts.
    fn take(&mut self, row: &Row) {
        let Some((name, of)) = keys::count_names(&row.key) else {
            return;
        };
        let bytes = row.value.bytes.first_chunk::<8>();
        let count = bytes.map_or(0, |bytes| i64::from_le_bytes(*bytes));
        let count = u64::try_from(count).unwrap_or(0);
        match (name.as_str(), of.split_once('/')) {
            ("instance", _) => drop(self.by_instance.insert(of, count)),
            ("kind", _) => drop(self.by_kind.insert(of, count)),
            ("delivery", Some((destination, state))) => {
                let states = self.deliveries.entry(destination.to_owned()).or_default();
                states.insert(state.to_owned(), count);
            }
            _ => {}
        }
    }
}

/// One thing that readiness looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether the hub can take nothing in without it. One department whose token was revoked must not make the
    /// hub refuse everybody's words.
    pub vital: bool,
    /// What was found.
    pub detail: String,
}

/// What is said of an instance that masks and whose last call failed.
const HELD_BACK: &str =
    "its last call failed: what it should mask is not stored unless on-failure says so; see: mihwar plugin list";

impl Hub {
    /// All instances and how they are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn instances(&self) -> Result<Vec<InstanceStatus>, Fault> {
        let instances = self.shared.instances();
        let mut statuses = Vec::with_capacity(instances.by_name.len());
        for running in instances.by_name.values() {
            let plugin = running.sandbox.plugin();
            let about = &plugin.manifest().plugin;
            let counts = running.record.counts();
            let (waiting, dead) = match running.can(Capability::Deliver) {
                true => query::waiting(&self.shared.core, &running.name).await?,
                false => (0, 0),
            };
            statuses.push(InstanceStatus {
                name: running.name.clone(),
                plugin: running.config.plugin.clone(),
                plugin_name: PluginName {
                    en: about.name.in_language("en").to_owned(),
                    ar: about.name.in_language("ar").to_owned(),
                },
                version: about.version.clone(),
                role: running.role(),
                capabilities: plugin
                    .capabilities()
                    .map(|capability| capability.interface().to_owned())
                    .collect(),
                sha256: plugin.inspection().sha256.clone(),
                paused: counts.paused,
                calls_ok: counts.ok,
                calls_failed: counts.failed,
                last_error: counts.last_error.map(|(at, message)| LastError { at, message }),
                last_success: counts.last_success,
                waiting,
                dead,
            });
        }
        Ok(statuses)
    }

    /// Counts over everything, once the read models know of all that was committed before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn overview(&self) -> Result<Overview, Fault> {
        projection::catch_up_for_readers(&self.shared.core).await?;
        self.overview_as_it_is().await
    }

    /// As [`Hub::overview`], with the read models as they stand: nobody waits for them, and nothing is written. For who
    /// watches the hub, which must cost it nothing, least of all when it has much to do.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn overview_as_it_is(&self) -> Result<Overview, Fault> {
        let core = &self.shared.core;
        let view = core.store.view().await?;
        let statistics = core.store.statistics();
        let (position, _) = projection::position(&*view).await?;
        let ledger_size = view.tree().size();
        let mut overview = Overview {
            ledger_size,
            unfolded: ledger_size.saturating_sub(position),
            file_bytes: statistics.file_bytes,
            commits: statistics.commits,
            fsyncs: statistics.fsyncs,
            ..Overview::default()
        };
        let mut range = Some(keys::all(keys::COUNT));
        while let Some(next) = range {
            let page = view.scan(next, Order::Ascending, 1000).await?;
            page.rows.iter().for_each(|row| overview.take(row));
            range = page.next;
        }
        overview.feedback = overview.by_instance.values().sum();
        let last = view.scan(keys::all(keys::CHECKPOINT), Order::Descending, 1).await?;
        overview.last_checkpoint = last.rows.first().and_then(|row| keys::last_number(&row.key));
        Ok(overview)
    }

    /// Looks at everything that must work, right now.
    pub async fn readiness(&self) -> Vec<Check> {
        let mut checks = vec![self.check_store().await, self.check_read_models().await];
        checks.extend(self.shared.core.passed_over.told().map(|detail| Check {
            name: "stored rows".into(),
            ok: false,
            vital: false,
            detail,
        }));
        let fallen = self.fallen_workers();
        let workers_ok = fallen.is_empty() && self.is_started();
        let detail = if workers_ok {
            "all run".to_owned()
        } else {
            format!("not running: {}", fallen.join(", "))
        };
        checks.push(Check {
            name: "workers".into(),
            ok: workers_ok,
            vital: true,
            detail,
        });
        checks.extend(self.check_witness());
        for running in self.shared.instances().by_name.values() {
            let paused = running.record.counts().paused;
            let held = running.holds_back().then_some(HELD_BACK);
            let fault = paused.or(held.map(str::to_owned)).or_else(|| self.unanswered(running));
            checks.push(Check {
                name: format!("instance {}", running.name),
                ok: fault.is_none(),
                vital: false,
                detail: fault.unwrap_or_else(|| "runs".into()),
            });
        }
        checks
    }

    /// Since when a department does not answer, if it does not.
    fn unanswered(&self, running: &Running) -> Option<String> {
        if !running.can(Capability::Deliver) {
            return None;
        }
        let standing = self.shared.core.outboxes.of(&running.name).known_standing()?;
        let since = standing.alone?.since;
        Some(format!(
            "does not answer since {since}; it is tried with one delivery now and then, and nothing is lost; see: mihwar delivery status"
        ))
    }

    /// A real write: a setting row, through the writer, to the disk.
    async fn check_store(&self) -> Check {
        let core = &self.shared.core;
        let row = mihwar_store::Edit::Put(keys::setting("readiness"), core.clock.now().0.to_be_bytes().to_vec());
        let batch = mihwar_store::Batch {
            edits: vec![row],
            ..mihwar_store::Batch::default()
        };
        let result = core.store.apply(batch).await.map_err(Fault::from);
        let (ok, detail) = match result {
            Ok(_) => (true, "writes and syncs".to_owned()),
            // Busy is not broken: taken away from those who send, a hub that works as fast as it can would only bury the next.
            Err(busy @ Fault::Busy { .. }) => (true, busy.to_string()),
            Err(error) => (false, error.to_string()),
        };
        Check {
            name: "store".into(),
            ok,
            vital: true,
            detail,
        }
    }

    /// Whether the ledger's head is kept outside, where that is wanted.
    fn check_witness(&self) -> Option<Check> {
        self.shared.config().ledger.witness_file.as_ref()?;
        let failure = self.shared.unwitnessed.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Check {
            name: "witness file".into(),
            ok: failure.is_none(),
            vital: false,
            detail: failure
                .clone()
                .unwrap_or_else(|| "the ledger's head is kept outside".into()),
        })
    }

    async fn check_read_models(&self) -> Check {
        let lag = async {
            let view = self.shared.core.store.view().await?;
            let (position, _) = projection::position(&*view).await?;
            Ok::<_, Fault>(view.tree().size().saturating_sub(position))
        };
        let (ok, detail) = match lag.await {
            Ok(lag) => (lag < 100_000, format!("{lag} events behind")),
            Err(error) => (false, error.to_string()),
        };
        Check {
            name: "read models".into(),
            ok,
            vital: false,
            detail,
        }
    }
}
