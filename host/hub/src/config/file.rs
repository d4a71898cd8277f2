//! What the admin wrote.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_sandbox::manifest::{ByteSize, Span};
use mihwar_sandbox::{Grants, LimitOverrides};
use serde::Deserialize;

use super::delivery::{Breaker, DeliveryConfig, Digest, Quiet, Rate, RetrySection};
use super::{DepartmentConfig, Hold, InstanceConfig, LedgerSection, OnFailure, RetentionRule, SecretSource};
use crate::routing::{RouteSource, RoutingSection};

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
    /// `[[department]]`
    #[serde(default)]
    pub(super) department: Vec<DepartmentConfig>,
    /// `[routing]`
    #[serde(default)]
    pub(super) routing: RoutingSection,
    /// `[[route]]`
    #[serde(default)]
    pub(super) route: Vec<RouteSource>,
    /// `[[retention]]`
    #[serde(default)]
    pub(super) retention: Vec<RetentionRule>,
    /// `[[hold]]`
    #[serde(default)]
    pub(super) hold: Vec<Hold>,
}

/// Largest body that any address takes whatever `server.body-limit` says: another system's request.
const INBOUND_BODY_MAX: u64 = 4 << 20;

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
    /// The most requests that write and are worked on at once, and half as many that read; more are answered 503. As long
    /// as they take much longer than on a hub without work, fewer are let in, though never less than 96. Default 512.
    pub concurrent_requests: usize,
    /// Streams (`…:batch`, `…:export` and the like) at once; more are answered 503. Default 32.
    pub streams: usize,
    /// Memory for bodies that are read whole, all of them together; one that does not fit is answered 503. What other
    /// systems send without a token has half as much of its own, and at least 4 MiB, the largest that they may send. At
    /// least 4 MiB and `body-limit`. Default 64 MiB.
    pub body_memory: ByteSize,
    /// Connections held at once; more wait. Fewer if the system allows fewer files. Default 2048.
    pub connections: usize,
    /// Of these, connections that one address may hold (for IPv6: one network of 64 bits); more are closed at once. This
    /// machine's own addresses are excepted, since a proxy here brings everybody's. Default 256.
    pub connections_per_address: usize,
    /// Longest time for a request that is no stream, its body included. Default 10 s.
    pub timeout: Span,
    /// Longest time for the headers of a request, and for a connection without any. Default 10 s.
    pub header_timeout: Span,
    /// Longest time from one line of a stream to the next in which something stands, while the hub waits for it. Default
    /// 60 s.
    pub stream_timeout: Span,
    /// How long an answer may wait to be read, at less than 1 KiB a second, before its connection is closed. Default 30 s.
    pub stall_timeout: Span,
    /// How long a hub that was told to stop goes on as before, while `/health/ready` answers 503, so that whoever
    /// distributes requests sends no more. Default 0 s.
    pub stop_notice: Span,
    /// How long after that open exchanges may take to end before they are cut off. Default 20 s.
    pub stop_timeout: Span,
}

impl ServerSection {
    /// Values with which nothing could be served: the key, and what would be right.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let counts = [
            ("concurrent-requests", self.concurrent_requests),
            ("streams", self.streams),
            ("connections", self.connections),
            ("connections-per-address", self.connections_per_address),
        ];
        let spans = [
            ("timeout", self.timeout),
            ("header-timeout", self.header_timeout),
            ("stream-timeout", self.stream_timeout),
            ("stall-timeout", self.stall_timeout),
        ];
        let none = counts.into_iter().filter(|(_, count)| *count == 0);
        let none = none.map(|(key, _)| (key, "must be at least 1".to_owned()));
        let at_once = spans.into_iter().filter(|(_, span)| span.0.is_zero());
        let at_once = at_once.map(|(key, _)| (key, "must be longer than nothing, such as \"10s\"".to_owned()));
        let mut faults: Vec<_> = none.chain(at_once).collect();
        let largest = ByteSize(self.body_limit.0.max(INBOUND_BODY_MAX));
        if self.body_memory < largest {
            faults.push((
                "body-memory",
                format!("must be at least {largest}: the largest body has to fit"),
            ));
        }
        faults
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8480".into(),
            public_url: None,
            body_limit: ByteSize(256 << 10),
            concurrent_requests: 512,
            streams: 32,
            body_memory: ByteSize(64 << 20),
            connections: 2048,
            connections_per_address: 256,
            timeout: Span(Duration::from_secs(10)),
            header_timeout: Span(Duration::from_secs(10)),
            stream_timeout: Span(Duration::from_secs(60)),
            stall_timeout: Span(Duration::from_secs(30)),
            stop_notice: Span(Duration::ZERO),
            stop_timeout: Span(Duration::from_secs(20)),
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
    #[serde(default = "one")]
    pub(super) concurrency: usize,
    pub(super) rate: Option<Rate>,
    pub(super) quiet: Option<Quiet>,
    #[serde(default)]
    pub(super) breaker: Breaker,
    pub(super) digest: Option<Digest>,
    #[serde(default = "five_minutes")]
    pub(super) every: Span,
    pub(super) on_failure: Option<OnFailure>,
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

const fn one() -> usize {
    1
}

/// Requests that a call needs for each delivery at most: to look, and to write.
const REQUESTS_OF_ONE: usize = 2;
/// A batch up to this fits the usual limit of requests.
const USUAL_BATCH_MAX: usize = 50;

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
        let (retry, of_deliveries) = self.retry.checked().map_err(|message| ("retry", message))?;
        if self.on_failure.is_some() && !self.grant.redact {
            let message = "is for an instance that masks texts before they are stored: grant.redact = true";
            return Err(("on-failure", message.into()));
        }
        let delivery = DeliveryConfig {
            retry: of_deliveries,
            batch: self.batch,
            concurrency: self.concurrency,
            rate: self.rate,
            quiet: self.quiet,
            breaker: self.breaker,
            digest: self.digest,
        };
        if let Some(fault) = delivery.fault() {
            return Err(fault);
        }
        let mut limits = self.limits;
        if self.batch > USUAL_BATCH_MAX && limits.requests.is_none() {
            limits.requests = u32::try_from(self.batch * REQUESTS_OF_ONE).ok();
        }
        Ok(InstanceConfig {
            name: self.name,
            plugin: self.plugin,
            settings,
            secrets,
            grants: self.grant,
            limits,
            time_zone: self.time_zone,
            retry,
            delivery,
            every: self.every.0.max(Duration::from_secs(1)),
            on_failure: self.on_failure.unwrap_or_default(),
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
