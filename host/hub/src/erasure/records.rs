//! What an erasure does to records: contents, files, what departments call them and what waits for departments go, an event
//! says so, and departments that may have a record are told. All of one record is in one transaction.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mihwar_model::{
    Actor, AttachmentId, DeliveryId, Event, EventBody, InstanceName, RecordErased, Route, Skipped, Tag, Time,
};
use mihwar_store::{Batch, Edit, Guard, Key, MAX_PAGE_ROWS, Order, Versioned, View};

use super::open::{Open, OpenDelivery};
use crate::contact_keys::ContactKeys;
use crate::content::blob_of;
use crate::core::Core;
use crate::delivery::{self, Written};
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, ErasureNotice, Head, OutboxRow};
use crate::status_reports;
use crate::withdrawal::{self, doom};

/// A transaction of this size takes in no further record.
const BATCH_BYTES: usize = 4_000_000;
/// Records whose rows are read together: each content may be 100 kB.
const TOGETHER: usize = 64;
/// Stands where other deliveries have the name of the rule that chose them.
pub(crate) const RULE: &str = "erasure";

/// A record that is to be erased.
pub(super) struct Condemned {
    pub(super) head: Head,
    pub(super) reason: Tag,
}

/// What was destroyed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Destroyed {
    pub(super) records: u64,
    pub(super) contents: u64,
    pub(super) files: u64,
    pub(super) withheld: u64,
    pub(super) told: u64,
}

impl Destroyed {
    fn add(&mut self, more: Self) {
        self.records += more.records;
        self.contents += more.contents;
        self.files += more.files;
        self.withheld += more.withheld;
        self.told += more.told;
    }
}

/// Destroys records of contacts with which nobody works. What is done is counted in `destroyed`, also where this ends with
/// an error: [`Fault::Contended`] when one of them, or a delivery of one, is not as it was found.
pub(super) async fn destroy(
    core: &Core,
    by: &Actor,
    condemned: &[Condemned],
    open: &Open,
    destroyed: &mut Destroyed,
) -> Result<(), Fault> {
    let view = core.store.view().await?;
    let contacts = condemned.iter().map(|one| one.head.contact).collect();
    let contact_keys = core.contact_keys(&*view, contacts).await?;
    let mut work = Work {
        core,
        by,
        now: core.clock.now(),
        contact_keys,
        asked: asked(&*view, condemned).await?,
        batch: Batch::default(),
        bytes: 0,
        files: Vec::new(),
        made: Destroyed::default(),
    };
    for some in condemned.chunks(TOGETHER) {
        let remains = remains(&*view, some).await?;
        for (one, remains) in some.iter().zip(remains) {
            work.record(one, remains, open.of(one.head.feedback))?;
            if work.bytes >= BATCH_BYTES {
                destroyed.add(work.commit().await?);
            }
        }
    }
    destroyed.add(work.commit().await?);
    Ok(())
}

/// Those departments of these records that have asked for their feed: what waits for them they may have all the same.
async fn asked(view: &dyn View, condemned: &[Condemned]) -> Result<BTreeSet<InstanceName>, Fault> {
    let names: BTreeSet<&InstanceName> = condemned.iter().flat_map(|one| &one.head.destinations).collect();
    let places: Vec<Key> = names.iter().map(|name| keys::feed_asked(name)).collect();
    let rows = view.get_many(&places).await?;
    let asked = names.into_iter().zip(rows).filter(|(_, row)| row.is_some());
    Ok(asked.map(|(name, _)| name.clone()).collect())
}

/// What is stored of one record.
#[derive(Default)]
struct Remains {
    contents: Vec<Key>,
    /// What departments call it, sealed.
    references: Vec<(InstanceName, Vec<u8>)>,
    /// The long contents themselves, and what came with them.
    files: Vec<AttachmentId>,
    /// By what departments call it, it is found; and what they reported about it.
    told: status_reports::Remains,
}

