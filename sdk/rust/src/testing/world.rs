//! What a fake hub holds.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac as _};

use super::fake_host::{LogRecord, MetricRecord};
use super::script::Script;
use crate::{Mac, Request};

/// Bytes with their media type.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

/// The whole world of one fake hub.
pub(super) struct World {
    pub(super) now: i64,
    pub(super) remaining_ms: u64,
    pub(super) dry_run: bool,
    pub(super) seed: u64,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    pub(super) blobs: BTreeMap<String, Blob>,
    pub(super) script: Script,
    pub(super) requests: Vec<Request>,
    pub(super) logs: Vec<LogRecord>,
    pub(super) metrics: Vec<MetricRecord>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: 1_767_225_600_000,
            remaining_ms: 30_000,
            dry_run: false,
            seed: 1,
            secrets: BTreeMap::new(),
            state: BTreeMap::new(),
            blobs: BTreeMap::new(),
            script: Script::default(),
            requests: Vec::new(),
            logs: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

impl World {
    /// Time passes.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.now = self.now.saturating_add_unsigned(milliseconds);
        self.remaining_ms = self.remaining_ms.saturating_sub(milliseconds);
    }

    /// Stores a blob under the next handle.
    pub(super) fn put(&mut self, blob: Blob) -> String {
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
