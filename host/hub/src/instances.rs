//! The plugins that run and the instances made of them. A set is built whole and swapped whole; calls
//! that run go on with what they began with.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mihwar_model::{InstanceName, Time};
use mihwar_sandbox::manifest::Answer;
use mihwar_sandbox::{
    Call, CallError, Capability, Engine, Instance, InstanceSettings, LoadError, Measurement, MeasurementKind, Plugin,
    Problem, SecretSet, Severity,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::{Config, ConfigError, ConfigProblem, InstanceConfig, SecretSource};
use crate::convert::{FIELD_NAMES, GrantedFields, IDENTIFIERS};
use crate::doors::Disk;
use crate::intake::Redactor;
use crate::vault::Vault;

/// Series of its own metrics that one instance may have, over all its calls.
const SERIES_MAX: usize = 500;

/// What an instance is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Brings feedback in.
    Channel,
    /// Adds facts to it.
    Enricher,
    /// Receives it.
    Department,
    /// Makes figures of it.
    Metric,
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: InstanceName,
    pub(crate) config: InstanceConfig,
    pub(crate) sandbox: Instance,
    pub(crate) fields: GrantedFields,
    pub(crate) fingerprint: [u8; 32],
    /// Changes when a secret's value does; never leaves memory.
    secrets: [u8; 32],
    /// What is not wrong with its configuration but worth a thought.
    pub(crate) warnings: Vec<String>,
    pub(crate) record: Arc<CallRecord>,
}

/// How an instance's calls went. Survives a change of its configuration.
#[derive(Debug, Default)]
pub(crate) struct CallRecord(Mutex<CallCounts>);

#[derive(Debug, Default, Clone)]
pub(crate) struct CallCounts {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) last_error: Option<(Time, String)>,
    pub(crate) last_success: Option<Time>,
    /// Series of the plugin's own metrics that exist by now.
    series: HashSet<String>,
    /// Set when the instance may not be called until someone acts.
    pub(crate) paused: Option<String>,
}

impl CallRecord {
    pub(crate) fn succeeded(&self, at: Time) {
        self.change(|counts| {
            counts.ok += 1;
            counts.last_success = Some(at);
        });
    }

    pub(crate) fn failed(&self, at: Time, error: &str) {
        self.change(|counts| {
            counts.failed += 1;
            counts.last_error = Some((at, error.chars().take(500).collect()));
        });
    }

    pub(crate) fn pause(&self, reason: Option<String>) {
        self.change(|counts| counts.paused = reason);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paused.is_some()
    }

    /// Whether a series of the plugin's own metrics is known or may become so: what is once recorded stays in memory.
    fn may_measure(&self, name: &str, labels: &[(String, String)]) -> bool {
        let series = format!("{name} {labels:?}");
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.series.contains(&series) || counts.series.len() < SERIES_MAX && counts.series.insert(series)
    }

