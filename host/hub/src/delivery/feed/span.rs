//! What stands in a feed behind a place.

use mihwar_model::{ContactId, Event, InstanceName, Time};
use mihwar_store::{Key, Order, Row, Versioned, View};

use super::super::damaged::Damaged;
use super::super::outbox::{Due, read};
use crate::core::Core;
use crate::erasure::NOTICE_RULE;
use crate::fault::Fault;
use crate::feed_row::{FeedRow, FeedSort};
use crate::folding::no_event;
use crate::head_row;
use crate::keys;
use crate::rows::{self, DeliveryRow, ErasureNotice, OutboxRow};

/// Entries looked at together.
const PAGE: usize = 256;
/// Entries looked at for one page: those that do not wait any more are passed by.
const LOOKED_AT_MAX: usize = 20_000;

/// Something in a feed that may be handed out.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) due: Due,
}

/// A stretch of a feed.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) found: Vec<Found>,
    /// Rows of the outbox that cannot be read.
    pub(super) damaged: Vec<Damaged>,
    /// Everything up to here was looked at.
    pub(super) reached: u64,
    /// Whether that is all there is.
    pub(super) is_end: bool,
}

/// What may be handed out behind a place, up to `limit`: of who settles, what waits; of the others, whatever is there.
pub(super) async fn behind(
    core: &Core,
    view: &dyn View,
    department: &InstanceName,
    from: u64,
    (settles, limit): (bool, usize),
) -> Result<Span, Fault> {
    let mut span = Span {
        found: Vec::new(),
        damaged: Vec::new(),
        reached: from,
        is_end: true,
    };
    let (mut range, mut looked_at) = (Some(keys::feed_after(department, from)), 0);
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        looked_at += page.rows.len();
        let entries = entries(view, department, &page.rows).await?;
        let mut dues = if settles {
            waiting(core, view, department, &entries, &mut span.damaged).await?
        } else {
            told(core, view, &entries).await?
        };
        drop_superseded(view, &entries, &mut dues).await?;
        for ((position, _), due) in entries.into_iter().zip(dues) {
            if span.found.len() >= limit {
                span.is_end = false;
                return Ok(span);
            }
            span.found.extend(due.map(|due| Found { position, due }));
            span.reached = position;
        }
        range = page.next;
        if looked_at >= LOOKED_AT_MAX && range.is_some() {
            span.is_end = false;
            return Ok(span);
        }
    }
    Ok(span)
}

/// The first entry of a feed at a place or behind it.
pub(super) async fn first_from(
    view: &dyn View,
    department: &InstanceName,
    place: u64,
) -> Result<Option<(u64, FeedRow)>, Fault> {
    let range = match place.checked_sub(1) {
        Some(before) => keys::feed_after(department, before),
        None => keys::feed_of(department),
    };
    let page = view.scan(range, Order::Ascending, 1).await?;
    Ok(entries(view, department, &page.rows).await?.pop())
}

/// What rows of a feed say. One that is damaged is made of the entry of the ledger that it stands for: it must not be passed
/// by.
pub(super) async fn entries(
    view: &dyn View,
    department: &InstanceName,
    rows: &[Row],
) -> Result<Vec<(u64, FeedRow)>, Fault> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(position) = keys::last_number(&row.key) else {
            continue;
        };
        match rows::decode::<FeedRow>("an entry of a feed", &row.value.bytes) {
            Ok(entry) => entries.push((position, entry)),
            Err(error) => {
                tracing::error!(row = %keys::describe(&row.key), "{error}; it is made of the ledger");
                let told = as_told(view, department, position).await?;
                entries.extend(told.map(|entry| (position, entry)));
            }
        }
    }
    Ok(entries)
}

/// What an entry of the ledger put into a feed.
async fn as_told(view: &dyn View, department: &InstanceName, position: u64) -> Result<Option<FeedRow>, Fault> {
    let Some(entry) = view.journal(position, 1).await?.pop() else {
        return Ok(None);
    };
    let event = Event::from_bytes(&entry.bytes).map_err(|detail| no_event(position, &detail))?;
    let mut rows = FeedRow::of(&event).into_iter();
    Ok(rows.find(|(name, _)| name == department).map(|(_, row)| row))
}

