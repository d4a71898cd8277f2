//! Dead letters sent on their way again, under the ids they had.

use mihwar_model::{Actor, DeliveryId, EventBody, InstanceName, Replayed, Time};
use mihwar_store::{Batch, Edit, Guard, Order, Row};

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow};

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

/// Puts dead letters back into the outbox; each that is there at the beginning once. Answers how many.
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
                put_back(core, actor, id, destination, row, &mut batch)?;
                replayed += 1;
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

fn put_back(
    core: &Core,
    actor: &Actor,
    delivery: DeliveryId,
    destination: InstanceName,
    row: Row,
    batch: &mut Batch,
) -> Result<(), Fault> {
    let dead: DeadRow = rows::decode("a dead letter", &row.value.bytes)?;
    let feedback = dead.entry.feedback;
    let entry = afresh(dead, core.clock.now());
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