    pub(crate) fn counts(&self) -> CallCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut CallCounts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Running {
    pub(crate) fn can(&self, capability: Capability) -> bool {
        self.sandbox.plugin().can(capability)
    }

    /// What tells this configuration, plugin and secrets from any other, and tells nothing of the secrets.
    pub(crate) fn configuration_mark(&self, vault: &Vault) -> [u8; 16] {
        vault.name(&[b"configuration", &self.fingerprint, &self.secrets])
    }

    /// A plugin's own metric, under its instance: `mihwar_plugin_own_NAME`.
    fn measure(&self, measurement: &Measurement) {
        let letters = measurement
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        let name: String = "mihwar_plugin_own_".chars().chain(letters).collect();
        let mut labels: Vec<(String, String)> = vec![("instance".into(), self.name.to_string())];
        labels.extend(
            measurement
                .labels
                .iter()
                .filter(|(name, _)| name != "instance")
                .cloned(),
        );
        if !self.record.may_measure(&name, &labels) {
            metrics::counter!("mihwar_plugin_series_refused_total", "instance" => self.name.to_string()).increment(1);
            return;
        }
        match measurement.kind {
            MeasurementKind::Add(by) => metrics::counter!(name, &labels).increment(by),
            MeasurementKind::Set(to) => metrics::gauge!(name, &labels).set(to),
            MeasurementKind::Observe(value) => metrics::histogram!(name, &labels).record(value),
        }
    }

    /// Whether it masks texts before they are stored, and its last call failed: what it cannot look at is not stored.
    pub(crate) fn holds_back(&self) -> bool {
        let counts = self.record.counts();
        let failed = counts.last_error.map(|(at, _)| at);
        self.config.grants.redact && failed.is_some_and(|failed| counts.last_success.is_none_or(|at| at < failed))
    }

    pub(crate) fn role(&self) -> Role {
        if self.can(Capability::Deliver) {
            Role::Department
        } else if self.can(Capability::Process) {
            Role::Enricher
        } else if self.can(Capability::Measure) {
            Role::Metric
        } else {
            Role::Channel
        }
    }

    /// Notes how a call went, and what the plugin logged, where people look for it.
    pub(crate) fn note<T>(
        &self,
        at: Time,
        function: &'static str,
        result: &Result<mihwar_sandbox::Done<T>, CallError>,
    ) {
        let labels = [("instance", self.name.to_string()), ("function", function.to_owned())];
        let log = match result {
            Ok(done) => {
                self.record.succeeded(at);
                metrics::histogram!("mihwar_plugin_call_seconds", &labels).record(done.cost.wall.as_secs_f64());
                done.effects
                    .metrics
                    .iter()
                    .for_each(|measurement| self.measure(measurement));
                &done.effects.log
            }
            Err(error) => {
                self.record.failed(at, &error.to_string());
                metrics::counter!("mihwar_plugin_call_failures_total", &labels).increment(1);
                // What the plugin says may quote a customer: it is shown to admins, and in the log only on request.
                tracing::warn!(instance = %self.name, function, code = error.code(), "a plugin call failed; see: mihwar plugin list");
                tracing::debug!(instance = %self.name, function, "{error}");
                &error.log
            }
        };
        for line in log {
            tracing::info!(instance = %self.name, level = ?line.level, fields = ?line.fields, "plugin: {}", line.message);
        }
    }
}

/// All instances of a hub at one moment.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    pub(crate) by_name: BTreeMap<InstanceName, Arc<Running>>,
    /// Enrichers in the order in which they run.
    pub(crate) enrichers: Vec<Arc<Running>>,
    /// Those that mask texts before they are stored, in the order in which they run.
    pub(crate) redactors: Vec<Arc<Running>>,
    /// Departments that ask for what is for them: no plugin runs for them.
    pub(crate) asking: BTreeSet<InstanceName>,
}

impl Instances {
    pub(crate) fn get(&self, name: &InstanceName) -> Option<Arc<Running>> {
        self.by_name.get(name).cloned()
    }

    /// Those that mask texts before they are stored, as the intake calls them.
    pub(crate) fn redactors(&self) -> Vec<Arc<dyn Redactor>> {
        let as_redactor = |running: &Arc<Running>| Arc::<Running>::clone(running) as Arc<dyn Redactor>;
        self.redactors.iter().map(as_redactor).collect()
    }

    pub(crate) fn is_department(&self, name: &InstanceName) -> bool {
        self.asking.contains(name)
            || self
                .by_name
                .get(name)
                .is_some_and(|running| running.can(Capability::Deliver))
    }
}

