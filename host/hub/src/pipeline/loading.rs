//! What one step works on: entries of the queue, and the contents that they stand for.

use std::collections::HashSet;

use mihwar_model::{Actor, ContactId, EnrichmentFailed, Event, EventBody, Received, Time};
use mihwar_store::{Batch, Edit, Guard, Key, Order, Row, View};
use tokio::time::Instant;

use super::{Aside, Item};
use crate::content::weight;
use crate::core::Core;
use crate::fault::{Fault, UNREADABLE};
use crate::keys;
use crate::rows::{Head, QueueRow};

/// Bytes of content brought into memory in one go.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// What is worked on at once, and what is decided already.
pub(super) struct Loaded {
    pub(super) items: Vec<Item>,
    pub(super) batch: Batch,
    /// Queue entries that end with this batch.
    pub(super) read: usize,
    pub(super) oldest: Time,
}

/// The first entries of the queue that are not put aside and wait for none that is, up to `most`.
pub(super) async fn queued(view: &dyn View, most: usize, aside: &Aside) -> Result<Vec<Row>, Fault> {
    let now = Instant::now();
    let waited_for = aside.waited_for(now);
    let (mut rows, mut rest) = (Vec::new(), Some(keys::all(keys::QUEUE)));
    while let Some(range) = rest.filter(|_| rows.is_empty()) {
        let page = view.scan(range, Order::Ascending, most).await?;
        rows = page.rows;
        rows.retain(|row| !aside.holds(&row.key, now));
        if !waited_for.is_empty() {
            rows = without(view, rows, &waited_for).await?;
        }
        rest = page.next;
    }
    Ok(rows)
}

/// Those of some entries that are of none of these contacts.
async fn without(view: &dyn View, rows: Vec<Row>, contacts: &HashSet<ContactId>) -> Result<Vec<Row>, Fault> {
    let told = entries_of(view, &rows).await?;
    let is_theirs = |entry: &Told| {
        let entry = entry.as_ref();
        entry.is_ok_and(|(_, body)| contacts.contains(&body.contact))
    };
    let others = rows.into_iter().zip(told).filter(|(_, entry)| !is_theirs(entry));
    Ok(others.map(|(row, _)| row).collect())
}

