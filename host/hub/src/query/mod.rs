//! Reading: lists with filters and opaque cursors, single records with their events and deliveries. A
//! page looks at a bounded number of rows, so that no filter makes a reader wait for long: a page may
//! hold few items, or none, and still have a next one.

mod candidates;
mod deliveries;
mod feedback_list;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mihwar_model::{Content, Event, FeedbackId};
use mihwar_store::{Key, Order, View};
use serde::Serialize;
use thiserror::Error;

use crate::contact_keys::ContactKeys;
use crate::content::Opened;
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::keys;
use crate::projection;
use crate::rows::Head;

pub use deliveries::{DeliveryFilter, DeliveryPage, DeliveryStory};
pub(crate) use deliveries::{deliveries_of, deliveries_told, delivery_page, delivery_story, waiting};
pub(crate) use feedback_list::feedback_page;
pub use feedback_list::{FeedbackFilter, FeedbackPage, ScoreFilter};

/// Rows looked at for one page.
const LOOKED_AT_MAX: usize = 5_000;
/// Events told of one record. Few in tests, so that a record may easily have more.
const HISTORY_MAX: usize = if cfg!(test) { 40 } else { 1_000 };

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

/// A piece of feedback for readers.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackRecord {
    /// Its facts as they stand now.
    pub head: Head,
    /// Its personal content; `None` when that is gone, or cannot be read.
    pub content: Option<Content>,
    /// The content is there, and damage keeps it from being read. `mihwar ledger verify` tells more.
    pub is_unreadable: bool,
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
            found.insert(id, head_row::decode(id, &row.bytes)?);
        }
    }
    Ok(found)
}

/// Records for readers, in the order of their heads, each with how many bytes its content has.
async fn records(core: &Core, view: &dyn View, heads: Vec<Head>) -> Result<Vec<(FeedbackRecord, usize)>, Fault> {
    let places: Vec<Key> = heads
        .iter()
        .map(|head| keys::content(head.feedback, head.revision))
        .collect();
    let rows = view.get_many(&places).await?;
    let contacts = core
        .contact_keys(view, heads.iter().map(|head| head.contact).collect())
        .await?;
    let mut records = Vec::with_capacity(heads.len());
    for (head, row) in heads.into_iter().zip(rows) {
        let (opened, is_unreadable) = match row {
            Some(row) => readable(core, &contacts, &head, &row.bytes).await?,
            // Withdrawn.
            None => (None, false),
        };
        let (content, bytes) = opened.map_or((None, 0), |opened| (Some(opened.content), opened.bytes));
        let record = FeedbackRecord {
            head,
            content,
            is_unreadable,
        };
        records.push((record, bytes));
    }
    Ok(records)
}

/// A content, unless its contact was erased, and whether damage hides it.
async fn readable(core: &Core, keys: &ContactKeys, head: &Head, row: &[u8]) -> Result<(Option<Opened>, bool), Fault> {
    match core
        .open_with(keys, head.contact, head.feedback, head.revision, row)
        .await
    {
        // One damaged text must not hide the list it stands in; `mihwar ledger verify` names it.
        Err(error) if error.is_unreadable() => {
            tracing::error!(feedback = %head.feedback, "the content cannot be read: {error}");
            Ok((None, true))
        }
        opened => Ok((opened?, false)),
    }
}

/// One record.
pub(crate) async fn feedback(core: &Core, id: FeedbackId) -> Result<Option<FeedbackRecord>, QueryError> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    match heads(&*view, vec![id]).await?.remove(&id) {
        Some(head) => Ok(records(core, &*view, vec![head]).await?.pop().map(|(record, _)| record)),
        None => Ok(None),
    }
}

/// Everything that happened to a record, oldest first, at most 1000 events.
pub(crate) async fn history(core: &Core, id: FeedbackId) -> Result<Vec<LedgerEvent>, QueryError> {
    events(core, id, HISTORY_MAX).await
}

/// As [`history`], without an end: for whoever is to see all that is held about a person.
pub(crate) async fn whole_history(core: &Core, id: FeedbackId) -> Result<Vec<LedgerEvent>, QueryError> {
    events(core, id, usize::MAX).await
}

async fn events(core: &Core, id: FeedbackId, most: usize) -> Result<Vec<LedgerEvent>, QueryError> {
    projection::catch_up_for_readers(core).await?;
    events_of(core, id, most).await
}

/// What happened to a record, as far as the read models know, oldest first, at most so many events.
pub(crate) async fn events_of(core: &Core, id: FeedbackId, most: usize) -> Result<Vec<LedgerEvent>, QueryError> {
    let view = core.store.view().await?;
    let sequences = sequences(&*view, id, most).await?;
    let mut events = Vec::with_capacity(sequences.len());
    for sequence in sequences {
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

/// Places in the ledger of what happened to a record, the oldest first, as far as the read models know.
pub(crate) async fn sequences(view: &dyn View, id: FeedbackId, most: usize) -> Result<Vec<u64>, Fault> {
    let head = heads(view, vec![id]).await?.remove(&id);
    let mut sequences = head.map_or_else(Vec::new, |head| head.entries.into_sequences());
    let (mut rows, mut range) = (0, Some(keys::history_of(id)));
    while let Some(next) = range.filter(|_| rows < most) {
        let page = view.scan(next, Order::Ascending, most - rows).await?;
        sequences.extend(page.rows.iter().filter_map(|row| keys::last_number(&row.key)));
        rows += page.rows.len();
        range = page.next;
    }
    sequences.sort_unstable();
    sequences.truncate(most);
    Ok(sequences)
}

/// As [`sequences`], of what lies before a place in the ledger, the newest first.
pub(crate) async fn sequences_before(
    view: &dyn View,
    id: FeedbackId,
    before: u64,
    most: usize,
) -> Result<Vec<u64>, Fault> {
    let head = heads(view, vec![id]).await?.remove(&id);
    let mut sequences = head.map_or_else(Vec::new, |head| head.entries.into_sequences());
    sequences.retain(|sequence| *sequence < before);
    let range = keys::history_of(id).before(&keys::history(id, before));
    let page = view.scan(range, Order::Descending, most).await?;
    sequences.extend(page.rows.iter().filter_map(|row| keys::last_number(&row.key)));
    sequences.sort_unstable_by_key(|sequence| Reverse(*sequence));
    sequences.truncate(most);
    Ok(sequences)
}
