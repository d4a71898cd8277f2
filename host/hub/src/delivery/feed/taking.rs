//! Acknowledging: what a department says it keeps is delivered.

use mihwar_model::{Actor, InstanceName};
use mihwar_store::{Batch, Key, Order};

use super::cursors::{self, Cursor};
use super::ending::Endings;
use super::{FeedCursor, FeedRefusal, READS_MAX, settles, span};
use crate::core::Core;
use crate::delivery::damaged;
use crate::delivery::outbox::Due;
use crate::delivery::outcome::Outcome;
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rows::{self, DeliveryRow};

/// Entries of a feed that are settled in one transaction.
const TOGETHER: usize = if cfg!(test) { 3 } else { 500 };

/// Moves a cursor to a place. Answers where it stands then: an older place changes nothing.
pub(crate) async fn acknowledge(
    core: &Core,
    actor: &Actor,
    department: &InstanceName,
    name: &InstanceName,
    position: u64,
) -> Result<FeedCursor, FeedRefusal> {
    let outbox = core.outboxes.of(department);
    let _feeding = outbox.feeding.lock().await;
    let mut contended = 0;
    loop {
        let Some(mut cursor) = cursors::find(core, department, name).await? else {
            return Err(cursors::unknown(core, department, name).await);
        };
        let handed = cursor.row.handed;
        if position > handed {
            return Err(FeedRefusal::Beyond { position, handed });
        }
        if position <= cursor.row.acknowledged {
            return Ok(cursor.told());
        }
        match step(core, actor, &mut cursor, position).await {
            Ok(()) => contended = 0,
            // A row was changed by others, such as an erasure: what is there now counts.
            Err(Fault::Contended) if contended < READS_MAX => contended += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Moves a cursor towards a place, as far as one transaction goes.
async fn step(core: &Core, actor: &Actor, cursor: &mut Cursor, position: u64) -> Result<(), Fault> {
    let now = core.clock.now();
    let (mut batch, mut reached, mut delivered) = (Batch::default(), position, 0_u64);
    if settles(&cursor.name) {
        let (dues, end) = stretch(core, cursor, position).await?;
        let contacts = dues.iter().map(|due| due.row.contact).collect();
        let contact_keys = core.contact_keys_now(contacts).await?;
        let endings = Endings {
            core,
            department: &cursor.department,
            actor,
            now,
        };
        let taken = Outcome::Delivered {
            reference: None,
            url: None,
        };
        for due in &dues {
            endings.write(&mut batch, &contact_keys, due, &taken)?;
        }
        (reached, delivered) = (end, dues.len() as u64);
    }
    (cursor.row.acknowledged, cursor.row.acknowledged_at) = (reached, Some(now));
    cursor.write(&mut batch)?;
    core.apply_patiently(batch).await?;
    core.wake.projector.notify_one();
    core.outboxes.of(&cursor.department).count(now, delivered, 0);
    let labels = [
        ("destination", cursor.department.to_string()),
        ("outcome", "delivered".to_owned()),
    ];
    metrics::counter!("mihwar_delivery_attempts_total", &labels).increment(delivered);
    Ok(())
}

/// What waits between what is acknowledged and a place, and up to where that is all.
async fn stretch(core: &Core, cursor: &Cursor, position: u64) -> Result<(Vec<Due>, u64), Fault> {
    let department = &cursor.department;
    let view = core.store.view().await?;
    let size = view.tree().size();
    let range = keys::feed_after(department, cursor.row.acknowledged);
    let page = view.scan(range, Order::Ascending, TOGETHER).await?;
    let last = page.rows.last().and_then(|row| keys::last_number(&row.key));
    let end = last
        .filter(|_| page.next.is_some())
        .map_or(position, |last| last.min(position));
    let mut entries = span::entries(&*view, department, &page.rows).await?;
    entries.retain(|(place, _)| *place <= end);
    let mut unreadable = Vec::new();
    let dues = span::waiting(core, &*view, department, &entries, &mut unreadable).await?;
    drop(view);
    if !unreadable.is_empty() {
        damaged::set_aside(core, department, unreadable).await?;
    }
    // A dead letter that was sent again meanwhile waits at a place that was not handed out. Whatever was written up to that
    // view is folded before it is looked up, and what is written later changes the row that the delivery is guarded by.
    projection::catch_up_to(core, size).await?;
    let places: Vec<Key> = dues.iter().flatten().map(|due| keys::delivery(due.delivery)).collect();
    let mut told = core.store.get_many(&places).await?.into_iter();
    let mut taken = Vec::with_capacity(places.len());
    for ((place, _), due) in entries.into_iter().zip(dues) {
        let Some(due) = due else { continue };
        let told = told.next().flatten();
        let told = told.and_then(|told| rows::decode::<DeliveryRow>("a read model", &told.bytes).ok());
        if told.is_none_or(|told| told.position <= place) {
            taken.push(due);
        }
    }
    Ok((taken, end))
}