async fn remains(view: &dyn View, condemned: &[Condemned]) -> Result<Vec<Remains>, Fault> {
    let places: Vec<Key> = condemned
        .iter()
        .flat_map(|Condemned { head, .. }| {
            let contents = (1..=head.revision).map(move |revision| keys::content(head.feedback, revision));
            let references = head
                .destinations
                .iter()
                .map(move |to| keys::reference(head.feedback, to));
            contents.chain(references)
        })
        .collect();
    let mut rows = view.get_many(&places).await?.into_iter();
    let (mut all, mut asked) = (Vec::with_capacity(condemned.len()), Vec::with_capacity(condemned.len()));
    for Condemned { head, .. } in condemned {
        let remains = Remains::read(head, &mut rows);
        let (has_contents, has_names) = (!remains.contents.is_empty(), !remains.references.is_empty());
        asked.push(async move {
            let files = attached(view, head, has_contents).await?;
            Ok::<_, Fault>((files, told(view, head, has_names).await?))
        });
        all.push(remains);
    }
    // Side by side: somebody who said much would wait for many small reads, one after the other.
    for (remains, found) in all.iter_mut().zip(join_all(asked).await) {
        let (files, told) = found?;
        remains.files.extend(files);
        remains.told = told;
    }
    Ok(all)
}

/// Names and reports are there only where a department gave a name, which lies beside them.
async fn told(view: &dyn View, head: &Head, has_names: bool) -> Result<status_reports::Remains, Fault> {
    if !has_names {
        return Ok(status_reports::Remains::default());
    }
    status_reports::remains(view, head.feedback).await
}

impl Remains {
    /// Takes the rows of one record: its contents, then its references.
    fn read(head: &Head, rows: &mut impl Iterator<Item = Option<Versioned>>) -> Self {
        let mut remains = Self::default();
        for revision in 1..=head.revision {
            if let Some(row) = rows.next().flatten() {
                remains.files.extend(blob_of(&row.bytes));
                remains.contents.push(keys::content(head.feedback, revision));
            }
        }
        for to in &head.destinations {
            if let Some(row) = rows.next().flatten() {
                remains.references.push((to.clone(), row.bytes));
            }
        }
        remains
    }
}

/// Files that came with the revisions of a record of which contents are there, as the ledger tells: those need not be opened
/// for it, nor be readable.
async fn attached(view: &dyn View, head: &Head, has_contents: bool) -> Result<Vec<AttachmentId>, Fault> {
    if !has_contents || (head.attachments == 0 && head.revision <= 1) {
        return Ok(Vec::new());
    }
    let mut sequences = head.entries.clone().into_sequences();
    let mut range = Some(keys::history_of(head.feedback));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, MAX_PAGE_ROWS).await?;
        sequences.extend(page.rows.iter().filter_map(|row| keys::last_number(&row.key)));
        range = page.next;
    }
    let mut files = Vec::new();
    for sequence in sequences {
        for entry in view.journal(sequence, 1).await? {
            match Event::from_bytes(&entry.bytes).map(|event| event.body) {
                Ok(EventBody::Received(received)) => {
                    files.extend(received.attachments.iter().filter_map(|attachment| attachment.id));
                }
                Ok(_) => {}
                // Whoever is erased must not be refused because something is damaged.
                Err(error) => {
                    tracing::error!(feedback = %head.feedback, sequence, "it is erased, but not all its files are known: {error}");
                }
            }
        }
    }
    Ok(files)
}

/// Transactions in the making.
struct Work<'a> {
    core: &'a Core,
    by: &'a Actor,
    now: Time,
    contact_keys: ContactKeys,
    /// Departments that may have what waits for them.
    asked: BTreeSet<InstanceName>,
    batch: Batch,
    bytes: usize,
    /// Files that must go once the batch is there.
    files: Vec<AttachmentId>,
    /// What the batch destroys.
    made: Destroyed,
}

