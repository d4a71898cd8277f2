//! Reports as part of a record's story. State and time are facts of the ledger and stay; what was said with them goes with
//! the item's content.

use std::collections::HashMap;

use mihwar_model::{EventBody, InstanceName, StatusReported, Tag, Time};
use mihwar_store::Key;
use serde::Serialize;

use super::opened;
use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::query::{LedgerEvent, QueryError};
use crate::rows::{self, ReportContent, ReportRow};

/// What a department says became of an item, for readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusRecord {
    /// The department.
    pub destination: InstanceName,
    /// `open`, `in-progress`, `resolved`, `rejected`, `reopened`, or a word of its own.
    pub state: Tag,
    /// Since when, by the department's clock.
    pub changed_at: Time,
    /// When the hub heard of it.
    pub reported_at: Time,
    /// Whether it is where the item stands with this department: the newest of its reports.
    pub is_current: bool,
    /// What the department says to it; `None` when it says nothing, when that is gone, or cannot be read.
    pub note: Option<String>,
    /// Where the item is in the department's tool; as above.
    pub url: Option<String>,
}

/// The reports that these events of one record tell of, in their order.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn told(core: &Core, events: &[LedgerEvent]) -> Result<Vec<StatusRecord>, QueryError> {
    let told: Vec<(Time, &StatusReported)> = events
        .iter()
        .filter_map(|told| match &told.event.body {
            EventBody::StatusReported(report) => Some((told.event.at, report)),
            _ => None,
        })
        .collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let contents = contents(core, &told).await?;
    let newest = newest(&told);
    let records = told.into_iter().zip(contents).enumerate();
    let records = records.map(|(number, ((reported_at, report), content))| {
        let (note, url) = content.map_or((None, None), |content| (content.note, content.url));
        StatusRecord {
            destination: report.destination.clone(),
            state: report.state.clone(),
            changed_at: report.changed_at,
            reported_at,
            is_current: newest.get(&report.destination) == Some(&number),
            note,
            url,
        }
    });
    Ok(records.collect())
}

/// Of each department the number of its newest report by its own clock; of several at the same time the last that came.
fn newest<'a>(told: &[(Time, &'a StatusReported)]) -> HashMap<&'a InstanceName, usize> {
    let mut newest: HashMap<&InstanceName, usize> = HashMap::new();
    for (number, (_, report)) in told.iter().enumerate() {
        let known = newest.entry(&report.destination).or_insert(number);
        let is_newer = told
            .get(*known)
            .is_none_or(|(_, known)| report.changed_at >= known.changed_at);
        if is_newer {
            *known = number;
        }
    }
    newest
}

/// What came with each report, as far as it is there and can be read.
async fn contents(core: &Core, told: &[(Time, &StatusReported)]) -> Result<Vec<Option<ReportContent>>, Fault> {
    let view = core.store.view().await?;
    let places: Vec<Key> = told.iter().map(|(_, report)| place(report)).collect();
    let mut rows = Vec::with_capacity(places.len());
    for (place, row) in places.iter().zip(view.get_many(&places).await?) {
        rows.push(row.and_then(|row| {
            let read = rows::decode::<ReportRow>("a department's report", &row.bytes);
            let read = read.inspect_err(|error| tracing::error!(row = %place, "{error}; run: mihwar ledger verify"));
            read.ok()
        }));
    }
    let contacts = rows.iter().flatten().map(|row| row.contact).collect();
    let contact_keys = core.contact_keys(&*view, contacts).await?;
    let contents = places.iter().zip(rows);
    let contents = contents.map(|(place, row)| content(core, &contact_keys, place, &row?));
    Ok(contents.collect())
}

/// Where the words of a report lie.
pub(crate) fn place(report: &StatusReported) -> Key {
    keys::report(report.feedback, &report.destination, report.changed_at, &report.state)
}

fn content(core: &Core, contact_keys: &ContactKeys, place: &Key, row: &ReportRow) -> Option<ReportContent> {
    let key = contact_keys.usable(row.contact)?;
    match opened(core, key, place, row) {
        Ok(opened) => opened.map(|(content, _)| content),
        // What damage hides of a report must not hide the story it stands in.
        Err(error) => {
            tracing::error!(row = %place, "what a department said cannot be read: {error}; run: mihwar ledger verify");
            None
        }
    }
}
