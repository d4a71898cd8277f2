//! What a fake hub holds.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac as _};

use super::conversation::Switchboard;
use super::fake_host::{LogRecord, MetricRecord};
use super::limits;
use super::live::{Live, LiveTalk};
use super::script::{Answer, Script};
use crate::{BlobError, Body, HttpError, Mac, Request, Response, StateError};

/// Bytes with their media type.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

/// What one call has used.
#[derive(Debug)]
pub(super) struct CallUse {
    pub(super) remaining_ms: u64,
    /// Handles of the blobs that it stored.
    pub(super) blobs: BTreeSet<String>,
    pub(super) connections: u32,
    /// Bytes written to connections.
    pub(super) sent: u64,
    blob_bytes: u64,
    requests: u32,
    logs: u32,
    /// Where its metrics begin.
    metrics_from: usize,
}

impl CallUse {
    fn new(remaining_ms: u64, metrics_from: usize) -> Self {
        Self {
            remaining_ms,
            blobs: BTreeSet::new(),
            connections: 0,
            sent: 0,
            blob_bytes: 0,
            requests: 0,
            logs: 0,
            metrics_from,
        }
    }
}

/// The whole world of one fake hub.
pub(super) struct World {
    pub(super) now: i64,
    /// How long each call may take.
    pub(super) call_ms: u64,
    pub(super) output_bytes: u64,
    pub(super) call: CallUse,
    pub(super) dry_run: bool,
    pub(super) seed: u64,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    pub(super) blobs: BTreeMap<String, Blob>,
    pub(super) script: Script,
    pub(super) switchboard: Switchboard,
    /// Who answers in place of both.
    pub(super) live: Option<Box<dyn Live>>,
    pub(super) live_talks: Vec<LiveTalk>,
    pub(super) requests: Vec<Request>,
    pub(super) held_back: Vec<Request>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) metrics: Vec<MetricRecord>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: 1_767_225_600_000,
            call_ms: limits::CALL_MS,
            output_bytes: limits::OUTPUT,
            call: CallUse::new(limits::CALL_MS, 0),
            dry_run: false,
            seed: 1,
            secrets: BTreeMap::new(),
            state: BTreeMap::new(),
            blobs: BTreeMap::new(),
            script: Script::default(),
            switchboard: Switchboard::default(),
            live: None,
            live_talks: Vec::new(),
            requests: Vec::new(),
            held_back: Vec::new(),
            logs: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

/// Calls, log, metrics.
impl World {
    /// A call begins, with its whole budget.
    pub(super) fn begin_call(&mut self) {
        self.call = CallUse::new(self.call_ms, self.metrics.len());
    }

    /// Time passes.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.now = self.now.saturating_add_unsigned(milliseconds);
        self.call.remaining_ms = self.call.remaining_ms.saturating_sub(milliseconds);
    }

    /// Keeps a log record, cut to its limit; beyond their number they are dropped.
    pub(super) fn log(&mut self, mut record: LogRecord) {
        if self.call.logs >= limits::LOG_RECORDS {
            return;
        }
        self.call.logs += 1;
        let cut = |text: &mut String, most: usize| text.truncate(text.floor_char_boundary(most));
        cut(&mut record.message, limits::LOG_BYTES);
        let mut left = limits::LOG_BYTES - record.message.len();
        record.fields.retain_mut(|(name, value)| {
            let fits = name.len() < left;
            if fits {
                left -= name.len();
                cut(value, left);
                left -= value.len();
            }
            fits
        });
        self.logs.push(record);
    }

    /// Keeps a sample, if the hub would.
    pub(super) fn measure(&mut self, sample: MetricRecord) {
        let taken = self.metrics.get(self.call.metrics_from..).unwrap_or_default();
        if limits::takes_sample(taken, &sample) {
            self.metrics.push(sample);
        }
    }
}

/// HTTP.
impl World {
    /// Plays one request, as far as the call's budget goes.
    pub(super) fn exchange(&mut self, request: &Request, most_bytes: u64) -> Result<Response, HttpError> {
        if self.call.requests >= limits::REQUESTS {
            return Err(HttpError::BudgetExceeded(self.call.remaining_ms));
        }
        self.call.requests += 1;
        if self.body_bytes(&request.body)? > limits::REQUEST {
            return Err(HttpError::RequestTooLarge(limits::REQUEST));
        }
        let is_reading = ["GET", "HEAD"].iter().any(|m| request.method.eq_ignore_ascii_case(m));
        if self.dry_run && !is_reading {
            self.held_back.push(request.clone());
            return Ok(Response {
                status: 202,
                headers: Vec::new(),
                body: Vec::new(),
            });
        }
        self.requests.push(request.clone());
        let answer = match &mut self.live {
            Some(live) => live.answer(request, self.now),
            None => self.script.play(request),
        };
        let most_ms = request.timeout_ms.map_or(limits::REQUEST_MS, u64::from);
        let most_ms = most_ms.min(self.call.remaining_ms);
        self.pass(answer.takes_ms.min(most_ms));
        if answer.takes_ms > most_ms {
            return Answer::times_out(true).result;
        }
        answer.result.and_then(|response| {
            if response.body.len() as u64 > most_bytes {
                return Err(HttpError::ResponseTooLarge(most_bytes));
            }
            Ok(response)
        })
    }