/// Builds the instances of a configuration. The record of their calls, and a pause, outlive what did not change.
///
/// # Errors
/// Every problem, with file, line and key; nothing is changed by it.
pub(crate) async fn build(
    engine: &Engine,
    disk: &dyn Disk,
    config: &Config,
    before: &Instances,
) -> Result<Instances, ConfigError> {
    let mut problems = Vec::new();
    let plugins = load_plugins(engine, disk, config, &mut problems).await;
    let asking = config.departments.iter().map(|department| department.name.clone());
    let mut instances = Instances {
        asking: asking.collect(),
        ..Instances::default()
    };
    for wanted in &config.instances {
        let Some((plugin, hash)) = plugins.get(&wanted.plugin) else {
            continue;
        };
        let mut fingerprint = Config::fingerprint(wanted);
        fingerprint
            .iter_mut()
            .zip(hash.bytes().cycle())
            .for_each(|(a, b)| *a ^= b);
        match configure(config, wanted, plugin) {
            Ok(configured) => {
                let Configured {
                    sandbox,
                    fields,
                    secrets,
                    warnings,
                } = configured;
                problems.extend(validate(config, wanted, &sandbox).await);
                let known = before.get(&wanted.name);
                let unchanged = known
                    .as_ref()
                    .filter(|known| known.fingerprint == fingerprint && known.secrets == secrets);
                let record = known.as_ref().map(|known| known.record.clone()).unwrap_or_default();
                if unchanged.is_none() {
                    record.pause(None);
                }
                let running = Arc::new(Running {
                    name: wanted.name.clone(),
                    config: wanted.clone(),
                    sandbox,
                    fields,
                    fingerprint,
                    secrets,
                    warnings,
                    record,
                });
                if wanted.grants.redact {
                    instances.redactors.push(running.clone());
                } else if running.can(Capability::Process) {
                    instances.enrichers.push(running.clone());
                }
                instances.by_name.insert(wanted.name.clone(), running);
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        problems.extend(no_departments(config, &instances));
    }
    if problems.is_empty() {
        Ok(instances)
    } else {
        Err(ConfigError { problems })
    }
}

/// Routes to instances that nothing can be delivered to: what is sent there would wait for ever.
fn no_departments(config: &Config, instances: &Instances) -> Vec<ConfigProblem> {
    let named = config
        .rules
        .destinations()
        .filter(|name| !instances.is_department(name));
    let unfit: BTreeSet<_> = named.collect();
    let problem = |name: &InstanceName| {
        config.instance_problem(
            name,
            "name",
            "a route leads here, but its plugin is no department: it cannot deliver",
        )
    };
    unfit.into_iter().map(problem).collect()
}

type Loaded = HashMap<InstanceName, (Arc<Plugin>, String)>;

async fn load_plugins(engine: &Engine, disk: &dyn Disk, config: &Config, problems: &mut Vec<ConfigProblem>) -> Loaded {
    let mut plugins = HashMap::new();
    for source in &config.plugins {
        let problem = |message: String| ConfigProblem {
            source: config.path.display().to_string(),
            line: None,
            key: format!("plugin.{}", source.id),
            message,
        };
        let file = match plugin_file(config, &source.id, source.file.as_deref()) {
            Ok(file) => file,
            Err(message) => {
                problems.push(problem(message));
                continue;
            }
        };
        let bytes = match disk.plugin(&file).await {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(problem(format!("{} cannot be read: {error}", file.display())));
                continue;
            }
        };
        match load(engine, &bytes).await {
            Ok(plugin) if plugin.manifest().plugin.id == source.id.as_str() => {
                let hash = plugin.inspection().sha256.clone();
                plugins.insert(source.id.clone(), (plugin, hash));
            }
            Ok(plugin) => {
                let id = &plugin.manifest().plugin.id;
                problems.push(problem(format!("{} holds the plugin \"{id}\"", file.display())));
            }
            Err(error) => problems.push(problem(format!("{}: {error}", file.display()))),
        }
    }
    plugins
}

async fn load(engine: &Engine, bytes: &[u8]) -> Result<Arc<Plugin>, LoadError> {
    engine.load(bytes).await
}

/// The file of a plugin: the one the config names, else the installed one, checked against its pin.
fn plugin_file(config: &Config, id: &InstanceName, file: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(file) = file {
        return Ok(file.to_owned());
    }
    crate::plugin_lock::installed(config, id)
}

/// What the plugin itself says of its settings. One that cannot say is let run: it will say so in its calls.
async fn validate(config: &Config, wanted: &InstanceConfig, instance: &Instance) -> Vec<ConfigProblem> {
    match instance.validate(Call::empty()).await {
        Ok(done) => {
            let problem =
                |path: &str, message: &str| config.instance_problem(&wanted.name, &format!("settings.{path}"), message);
            done.value
                .iter()
                .map(|found| problem(&found.path, &found.message))
                .collect()
        }
        Err(error) => {
            tracing::warn!(instance = %wanted.name, code = error.code(), "the plugin could not check its settings: {error}");
            Vec::new()
        }
    }
}

/// An instance that can run.
struct Configured {
    sandbox: Instance,
    fields: GrantedFields,
    secrets: [u8; 32],
    warnings: Vec<String>,
}

fn configure(config: &Config, wanted: &InstanceConfig, plugin: &Arc<Plugin>) -> Result<Configured, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let (secrets, digest) = read_secrets(config, wanted, &mut problems);
    if let Some(endpoint) = plugin
        .manifest()
        .webhooks
        .iter()
        .find(|endpoint| endpoint.answer == Answer::Plugin)
    {
        let message = format!(
            "its endpoint \"{}\" wants to answer requests itself, which this hub does not offer yet",
            endpoint.name
        );
        problems.push(config.instance_problem(&wanted.name, "plugin", &message));
    }
    let fields = GrantedFields::read(&wanted.grants.fields).unwrap_or_else(|unknown| {
        let message = format!("\"{unknown}\" is no field; the fields are: {}", FIELD_NAMES.join(", "));
        problems.push(config.instance_problem(&wanted.name, "grant.fields", &message));
        GrantedFields::default()
    });
    if let Some(message) = redaction_fault(plugin, wanted) {
        problems.push(config.instance_problem(&wanted.name, "grant.redact", message));
    }
    let settings = InstanceSettings {
        name: wanted.name.to_string(),
        settings: wanted.settings.clone(),
        grants: wanted.grants.clone(),
        secrets,
        limits: wanted.limits.clone(),
        time_zone: wanted.time_zone.clone(),
        hub_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    match Instance::configure(plugin, settings) {
        Ok((sandbox, warnings)) => {
            let told = |warning: &Problem| format!("instance.{}.{}: {}", wanted.name, warning.path, warning.message);
            let mut warnings: Vec<String> = warnings.iter().map(told).collect();
            warnings.extend(unmasked(wanted));
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            if problems.is_empty() {
                Ok(Configured {
                    sandbox,
                    fields,
                    secrets: digest,
                    warnings,
                })
            } else {
                Err(problems)
            }
        }
        Err(found) => {
            let errors = found.into_iter().filter(|problem| problem.severity == Severity::Error);
            problems
                .extend(errors.map(|problem| config.instance_problem(&wanted.name, &problem.path, &problem.message)));
            Err(problems)
        }
    }
}

/// What keeps an instance from masking texts before they are stored, or from doing so only by accident: the plugin's
/// wish and the admin's grant must agree, since a text that is stored unmasked cannot be called back.
fn redaction_fault(plugin: &Plugin, wanted: &InstanceConfig) -> Option<&'static str> {
    let asks = plugin.manifest().ask.redact;
    match (asks, wanted.grants.redact) {
        (true, false) => Some(
            "the plugin masks texts before they are stored, and it is not granted: write grant.redact = true, or take the instance out",
        ),
        (false, true) => Some(
            "is granted, but the plugin does not mask texts before they are stored: its manifest lacks redact = true under [ask]",
        ),
        (true, true) if !plugin.can(Capability::Process) => {
            Some("is granted, but the plugin is no enricher: it could not mask anything")
        }
        _ => None,
    }
}

