//! What the ledger says must be there beside it: contents with their files, the outbox, and the rest by others of these
//! files.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use mihwar_model::{AttachmentId, ContactId, Content, DeliveryId, EventBody, FeedbackId, Received};
use mihwar_store::{Key, MAX_PAGE_ROWS, Order, Row, Versioned, View};

use super::Verification;
use super::open::{Found, Open, OpenDeliveries, Place, Revision};
use crate::contact_keys::ContactKeys;
use crate::content::blob_of;
use crate::core::Core;
use crate::delivery;
use crate::fault::Fault;
use crate::keys;
use crate::vault::{ContactKey, VaultError};
use crate::walk;

/// Contents looked at together: each may be 100 kB.
pub(super) const CONTENTS_AT_ONCE: usize = 256;
/// Withdrawn records looked at together.
const WITHDRAWN_AT_ONCE: usize = 64;

/// A content that the ledger tells of.
struct ContentFact {
    feedback: FeedbackId,
    revision: u32,
    contact: ContactId,
    commitment: [u8; 32],
    /// Files that came with it.
    files: Vec<AttachmentId>,
}

impl ContentFact {
    fn of(received: &Received) -> Self {
        let files = received.attachments.iter();
        Self {
            files: files.filter_map(|attachment| attachment.id).collect(),
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
    contacts: ContactKeys,
}

/// What came of opening some contents.
#[derive(Default)]
struct OpenedAll {
    /// Which are there, whatever is in them.
    there: Vec<Revision>,
    /// Which of them open.
    readable: Vec<Revision>,
    /// Files that belong to them.
    files: Vec<AttachmentId>,
}

impl Verification<'_> {
    /// Walks through the ledger and opens each content as it comes by; then compares queue, outbox and files with what is
    /// open, and named, at the end, and looks at the rows by which items and people are known again.
    pub(super) async fn contents(&mut self) -> Result<(), Fault> {
        let total = self.view.tree().size();
        let mut pages = walk::events(&self.view, total);
        let (mut open, mut done) = (Open::default(), 0);
        while let Some(page) = pages.recv().await {
            let mut bodies = Vec::new();
            for (sequence, told) in page? {
                match told {
                    Ok(event) => bodies.push(event.body),
                    Err(detail) => {
                        self.tally.unread = true;
                        self.report.find(format!("entry {sequence} is no event: {detail}"));
                    }
                }
                done += 1;
            }
            let found = self.found(&bodies).await?;
            for body in bodies {
                open.take(body, &found, &mut self.report);
            }
            self.stages.tell("contents", done, total);
        }
        if done != total {
            self.tally.unread = true;
            self.report.find(format!(
                "{done} of {total} entries could be read; what the others say must be there was not looked for"
            ));
        }
        self.tell_contents(&open);
        self.tell_reports(&open);
        self.queue(&mut open).await?;
        self.outbox(&open.deliveries).await?;
        self.requests().await?;
        self.unnamed().await?;
        self.known_again().await?;
        self.stages.end("contents", "events", done);
        Ok(())
    }

    /// What is not explained at the end.
    fn tell_contents(&mut self, open: &Open) {
        self.report.contents_gone = open.withdrawn;
        for (id, revision) in &open.gone {
            self.report.find(format!(
                "the content of {id} (revision {revision}) is gone, and no event says why"
            ));
        }
        for (id, revision) in &open.left {
            self.report.find(format!(
                "the content of {id} (revision {revision}) was withdrawn or erased, but is still there"
            ));
        }
    }

    async fn found(&mut self, bodies: &[EventBody]) -> Result<Found, Fault> {
        let (mut received, mut withdrawn, mut erased) = (Vec::new(), BTreeSet::new(), Vec::new());
        for body in bodies {
            match body {
                EventBody::Received(e) => received.push(ContentFact::of(e)),
                EventBody::Withdrawn(e) => drop(withdrawn.insert(e.feedback)),
                EventBody::RecordErased(e) => drop(withdrawn.insert(e.feedback)),
                EventBody::ContactErased(e) => erased.push(e.contact),
                _ => {}
            }
        }
        self.keys_are_gone(&erased).await?;
        let mut found = Found::default();
        let (core, view) = (self.core, Arc::clone(&self.view));
        let mut chunks = received.chunks(CONTENTS_AT_ONCE);
        let mut now = chunks.next();
        let mut looked = look(core, &*view, now).await?;
        while let (Some(facts), Some(rows)) = (now, looked) {
            now = chunks.next();
            // Asked for first: the rows of the next ones are read while these are opened.
            let (ahead, opened) = tokio::join!(look(core, &*view, now), self.open_all(facts, &rows));
            let OpenedAll { there, readable, files } = opened;
            found.contents.extend(there);
            found.readable.extend(readable);
            self.named(&files).await?;
            looked = ahead?;
        }
        self.reports(bodies, &mut found).await?;
        let withdrawn: Vec<FeedbackId> = withdrawn.into_iter().collect();
        for some in withdrawn.chunks(WITHDRAWN_AT_ONCE) {
            found.told.extend(self.told_still(some).await?);
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

    /// An erased contact has no key any more: none is made for the same contact again.
    async fn keys_are_gone(&mut self, erased: &[ContactId]) -> Result<(), Fault> {
        let places: Vec<Key> = erased.iter().map(|contact| keys::contact_key(*contact)).collect();
        for (contact, row) in erased.iter().zip(self.view.get_many(&places).await?) {
            if row.is_some() {
                let finding = format!("the contact {contact} was erased, but its key is still there");
                self.report.find(finding);
            }
        }
        Ok(())
    }

    /// Opens contents and compares with what was received.
    async fn open_all(&mut self, facts: &[ContentFact], looked: &Looked) -> OpenedAll {
        let mut all = OpenedAll::default();
        for (fact, row) in facts.iter().zip(&looked.rows) {
            // Of what is gone nothing need be read: a damaged key costs it nothing.
            let Some(row) = row else { continue };
            let key = match looked.contacts.get(fact.contact) {
                Ok(key) => key,
                Err(error) => {
                    self.damaged_key(fact, &error);
                    None
                }
            };
            all.there.push((fact.feedback, fact.revision));
            all.files.extend(blob_of(&row.bytes));
            all.files.extend(&fact.files);
            if self.content(fact, row, key).await {
                all.readable.push((fact.feedback, fact.revision));
            }
        }
        all
    }

    /// Told once of each contact, whatever it said.
    fn damaged_key(&mut self, fact: &ContentFact, error: &VaultError) {
        let (contact, id) = (fact.contact, fact.feedback);
        if self.damaged_contacts.insert(contact) {
            self.report.find(format!(
                "the key of contact {contact} is damaged, and nothing of that contact can be read, such as {id}: {error}"
            ));
        }
    }

    /// Opens a content and compares it. Answers whether it is what was received.
    async fn content(&mut self, fact: &ContentFact, row: &Versioned, key: Option<&ContactKey>) -> bool {
        let (id, revision) = (fact.feedback, fact.revision);
        let Some(key) = key else {
            if !self.damaged_contacts.contains(&fact.contact) {
                let finding = format!("the content of {id} is there, but its contact's key is gone");
                self.report.find(finding);
            }
            return false;
        };
        match self.core.open_content(key, id, revision, &row.bytes).await {
            Ok(opened) => {
                let is_same = opened.commitment == fact.commitment;
                if is_same {
                    self.report.contents += 1;
                    self.files(id, revision, key, &opened.content).await;
                } else {
                    self.report.find(format!(
                        "the content of {id} (revision {revision}) is not what was received"
                    ));
                }
                is_same
            }
            Err(error) => {
                // Destroyed after this verification had begun: the view still has the row, the file behind it is gone.
                if !self.is_gone_meanwhile(id, revision).await {
                    self.report
                        .find(format!("the content of {id} (revision {revision}): {error}"));
                }
                false
            }
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

    /// Whether a content was withdrawn or erased after this verification had begun.
    async fn is_gone_meanwhile(&self, id: FeedbackId, revision: u32) -> bool {
        let rows = self.core.store.get_many(&[keys::content(id, revision)]).await;
        rows.is_ok_and(|rows| rows.iter().all(Option::is_none))
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
                        self.waits(row, place);
                    } else {
                        self.report
                            .find(format!("a delivery waits that the ledger does not know ({})", row.key));
                    }
                }
                rest = page.next;
            }
        }
        self.report.deliveries_open = open.count();
        let missing = self.report.deliveries_open.saturating_sub(there);
        if missing > 0 {
            self.report
                .find(format!("{missing} deliveries are neither done nor waiting"));
        }
        Ok(())
    }
}

impl Verification<'_> {
    /// That the row of an open delivery says what is to be done.
    fn waits(&mut self, row: &Row, place: Place) {
        let id = DeliveryId::from_bytes(keys::last_id(&row.key).unwrap_or_default());
        let bytes = &row.value.bytes;
        let finding = match place {
            Place::Outbox => delivery::waiting_entry(bytes).err().map(|detail| {
                format!(
                    "the row by which the delivery {id} waits is damaged: {detail}; a hub that runs makes a dead letter of it, \
                     which can be sent again"
                )
            }),
            Place::Dead => delivery::dead_entry(bytes).err().map(|detail| {
                format!(
                    "the dead letter {id} is damaged: {detail}; sent again (mihwar delivery replay {id}) it is made anew from the \
                     ledger"
                )
            }),
        };
        if let Some(finding) = finding {
            self.report.find(finding);
        }
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
    let contacts = core.contact_keys_at_rest(view, contacts).await?;
    Ok(Some(Looked { rows, contacts }))
}
