//! What the ledger says must be there beside it: contents, the pipeline's queue, the outbox. What needs a later entry to be
//! explained is remembered until that entry comes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use mihwar_model::{ContactId, Content, DeliveryId, EventBody, FeedbackId, InstanceName, Received};
use mihwar_store::{Key, MAX_PAGE_ROWS, Order, Versioned, View};

use super::Verification;
use crate::core::Core;
use crate::fault::{Fault, UNREADABLE};
use crate::keys;
use crate::vault::ContactKey;
use crate::walk;

/// Contents looked at together: each may be 100 kB.
const CONTENTS_AT_ONCE: usize = 256;
/// Withdrawn records looked at together.
const WITHDRAWN_AT_ONCE: usize = 64;

/// One revision of a record.
type Revision = (FeedbackId, u32);

/// A content that the ledger tells of.
struct ContentFact {
    feedback: FeedbackId,
    revision: u32,
    contact: ContactId,
    commitment: [u8; 32],
}

impl ContentFact {
    const fn of(received: &Received) -> Self {
        Self {
            feedback: received.feedback,
            revision: received.revision,
            contact: received.contact,
            commitment: received.commitment,
        }
    }
}

/// Rows of some contents, and the keys of their contacts.
struct Looked {
    rows: Vec<Option<Versioned>>,
    contacts: HashMap<ContactId, ContactKey>,
}

/// What the store holds of the records that a page of events speaks of.
#[derive(Default)]
struct Found {
    /// Contents that are there, of those received in this page.
    contents: BTreeSet<Revision>,
    /// Contents that are there, of those withdrawn in this page.
    left: BTreeMap<FeedbackId, Vec<u32>>,
}

/// What is still open at one place of the ledger.
#[derive(Default)]
struct Open {
    /// Received and not yet routed: these wait in the pipeline's queue.
    unrouted: BTreeSet<Revision>,
    /// Received, and the content is gone: to be explained by a withdrawal.
    gone: BTreeSet<Revision>,
    /// Withdrawn, and a content is there: to be explained by its being received after that.
    left: BTreeSet<Revision>,
    deliveries: OpenDeliveries,
    /// Contents whose being gone was explained.
    withdrawn: u64,
}

impl Open {
    fn take(&mut self, body: EventBody, found: &Found) {
        match body {
            EventBody::Received(e) => {
                let revision = (e.feedback, e.revision);
                self.unrouted.insert(revision);
                self.left.remove(&revision);
                if !found.contents.contains(&revision) {
                    self.gone.insert(revision);
                }
            }
            // Taken out of the queue because its content cannot be read.
            EventBody::EnrichmentFailed(e) if e.code == UNREADABLE => {
                self.unrouted.remove(&(e.feedback, e.revision));
            }
            EventBody::Withdrawn(e) => {
                self.withdrawn += remove_all(&mut self.gone, e.feedback);
                remove_all(&mut self.unrouted, e.feedback);
                let left = found.left.get(&e.feedback).into_iter().flatten();
                self.left.extend(left.map(|revision| (e.feedback, *revision)));
            }
            EventBody::Routed(e) => {
                self.unrouted.remove(&(e.feedback, e.revision));
                for route in e.routes {
                    self.deliveries.open(route.delivery, route.destination, Place::Outbox);
                }
            }
            EventBody::Delivered(e) => self.deliveries.end(e.delivery),
            EventBody::DeliverySkipped(e) => self.deliveries.end(e.delivery),
            EventBody::DeliveryDeadLettered(e) => self.deliveries.open(e.delivery, e.destination, Place::Dead),
            EventBody::DeliveryReplayed(e) => self.deliveries.open(e.delivery, e.destination, Place::Outbox),
            _ => {}
        }
    }
}

/// Removes all revisions of a record; answers how many.
fn remove_all(from: &mut BTreeSet<Revision>, feedback: FeedbackId) -> u64 {
    let all: Vec<Revision> = from.range((feedback, 0)..=(feedback, u32::MAX)).copied().collect();
    for revision in &all {
        from.remove(revision);
    }
    all.len() as u64
}

/// Where a delivery without an end has its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outbox,
    Dead,
}

/// Deliveries without an end. Departments are few: each name is kept once.
#[derive(Default)]
struct OpenDeliveries {
    departments: Vec<InstanceName>,
    by_id: HashMap<DeliveryId, (usize, Place)>,
}

