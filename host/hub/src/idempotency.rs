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
    /// Used, but what for and what was answered cannot be read any more.
    Unreadable,
}

/// Status of a row that stands for one that was damaged: no answer has it.
const UNREADABLE: u16 = 0;
const WHAT: &str = "the answer under an idempotency key";

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
    let mut found = core.store.get_many(std::slice::from_ref(&key)).await?;
    let Some(row) = found.pop().flatten() else {
        return Ok(IdempotencyState::Fresh(ticket(None)));
    };
    let answer = match minicbor::decode::<AnswerRow>(&row.bytes) {
        Ok(answer) => answer,
        Err(error) => {
            core.passed_over.note(&key, WHAT, &error.to_string());
            // Taken for fresh, its request might be carried out twice.
            return Ok(IdempotencyState::Unreadable);
        }
    };
    if answer.expires <= now {
        return Ok(IdempotencyState::Fresh(ticket(Some(row.version))));
    }
    if answer.status == UNREADABLE {
        return Ok(IdempotencyState::Unreadable);
    }
    if answer.request != request {
        return Ok(IdempotencyState::Mismatch);
    }
    Ok(IdempotencyState::Replay {
        status: answer.status,
        body: answer.body,
    })
}

/// What a row says of itself, for verification.
///
/// # Errors
/// It is damaged, or stands for one that was.
pub(crate) fn check_row(row: &[u8]) -> Result<(), String> {
    match minicbor::decode::<AnswerRow>(row) {
        Ok(answer) if answer.status == UNREADABLE => Err(format!("forgotten at {}", answer.expires)),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Removes answers whose day is over. One that is damaged does not say when that is: it is replaced by a row that refuses its
/// key for a day from now.
pub(crate) async fn sweep(core: &Core) -> Result<(), Fault> {
    let now = core.clock.now();
    let mut range = Some(keys::all(keys::IDEMPOTENCY));
    while let Some(next) = range.take() {
        let page = core.store.view().await?.scan(next, Order::Ascending, 1000).await?;
        let mut batch = Batch::default();
        for row in page.rows {
            let edit = match minicbor::decode::<AnswerRow>(&row.value.bytes) {
                Ok(answer) if answer.expires > now => continue,
                Ok(_) => Edit::Delete(row.key.clone()),
                Err(error) => {
                    core.passed_over.note(&row.key, WHAT, &error.to_string());
                    let refusing = AnswerRow {
                        request: [0; 32],
                        status: UNREADABLE,
                        body: Vec::new(),
                        expires: now.plus_millis(KEPT_MILLIS),
                    };
                    Edit::Put(row.key.clone(), rows::encode(&refusing)?)
                }
            };
            batch.guards.push(Guard::At(row.key, row.value.version));
            batch.edits.push(edit);
        }
        if !batch.edits.is_empty() {
            core.apply_patiently(batch).await?;
        }
        range = page.next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_store::{MemoryStore, Store};

    use super::*;

    const START: Time = Time(1_790_000_000_000);

    async fn answered(core: &Core, key: &str, request: [u8; 32]) {
        let IdempotencyState::Fresh(ticket) = check(core, None, key, request).await.unwrap() else {
            panic!("{key} is fresh");
        };
        let Rider { guards, edits, .. } = ticket.rider(201, "تم".into()).unwrap();
        let batch = Batch {
            guards,
            edits,
            ..Batch::default()
        };
        core.store.apply(batch).await.unwrap();
    }

    /// A hub's core a number of hours after the first one.
    fn later(store: &Arc<MemoryStore>, folder: &tempfile::TempDir, hours: i64) -> Core {
        let start = START.plus_millis(hours * 3_600_000);
        Core::for_tests(store.clone(), folder.path(), start)
    }

    #[tokio::test]
    async fn a_damaged_answer_refuses_its_own_key_for_a_day_and_holds_up_no_other() {
        let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
        let core = later(&store, &folder, 0);
        for key in ["مفتاح-١", "key-2"] {
            answered(&core, key, [1; 32]).await;
        }
        let damaged = keys::idempotency(core.vault.idempotency_hash(&[0; 16], "مفتاح-١"));
        let batch = Batch {
            edits: vec![Edit::Put(damaged.clone(), "صف تالف".into())],
            ..Batch::default()
        };
        store.apply(batch).await.unwrap();
        let unreadable = IdempotencyState::Unreadable;
        assert_eq!(check(&core, None, "مفتاح-١", [1; 32]).await.unwrap(), unreadable);
        assert!(core.passed_over.told().unwrap().contains("1 damaged"));
        let other = check(&core, None, "key-2", [1; 32]).await.unwrap();
        assert!(
            matches!(other, IdempotencyState::Replay { status: 201, .. }),
            "{other:?}"
        );
        // A day later the other one is gone, whichever of them comes first, and the damaged one refuses for a day from then.
        let next_day = later(&store, &folder, 25);
        sweep(&next_day).await.unwrap();
        let rows = store.get_many(std::slice::from_ref(&damaged)).await.unwrap();
        assert!(check_row(&rows[0].as_ref().unwrap().bytes).is_err());
        let page = store
            .view()
            .await
            .unwrap()
            .scan(keys::all(keys::IDEMPOTENCY), Order::Ascending, 10)
            .await;
        assert_eq!(page.unwrap().rows.len(), 1);
        assert_eq!(check(&next_day, None, "مفتاح-١", [1; 32]).await.unwrap(), unreadable);
        let after = later(&store, &folder, 50);
        sweep(&after).await.unwrap();
        let fresh = check(&after, None, "مفتاح-١", [1; 32]).await.unwrap();
        assert!(matches!(fresh, IdempotencyState::Fresh(_)), "{fresh:?}");
    }
}
