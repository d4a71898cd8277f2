//! The limits of one call, and the config key that raises each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::manifest::{ByteSize, Span, WantedLimits};

/// What an admin sets for one instance (`[instance.limits]`); left out means the plugin's wish or the
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitOverrides {
    /// Wall time of one call.
    pub time: Option<Span>,
    /// Linear memory of one call, all memories together; at most `engine.memory`.
    pub memory: Option<ByteSize>,
    /// Elements of all tables together; at most 100 000.
    pub table: Option<u64>,
    /// Bytes handed to the host at once: a returned value, a blob, a request body.
    pub output: Option<ByteSize>,
    /// Items in one returned value.
    pub items: Option<u64>,
    /// All blobs of one call together.
    pub blobs: Option<ByteSize>,
    /// Durable state of the instance.
    pub state: Option<ByteSize>,
    /// Outgoing requests of one call.
    pub requests: Option<u32>,
    /// Body of one outgoing request.
    pub request: Option<ByteSize>,
    /// Body of one answer to an outgoing request.
    pub response: Option<ByteSize>,
    /// Connections that one call makes.
    pub connections: Option<u32>,
    /// Bytes that one call writes to its connections, together.
    pub sent: Option<ByteSize>,
    /// Bytes that one call reads from its connections, together.
    pub received: Option<ByteSize>,
}

/// The limits in force for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall time of one call.
    pub time: Duration,
    /// Linear memory of one call in bytes.
    pub memory: u64,
    /// Table elements of one call.
    pub table: u64,
    /// Bytes handed to the host at once.
    pub output: u64,
    /// Items in one returned value.
    pub items: u64,
    /// Bytes of all blobs of one call.
    pub blobs: u64,
    /// Bytes of keys and values in the instance's state.
    pub state: u64,
    /// Outgoing requests of one call.
    pub requests: u32,
    /// Bytes of one outgoing request body.
    pub request: u64,
    /// Bytes of one response body.
    pub response: u64,
    /// Connections of one call.
    pub connections: u32,
    /// Bytes that one call writes to its connections.
    pub sent: u64,
    /// Bytes that one call reads from its connections.
    pub received: u64,
}

/// Longest state key in bytes.
pub(crate) const STATE_KEY_BYTES: usize = 512;
/// Longest state value in bytes.
pub(crate) const STATE_VALUE_BYTES: u64 = 90_000;
/// Most keys of its state that one call can write or delete; the number that a `quota-exceeded` then carries.
pub(crate) const STATE_KEYS_WRITTEN: usize = 10_000;
/// Most log records of one call.
pub(crate) const LOG_RECORDS: usize = 200;
/// Longest log record in bytes, message and fields together.
pub(crate) const LOG_BYTES: usize = 4 * 1024;
/// Longest failure message that is kept, in bytes.
pub(crate) const FAILURE_BYTES: usize = 2 * 1024;
/// Most metric names of one call.
pub(crate) const METRIC_NAMES: usize = 64;
/// Most samples of one call.
pub(crate) const METRIC_SAMPLES: usize = 1024;
/// Most label values per metric name in one call.
pub(crate) const METRIC_LABEL_VALUES: usize = 8;

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            memory: 64 << 20,
            table: 20_000,
            output: 16 << 20,
            items: 10_000,
            blobs: 64 << 20,
            state: 10 << 20,
            requests: 100,
            request: 8 << 20,
            response: 8 << 20,
            connections: 4,
            sent: 16 << 20,
            received: 16 << 20,
        }
    }
}

impl Limits {
    /// The limits in force: what the admin set, else what the plugin wants up to `wish_ceiling`, else
    /// the default. Memory and tables never go over what the engine can hold.
    pub(crate) fn resolve(wanted: &WantedLimits, set: &LimitOverrides, ceiling: &Ceiling) -> Self {
        let default = Self::default();
        let bytes = |set: Option<ByteSize>, wanted: Option<ByteSize>, default: u64, most: u64| {
            set.map_or_else(|| wanted.map_or(default, |size| size.0.min(most)), |size| size.0)
        };
        Self {
            time: set.time.map_or_else(
                || wanted.time.map_or(default.time, |span| span.0.min(ceiling.time)),
                |span| span.0,
            ),
            memory: bytes(set.memory, wanted.memory, default.memory, ceiling.memory).min(ceiling.memory),
            table: set.table.unwrap_or(default.table).min(ceiling.table),
            output: bytes(set.output, wanted.output, default.output, 64 << 20),
            items: set.items.unwrap_or(default.items),
            blobs: bytes(set.blobs, None, default.blobs, u64::MAX),
            state: bytes(set.state, wanted.state, default.state, 64 << 20),
            requests: set.requests.unwrap_or(default.requests),
            request: bytes(set.request, None, default.request, u64::MAX),
            response: bytes(set.response, None, default.response, u64::MAX),
            connections: set.connections.unwrap_or(default.connections),
            sent: bytes(set.sent, None, default.sent, u64::MAX),
            received: bytes(set.received, None, default.received, u64::MAX),
        }
    }

    /// The config key that gives a call more memory: the engine's once an instance has all that the engine gives.
    pub(crate) fn memory_setting(&self, ceiling: &Ceiling) -> &'static str {
        if self.memory >= ceiling.memory {
            setting::ENGINE_MEMORY
        } else {
            setting::MEMORY
        }
    }

    /// The most bytes that one call between guest and host may carry.
    pub(crate) fn hostcall_fuel(&self) -> usize {
        // Structure costs fuel too: a list of records counts its Rust size besides its texts.
        let most = self.output.max(self.request).saturating_add(1 << 20);
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// What no wish of a plugin and no setting of an instance goes over.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling {
    pub(crate) time: Duration,
    pub(crate) memory: u64,
    pub(crate) table: u64,
}

/// The config key that raises a limit, as it stands in error messages.
pub(crate) mod setting {
    pub(crate) const TIME: &str = "instance.limits.time";
    pub(crate) const MEMORY: &str = "instance.limits.memory";
    pub(crate) const ENGINE_MEMORY: &str = "engine.memory";
    pub(crate) const TABLE: &str = "instance.limits.table";
    pub(crate) const OUTPUT: &str = "instance.limits.output";
    pub(crate) const ITEMS: &str = "instance.limits.items";
    pub(crate) const CONNECTIONS: &str = "instance.limits.connections";
    pub(crate) const SENT: &str = "instance.limits.sent";
    pub(crate) const RECEIVED: &str = "instance.limits.received";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_gives_more_memory_is_the_one_that_binds() {
        let ceiling = Ceiling {
            time: Duration::from_secs(60),
            memory: 128 << 20,
            table: 100_000,
        };
        for (set, limit, setting) in [
            (64 << 20, 64 << 20, "instance.limits.memory"),
            (128 << 20, 128 << 20, "engine.memory"),
            (512 << 20, 128 << 20, "engine.memory"),
        ] {
            let set = LimitOverrides {
                memory: Some(ByteSize(set)),
                ..LimitOverrides::default()
            };
            let limits = Limits::resolve(&WantedLimits::default(), &set, &ceiling);
            assert_eq!((limits.memory, limits.memory_setting(&ceiling)), (limit, setting));
        }
    }
}
