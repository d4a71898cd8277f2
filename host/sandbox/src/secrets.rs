//! Secret values: held zeroising, used by name, masked wherever they would show.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use memchr::memmem;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use thiserror::Error;

use crate::contract::secrets::Mac as Algorithm;
use crate::manifest::{Encoding, SecretSlot};

/// What stands where a secret stood.
pub(crate) const MASK: &str = "•••";
/// Shorter values are not masked: they would blank out ordinary text.
const MASK_FROM_BYTES: usize = 4;

/// Secret values by name, as an instance gets them.
#[derive(Clone, Default)]
pub struct SecretSet(BTreeMap<String, SecretString>);

impl SecretSet {
    /// No secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a secret.
    pub fn insert(&mut self, name: impl Into<String>, value: SecretString) {
        self.0.insert(name.into(), value);
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a secret.
    pub(crate) fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }
}

impl FromIterator<(String, SecretString)> for SecretSet {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for SecretSet {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_set().entries(self.0.keys()).finish()
    }
}

/// A secret value that does not fit its slot. The message never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// The value lacks the prefix that the manifest names.
    #[error("the value does not begin with `{0}`")]
    Prefix(String),
    /// The value is not written in the encoding that the manifest names.
    #[error("the value is not {0}")]
    Encoding(&'static str),
    /// The value is empty.
    #[error("the value is empty")]
    Empty,
}

/// One secret, ready for use.
pub(crate) struct Secret {
    /// As configured, for requests.
    pub(crate) text: SecretString,
    /// Decoded, for MACs.
    pub(crate) key: SecretSlice<u8>,
}

impl Secret {
    pub(crate) fn read(slot: &SecretSlot, value: &SecretString) -> Result<Self, SecretError> {
        let text = value.expose_secret();
        let body = match slot.prefix.as_deref() {
            Some(prefix) if !prefix.is_empty() => text
                .strip_prefix(prefix)
                .ok_or_else(|| SecretError::Prefix(prefix.to_owned()))?,
            _ => text,
        };
        let key = match slot.encoding {
            Encoding::Text => body.as_bytes().to_vec(),
            Encoding::Base64 => STANDARD
                .decode(body)
                .or_else(|_| STANDARD_NO_PAD.decode(body))
                .map_err(|_| SecretError::Encoding("base64"))?,
            Encoding::Hex => hex::decode(body).map_err(|_| SecretError::Encoding("hexadecimal"))?,
        };
        if key.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self {
            text: value.clone(),
            key: key.into(),
        })
    }

    /// A MAC over `data`.
    pub(crate) fn sign(&self, algorithm: Algorithm, data: &[u8]) -> Vec<u8> {
        let key = self.key.expose_secret();
        match algorithm {
            Algorithm::HmacSha256 => hmac_with::<Hmac<Sha256>>(key, data),
            Algorithm::HmacSha1 => hmac_with::<Hmac<Sha1>>(key, data),
            Algorithm::HmacSha512 => hmac_with::<Hmac<Sha512>>(key, data),
        }
        .unwrap_or_default()
    }

    /// Whether it is this secret itself: compared in constant time.
    pub(crate) fn is(&self, token: &[u8]) -> bool {
        bool::from(subtle::ConstantTimeEq::ct_eq(self.key.expose_secret(), token))
    }

    /// An Ed25519 signature. The error says why the secret is no private key.
    pub(crate) fn sign_ed25519(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let key = self.key.expose_secret();
        let signing = if let Ok(seed) = <&[u8; 32]>::try_from(key) {
            SigningKey::from_bytes(seed)
        } else if let Ok(pair) = <&[u8; 64]>::try_from(key) {
            SigningKey::from_keypair_bytes(pair)
                .map_err(|_| "its second half is not the public key of its first".to_owned())?
        } else {
            return Err(format!(
                "a private Ed25519 key has 32 bytes, or 64 together with its public key; this one has {}",
                key.len()
            ));
        };
        Ok(signing.sign(data).to_bytes().to_vec())
    }

    /// Constant-time check of a MAC. A truncated tag does not verify.
    pub(crate) fn verify(&self, algorithm: Algorithm, data: &[u8], tag: &[u8]) -> bool {
        let expected = self.sign(algorithm, data);
        !expected.is_empty() && bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_slice(), tag))
    }
}

/// HMAC takes keys of any length, so that `None` does not happen; it is no reason to panic.
fn hmac_with<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    mac.update(data);
    Some(mac.finalize().into_bytes().to_vec())
}

/// Finds secret values in whatever leaves a call.
pub(crate) struct Masker {
    /// The spellings in which a value may show. Zeroised with the instance.
    needles: Vec<SecretSlice<u8>>,
}

