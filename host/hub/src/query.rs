//! Reading: lists with filters and opaque cursors, single records with their events and deliveries. A
//! page looks at a bounded number of rows, so that no filter makes a reader wait for long: a page may
//! hold few items, or none, and still have a next one.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mihwar_model::{
    Channel, ContactId, Content, DeliveryId, Event, FeedbackId, InstanceName, Kind, Language, Tag, ThreadId, Time,
};
use mihwar_store::{Key, KeyRange, Order, View};
use serde::Serialize;
use thiserror::Error;

use crate::core::Core;
use crate::delivery;
use crate::fault::Fault;
use crate::keys::{self, Lookup};
use crate::projection;
use crate::rows::{self, DeadRow, DeliveryRecord, DeliveryRow, DeliveryState, Head, OutboxRow};

/// Heads looked at for one page.
const LOOKED_AT_MAX: usize = 20_000;
/// Contents opened for one page when the text is searched.
const OPENED_MAX: usize = 2_000;

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// A cursor that this hub did not give.
    #[error("the cursor is not one that this hub gave; begin without one")]
    Cursor,
    /// Storage failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<mihwar_store::StoreError> for QueryError {
    fn from(error: mihwar_store::StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// What is asked for; everything left out matches all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedbackFilter {
    /// Sort of channel.
    pub channel: Option<Channel>,
    /// Channel instance.
    pub instance: Option<InstanceName>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Department that receives it.
    pub destination: Option<InstanceName>,
    /// Who said it.
    pub contact: Option<ContactId>,
    /// Conversation.
    pub thread: Option<ThreadId>,
    /// Received at or after.
    pub from: Option<Time>,
    /// Received before.
    pub to: Option<Time>,
    /// Said at or after.
    pub occurred_from: Option<Time>,
    /// Said before.
    pub occurred_to: Option<Time>,
    /// A score within bounds.
    pub score: Option<ScoreFilter>,
    /// Language; `ar` also finds `ar-SA`.
    pub language: Option<Language>,
    /// Label.
    pub tag: Option<Tag>,
    /// Words contained in subject or body; case, Arabic diacritics, tatweel, letter variants and digit
    /// shapes do not matter.
    pub text: Option<String>,
}

/// A score within bounds, both inclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreFilter {
    /// Which score.
    pub metric: String,
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// A piece of feedback for readers.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackRecord {
    /// Its facts as they stand now.
    pub head: Head,
    /// Its personal content; `None` when that is gone.
    pub content: Option<Content>,
}

