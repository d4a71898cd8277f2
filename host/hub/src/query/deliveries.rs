//! Lists of deliveries, and what is told of one.

use mihwar_model::{ContactId, DeliveryId, EventBody, FeedbackId, InstanceName, Route};
use mihwar_store::{KeyRange, Order, View};
use serde::Serialize;

use super::{LOOKED_AT_MAX, LedgerEvent, QueryError, cursor_id, cursor_text, heads, history};
use crate::core::Core;
use crate::delivery::{self, Exchange, Story};
use crate::fault::Fault;
use crate::keys;
use crate::projection;
use crate::rows::{self, DeadRow, DeliveryRecord, DeliveryRow, DeliveryState};

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// To this department.
    pub destination: Option<InstanceName>,
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of this feedback.
    pub feedback: Option<FeedbackId>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryPage {
    /// The deliveries.
    pub items: Vec<DeliveryRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// What is told of one delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeliveryStory {
    /// Where it stands.
    pub record: DeliveryRecord,
    /// What happened to it, oldest first; of a record with more than 1000 events what stands among the first of them.
    pub events: Vec<LedgerEvent>,
    /// How often it was sent on its way again after it had become a dead letter, as these events tell.
    pub replays: u64,
    /// The last requests that were made for it, where it is a dead letter: personal content.
    pub exchanges: Vec<Exchange>,
}

/// One page of deliveries.
pub(crate) async fn delivery_page(
    core: &Core,
    filter: &DeliveryFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<DeliveryPage, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let mut range = Some(keys::all(keys::DELIVERY));
    if let Some(cursor) = cursor {
        let before = keys::delivery(DeliveryId::from_bytes(cursor_id(cursor)?));
        range = range.map(|range| range.before(&before));
    }
    let (mut items, mut looked, mut reached) = (Vec::new(), 0, None);
    while let Some(next) = range.take() {
        let page = view.scan(next, Order::Descending, 1000).await?;
        for row in page.rows {
            let Some(id) = keys::last_id(&row.key) else {
                continue;
            };
            looked += 1;
            reached = Some(cursor_text(id));
            let Some(delivery) = read_row(DeliveryId::from_bytes(id), &row.value.bytes) else {
                continue;
            };
            let fits = filter
                .destination
                .as_ref()
                .is_none_or(|name| delivery.destination == *name)
                && filter.state.is_none_or(|state| delivery.state == state)
                && filter.feedback.is_none_or(|feedback| delivery.feedback == feedback);
            if fits {
                items.push(delivery_record(core, &*view, DeliveryId::from_bytes(id), delivery).await?);
                if items.len() >= limit {
                    return Ok(DeliveryPage { items, next: reached });
                }
            }
        }
        range = page.next;
        if looked >= LOOKED_AT_MAX {
            let next = range.is_some().then_some(reached).flatten();
            return Ok(DeliveryPage { items, next });
        }
    }
    Ok(DeliveryPage { items, next: None })
}

/// The deliveries of one record, oldest first.
pub(crate) async fn deliveries_of(core: &Core, id: FeedbackId) -> Result<Vec<DeliveryRecord>, QueryError> {
    deliveries_told(core, &history(core, id).await?).await
}

/// The deliveries that these events of one record tell of, in their order.
pub(crate) async fn deliveries_told(core: &Core, events: &[LedgerEvent]) -> Result<Vec<DeliveryRecord>, QueryError> {
    let view = core.store.view().await?;
    let mut records = Vec::new();
    for event in events {
        let routes = match &event.event.body {
            EventBody::Routed(routed) | EventBody::BackFilled(routed) => &routed.routes,
            EventBody::RecordErased(erased) => &erased.routes,
            _ => continue,
        };
        for route in routes {
            let row = view.get(&keys::delivery(route.delivery)).await?;
            if let Some(row) = row.and_then(|row| read_row(route.delivery, &row.bytes)) {
                records.push(delivery_record(core, &*view, route.delivery, row).await?);
            }
        }
    }
    Ok(records)
}

async fn delivery_record(
    core: &Core,
    view: &dyn View,
    delivery: DeliveryId,
    row: DeliveryRow,
) -> Result<DeliveryRecord, Fault> {
    let head = heads(view, vec![row.feedback]).await;
    let head = readable(delivery, head.map(|mut heads| heads.remove(&row.feedback)))?;
    let contact = head.as_ref().map(|head| head.contact);
    let reference = match contact {
        Some(contact) => {
            let reference = delivery::reference(core, view, row.feedback, contact, &row.destination).await;
            readable(delivery, reference)?
        }
        None => None,
    };
    let reason = match (row.state, contact) {
        (DeliveryState::Dead, Some(contact)) => {
            let story = story(core, view, &row.destination, delivery, contact).await;
            readable(delivery, story)?.map(|story| story.reason)
        }
        _ => None,
    };
    Ok(DeliveryRecord {
        delivery,
        feedback: row.feedback,
        destination: row.destination,
        rule: row.rule,
        state: row.state,
        attempts: row.attempts,
        last_code: row.last_code,
        next_attempt: row.next_attempt,
        created_at: row.created_at,
        finished_at: row.finished_at,
        reference: reference.map(|content| content.reference),
        reason,
    })
}

