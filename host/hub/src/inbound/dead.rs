//! Requests that could not become feedback: kept whole, listed with the reason, and replayed under their ids.

use mihwar_model::{Actor, Event, EventBody, InboundDeadLettered, InboundId, InboundReplayed, InstanceName, Time};
use mihwar_store::{Batch, Edit, Guard, KeyRange, Order, Row};
use serde::Serialize;

use crate::changes;
use crate::core::Core;
use crate::fault::{Fault, event_code};
use crate::keys;
use crate::rows::{self, InboxDeadRow, InboxRow};

/// How much of a reason is kept. With a request of [`super::ROW_BYTES_MAX`] beside it, it fits a row.
const REASON_BYTES_MAX: usize = 4096;
/// How much of a code is kept.
const CODE_BYTES_MAX: usize = 64;

/// A request that could not become feedback, for readers.
#[derive(Debug, Clone, Serialize)]
pub struct InboundRecord {
    /// Its id.
    pub inbound: InboundId,
    /// The channel instance.
    pub instance: InstanceName,
    /// Its endpoint.
    pub endpoint: String,
    /// When it came.
    pub received_at: Time,
    /// Short reason.
    pub code: String,
    /// What its plugin said.
    pub reason: String,
}

/// A request that is given up for now.
pub(super) struct Dead<'a> {
    pub(super) id: InboundId,
    /// The row of the inbox, as it is stored.
    pub(super) stored: &'a [u8],
    pub(super) request: &'a InboxRow,
    pub(super) code: &'a str,
    pub(super) reason: &'a str,
}

impl Dead<'_> {
    pub(super) fn put(&self, core: &Core) -> Result<Edit, Fault> {
        let reason = changes::cut(self.reason.to_owned(), REASON_BYTES_MAX);
        let row = InboxDeadRow {
            request: self.stored.to_vec(),
            instance: self.request.instance.clone(),
            endpoint: self.request.endpoint.clone(),
            code: changes::cut(self.code.to_owned(), CODE_BYTES_MAX),
            reason: core
                .vault
                .seal_own(keys::inbox_dead(self.id).as_bytes(), reason.as_bytes())?,
            received_at: self.request.received_at,
        };
        Ok(Edit::Put(keys::inbox_dead(self.id), rows::encode(&row)?))
    }

    pub(super) fn event(&self, core: &Core) -> Event {
        Event {
            at: core.clock.now(),
            actor: Actor::Hub,
            body: self.told(),
        }
    }

    pub(super) fn told(&self) -> EventBody {
        EventBody::InboundDeadLettered(InboundDeadLettered {
            inbound: self.id,
            instance: self.request.instance.clone(),
            code: event_code(self.code),
        })
    }
}

/// Moves a request from the inbox to the dead letters, if it is still as the guard says.
pub(super) async fn bury(core: &Core, guard: Guard, dead: &Dead<'_>) -> Result<(), Fault> {
    let batch = Batch {
        edits: vec![Edit::Delete(guard.key().clone()), dead.put(core)?],
        guards: vec![guard],
        journal: vec![dead.event(core).to_bytes().map_err(Fault::Encoding)?],
    };
    core.store.apply(batch).await?;
    Ok(())
}

/// What lies there, for who is told of a damaged one.
const WHAT: &str = "a dead letter of a stored request";

/// Dead letters, newest first. One whose row is damaged is passed over: it costs itself, and not the list.
pub(crate) async fn page(core: &Core, after: Option<InboundId>, limit: usize) -> Result<Vec<InboundRecord>, Fault> {
    let view = core.store.view().await?;
    let mut range = keys::all(keys::INBOX_DEAD);
    if let Some(after) = after {
        range = range.before(&keys::inbox_dead(after));
    }
    let (mut found, mut rest) = (Vec::new(), Some(range));
    while let Some(range) = rest.filter(|_| found.len() < limit) {
        let page = view.scan(range, Order::Descending, limit - found.len()).await?;
        for row in page.rows {
            match record(core, &row) {
                Ok(record) => found.push(record),
                Err(error) if error.is_damage() => core.passed_over.note(&row.key, WHAT, &error.to_string()),
                Err(error) => return Err(error),
            }
        }
        rest = page.next;
    }
    Ok(found)
}

fn record(core: &Core, row: &Row) -> Result<InboundRecord, Fault> {
    let dead: InboxDeadRow = rows::decode("a dead letter", &row.value.bytes)?;
    let id = keys::last_id(&row.key).unwrap_or_default();
    let reason = match core.vault.open_own(row.key.as_bytes(), &dead.reason) {
        Ok(reason) => String::from_utf8_lossy(&reason).into_owned(),
        // The request may be whole, and can be replayed all the same.
        Err(error) => {
            core.passed_over.note(&row.key, WHAT, &error.to_string());
            format!("what was said of it cannot be read: {error}")
        }
    };
    Ok(InboundRecord {
        inbound: InboundId::from_bytes(id),
        instance: dead.instance,
        endpoint: dead.endpoint,
        received_at: dead.received_at,
        code: dead.code,
        reason,
    })
}

/// Puts one dead letter, or all that are there now, back into the inbox. Answers how many. The ids are those that
/// lay there at the beginning: one that fails again meanwhile is not taken twice. Of all, one whose row is damaged stays.
pub(crate) async fn replay(core: &Core, actor: &Actor, which: Option<InboundId>) -> Result<u64, Fault> {
    let mut replayed = 0;
    let mut range = Some(match which {
        Some(id) => KeyRange::prefix(keys::inbox_dead(id)),
        None => keys::all(keys::INBOX_DEAD),
    });
    while let Some(next) = range {
        let view = core.store.view().await?;
        let page = view.scan(next, Order::Ascending, 100).await?;
        drop(view);
        let mut batch = Batch::default();
        for row in page.rows {
            let dead = match rows::decode::<InboxDeadRow>("a dead letter", &row.value.bytes) {
                Ok(dead) => dead,
                Err(error) => {
                    core.passed_over.note(&row.key, WHAT, &error.to_string());
                    if which.is_some() {
                        return Err(error);
                    }
                    continue;
                }
            };
            let id = InboundId::from_bytes(keys::last_id(&row.key).unwrap_or_default());
            let inbox = keys::inbox(&dead.instance, id);
            let body = EventBody::InboundReplayed(InboundReplayed {
                inbound: id,
                instance: dead.instance,
            });
            batch.journal.push(core.event(actor.clone(), body)?);
            batch.edits.push(Edit::Put(inbox, dead.request));
            batch.edits.push(Edit::Delete(row.key.clone()));
            batch.guards.push(Guard::At(row.key, row.value.version));
            replayed += 1;
        }
        if !batch.edits.is_empty() {
            core.store.apply(batch).await?;
            core.wake.inbound.notify_one();
        }
        range = page.next;
    }
    Ok(replayed)
}