/// A page of feedback, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackPage {
    /// The records.
    pub items: Vec<FeedbackRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// How many records were looked at.
    pub scanned: u64,
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerEvent {
    /// Its place in the ledger, from 0.
    pub sequence: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

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

fn cursor_text(id: [u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

fn cursor_id(text: &str) -> Result<[u8; 16], QueryError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::Cursor)?;
    bytes.try_into().map_err(|_| QueryError::Cursor)
}

/// Heads by id.
pub(crate) async fn heads(view: &dyn View, ids: Vec<FeedbackId>) -> Result<HashMap<FeedbackId, Head>, Fault> {
    let lookups: Vec<Key> = ids.iter().map(|id| keys::head(*id)).collect();
    let mut found = HashMap::with_capacity(ids.len());
    for (id, row) in ids.into_iter().zip(view.get_many(&lookups).await?) {
        if let Some(row) = row {
            found.insert(id, rows::decode("a read model", &row.bytes)?);
        }
    }
    Ok(found)
}

/// One page of feedback.
pub(crate) async fn feedback_page(
    core: &Core,
    filter: &FeedbackFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<FeedbackPage, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let search = filter
        .text
        .as_deref()
        .map(crate::text::fold)
        .filter(|text| !text.is_empty());
    let looked_max = if search.is_some() { OPENED_MAX } else { LOOKED_AT_MAX };
    let mut scan = Scan::new(filter, cursor)?;
    let (mut items, mut scanned) = (Vec::new(), 0);
    while items.len() < limit && scanned < looked_max {
        let wanted = (limit - items.len()).max(64).min(looked_max - scanned);
        let Some(heads) = scan.next(&*view, wanted).await? else {
            break;
        };
        for (position, head) in heads {
            scanned += 1;
            let reached = scan.reach(position);
            let Some(head) = head.filter(|head| matches(filter, head)) else {
                continue;
            };
            let record = record(core, &*view, head).await?;
            if search.as_deref().is_none_or(|search| contains(&record, search)) {
                items.push(record);
            }
            if items.len() >= limit {
                return Ok(FeedbackPage {
                    items,
                    next: Some(reached),
                    scanned: scanned as u64,
                });
            }
        }
    }
    let next = if scan.ended { None } else { scan.reached.clone() };
    Ok(FeedbackPage {
        items,
        next,
        scanned: scanned as u64,
    })
}

/// A walk over heads, newest first: over all of them, or over one index.
struct Scan {
    range: Option<KeyRange>,
    indexed: bool,
    bounds: KeyRange,
    reached: Option<String>,
    ended: bool,
}

type Walked = Vec<([u8; 16], Option<Head>)>;

impl Scan {
    fn new(filter: &FeedbackFilter, cursor: Option<&str>) -> Result<Self, QueryError> {
        let lookup = [
            filter.contact.map(Lookup::Contact),
            filter.thread.map(Lookup::Thread),
            filter.destination.clone().map(Lookup::Destination),
            filter.instance.clone().map(Lookup::Instance),
        ];
        let lookup = lookup.into_iter().flatten().next();
        let bounds = keys::heads_between(filter.from, filter.to);
        let mut range = lookup.as_ref().map_or_else(|| bounds.clone(), Lookup::entries);
        if let Some(cursor) = cursor {
            let id = FeedbackId::from_bytes(cursor_id(cursor)?);
            range = range.before(
                &lookup
                    .as_ref()
                    .map_or_else(|| keys::head(id), |lookup| lookup.entry(id)),
            );
        }
        Ok(Self {
            range: Some(range),
            indexed: lookup.is_some(),
            bounds,
            reached: cursor.map(str::to_owned),
            ended: false,
        })
    }

    async fn next(&mut self, view: &dyn View, limit: usize) -> Result<Option<Walked>, Fault> {
        let Some(range) = self.range.take() else {
            self.ended = true;
            return Ok(None);
        };
        let page = view.scan(range, Order::Descending, limit).await?;
        self.range = page.next;
        self.ended = self.range.is_none();
        let ids: Vec<_> = page.rows.iter().filter_map(|row| keys::last_id(&row.key)).collect();
        if !self.indexed {
            let heads = page
                .rows
                .iter()
                .map(|row| rows::decode("a read model", &row.value.bytes).map(Some));
            return Ok(Some(
                ids.into_iter().zip(heads.collect::<Result<Vec<_>, _>>()?).collect(),
            ));
        }
        let lookups: Vec<Key> = ids.iter().map(|id| keys::head(FeedbackId::from_bytes(*id))).collect();
        let found = view.get_many(&lookups).await?;
        let mut walked = Vec::with_capacity(ids.len());
        for ((id, key), row) in ids.into_iter().zip(&lookups).zip(found) {
            let head = row.filter(|_| self.bounds.contains(key));
            walked.push((
                id,
                head.map(|row| rows::decode("a read model", &row.bytes)).transpose()?,
            ));
        }
        Ok(Some(walked))
    }

    fn reach(&mut self, id: [u8; 16]) -> String {
        let text = cursor_text(id);
        self.reached = Some(text.clone());
        text
    }
}

fn matches(filter: &FeedbackFilter, head: &Head) -> bool {
    fn fits<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == found)
    }
    let language = |wanted: &Language| {
        head.language.as_ref().is_some_and(|found| {
            found
                .as_str()
                .strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    };
    let score = |wanted: &ScoreFilter| {
        head.scores.iter().any(|score| {
            score.metric == wanted.metric
                && wanted.min.is_none_or(|min| score.value >= min)
                && wanted.max.is_none_or(|max| score.value <= max)
        })
    };
    let occurred = head.occurred_at;
    fits(filter.channel.as_ref(), &head.channel)
        && fits(filter.instance.as_ref(), &head.instance)
        && filter.kind.is_none_or(|kind| head.kind == Some(kind))
        && filter
            .destination
            .as_ref()
            .is_none_or(|name| head.destinations.contains(name))
        && fits(filter.contact.as_ref(), &head.contact)
        && filter.thread.is_none_or(|thread| head.thread == Some(thread))
        && filter
            .occurred_from
            .is_none_or(|from| occurred.is_some_and(|at| at >= from))
        && filter.occurred_to.is_none_or(|to| occurred.is_some_and(|at| at < to))
        && filter.score.as_ref().is_none_or(score)
        && filter.language.as_ref().is_none_or(language)
        && filter.tag.as_ref().is_none_or(|tag| head.tags.contains(tag))
}

fn contains(record: &FeedbackRecord, folded: &str) -> bool {
    record.content.as_ref().is_some_and(|content| {
        let subject = content.subject.as_deref().unwrap_or_default();
        crate::text::fold(&content.body).contains(folded) || crate::text::fold(subject).contains(folded)
    })
}

async fn record(core: &Core, view: &dyn View, head: Head) -> Result<FeedbackRecord, Fault> {
    let opened = core.content(view, head.feedback, head.revision, head.contact).await?;
    Ok(FeedbackRecord {
        head,
        content: opened.map(|opened| opened.content),
    })
}

/// One record.
pub(crate) async fn feedback(core: &Core, id: FeedbackId) -> Result<Option<FeedbackRecord>, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    match heads(&*view, vec![id]).await?.remove(&id) {
        Some(head) => Ok(Some(record(core, &*view, head).await?)),
        None => Ok(None),
    }
}