impl OpenDeliveries {
    fn open(&mut self, delivery: DeliveryId, department: InstanceName, place: Place) {
        let known = self.departments.iter().position(|name| *name == department);
        let department = known.unwrap_or_else(|| {
            self.departments.push(department);
            self.departments.len() - 1
        });
        self.by_id.insert(delivery, (department, place));
    }

    fn end(&mut self, delivery: DeliveryId) {
        self.by_id.remove(&delivery);
    }

    /// Whether a row of the outbox or of the dead letters is that of an open delivery.
    fn expect(&self, key: &Key, place: Place) -> bool {
        let Some(delivery) = keys::last_id(key).map(DeliveryId::from_bytes) else {
            return false;
        };
        let Some((department, expected)) = self.by_id.get(&delivery) else {
            return false;
        };
        let Some(department) = self.departments.get(*department) else {
            return false;
        };
        let row = match place {
            Place::Outbox => keys::outbox(department, delivery),
            Place::Dead => keys::dead(department, delivery),
        };
        *expected == place && row == *key
    }
}

impl Verification<'_> {
    /// Walks through the ledger and opens each content as it comes by; then compares queue and outbox with what is open at
    /// the end.
    pub(super) async fn contents(&mut self) -> Result<(), Fault> {
        let total = self.view.tree().size();
        let mut pages = walk::events(&self.view, total);
        let (mut open, mut done) = (Open::default(), 0);
        while let Some(page) = pages.recv().await {
            let mut bodies = Vec::new();
            for (sequence, told) in page? {
                match told {
                    Ok(event) => bodies.push(event.body),
                    Err(detail) => self.report.find(format!("entry {sequence} is no event: {detail}")),
                }
                done += 1;
            }
            let found = self.found(&bodies).await?;
            bodies.into_iter().for_each(|body| open.take(body, &found));
            self.stages.tell("contents", done, total);
        }
        self.report.contents_gone = open.withdrawn;
        for (id, revision) in &open.gone {
            self.report.find(format!(
                "the content of {id} (revision {revision}) is gone, and no event says why"
            ));
        }
        for (id, revision) in &open.left {
            self.report.find(format!(
                "the content of {id} (revision {revision}) was withdrawn, but is still there"
            ));
        }
        self.queue(&open.unrouted).await?;
        self.outbox(&open.deliveries).await?;
        self.stages.end("contents", "events", done);
        Ok(())
    }

    async fn found(&mut self, bodies: &[EventBody]) -> Result<Found, Fault> {
        let (mut received, mut withdrawn) = (Vec::new(), BTreeSet::new());
        for body in bodies {
            match body {
                EventBody::Received(e) => received.push(ContentFact::of(e)),
                EventBody::Withdrawn(e) => drop(withdrawn.insert(e.feedback)),
                _ => {}
            }
        }
        let mut found = Found::default();
        let (core, view) = (self.core, Arc::clone(&self.view));
        let mut chunks = received.chunks(CONTENTS_AT_ONCE);
        let mut now = chunks.next();
        let mut looked = look(core, &*view, now).await?;
        while let (Some(facts), Some(rows)) = (now, looked) {
            now = chunks.next();
            // Asked for first: the rows of the next ones are read while these are opened.
            let (ahead, opened) = tokio::join!(look(core, &*view, now), self.open_all(facts, &rows));
            found.contents.extend(opened);
            looked = ahead?;
        }
        let withdrawn: Vec<FeedbackId> = withdrawn.into_iter().collect();
        for some in withdrawn.chunks(WITHDRAWN_AT_ONCE) {
            let scan = |id: &FeedbackId| view.scan(keys::contents_of(*id), Order::Ascending, MAX_PAGE_ROWS);
            for (id, page) in some.iter().zip(join_all(some.iter().map(scan)).await) {
                let revisions = page?
                    .rows
                    .iter()
                    .filter_map(|row| keys::content_revision(&row.key))
                    .collect();
                found.left.insert(*id, revisions);
            }
        }
        Ok(found)
    }

    /// Opens contents and compares with what was received. Answers which are there, whatever is in them.
    async fn open_all(&mut self, facts: &[ContentFact], looked: &Looked) -> Vec<Revision> {
        let mut there = Vec::with_capacity(facts.len());
        for (fact, row) in facts.iter().zip(&looked.rows) {
            if let Some(row) = row {
                there.push((fact.feedback, fact.revision));
                self.content(fact, row, looked.contacts.get(&fact.contact)).await;
            }
        }
        there
    }

    async fn content(&mut self, fact: &ContentFact, row: &Versioned, key: Option<&ContactKey>) {
        let (id, revision) = (fact.feedback, fact.revision);
        let Some(key) = key else {
            let finding = format!("the content of {id} is there, but its contact's key is gone");
            return self.report.find(finding);
        };
        match self.core.open_content(key, id, revision, &row.bytes).await {
            Ok(opened) if opened.commitment == fact.commitment => {
                self.report.contents += 1;
                self.files(id, revision, key, &opened.content).await;
            }
            // Destroyed after this verification had begun: the view still has the row, the file behind it is gone.
            Err(_) if self.is_gone_meanwhile(id, revision).await => {}
            Ok(_) => self.report.find(format!(
                "the content of {id} (revision {revision}) is not what was received"
            )),
            Err(error) => self
                .report
                .find(format!("the content of {id} (revision {revision}): {error}")),
        }
    }

    /// The files that came with a content: there, and as they were sealed.
    async fn files(&mut self, id: FeedbackId, revision: u32, key: &ContactKey, content: &Content) {
        for file in content.attachments.iter().filter_map(|attachment| attachment.id) {
            let opened = match self.core.blobs.read(file.0).await {
                Ok(sealed) => self
                    .core
                    .vault
                    .open_for(key, &file.to_bytes(), &sealed)
                    .map(drop)
                    .map_err(Fault::from),
                Err(error) => Err(Fault::from(error)),
            };
            match opened {
                Ok(()) => self.report.files += 1,
                Err(_) if self.is_gone_meanwhile(id, revision).await => return,
                Err(error) => self.report.find(format!("the file {file} of {id}: {error}")),
            }
        }
    }

    /// Whether a content was withdrawn after this verification had begun.
    async fn is_gone_meanwhile(&self, id: FeedbackId, revision: u32) -> bool {
        let rows = self.core.store.get_many(&[keys::content(id, revision)]).await;
        rows.is_ok_and(|rows| rows.iter().all(Option::is_none))
    }

    /// What was received and not routed must wait in the queue, unless its content is gone.
    async fn queue(&mut self, unrouted: &BTreeSet<Revision>) -> Result<(), Fault> {
        let unrouted: Vec<Revision> = unrouted.iter().copied().collect();
        for chunk in unrouted.chunks(CONTENTS_AT_ONCE) {
            let keys: Vec<Key> = chunk
                .iter()
                .flat_map(|(id, revision)| [keys::queue(*id, *revision), keys::content(*id, *revision)])
                .collect();
            let rows = self.view.get_many(&keys).await?;
            for ((id, revision), pair) in chunk.iter().zip(rows.chunks(2)) {
                if matches!(pair, [None, Some(_)]) {
                    self.report.find(format!(
                        "{id} (revision {revision}) was received, but neither routed nor does it wait to be"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Outbox and dead letters must be the open deliveries, one row each.
    async fn outbox(&mut self, open: &OpenDeliveries) -> Result<(), Fault> {
        let mut there = 0;
        for (space, place) in [(keys::OUTBOX, Place::Outbox), (keys::DEAD, Place::Dead)] {
            let mut rest = Some(keys::all(space));
            while let Some(range) = rest {
                let page = self.view.scan(range, Order::Ascending, MAX_PAGE_ROWS).await?;
                for row in &page.rows {
                    if open.expect(&row.key, place) {
                        there += 1;
                    } else {
                        self.report
                            .find(format!("a delivery waits that the ledger does not know ({})", row.key));
                    }
                }
                rest = page.next;
            }
        }
        self.report.deliveries_open = open.by_id.len() as u64;
        let missing = self.report.deliveries_open.saturating_sub(there);
        if missing > 0 {
            self.report
                .find(format!("{missing} deliveries are neither done nor waiting"));
        }
        Ok(())
    }
}

/// Gets what is needed to open some contents.
async fn look(core: &Core, view: &dyn View, facts: Option<&[ContentFact]>) -> Result<Option<Looked>, Fault> {
    let Some(facts) = facts else {
        return Ok(None);
    };
    let lookups: Vec<Key> = facts
        .iter()
        .map(|fact| keys::content(fact.feedback, fact.revision))
        .collect();
    let rows = view.get_many(&lookups).await?;
    let contacts = facts.iter().map(|fact| fact.contact).collect();
    let contacts = core.contact_keys(view, contacts).await?;
    Ok(Some(Looked { rows, contacts }))
}