    fn body_bytes(&self, body: &Body) -> Result<u64, HttpError> {
        match body {
            Body::Empty => Ok(0),
            Body::Bytes(bytes) => Ok(bytes.len() as u64),
            Body::Blob(id) => match self.blobs.get(id) {
                Some(blob) => Ok(blob.bytes.len() as u64),
                None => Err(HttpError::InvalidRequest(format!("there is no blob `{id}`"))),
            },
        }
    }
}

/// State.
impl World {
    pub(super) fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        limits::check_key(key)?;
        Ok(self.state.get(key).cloned())
    }

    pub(super) fn state_set(&mut self, key: &str, value: &[u8]) -> Result<(), StateError> {
        limits::check_key(key)?;
        if value.len() as u64 > limits::STATE_VALUE {
            return Err(StateError::ValueTooLarge(limits::STATE_VALUE));
        }
        let size = |key: &str, value: &[u8]| (key.len() + value.len()) as u64;
        let before = self.state.get(key).map_or(0, |value| size(key, value));
        let after = size(key, value);
        let all: u64 = self.state.iter().map(|(key, value)| size(key, value)).sum();
        // Growth is refused over the quota; shrinking always works.
        if all - before + after > limits::STATE && after > before {
            return Err(StateError::QuotaExceeded(limits::STATE));
        }
        self.state.insert(key.into(), value.into());
        Ok(())
    }

    pub(super) fn state_delete(&mut self, key: &str) -> Result<(), StateError> {
        limits::check_key(key)?;
        self.state.remove(key);
        Ok(())
    }
}

/// Blobs and randomness.
impl World {
    /// Bytes of blobs that the call may still store.
    pub(super) fn blob_room(&self) -> u64 {
        limits::BLOB_BYTES.saturating_sub(self.call.blob_bytes)
    }

    /// Stores a blob of the call under the next handle.
    pub(super) fn put(&mut self, blob: Blob) -> Result<String, BlobError> {
        let size = blob.bytes.len() as u64;
        if size > limits::BLOB_BYTES {
            return Err(BlobError::TooLarge(limits::BLOB_BYTES));
        }
        if size > self.blob_room() || self.call.blobs.len() >= limits::BLOBS {
            return Err(BlobError::QuotaExceeded(limits::BLOB_BYTES));
        }
        self.call.blob_bytes += size;
        let id = self.lend(blob);
        self.call.blobs.insert(id.clone());
        Ok(id)
    }

    /// Stores a blob of the hub's own under the next handle.
    pub(super) fn lend(&mut self, blob: Blob) -> String {
        let id = format!("blob-{}", self.blobs.len() + 1);
        self.blobs.insert(id.clone(), blob);
        id
    }

    /// Repeatable random bytes (SplitMix64).
    pub(super) fn random(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// A UUID version 7 of the fake clock.
    pub(super) fn uuid(&mut self) -> String {
        let hex: Vec<String> = self.random(9).iter().map(|byte| format!("{byte:02x}")).collect();
        let time = format!("{:012x}", self.now);
        let (high, low) = time.split_at(8);
        format!("{high}-{low}-70{}-80{}-{}", hex[0], hex[1], hex[2..8].concat())
    }
}

/// A signature as the hub makes it; `None` when the key is no private key.
pub(super) fn ed25519(key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let signing = match <&[u8; 32]>::try_from(key) {
        Ok(seed) => SigningKey::from_bytes(seed),
        Err(_) => SigningKey::from_keypair_bytes(key.try_into().ok()?).ok()?,
    };
    Some(signing.sign(bytes).to_bytes().to_vec())
}

/// A MAC as the hub makes it.
pub(super) fn mac(algorithm: Mac, key: &[u8], bytes: &[u8]) -> Vec<u8> {
    macro_rules! hmac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(bytes);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match algorithm {
        Mac::HmacSha256 => hmac!(sha2::Sha256),
        Mac::HmacSha1 => hmac!(sha1::Sha1),
        Mac::HmacSha512 => hmac!(sha2::Sha512),
    }
}
