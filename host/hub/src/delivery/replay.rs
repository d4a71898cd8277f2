//! Dead letters sent on their way again, under the ids they had.

use mihwar_model::{Actor, DeliveryId, EventBody, InstanceName, Replayed, Time};
use mihwar_store::{Batch, Edit, Guard, Order, Row};

use super::damaged;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, DeadRow, DeliveryState, OutboxRow};

/// Which dead letters are sent on their way again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaySelection {
    /// One.
    Id(DeliveryId),
    /// All of one department.
    Destination(InstanceName),
    /// All.
    All,
}

/// Puts dead letters back into the outbox; each that is there at the beginning once. Answers how many. One whose row is
/// damaged is made anew from the ledger; where that does not tell of it, it stays, and the others go.
pub(crate) async fn replay(core: &Core, actor: &Actor, which: &ReplaySelection) -> Result<u64, Fault> {
    let mut replayed = 0;
    let mut range = Some(match which {
        ReplaySelection::Destination(name) => keys::dead_of(name),
        ReplaySelection::Id(_) | ReplaySelection::All => keys::all(keys::DEAD),
    });
    while let Some(next) = range {
        let page = core.store.view().await?.scan(next, Order::Ascending, 500).await?;
        let mut batch = Batch::default();
        for row in page.rows {
            if let Some(id) = keys::last_id(&row.key).map(DeliveryId::from_bytes)
                && !matches!(which, ReplaySelection::Id(wanted) if *wanted != id)
                && let Some(destination) = keys::dead_destination(&row.key)
            {
                match put_back(core, actor, id, destination, row, &mut batch).await {
                    Ok(()) => replayed += 1,
                    // Told whether one was asked for or all; who asked for this one hears why.
                    Err(error) if error.is_damage() && !matches!(which, ReplaySelection::Id(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if !batch.edits.is_empty() {
            core.apply_patiently(batch).await?;
        }
        range = page.next;
    }
    core.wake.deliveries();
    Ok(replayed)
}

async fn put_back(
    core: &Core,
    actor: &Actor,
    delivery: DeliveryId,
    destination: InstanceName,
    row: Row,
    batch: &mut Batch,
) -> Result<(), Fault> {
    let entry = match damaged::dead_entry(&row.value.bytes) {
        Ok(dead) => afresh(dead, core.clock.now()),
        Err(detail) => match damaged::as_told(core, &destination, delivery).await {
            Ok(Some((entry, DeliveryState::Dead))) => {
                tracing::error!(%delivery, %destination, "a dead letter's row is damaged, and made anew from the ledger: {detail}");
                entry
            }
            Err(error) if !error.is_damage() => return Err(error),
            _ => {
                let what = "a dead letter";
                core.passed_over.note(&row.key, what, &detail);
                return Err(Fault::Damaged { what, detail });
            }
        },
    };
    let feedback = entry.feedback;
    batch.guards.push(Guard::At(row.key.clone(), row.value.version));
    batch.edits.push(Edit::Delete(row.key));
    batch
        .edits
        .push(Edit::Put(keys::outbox(&destination, delivery), rows::encode(&entry)?));
    let body = Replayed {
        delivery,
        feedback,
        destination,
    };
    batch
        .journal
        .push(core.event(actor.clone(), EventBody::DeliveryReplayed(body))?);
    Ok(())
}

/// The outbox row of a dead letter: due at once, with the whole schedule before it again.
fn afresh(dead: DeadRow, now: Time) -> OutboxRow {
    OutboxRow {
        due: now,
        attempts_before_replay: dead.entry.attempts,
        ..dead.entry
    }
}
