//! The hub's default limits, and what going over them gives.

use std::collections::BTreeSet;

use super::fake_host::MetricRecord;
use crate::StateError;

/// Time of one call in milliseconds.
pub(super) const CALL_MS: u64 = 10_000;
/// Time of one request in milliseconds, if the plugin names none.
pub(super) const REQUEST_MS: u64 = 30_000;
/// Bytes handed to the hub at once.
pub(super) const OUTPUT: u64 = 16 << 20;
/// Requests of one call.
pub(super) const REQUESTS: u32 = 100;
/// Bytes of a request's body.
pub(super) const REQUEST: u64 = 8 << 20;
/// Bytes of an answer's body.
pub(super) const RESPONSE: u64 = 8 << 20;
/// Connections of one call, and the bytes written to them.
pub(super) const CONNECTIONS: u32 = 4;
pub(super) const SENT: u64 = 16 << 20;
/// Blobs of one call, and their bytes together.
pub(super) const BLOBS: usize = 1024;
pub(super) const BLOB_BYTES: u64 = 64 << 20;
/// Bytes of one read.
pub(super) const BLOB_READ: u32 = 8 << 20;
/// Entries of one page of state.
pub(super) const STATE_PAGE: u32 = 1000;
/// Bytes of keys and values in the state of an instance.
pub(super) const STATE: u64 = 10 << 20;
/// Bytes of one value.
pub(super) const STATE_VALUE: u64 = 90_000;
/// Log records of one call, and the bytes of one.
pub(super) const LOG_RECORDS: u32 = 200;
pub(super) const LOG_BYTES: usize = 4 << 10;

const STATE_KEY: usize = 512;
const METRIC_NAMES: usize = 64;
const METRIC_LABELS: usize = 4;
const METRIC_LABEL_VALUES: usize = 8;
const METRIC_TEXT: usize = 64;

/// Refuses a key that is too long.
pub(super) fn check_key(key: &str) -> Result<(), StateError> {
    if key.len() > STATE_KEY {
        return Err(StateError::KeyTooLong);
    }
    Ok(())
}

/// Whether the hub would take one more sample beside those that a call has given.
pub(super) fn takes_sample(taken: &[MetricRecord], sample: &MetricRecord) -> bool {
    let is_name = |text: &str| {
        (1..=METRIC_TEXT).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    let names: BTreeSet<&str> = taken
        .iter()
        .chain([sample])
        .map(|record| record.name.as_str())
        .collect();
    let same = taken.iter().chain([sample]).filter(|record| record.name == sample.name);
    let values: BTreeSet<&str> = same
        .flat_map(|record| record.labels.iter().map(|(_, value)| value.as_str()))
        .collect();
    sample.value.is_finite()
        && is_name(&sample.name)
        && names.len() <= METRIC_NAMES
        && sample.labels.len() <= METRIC_LABELS
        && sample
            .labels
            .iter()
            .all(|(label, value)| is_name(label) && value.len() <= METRIC_TEXT)
        && values.len() <= METRIC_LABEL_VALUES
}
