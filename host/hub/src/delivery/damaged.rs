//! Damaged rows of the outbox and of the dead letters. What stood in one follows from the ledger, all but the moment at which
//! it was due: so a damaged row of the outbox becomes a dead letter that is whole, and a damaged dead letter is sent again
//! as it was. Where the ledger does not tell, the row is passed over.

use mihwar_model::{Actor, DeadLettered, DeliveryId, EventBody, InstanceName, Route};
use mihwar_store::{Batch, Edit, Guard, Key, View};

use super::told::Story;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::query::{self, QueryError};
use crate::rows::{self, DeadRow, DeliveryRow, DeliveryState, ErasureNotice, OutboxRow};

/// Attempts that nobody has ever made: a row with more is damaged, and counting on would overflow.
const ATTEMPTS_MAX: u32 = u32::MAX / 2;
/// Code of dead letters that were made of damaged rows.
const CODE: &str = "outbox-damaged";
const WAITING: &str = "a delivery that waits";
/// What a department that has nothing of a record is handed, whatever revision that is of.
pub(super) const FIRST_REVISION: u32 = 1;

/// A row of the outbox that cannot be what the hub wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) delivery: DeliveryId,
    pub(super) version: u64,
    /// Why not.
    pub(super) detail: String,
}

/// What a row of the outbox says; else why it cannot be what the hub wrote.
pub(crate) fn waiting_entry(row: &[u8]) -> Result<OutboxRow, String> {
    plausible(minicbor::decode(row).map_err(|error| error.to_string())?)
}

/// What a dead letter's row says; else why it cannot be what the hub wrote.
pub(crate) fn dead_entry(row: &[u8]) -> Result<DeadRow, String> {
    let dead: DeadRow = minicbor::decode(row).map_err(|error| error.to_string())?;
    let entry = plausible(dead.entry)?;
    Ok(DeadRow { entry, ..dead })
}

fn plausible(row: OutboxRow) -> Result<OutboxRow, String> {
    let (made, before) = (row.attempts, row.attempts_before_replay);
    if made > ATTEMPTS_MAX || before > made {
        return Err(format!("it says {made} attempts, of which {before} do not count"));
    }
    Ok(row)
}

/// Makes dead letters of damaged rows, each by itself and by what the ledger tells of it. Answers how many; the others are
/// passed over from now on. A dead letter is no row that is passed over: sent again, it lies in its old place.
pub(super) async fn set_aside(core: &Core, destination: &InstanceName, rows: Vec<Damaged>) -> Result<usize, Fault> {
    let (mut batch, mut count) = (Batch::default(), 0);
    for damaged in rows {
        let key = keys::outbox(destination, damaged.delivery);
        match as_told(core, destination, damaged.delivery).await {
            Ok(Some((entry, state))) if state != DeliveryState::Dead => {
                metrics::counter!("mihwar_damaged_rows_total").increment(1);
                let (delivery, detail) = (damaged.delivery, &damaged.detail);
                tracing::error!(%delivery, %destination, "a delivery's row is damaged, and the delivery a dead letter now: {detail}");
                batch.guards.push(Guard::At(key.clone(), damaged.version));
                batch.edits.push(Edit::Delete(key));
                letter(core, destination, &damaged, entry, &mut batch).await?;
                count += 1;
            }
            Ok(_) => {
                let detail = format!("{}; and the ledger knows of no such delivery", damaged.detail);
                core.passed_over.note(&key, WAITING, &detail);
            }
            Err(error) if error.is_damage() => {
                let detail = format!(
                    "{}; and neither can the ledger say what it was: {error}",
                    damaged.detail
                );
                core.passed_over.note(&key, WAITING, &detail);
            }
            Err(error) => return Err(error),
        }
    }
    if count > 0 {
        core.apply_patiently(batch).await?;
        core.wake.projector.notify_one();
    }
    Ok(count)
}

/// The dead letter of a damaged row.
async fn letter(
    core: &Core,
    destination: &InstanceName,
    damaged: &Damaged,
    entry: OutboxRow,
    batch: &mut Batch,
) -> Result<(), Fault> {
    let delivery = damaged.delivery;
    let contact_keys = core.contact_keys_now(vec![entry.contact]).await?;
    let reason = format!(
        "the row by which it waited is damaged ({}); it is made anew from the ledger when it is sent again",
        damaged.detail
    );
    let reason = Story::of_reason(reason).sealed(&core.vault, contact_keys.usable(entry.contact), delivery)?;
    let body = DeadLettered {
        delivery,
        feedback: entry.feedback,
        destination: destination.clone(),
        attempts: entry.attempts,
        code: CODE.to_owned(),
    };
    let row = DeadRow {
        entry,
        code: CODE.to_owned(),
        reason,
        at: core.clock.now(),
    };
    let place = keys::dead(destination, delivery);
    batch.edits.push(Edit::Put(place, rows::encode(&row)?));
    batch
        .journal
        .push(core.event(Actor::Hub, EventBody::DeliveryDeadLettered(body))?);
    Ok(())
}

/// The row of a delivery that has no end yet, as the ledger tells of it, and where it stands. Due at once.
///
/// # Errors
/// What tells of it is damaged itself, or the store failed.
pub(super) async fn as_told(
    core: &Core,
    destination: &InstanceName,
    delivery: DeliveryId,
) -> Result<Option<(OutboxRow, DeliveryState)>, Fault> {
    projection::catch_up(core).await?;
    let view = core.store.view().await?;
    let Some(told) = told(&*view, &keys::delivery(delivery)).await? else {
        return Ok(None);
    };
    let is_open = !matches!(told.state, DeliveryState::Delivered | DeliveryState::Skipped);
    if told.destination != *destination || !is_open {
        return Ok(None);
    }
    let Some(head) = query::heads(&*view, vec![told.feedback]).await?.remove(&told.feedback) else {
        return Ok(None);
    };
    drop(view);
    // Whole: attempts may have left thousands of events, and that the record was erased stands behind them.
    let history = query::whole_history(core, told.feedback);
    let history = history.await.map_err(|error| match error {
        QueryError::Fault(fault) => fault,
        QueryError::Cursor => Fault::Contended,
    })?;
    let begins_here = |routes: &[Route]| routes.iter().any(|route| route.delivery == delivery);
    // Revision 2 of a record is routed anew, under another id.
    let begun = history.into_iter().find_map(|event| match event.event.body {
        EventBody::Routed(routed) if begins_here(&routed.routes) => Some((routed.revision, None)),
        // Its department has no earlier one.
        EventBody::BackFilled(filled) if begins_here(&filled.routes) => Some((FIRST_REVISION, None)),
        // What the department calls the record stood in the row alone.
        EventBody::RecordErased(erased) if begins_here(&erased.routes) => {
            Some((head.revision, Some(ErasureNotice { reference: Vec::new() })))
        }
        _ => None,
    });
    Ok(begun.map(|(revision, erased)| {
        let entry = OutboxRow {
            feedback: told.feedback,
            revision,
            contact: head.contact,
            attempts: told.attempts,
            due: core.clock.now(),
            rule: told.rule,
            attempts_before_replay: told.attempts,
            erased,
        };
        (entry, told.state)
    }))
}

async fn told(view: &dyn View, place: &Key) -> Result<Option<DeliveryRow>, Fault> {
    match view.get(place).await? {
        Some(row) => rows::decode("a read model", &row.bytes).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
