//! What a dead letter says: why, what was asked of the other system, and what it answered. All of it may quote a customer, so
//! it lies sealed under their key.

use mihwar_model::DeliveryId;
use mihwar_sandbox::Told;
use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::fault::Fault;
use crate::rows;
use crate::vault::{ContactKey, Vault};

/// Exchanges of one dead letter.
pub(super) const EXCHANGES_MAX: usize = 4;
/// Bytes of the names of headers that are kept of one exchange.
const HEADER_BYTES_MAX: usize = 1_024;
/// Begins a story of several parts. Before there were any, the reason stood alone, as text, which never begins so.
const PARTS: u8 = 0;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Story {
    /// What the department's plugin said.
    #[n(0)]
    pub(crate) reason: String,
    /// The last requests for it, oldest first.
    #[n(1)]
    pub(crate) exchanges: Vec<Exchange>,
}

/// A request that was made for a delivery, and what came of it. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Exchange {
    /// Method.
    #[n(0)]
    pub method: String,
    /// Where to: without user, fragment and the values of its query.
    #[n(1)]
    pub url: String,
    /// Names of the headers that the plugin set.
    #[n(2)]
    pub headers: Vec<String>,
    /// Bytes of the body.
    #[n(3)]
    pub bytes: u64,
    /// The answer's status; `None` when there was none.
    #[n(4)]
    pub status: Option<u16>,
    /// The first 512 letters of the answer, or what kept it from coming.
    #[n(5)]
    pub answer: String,
    /// Milliseconds from sending to answer.
    #[n(6)]
    pub took_ms: u64,
}

impl From<Told> for Exchange {
    fn from(told: Told) -> Self {
        let mut room = HEADER_BYTES_MAX;
        let fitting = told.headers.into_iter().take_while(|name| {
            let left = room.checked_sub(name.len());
            room = left.unwrap_or(0);
            left.is_some()
        });
        let headers = fitting.collect();
        Self {
            method: told.method,
            url: told.url,
            headers,
            bytes: told.bytes,
            status: told.status,
            answer: told.answer,
            took_ms: told.took_ms,
        }
    }
}

impl Story {
    /// One without exchanges.
    pub(super) fn of_reason(reason: String) -> Self {
        Self {
            reason,
            exchanges: Vec::new(),
        }
    }

    /// Sealed for a delivery; nothing where its contact has no usable key.
    pub(super) fn sealed(
        &self,
        vault: &Vault,
        key: Option<&ContactKey>,
        delivery: DeliveryId,
    ) -> Result<Vec<u8>, Fault> {
        let Some(key) = key else {
            return Ok(Vec::new());
        };
        let plain = [[PARTS].as_slice(), &rows::encode(self)?].concat();
        Ok(vault.seal_for(key, &delivery.to_bytes(), &plain)?)
    }

    /// As it was sealed.
    pub(crate) fn open(vault: &Vault, key: &ContactKey, delivery: DeliveryId, sealed: &[u8]) -> Result<Self, Fault> {
        let plain = vault.open_for(key, &delivery.to_bytes(), sealed)?;
        match plain.split_first() {
            Some((&PARTS, parts)) => rows::decode("what a dead letter says", parts),
            _ => Ok(Self::of_reason(String::from_utf8_lossy(&plain).into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{ContactId, DeliveryId, SeededRandomness};
    use mihwar_sandbox::Told;

    use super::{EXCHANGES_MAX, Exchange, Story};
    use crate::vault::Vault;

    fn told(headers: usize) -> Told {
        Told {
            method: "POST".into(),
            url: "ش".repeat(512),
            headers: vec!["x-note".repeat(20); headers],
            bytes: 900,
            status: Some(422),
            answer: "رفض".repeat(170),
            took_ms: 12,
            keys: Vec::new(),
        }
    }

    #[test]
    fn a_story_opens_for_its_delivery_alone_whether_it_has_parts_or_not() {
        let vault = Vault::new(&[5; 32], Arc::new(SeededRandomness::new(3)));
        let (key, _) = vault.new_contact_key(ContactId::from_bytes([1; 16])).unwrap();
        let (delivery, other) = (DeliveryId::from_bytes([1; 16]), DeliveryId::from_bytes([2; 16]));
        let story = Story {
            reason: "النظام يرفض (http-422)".into(),
            exchanges: vec![Exchange::from(told(2))],
        };
        let sealed = story.sealed(&vault, Some(&key), delivery).unwrap();
        assert_eq!(Story::open(&vault, &key, delivery, &sealed).unwrap(), story);
        assert!(Story::open(&vault, &key, other, &sealed).is_err());
        let former = vault.seal_for(&key, &delivery.to_bytes(), "قديم".as_bytes()).unwrap();
        let opened = Story::open(&vault, &key, delivery, &former).unwrap();
        assert_eq!(opened, Story::of_reason("قديم".into()));
        assert!(story.sealed(&vault, None, delivery).unwrap().is_empty());
    }

    #[test]
    fn whatever_a_plugin_sends_its_story_fits_a_row() {
        let story = Story {
            reason: "x".repeat(2_048),
            exchanges: vec![Exchange::from(told(64)); EXCHANGES_MAX],
        };
        assert!(story.exchanges[0].headers.len() < 10);
        assert!(crate::rows::encode(&story).unwrap().len() < 40_000);
    }
}
