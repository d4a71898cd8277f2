//! What the admin wrote.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_sandbox::manifest::{ByteSize, Span};
use mihwar_sandbox::{Grants, LimitOverrides};
use serde::Deserialize;

use super::{InstanceConfig, Retry, SecretSource};
use crate::routing::{RouteSection, RoutingSection};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// `[server]`
    #[serde(default)]
    pub(super) server: ServerSection,
    /// `[storage]`
    #[serde(default)]
    pub(super) storage: StorageSection,
    /// `[engine]`
    #[serde(default)]
    pub(super) engine: EngineSection,
    /// `[ledger]`
    #[serde(default)]
    pub(super) ledger: LedgerSection,
    /// `[log]`
    #[serde(default)]
    pub(super) log: LogSection,
    /// `[[plugin]]`
    #[serde(default)]
    pub(super) plugin: Vec<PluginSection>,
    /// `[[instance]]`
    #[serde(default)]
    pub(super) instance: Vec<InstanceSection>,
    /// `[routing]`
    #[serde(default)]
    pub(super) routing: RoutingSection,
    /// `[[route]]`
    #[serde(default)]
    pub(super) route: Vec<RouteSection>,
}

/// Where the hub listens and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ServerSection {
    /// Address and port. Default `127.0.0.1:8480`.
    pub listen: String,
    /// The address under which people reach the hub, behind a proxy for example.
    pub public_url: Option<String>,
    /// Largest request body, other than streams. Default 256 KiB.
    pub body_limit: ByteSize,
    /// Requests worked on at once; more are answered 503. Default 512.
    pub concurrent_requests: usize,
    /// Connections held at once. Default 2048.
    pub connections: usize,
    /// Longest time for a request that is no stream. Default 10 s.
    pub timeout: Span,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8480".into(),
            public_url: None,
            body_limit: ByteSize(256 << 10),
            concurrent_requests: 512,
            connections: 2048,
            timeout: Span(Duration::from_secs(10)),
        }
    }
}

/// The data folder and what the store may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StorageSection {
    /// The data folder, relative to the config file. Default `../data`.
    pub folder: Option<PathBuf>,
    /// Writes are refused when less than this is free. Default 512 MiB.
    pub free_space_floor: ByteSize,
    /// Memory for the store's cache. Default 20 MiB.
    pub cache: ByteSize,
    /// Batches that may wait for the writer; more are answered 503. Default 1024.
    pub queue: usize,
    /// Threads that read. Default 2.
    pub readers: usize,
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            folder: None,
            free_space_floor: ByteSize(512 << 20),
            cache: ByteSize(20 << 20),
            queue: 1024,
            readers: 2,
        }
    }
}

/// What the sandbox may use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EngineSection {
    /// Plugin calls that run at once. Default 64.
    pub concurrent_calls: usize,
    /// The most memory that any call may be given. Default 128 MiB.
    pub memory: ByteSize,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            concurrent_calls: 64,
            memory: ByteSize(128 << 20),
        }
    }
}

/// The ledger's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LedgerSection {
    /// First line of every checkpoint: a name that is yours alone. Default `mihwar.localhost/ledger`.
    pub origin: String,
    /// How often a grown ledger is signed. Default 10 s.
    pub checkpoint_every: Span,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self {
            origin: "mihwar.localhost/ledger".into(),
            checkpoint_every: Span(Duration::from_secs(10)),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,mihwar_hub=debug`.
    pub level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".into(),
        }
    }
}

/// See [`LogSection::format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginSection {
    pub(super) id: InstanceName,
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct InstanceSection {
    pub(super) name: InstanceName,
    pub(super) plugin: InstanceName,
    #[serde(default)]
    pub(super) settings: toml::Table,
    #[serde(default)]
    pub(super) secrets: toml::map::Map<String, toml::Value>,
    #[serde(default)]
    pub(super) grant: Grants,
    #[serde(default)]
    pub(super) limits: LimitOverrides,
    #[serde(default = "utc")]
    pub(super) time_zone: String,
    #[serde(default)]
    pub(super) retry: RetrySection,
    #[serde(default = "thirty_two")]
    pub(super) batch: usize,
    #[serde(default = "five_minutes")]
    pub(super) every: Span,
}

/// How failed deliveries are tried again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RetrySection {
    /// First pause; each further one is twice as long. Default 5 s.
    pub(super) first: Span,
    /// Longest pause. Default 6 h.
    pub(super) most: Span,
    /// Attempts before a dead letter. Default 20: about two days with the other defaults.
    pub(super) attempts: u32,
}

impl Default for RetrySection {
    fn default() -> Self {
        Self {
            first: Span(Duration::from_secs(5)),
            most: Span(Duration::from_secs(6 * 3600)),
            attempts: 20,
        }
    }
}

fn utc() -> String {
    "UTC".into()
}

const fn five_minutes() -> Span {
    Span(Duration::from_secs(300))
}

const fn thirty_two() -> usize {
    32
}

impl InstanceSection {
    /// The checked form, or the key and what is wrong with it.
    pub(super) fn checked(self, base: &Path) -> Result<InstanceConfig, (&'static str, String)> {
        let settings = serde_json::to_value(&self.settings).map_err(|error| ("settings", error.to_string()))?;
        let mut secrets = Vec::new();
        for (name, source) in self.secrets {
            let source = secret_source(&source, base).ok_or_else(|| {
                let message = format!(
                    "the secret \"{name}\" must come from the environment or a file: {name} = {{ env = \"NAME\" }} or {name} = {{ file = \"PATH\" }}"
                );
                ("secrets", message)
            })?;
            secrets.push((name, source));
        }
        if self.retry.attempts == 0 {
            return Err(("retry", "attempts must be at least 1".into()));
        }
        if !(1..=1000).contains(&self.batch) {
            return Err(("batch", "use 1 to 1000 deliveries".into()));
        }
        Ok(InstanceConfig {
            name: self.name,
            plugin: self.plugin,
            settings,
            secrets,
            grants: self.grant,
            limits: self.limits,
            time_zone: self.time_zone,
            retry: Retry {
                first: self.retry.first.0,
                most: self.retry.most.0,
                attempts: self.retry.attempts,
            },
            batch: self.batch,
            every: self.every.0.max(Duration::from_secs(1)),
        })
    }
}

fn secret_source(value: &toml::Value, base: &Path) -> Option<SecretSource> {
    let table = value.as_table().filter(|table| table.len() == 1)?;
    if let Some(name) = table.get("env") {
        return name.as_str().map(|name| SecretSource::Variable(name.to_owned()));
    }
    table
        .get("file")?
        .as_str()
        .map(|path| SecretSource::File(base.join(path)))
}