/// Opens what was received, up to bounds in records and bytes, and up to a second revision of one record: enrichers
/// answer by its id.
pub(super) async fn load(core: &Core, view: &dyn View, queued: Vec<Row>, aside: &mut Aside) -> Result<Loaded, Fault> {
    let received = received(core, view, queued, aside).await?;
    let mut loaded = Loaded {
        items: Vec::new(),
        batch: Batch::default(),
        read: 0,
        oldest: received.first().map_or_else(|| core.clock.now(), |entry| entry.at),
    };
    let content_keys: Vec<Key> = received
        .iter()
        .map(|entry| keys::content(entry.body.feedback, entry.body.revision))
        .collect();
    let contents = view.get_many(&content_keys).await?;
    let contacts = received.iter().map(|entry| entry.body.contact).collect();
    let contact_keys = core.contact_keys(view, contacts).await?;
    let (mut bytes, mut waited_for) = (0, HashSet::new());
    for (entry, content) in received.into_iter().zip(contents) {
        if waited_for.contains(&entry.body.contact) {
            continue;
        }
        let Some(content) = content else {
            // Withdrawn since: nothing is left to enrich or deliver.
            loaded.end(&entry.row, aside);
            continue;
        };
        bytes += weight(&content.bytes);
        if bytes > CONTENT_BYTES_MAX && loaded.read > 0 {
            break;
        }
        let (contact, feedback, revision) = (entry.body.contact, entry.body.feedback, entry.body.revision);
        let opened = core.open_with(&contact_keys, contact, feedback, revision, &content.bytes);
        match opened.await {
            // Its contact was erased since.
            Ok(None) => loaded.end(&entry.row, aside),
            Ok(Some(opened)) => {
                aside.forget(&entry.row.key);
                loaded.read += 1;
                loaded.items.push(Item {
                    queue_key: entry.row.key,
                    queue_version: entry.row.value.version,
                    head: Head::of(entry.at, entry.body),
                    content: opened.content,
                    asked: Vec::new(),
                    events: Vec::new(),
                });
            }
            Err(error) if error.is_damage() => {
                tracing::error!(%feedback, "cannot be enriched or routed: {error}");
                loaded.end(&entry.row, aside);
                let event = core.event(Actor::Hub, unreadable(entry.body))?;
                loaded.batch.journal.push(event);
            }
            // The system did not give its file, and may give it later.
            Err(error @ Fault::Blob(_)) => {
                tracing::error!(%feedback, "cannot be enriched or routed now, and is tried again later: {error}");
                if !aside.put_off(&entry.row.key, contact, Instant::now()) {
                    return Err(error);
                }
                waited_for = aside.waited_for(Instant::now());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

impl Loaded {
    /// An entry leaves the queue without having been routed.
    fn end(&mut self, row: &Row, aside: &mut Aside) {
        aside.forget(&row.key);
        self.batch.guards.push(Guard::At(row.key.clone(), row.value.version));
        self.batch.edits.push(Edit::Delete(row.key.clone()));
        self.read += 1;
    }
}

fn unreadable(body: Received) -> EventBody {
    EventBody::EnrichmentFailed(EnrichmentFailed {
        feedback: body.feedback,
        revision: body.revision,
        instance: body.instance,
        code: UNREADABLE.into(),
    })
}

/// An entry of the queue, and the event behind it.
struct Entry {
    row: Row,
    at: Time,
    body: Received,
}

/// The events behind queue entries, each record once. Damaged entries stay where they are, for verification, and are passed
/// over from now on.
async fn received(core: &Core, view: &dyn View, queued: Vec<Row>, aside: &mut Aside) -> Result<Vec<Entry>, Fault> {
    let told = entries_of(view, &queued).await?;
    let mut received: Vec<Entry> = Vec::with_capacity(queued.len());
    for (row, told) in queued.into_iter().zip(told) {
        let (at, body) = match told {
            Ok(entry) => entry,
            Err(detail) => {
                core.passed_over.note(
                    &row.key,
                    "an entry of the queue, whose record is routed to nobody,",
                    &detail,
                );
                if aside.give_up(&row.key) {
                    continue;
                }
                let what = "the queue";
                return Err(Fault::Damaged { what, detail });
            }
        };
        // Revisions of one record are neighbours in the queue.
        if received.last().is_some_and(|last| last.body.feedback == body.feedback) {
            break;
        }
        received.push(Entry { row, at, body });
    }
    Ok(received)
}

/// When what an entry of the queue stands for was received, and what the ledger says of it; else why that cannot be told.
pub(crate) type Told = Result<(Time, Received), String>;

/// What entries of the queue stand for, one for each. All that the ledger is asked for in one look.
pub(crate) async fn entries_of(view: &dyn View, rows: &[Row]) -> Result<Vec<Told>, Fault> {
    let sequences: Vec<u64> = rows.iter().filter_map(sequence_of).collect();
    let events = if sequences.is_empty() {
        Vec::new()
    } else {
        view.entries(&sequences).await?
    };
    let mut events = events.into_iter();
    let told = rows.iter().map(|row| -> Told {
        let Some(sequence) = sequence_of(row) else {
            // As older versions wrote them.
            let queue: QueueRow = minicbor::decode(&row.value.bytes).map_err(|error| error.to_string())?;
            return told_by(&queue.event, row);
        };
        let event = events.next().flatten();
        let event = event.ok_or_else(|| format!("it names entry {sequence} of the ledger, which is not there"))?;
        told_by(&event, row)
    });
    Ok(told.collect())
}

/// Which entry of the ledger an entry of the queue names.
fn sequence_of(row: &Row) -> Option<u64> {
    let bytes: [u8; 8] = row.value.bytes.as_slice().try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn told_by(event: &[u8], row: &Row) -> Told {
    let event = Event::from_bytes(event)?;
    match event.body {
        EventBody::Received(body) if keys::queued(&row.key) == Some((body.feedback, body.revision)) => {
            Ok((event.at, body))
        }
        _ => Err("it leads to the event of something else".to_owned()),
    }
}