/// A delivery's row; none where that is damaged, which must not hide the list it stands in.
fn read_row(delivery: DeliveryId, row: &[u8]) -> Option<DeliveryRow> {
    let read = rows::decode("a read model", row);
    let read = read.inspect_err(|error| {
        tracing::error!(%delivery, "left out of a list: {error}; run: mihwar ledger verify");
    });
    read.ok()
}

/// What damage hides of one delivery must not hide the list it stands in.
fn readable<T>(delivery: DeliveryId, read: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Err(error) if error.is_damage() => {
            tracing::error!(%delivery, "what belongs to it cannot be read: {error}");
            Ok(None)
        }
        read => read,
    }
}

/// What the dead letter of a delivery says; nothing where its contact was erased.
async fn story(
    core: &Core,
    view: &dyn View,
    destination: &InstanceName,
    delivery: DeliveryId,
    contact: ContactId,
) -> Result<Option<Story>, Fault> {
    let Some(row) = view.get(&keys::dead(destination, delivery)).await? else {
        return Ok(None);
    };
    let dead: DeadRow = rows::decode("a dead letter", &row.bytes)?;
    let keys = core.contact_keys(view, vec![contact]).await?;
    let Some(key) = keys.get(contact)?.filter(|_| !dead.reason.is_empty()) else {
        return Ok(None);
    };
    Story::open(&core.vault, key, delivery, &dead.reason).map(Some)
}

/// Everything that is told of one delivery.
pub(crate) async fn delivery_story(core: &Core, id: DeliveryId) -> Result<Option<DeliveryStory>, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let Some(row) = view
        .get(&keys::delivery(id))
        .await?
        .and_then(|row| read_row(id, &row.bytes))
    else {
        return Ok(None);
    };
    let record = delivery_record(core, &*view, id, row).await?;
    let head = heads(&*view, vec![record.feedback]).await;
    let head = readable(id, head.map(|mut heads| heads.remove(&record.feedback)))?;
    let told = match head.filter(|_| record.state == DeliveryState::Dead) {
        Some(head) => readable(id, story(core, &*view, &record.destination, id, head.contact).await)?,
        None => None,
    };
    drop(view);
    let mut events = history(core, record.feedback).await?;
    events.retain(|event| concerns(&event.event.body, id));
    let is_replay = |event: &&LedgerEvent| matches!(event.event.body, EventBody::DeliveryReplayed(_));
    let replays = events.iter().filter(is_replay).count() as u64;
    Ok(Some(DeliveryStory {
        record,
        events,
        replays,
        exchanges: told.map_or_else(Vec::new, |story| story.exchanges),
    }))
}

/// Whether an event tells of a delivery.
fn concerns(body: &EventBody, id: DeliveryId) -> bool {
    let begins = |routes: &[Route]| routes.iter().any(|route| route.delivery == id);
    match body {
        EventBody::Routed(routed) | EventBody::BackFilled(routed) => begins(&routed.routes),
        EventBody::RecordErased(erased) => begins(&erased.routes),
        EventBody::Delivered(told) => told.delivery == id,
        EventBody::DeliveryFailed(told) => told.delivery == id,
        EventBody::DeliverySkipped(told) => told.delivery == id,
        EventBody::DeliveryDeadLettered(told) => told.delivery == id,
        EventBody::DeliveryReplayed(told) => told.delivery == id,
        _ => false,
    }
}

/// How many deliveries wait for a department, and how many are dead letters; counting stops at 10 000.
pub(crate) async fn waiting(core: &Core, destination: &InstanceName) -> Result<(u64, u64), Fault> {
    let view = core.store.view().await?;
    let waiting = count(&*view, keys::outbox_of(destination)).await?;
    let dead = count(&*view, keys::dead_of(destination)).await?;
    Ok((waiting, dead))
}

async fn count(view: &dyn View, mut range: KeyRange) -> Result<u64, Fault> {
    let mut count = 0;
    loop {
        let page = view.scan(range, Order::Ascending, 1000).await?;
        count += page.rows.len() as u64;
        match page.next.filter(|_| count < 10_000) {
            Some(next) => range = next,
            None => return Ok(count),
        }
    }
}