/// The texts that an instance which masks does not see, because it was not granted them.
fn unmasked(wanted: &InstanceConfig) -> Option<String> {
    let texts = FIELD_NAMES.into_iter().filter(|field| *field != IDENTIFIERS);
    let unseen = texts.filter(|field| !wanted.grants.fields.iter().any(|granted| granted == field));
    let unseen: Vec<&str> = unseen.collect();
    (wanted.grants.redact && !unseen.is_empty()).then(|| {
        format!(
            "instance.{}.grant.fields: what stands in {} is stored as it comes, since the instance may not see it",
            wanted.name,
            unseen.join(", ")
        )
    })
}

fn read_secrets(config: &Config, wanted: &InstanceConfig, problems: &mut Vec<ConfigProblem>) -> (SecretSet, [u8; 32]) {
    let (mut secrets, mut digest) = (SecretSet::new(), Sha256::new());
    let mut keep = |name: &str, value: String| {
        digest.update(name);
        digest.update(&value);
        secrets.insert(name.to_owned(), value.into());
    };
    for (name, source) in &wanted.secrets {
        let key = format!("secrets.{name}");
        match source {
            SecretSource::Variable(variable) => match std::env::var(variable) {
                Ok(value) => keep(name, value),
                Err(_) => {
                    let message = format!(
                        "the environment variable {variable} is not set; give this command the environment that the hub gets"
                    );
                    problems.push(config.instance_problem(&wanted.name, &key, &message));
                }
            },
            SecretSource::File(path) => match std::fs::read_to_string(path) {
                Ok(value) => keep(name, value.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", path.display());
                    problems.push(config.instance_problem(&wanted.name, &key, &message));
                }
            },
        }
    }
    (secrets, digest.finalize().into())
}