impl Work<'_> {
    fn record(&mut self, condemned: &Condemned, remains: Remains, open: &[OpenDelivery]) -> Result<(), Fault> {
        let Condemned { head, reason } = condemned;
        // A revision of which nobody knew here would stay, and no later erasure would look for it.
        self.guard(Guard::Absent(keys::content(
            head.feedback,
            head.revision.saturating_add(1),
        )));
        for one in open {
            self.withhold(one)?;
        }
        for revision in 1..=head.revision {
            self.edit(Edit::Delete(keys::queue(head.feedback, revision)));
        }
        self.made.contents += remains.contents.len() as u64;
        for content in remains.contents {
            self.edit(Edit::Delete(content));
        }
        self.made.files += remains.files.len() as u64;
        for file in remains.files {
            doom(file).into_iter().for_each(|edit| self.edit(edit));
            self.files.push(file);
        }
        let routes = self.tell(head, &remains.references, open)?;
        for (to, _) in &remains.references {
            self.edit(Edit::Delete(keys::reference(head.feedback, to)));
        }
        remains.told.guards.into_iter().for_each(|guard| self.guard(guard));
        remains.told.edits.into_iter().for_each(|edit| self.edit(edit));
        self.made.records += 1;
        self.event(EventBody::RecordErased(RecordErased {
            feedback: head.feedback,
            reason: reason.clone(),
            routes,
        }))
    }

    /// A delivery that is not made any more.
    fn withhold(&mut self, open: &OpenDelivery) -> Result<(), Fault> {
        self.guard(Guard::At(open.place.clone(), open.version));
        self.edit(Edit::Delete(open.place.clone()));
        self.made.withheld += 1;
        self.event(EventBody::DeliverySkipped(Skipped {
            delivery: open.delivery,
            feedback: open.entry.feedback,
            destination: open.destination.clone(),
            attempt: open.entry.attempts,
        }))
    }

    /// Deliveries for the departments that may have the record: all that were chosen for it, except where it is certain that
    /// nothing ever went there.
    fn tell(
        &mut self,
        head: &Head,
        references: &[(InstanceName, Vec<u8>)],
        open: &[OpenDelivery],
    ) -> Result<Vec<Route>, Fault> {
        let mut routes = Vec::new();
        for to in &head.destinations {
            let opened_at = self.core.opened_at;
            let has_nothing = |one: &OpenDelivery| one.destination == *to && one.was_never_tried(opened_at);
            if !self.asked.contains(to) && open.iter().any(has_nothing) {
                continue;
            }
            let delivery = DeliveryId(self.core.ids.next());
            let sealed = references.iter().find(|(name, _)| name == to);
            let reference = sealed.and_then(|(_, row)| self.reference(head, to, row));
            let entry = OutboxRow {
                feedback: head.feedback,
                revision: head.revision,
                contact: head.contact,
                attempts: 0,
                due: self.now,
                rule: RULE.to_owned(),
                attempts_before_replay: 0,
                erased: Some(ErasureNotice::seal(self.core, delivery, reference.as_deref())?),
            };
            self.edit(Edit::Put(keys::outbox(to, delivery), rows::encode(&entry)?));
            routes.push(Route {
                delivery,
                destination: to.clone(),
                rule: RULE.to_owned(),
            });
        }
        self.made.told += routes.len() as u64;
        Ok(routes)
    }

    /// What a department calls the record; nothing where that cannot be read any more.
    fn reference(&self, head: &Head, to: &InstanceName, row: &[u8]) -> Option<String> {
        let key = self.contact_keys.usable(head.contact)?;
        match delivery::open_reference(self.core, key, head.feedback, to, row) {
            Ok(content) => Some(content.reference),
            Err(error) => {
                tracing::error!(feedback = %head.feedback, destination = %to, "what it is called there is lost: {error}");
                None
            }
        }
    }

    fn guard(&mut self, guard: Guard) {
        self.bytes += guard.key().as_bytes().len();
        self.batch.guards.push(guard);
    }

    fn edit(&mut self, edit: Edit) {
        self.bytes += edit.size();
        self.batch.edits.push(edit);
    }

    fn event(&mut self, body: EventBody) -> Result<(), Fault> {
        let event = Event {
            at: self.now,
            actor: self.by.clone(),
            body,
        };
        let bytes = event.to_bytes().map_err(Fault::Encoding)?;
        self.bytes += bytes.len();
        self.batch.journal.push(bytes);
        Ok(())
    }

    /// Makes what was put together durable. Answers what it destroyed.
    async fn commit(&mut self) -> Result<Destroyed, Fault> {
        let (batch, files) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.files));
        let made = std::mem::take(&mut self.made);
        self.bytes = 0;
        if batch.journal.is_empty() {
            return Ok(made);
        }
        let written = Written::by(&batch.edits);
        let applied = self.core.apply_patiently(batch).await;
        self.core.tell_written(written);
        applied?;
        withdrawal::destroy(self.core, &files).await;
        Ok(made)
    }
}
