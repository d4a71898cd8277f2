//! Idempotency keys of callers: the answer of the first run is written in the transaction of its effect
//! and given again to every repeat for a day.

use mihwar_model::{Time, TokenId};
use mihwar_store::{Batch, Edit, Guard, Key, Order};
use minicbor::{Decode, Encode};

use crate::core::Core;
use crate::fault::Fault;
use crate::intake::Rider;
use crate::keys;
use crate::rows;

/// How long an answer is kept.
const KEPT_MILLIS: i64 = 24 * 3600 * 1000;
/// Answers above this are not kept word for word; they would not fit a row.
pub const ANSWER_BYTES_MAX: usize = 32 << 10;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyState {
    /// Not used yet, or long ago.
    Fresh(IdempotencyTicket),
    /// Used for the same request: the answer that was given.
    Replay {
        /// HTTP status.
        status: u16,
        /// Body.
        body: Vec<u8>,
    },
    /// Used for another request.
    Mismatch,
}

/// The right to write the answer of a fresh key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyTicket {
    key: Key,
    version: Option<u64>,
    request: [u8; 32],
    expires: Time,
}

#[derive(Debug, Clone, Encode, Decode)]
struct AnswerRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    request: [u8; 32],
    #[n(1)]
    status: u16,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(3)]
    expires: Time,
}

impl IdempotencyTicket {
    /// The guard and edit that write this answer.
    pub(crate) fn rider(&self, status: u16, body: Vec<u8>) -> Result<Rider, Fault> {
        let row = AnswerRow {
            request: self.request,
            status,
            body,
            expires: self.expires,
        };
        let guard = match self.version {
            Some(version) => Guard::At(self.key.clone(), version),
            None => Guard::Absent(self.key.clone()),
        };
        Ok(Rider {
            guards: vec![guard],
            edits: vec![Edit::Put(self.key.clone(), rows::encode(&row)?)],
            events: Vec::new(),
        })
    }
}

pub(crate) async fn check(
    core: &Core,
    caller: Option<TokenId>,
    key: &str,
    request: [u8; 32],
) -> Result<IdempotencyState, Fault> {
    let caller = caller.map(TokenId::to_bytes).unwrap_or_default();
    let key = keys::idempotency(core.vault.idempotency_hash(&caller, key));
    let now = core.clock.now();
    let ticket = |version| IdempotencyTicket {
        key: key.clone(),
        version,
        request,
        expires: now.plus_millis(KEPT_MILLIS),
    };
    let Some(row) = core.store.view().await?.get(&key).await? else {
        return Ok(IdempotencyState::Fresh(ticket(None)));
    };
    let answer: AnswerRow = rows::decode("an idempotency row", &row.bytes)?;
    if answer.expires <= now {
        return Ok(IdempotencyState::Fresh(ticket(Some(row.version))));
    }
    if answer.request != request {
        return Ok(IdempotencyState::Mismatch);
    }
    Ok(IdempotencyState::Replay {
        status: answer.status,
        body: answer.body,
    })
}

/// Removes answers whose day is over.
pub(crate) async fn sweep(core: &Core) -> Result<(), Fault> {
    let now = core.clock.now();
    let mut range = Some(keys::all(keys::IDEMPOTENCY));
    while let Some(next) = range.take() {
        let page = core.store.view().await?.scan(next, Order::Ascending, 1000).await?;
        let mut batch = Batch::default();
        for row in page.rows {
            let answer: AnswerRow = rows::decode("an idempotency row", &row.value.bytes)?;
            if answer.expires <= now {
                batch.guards.push(Guard::At(row.key.clone(), row.value.version));
                batch.edits.push(Edit::Delete(row.key));
            }
        }
        if !batch.edits.is_empty() {
            core.apply_patiently(batch).await?;
        }
        range = page.next;
    }
    Ok(())
}
