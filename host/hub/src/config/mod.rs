//! Configuration: one TOML file, every key also as an environment variable (`MIHWAR__SERVER__LISTEN`).
//! Two stages: [`file::File`] is what the admin wrote; [`Config`] is what the hub will do, checked.

mod delivery;
mod department;
mod file;
mod ledger;
mod place;
mod retention;
mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_sandbox::{Grants, LimitOverrides};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::routing::RuleSet;

pub use delivery::{Breaker, ClockTime, Day, DeliveryConfig, Digest, Quiet, Rate, Retry};
pub use department::{DepartmentConfig, DepartmentGrant};
pub use file::{EngineSection, LogFormat, LogSection, ServerSection, StorageSection};
use file::{File, InstanceSection};
pub use ledger::{LedgerSection, PublicLedger};
pub use retention::{Hold, RetentionRule};

/// Prefix of environment variables that stand for config keys.
pub const VARIABLE_PREFIX: &str = "MIHWAR__";

/// A configuration that cannot be used: file, line, key and what to do. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// One line per problem.
    pub problems: Vec<ConfigProblem>,
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file, or the environment variable.
    pub source: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Path of the key, e.g. `instance.mail.settings.language`.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// What the hub will do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// What was given on top of the file: dotted key and value.
    pub overrides: Vec<(String, String)>,
    /// The data folder.
    pub data: PathBuf,
    /// Address that the server listens on.
    pub listen: SocketAddr,
    /// `[server]`
    pub server: ServerSection,
    /// `[storage]`
    pub storage: StorageSection,
    /// `[engine]`
    pub engine: EngineSection,
    /// `[ledger]`
    pub ledger: LedgerSection,
    /// `[log]`
    pub log: LogSection,
    /// Plugins by id, with the file they are taken from when it is not the installed one.
    pub plugins: Vec<PluginSource>,
    /// Instances in the order of the file: enrichers run in it.
    pub instances: Vec<InstanceConfig>,
    /// Departments that ask for what is for them, without a plugin.
    pub departments: Vec<DepartmentConfig>,
    /// Who receives what.
    pub rules: Arc<RuleSet>,
    /// How long records are kept; the first rule that a record fits decides.
    pub retention: Vec<RetentionRule>,
    /// Contacts of whom nothing is erased.
    pub holds: Vec<Hold>,
    /// The text, to find the line of a problem that shows later.
    text: Arc<str>,
}

/// `[[plugin]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSource {
    /// The plugin's id.
    pub id: InstanceName,
    /// Its file; `None` for one that `mihwar plugin install` put into the data folder.
    pub file: Option<PathBuf>,
}

/// `[[instance]]`
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceConfig {
    /// Its name.
    pub name: InstanceName,
    /// The plugin that it runs.
    pub plugin: InstanceName,
    /// Settings for the plugin, as JSON.
    pub settings: serde_json::Value,
    /// Where each secret comes from.
    pub secrets: Vec<(String, SecretSource)>,
    /// What it may do.
    pub grants: Grants,
    /// Limits other than the plugin's own.
    pub limits: LimitOverrides,
    /// IANA time zone.
    pub time_zone: String,
    /// Attempts and pauses of stored requests and imports.
    pub retry: Retry,
    /// How deliveries go to it, if it is a department.
    pub delivery: DeliveryConfig,
    /// How often a channel that can be asked for news is asked.
    pub every: Duration,
    /// What becomes of an item that an instance which masks texts could not look at.
    pub on_failure: OnFailure,
}

/// What becomes of an item whose texts could not be looked at by the instance that masks them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing of it is stored; it is tried again, or whoever brings it is told to come again.
    #[default]
    Hold,
    /// It is refused, and what came with it is stored.
    Refuse,
    /// It is stored as it came, and the ledger says so.
    Store,
}