/// Everything that happened to a record, oldest first, at most 1000 events.
pub(crate) async fn history(core: &Core, id: FeedbackId) -> Result<Vec<LedgerEvent>, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let page = view.scan(keys::history_of(id), Order::Ascending, 1000).await?;
    let mut events = Vec::with_capacity(page.rows.len());
    for row in page.rows {
        let Some(sequence) = keys::last_number(&row.key) else {
            continue;
        };
        for entry in view.journal(sequence, 1).await? {
            let event = Event::from_bytes(&entry.bytes).map_err(|detail| Fault::Damaged {
                what: "a ledger entry",
                detail,
            })?;
            events.push(LedgerEvent { sequence, event });
        }
    }
    Ok(events)
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
            let delivery: DeliveryRow = rows::decode("a read model", &row.value.bytes)?;
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
    let events = history(core, id).await?;
    let view = core.store.view().await?;
    let mut records = Vec::new();
    for event in events {
        let mihwar_model::EventBody::Routed(routed) = event.event.body else {
            continue;
        };
        for route in routed.routes {
            if let Some(row) = view.get(&keys::delivery(route.delivery)).await? {
                let row: DeliveryRow = rows::decode("a read model", &row.bytes)?;
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
    let head = heads(view, vec![row.feedback]).await?.remove(&row.feedback);
    let contact = head.as_ref().map(|head| head.contact);
    let reference = match contact {
        Some(contact) => delivery::reference(core, view, row.feedback, contact, &row.destination).await?,
        None => None,
    };
    let reason = match (row.state, contact) {
        (DeliveryState::Dead, Some(contact)) => reason(core, view, &row.destination, delivery, contact).await?,
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

async fn reason(
    core: &Core,
    view: &dyn View,
    destination: &InstanceName,
    delivery: DeliveryId,
    contact: ContactId,
) -> Result<Option<String>, Fault> {
    let Some(row) = view.get(&keys::dead(destination, delivery)).await? else {
        return Ok(None);
    };
    let dead: DeadRow = rows::decode("a dead letter", &row.bytes)?;
    let keys = core.contact_keys(view, vec![contact]).await?;
    let Some(key) = keys.get(&contact).filter(|_| !dead.reason.is_empty()) else {
        return Ok(None);
    };
    let reason = core.vault.open_for(key, &delivery.to_bytes(), &dead.reason)?;
    Ok(Some(String::from_utf8_lossy(&reason).into_owned()))
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

/// Sent on their way again: the outbox rows of dead letters, with a fresh schedule and the same ids.
pub(crate) fn replayed(dead: DeadRow, now: Time) -> OutboxRow {
    OutboxRow {
        due: now,
        attempts_before_replay: dead.entry.attempts,
        ..dead.entry
    }
}
