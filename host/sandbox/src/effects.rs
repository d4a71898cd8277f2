//! What a call did besides returning a value. The caller makes it durable together with the value,
//! or drops it.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

/// Everything a successful call wants kept, in the order it happened.
#[derive(Debug, Default)]
pub struct Effects {
    /// State writes, one per key (the last one counts), ordered by key; at most 10 000. A key that was absent
    /// before the call and is so after it has none.
    pub state: Vec<StateWrite>,
    /// New blobs, in the order they were put.
    pub blobs: Vec<NewBlob>,
    /// Log lines, secrets masked, without control characters.
    pub log: Vec<LogLine>,
    /// Log lines beyond the limit of 200.
    pub log_dropped: u64,
    /// Metric samples.
    pub metrics: Vec<Measurement>,
    /// Samples dropped: too many names, label values or samples, or a name that may not be.
    pub metrics_dropped: u64,
    /// Requests that left the host.
    pub http_exchanges: u32,
    /// Connections that were tried.
    pub connections: u32,
    /// Requests that a dry run held back, as `METHOD url`; connections, as `CONNECT host:port`.
    pub held_back: Vec<String>,
    /// The last requests and what came of them, at most [`TOLD_MAX`]; those that went well make room first.
    pub told: Vec<Told>,
}

/// Requests of one call that are told.
pub const TOLD_MAX: usize = 64;

/// One request and what came of it, for whoever looks into why something did not go well. It holds no secret: values are
/// masked, and of a query and of headers the names alone are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Method.
    pub method: String,
    /// Where to, at most 512 letters: without user, fragment and the values of its query.
    pub url: String,
    /// Names of the headers that the guest set.
    pub headers: Vec<String>,
    /// Bytes of the body.
    pub bytes: u64,
    /// The answer's status; `None` when there was none.
    pub status: Option<u16>,
    /// The first 512 letters of the answer, or what kept it from coming.
    pub answer: String,
    /// Milliseconds from sending to answer.
    pub took_ms: u64,
    /// Which of [`crate::Call::keys`] stood in the request.
    pub keys: Vec<String>,
}

/// One key of an instance's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// At most 512 bytes.
    pub key: String,
    /// `None` deletes the key.
    pub value: Option<Vec<u8>>,
}

/// Bytes that the plugin gave to the host during the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// The id the plugin knows it by: `new:0`, `new:1`, … . Good for this call only; whoever keeps the
    /// blob replaces it in the returned records.
    pub id: String,
    /// As the plugin named it.
    pub media_type: String,
    /// The content.
    pub bytes: Bytes,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Each step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Looks wrong, work goes on.
    Warn,
    /// Work failed.
    Error,
}

/// One record of a plugin's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// How loud.
    pub level: LogLevel,
    /// The text, at most 4 KiB with its fields.
    pub message: String,
    /// Named values.
    pub fields: Vec<(String, String)>,
}

/// One metric sample. Of one call there are at most 1 024, under at most 64 names; each name has at most 8 values
/// over all its labels. How many series these make over many calls is for the caller to bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Name within the plugin: 1 to 64 bytes of `a` to `z`, digits, `_` and `-`.
    pub name: String,
    /// What is done with the value.
    pub kind: MeasurementKind,
    /// Label names and values, at most 4. A name is as above, begins with a letter, occurs once and is none of
    /// `instance`, `le` and `quantile`; a value has at most 64 bytes.
    pub labels: Vec<(String, String)>,
}

/// What a sample does to its metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MeasurementKind {
    /// Counts up.
    Add(u64),
    /// Sets a gauge.
    Set(f64),
    /// Goes into a distribution.
    Observe(f64),
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// From the start of the call, without waiting for a slot.
    pub wall: Duration,
    /// Waiting for a slot.
    pub waited: Duration,
    /// Most bytes of linear memory at any time.
    pub memory_peak: u64,
    /// Ticks of the engine during which the guest itself computed; a rough share of a core.
    pub cpu_ticks: u64,
}