/// Where a secret comes from. Never from the config file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Variable(String),
    /// A file; a line end at its end is left away.
    File(PathBuf),
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Every problem found, with file, line and key.
    pub fn load(
        path: &Path,
        overrides: &[(String, String)],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let source = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            problems: vec![ConfigProblem {
                source: source.clone(),
                line: None,
                key: String::new(),
                message: format!("cannot be read: {error}; name another file with --config"),
            }],
        })?;
        let mut all: Vec<_> = environment
            .filter_map(|(name, value)| {
                let key = name
                    .strip_prefix(VARIABLE_PREFIX)?
                    .replace("__", ".")
                    .replace('_', "-")
                    .to_lowercase();
                Some((key, value))
            })
            .collect();
        all.extend(overrides.iter().cloned());
        Self::parse(path, &text, all)
    }

    /// Reads the same file again, with the same overrides.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn reload(&self) -> Result<Self, ConfigError> {
        Self::load(&self.path, &self.overrides, std::iter::empty())
    }

    pub(crate) fn parse(path: &Path, text: &str, overrides: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let source = path.display().to_string();
        let one = |line, key: String, message: String| ConfigError {
            problems: vec![ConfigProblem {
                source: source.clone(),
                line,
                key,
                message,
            }],
        };
        // The text as it stands is checked first, so that its errors carry lines.
        let mut file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| place::line_of(text, span.start));
            let key = error
                .span()
                .and_then(|span| place::key_at(text, span.start))
                .unwrap_or_default();
            one(line, key, error.message().to_owned())
        })?;
        if !overrides.is_empty() {
            let mut table: toml::Table =
                toml::from_str(text).map_err(|error| one(None, String::new(), error.to_string()))?;
            for (key, value) in &overrides {
                place::set(&mut table, key, value).map_err(|message| ConfigError {
                    problems: vec![ConfigProblem {
                        source: override_name(key),
                        line: None,
                        key: key.clone(),
                        message,
                    }],
                })?;
            }
            file = serde_path_to_error::deserialize(table).map_err(|error| ConfigError {
                problems: vec![ConfigProblem {
                    source: "environment or command line".into(),
                    line: None,
                    key: error.path().to_string(),
                    message: error.inner().message().to_owned(),
                }],
            })?;
        }
        Self::check(path, text, overrides, file)
    }

    fn check(path: &Path, text: &str, overrides: Vec<(String, String)>, file: File) -> Result<Self, ConfigError> {
        let mut problems = Problems {
            source: path.display().to_string(),
            text,
            found: Vec::new(),
        };
        let base = path.parent().unwrap_or(Path::new("."));
        let listen = file.server.listen.parse().unwrap_or_else(|_| {
            problems.add(&["server", "listen"], "is no address; write it like 127.0.0.1:8480");
            SocketAddr::from(([127, 0, 0, 1], 8480))
        });
        for (key, message) in file.server.faults() {
            problems.add(&["server", key], message);
        }
        let plugins: Vec<_> = file
            .plugin
            .iter()
            .map(|plugin| PluginSource {
                id: plugin.id.clone(),
                file: plugin.file.as_ref().map(|file| base.join(file)),
            })
            .collect();
        problems.unique("plugin", "id", plugins.iter().map(|plugin| &plugin.id));
        let instances = check_instances(file.instance, &plugins, base, &mut problems);
        department::check(&file.department, &instances, &mut problems);
        let asking = file.department.iter().map(|department| department.name.clone());
        let known = instances.iter().map(|instance| instance.name.clone());
        let known = known.chain(asking).collect();
        let rules = rules::check(file.routing, file.route, base, &known, &mut problems);
        retention::check(&file.retention, &mut problems);
        let data = file
            .storage
            .folder
            .as_ref()
            .map_or_else(|| base.join("../data"), |folder| base.join(folder));
        if let Err(error) = mihwar_ledger::Signer::from_seed(&file.ledger.origin, &[0; 32]) {
            problems.add(&["ledger", "origin"], error.to_string());
        }
        let ledger = file.ledger.resolved(base);
        for (key, message) in ledger.faults(&data) {
            problems.add(&["ledger", key], message);
        }
        if !problems.found.is_empty() {
            return Err(ConfigError {
                problems: problems.found,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            overrides,
            data,
            listen,
            server: file.server,
            storage: file.storage,
            engine: file.engine,
            ledger,
            log: file.log,
            plugins,
            instances,
            departments: file.department,
            rules: Arc::new(rules),
            retention: file.retention,
            holds: file.hold,
            text: text.into(),
        })
    }

    /// Whether there is an instance, or a department that asks, of this name.
    #[must_use]
    pub fn knows(&self, name: &InstanceName) -> bool {
        self.instances.iter().any(|instance| instance.name == *name)
            || self.departments.iter().any(|department| department.name == *name)
    }

    /// A problem of an instance that showed only when its plugin looked at it.
    #[must_use]
    pub fn instance_problem(&self, instance: &InstanceName, key: &str, message: &str) -> ConfigProblem {
        let index = self
            .instances
            .iter()
            .position(|known| known.name == *instance)
            .unwrap_or_default();
        ConfigProblem {
            source: self.path.display().to_string(),
            line: place::line_of_entry(&self.text, "instance", index, key),
            key: format!("instance.{instance}.{key}"),
            message: message.to_owned(),
        }
    }

    /// A problem of one key that shows only later than reading.
    #[must_use]
    pub fn problem(&self, path: &[&str], message: String) -> ConfigError {
        ConfigError {
            problems: vec![ConfigProblem {
                source: self.path.display().to_string(),
                line: place::line_of_path(&self.text, path),
                key: path.join("."),
                message,
            }],
        }
    }

    /// Changes when anything of an instance's configuration does.
    #[must_use]
    pub fn fingerprint(instance: &InstanceConfig) -> [u8; 32] {
        Sha256::digest(format!("{instance:?}")).into()
    }
}