impl Masker {
    /// Masks the secrets, and `composed`: texts made of them, such as the value of a header.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>, composed: impl Iterator<Item = String>) -> Self {
        let mut needles: Vec<Vec<u8>> = composed.map(String::into_bytes).collect();
        for secret in secrets {
            let text = secret.text.expose_secret().as_bytes();
            let key = secret.key.expose_secret();
            for raw in [text, key] {
                needles.push(raw.to_vec());
                needles.push(STANDARD_NO_PAD.encode(raw).into_bytes());
                needles.push(URL_SAFE_NO_PAD.encode(raw).into_bytes());
                needles.push(hex::encode(raw).into_bytes());
            }
            needles.push(percent_encoded(text).into_bytes());
            needles.extend(in_json(secret.text.expose_secret()));
        }
        needles.retain(|needle| needle.len() >= MASK_FROM_BYTES);
        // Longest first, so that a needle inside another does not leave the rest standing.
        needles.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        needles.dedup();
        Self {
            needles: needles.into_iter().map(Into::into).collect(),
        }
    }

    /// Where secret values stand in the bytes. Places may lie over each other.
    pub(crate) fn places(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let of = |needle: &SecretSlice<u8>| -> Vec<Range<usize>> {
            let needle = needle.expose_secret();
            memmem::find_iter(bytes, needle)
                .map(|at| at..at + needle.len())
                .collect()
        };
        self.needles.iter().flat_map(of).collect()
    }

    /// Where, at the end of the bytes, a secret value has begun that is not complete, with `least` bytes or more. Where
    /// none has, the end itself.
    pub(crate) fn open_end(&self, bytes: &[u8], least: usize) -> usize {
        let begun = self
            .needles
            .iter()
            .map(|needle| begun(needle.expose_secret(), bytes))
            .max();
        let begun = begun.filter(|begun| *begun >= least).unwrap_or(0);
        bytes.len() - begun
    }

    /// Bytes of the longest spelling that is looked for.
    pub(crate) fn longest(&self) -> usize {
        // They are ordered, the longest first.
        self.needles.first().map_or(0, |needle| needle.expose_secret().len())
    }

    /// The text without secret values.
    pub(crate) fn text(&self, text: String) -> String {
        match self.masked(text.as_bytes()) {
            // Only whole needles are replaced, by UTF-8; a needle that cuts a letter in two becomes U+FFFD.
            Some(masked) => String::from_utf8_lossy(&masked).into_owned(),
            None => text,
        }
    }

    /// The bytes without secret values, or `None` when there is none in them.
    pub(crate) fn masked(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut changed: Option<Vec<u8>> = None;
        for needle in &self.needles {
            let needle = needle.expose_secret();
            let hay = changed.as_deref().unwrap_or(bytes);
            let mut found = memmem::find_iter(hay, needle).peekable();
            if found.peek().is_none() {
                continue;
            }
            let mut masked = Vec::with_capacity(hay.len());
            let mut from = 0;
            for at in found {
                masked.extend_from_slice(hay.get(from..at).unwrap_or_default());
                masked.extend_from_slice(MASK.as_bytes());
                from = at + needle.len();
            }
            masked.extend_from_slice(hay.get(from..).unwrap_or_default());
            changed = Some(masked);
        }
        changed
    }
}

/// With how many bytes at the end of `bytes` the needle begins without being complete. Each byte is looked at once, after
/// Knuth, Morris and Pratt: both may be chosen by somebody who wants this to take long.
fn begun(needle: &[u8], bytes: &[u8]) -> usize {
    let from = (bytes.len() + 1).saturating_sub(needle.len());
    let tail = bytes.get(from..).unwrap_or_default();
    let borders = borders(needle);
    tail.iter()
        .fold(0, |begun, byte| longer(needle, &borders, begun, *byte))
}

/// Of each beginning of the needle, how long the longest shorter one is with which it ends.
fn borders(needle: &[u8]) -> Vec<usize> {
    let mut borders: Vec<usize> = Vec::with_capacity(needle.len());
    for (at, byte) in needle.iter().enumerate() {
        let border = match at.checked_sub(1).and_then(|before| borders.get(before)) {
            Some(before) => longer(needle, &borders, *before, *byte),
            None => 0,
        };
        borders.push(border);
    }
    borders
}

/// How many bytes the needle has begun with after one more byte.
fn longer(needle: &[u8], borders: &[usize], mut begun: usize, byte: u8) -> usize {
    loop {
        if needle.get(begun) == Some(&byte) {
            return begun + 1;
        }
        match begun.checked_sub(1).and_then(|before| borders.get(before)) {
            Some(shorter) => begun = *shorter,
            None => return 0,
        }
    }
}

/// As it stands in JSON, where that differs: some write a slash with a backslash before it, which base64 is full of.
fn in_json(text: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::Value::from(text).to_string();
    let written = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let written = written.unwrap_or_default();
    let slashed = written.replace('/', "\\/");
    [written, slashed.as_str()]
        .into_iter()
        .filter(|spelling| *spelling != text)
        .map(|spelling| spelling.as_bytes().to_vec())
        .collect()
}

fn percent_encoded(bytes: &[u8]) -> String {
    url::form_urlencoded::byte_serialize(bytes).collect()
}

#[cfg(test)]
mod tests;