/// Those of these that wait in the outbox. Rows that cannot be read, and that nobody has given up yet, are added to `damaged`.
pub(super) async fn waiting(
    core: &Core,
    view: &dyn View,
    department: &InstanceName,
    entries: &[(u64, FeedRow)],
    damaged: &mut Vec<Damaged>,
) -> Result<Vec<Option<Due>>, Fault> {
    let places = entries
        .iter()
        .map(|(_, entry)| keys::outbox(department, entry.delivery));
    let places: Vec<Key> = places.collect();
    let rows = view.get_many(&places).await?;
    let mut dues = Vec::with_capacity(entries.len());
    for ((_, entry), (place, row)) in entries.iter().zip(places.iter().zip(rows)) {
        let due = match row.map(|row| read(entry.delivery, &row)) {
            Some(Ok(due)) => Some(due),
            Some(Err(found)) => {
                if !core.passed_over.holds(place) {
                    damaged.push(found);
                }
                None
            }
            None => None,
        };
        dues.push(due);
    }
    Ok(dues)
}

/// What was given to the department, whether it waits or not. What is gone, and what cannot be told any more, is left out.
async fn told(core: &Core, view: &dyn View, entries: &[(u64, FeedRow)]) -> Result<Vec<Option<Due>>, Fault> {
    let places = entries.iter().map(|(_, entry)| keys::head(entry.feedback));
    let deliveries = entries.iter().map(|(_, entry)| keys::delivery(entry.delivery));
    let places: Vec<Key> = places.chain(deliveries).collect();
    let mut heads = view.get_many(&places).await?;
    let deliveries = heads.split_off(entries.len().min(heads.len()));
    let now = core.clock.now();
    let mut dues = Vec::with_capacity(entries.len());
    for ((_, entry), (head, delivery)) in entries.iter().zip(heads.into_iter().zip(deliveries)) {
        let head = match head.map(|head| head_row::decode(entry.feedback, &head.bytes)) {
            Some(Ok(head)) => head,
            Some(Err(error)) => {
                tracing::error!(feedback = %entry.feedback, "left out of a feed: {error}");
                dues.push(None);
                continue;
            }
            None => {
                dues.push(None);
                continue;
            }
        };
        let is_gone = head.erased_at.is_some();
        let (revision, is_notice) = match entry.sort {
            FeedSort::Record(revision) => (revision, false),
            FeedSort::Erased => (head.revision, true),
            FeedSort::Again => (head.revision, is_gone && is_of_an_erasure(delivery.as_ref())),
        };
        if is_gone && !is_notice {
            dues.push(None);
            continue;
        }
        dues.push(Some(looked_on(entry, (revision, is_notice), head.contact, now)));
    }
    Ok(dues)
}

/// Whether a delivery tells that a record is gone.
fn is_of_an_erasure(delivery: Option<&Versioned>) -> bool {
    let told = delivery.and_then(|told| rows::decode::<DeliveryRow>("a read model", &told.bytes).ok());
    told.is_some_and(|told| told.rule == NOTICE_RULE)
}

/// As it would wait for somebody who takes it.
fn looked_on(entry: &FeedRow, (revision, is_notice): (u32, bool), contact: ContactId, now: Time) -> Due {
    let row = OutboxRow {
        feedback: entry.feedback,
        revision,
        contact,
        attempts: 0,
        due: now,
        rule: String::new(),
        attempts_before_replay: 0,
        erased: is_notice.then(|| ErasureNotice { reference: Vec::new() }),
    };
    Due {
        delivery: entry.delivery,
        version: 0,
        row,
    }
}

/// Leaves out what stands further behind once more: there it is handed out.
pub(super) async fn drop_superseded(
    view: &dyn View,
    entries: &[(u64, FeedRow)],
    dues: &mut [Option<Due>],
) -> Result<(), Fault> {
    let open = dues.iter().flatten().map(|due| keys::delivery(due.delivery));
    let open: Vec<Key> = open.collect();
    let mut told = view.get_many(&open).await?.into_iter();
    for ((position, _), due) in entries.iter().zip(dues) {
        if due.is_none() {
            continue;
        }
        let told = told.next().flatten();
        let told = told.and_then(|told| rows::decode::<DeliveryRow>("a read model", &told.bytes).ok());
        if told.is_some_and(|told| told.position > *position) {
            *due = None;
        }
    }
    Ok(())
}