fn check_instances(
    sections: Vec<InstanceSection>,
    plugins: &[PluginSource],
    base: &Path,
    problems: &mut Problems<'_>,
) -> Vec<InstanceConfig> {
    let names: BTreeSet<_> = plugins.iter().map(|plugin| plugin.id.clone()).collect();
    let mut instances = Vec::new();
    for (index, instance) in sections.into_iter().enumerate() {
        if !names.contains(&instance.plugin) {
            let (plugin, known) = (&instance.plugin, list(&names));
            let message = format!("there is no [[plugin]] with id = \"{plugin}\"; the ids are: {known}");
            problems.add_at("instance", index, "plugin", message);
        }
        if jiff::tz::TimeZone::get(&instance.time_zone).is_err() {
            let message = format!("\"{}\" is no time zone; write it like Asia/Riyadh", instance.time_zone);
            problems.add_at("instance", index, "time-zone", message);
        }
        match instance.checked(base) {
            Ok(instance) => instances.push(instance),
            Err((key, message)) => problems.add_at("instance", index, key, message),
        }
    }
    problems.unique("instance", "name", instances.iter().map(|instance| &instance.name));
    instances
}

fn override_name(key: &str) -> String {
    format!(
        "{VARIABLE_PREFIX}{}",
        key.replace('.', "__").replace('-', "_").to_uppercase()
    )
}

fn list(names: &BTreeSet<InstanceName>) -> String {
    names.iter().map(InstanceName::as_str).collect::<Vec<_>>().join(", ")
}

struct Problems<'a> {
    source: String,
    text: &'a str,
    found: Vec<ConfigProblem>,
}

impl Problems<'_> {
    fn add(&mut self, path: &[&str], message: impl Into<String>) {
        let line = place::line_of_path(self.text, path);
        self.found.push(ConfigProblem {
            source: self.source.clone(),
            line,
            key: path.join("."),
            message: message.into(),
        });
    }

    fn add_at(&mut self, list: &str, index: usize, key: &str, message: impl Into<String>) {
        let line = place::line_of_entry(self.text, list, index, key);
        let key = format!("{list}[{index}].{key}");
        self.found.push(ConfigProblem {
            source: self.source.clone(),
            line,
            key,
            message: message.into(),
        });
    }

    fn unique<'n>(&mut self, list: &str, key: &str, names: impl Iterator<Item = &'n InstanceName>) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.add_at(list, index, key, format!("\"{name}\" is there twice"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
