//! A transaction in the making: what each arrival becomes.

mod contacts;
mod damage;

use std::collections::{BTreeMap, HashMap, HashSet};

use mihwar_model::{
    Actor, AttachmentBytes, AttachmentContent, AttachmentId, ContactId, Draft, EnrichmentFailed, Event, EventBody,
    FeedbackId, Received, Time, Withdrawn,
};
use mihwar_store::{Batch, Edit, Guard, Key};

use super::known::{Known, Names, unchanged};
use super::{Arrival, Arriving, Files, INLINE_CONTENT_BYTES_MAX, Intake, Redaction, facts};
use crate::content;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, SeenRow};
use crate::vault::{ContactKey, ContentNonce, SALT_BYTES, SEAL_BYTES, commitment};
use crate::withdrawal::{doom, keep};
use damage::{damaged_key, damaged_row};

/// A transaction in the making.
pub(super) struct Writing<'a> {
    core: &'a Core,
    now: Time,
    known: Known,
    /// Arrivals that were looked at, in the order in which they are known.
    looked_at: usize,
    /// Items of this very transaction, so that a repeat within it is a repeat.
    rows: BTreeMap<Key, SeenRow>,
    /// Contents of this very transaction, so that they can be taken back within it.
    fresh: HashMap<FeedbackId, Fresh>,
    /// Contacts of this very transaction, by the keyed hash of what they are known again by.
    met: HashMap<[u8; 16], ContactId>,
    /// Known contacts that something is written for: none of them may be erased before.
    unerased: HashSet<ContactId>,
    bytes: usize,
    pub(super) batch: Batch,
    /// Files that must be there before the batch is.
    pub(super) files: Vec<(AttachmentId, Vec<u8>)>,
    /// Files that must go once the batch is there.
    pub(super) doomed: Vec<AttachmentId>,
}

/// A draft with the files that came with it, and with what was masked in it.
type Given<'a> = (&'a Draft, &'a Files, &'a Redaction);

/// A row of an item, as this transaction leaves it.
enum Place {
    Known(Key, SeenRow),
    /// It is there, and nobody can tell what it says.
    Damaged,
}

/// What a transaction writes of one record.
#[derive(Default)]
struct Fresh {
    contents: Vec<Key>,
    files: Vec<AttachmentId>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(core: &'a Core, known: Known) -> Self {
        let now = core.clock.now();
        Self {
            core,
            now,
            known,
            looked_at: 0,
            rows: BTreeMap::new(),
            fresh: HashMap::new(),
            met: HashMap::new(),
            unerased: HashSet::new(),
            bytes: 0,
            batch: Batch::default(),
            files: Vec::new(),
            doomed: Vec::new(),
        }
    }

    /// How large the batch is by now, counted as the store counts.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the next arrival comes to; nothing for a withdrawal that could be done. To be called for those of which [`Known`]
    /// knows, in their order.
    pub(super) fn take(&mut self, arriving: Arriving<'_>) -> Result<Option<Intake>, Fault> {
        let names = self.known.take_names(self.looked_at);
        self.looked_at += 1;
        let problems = arriving.arrival.problems();
        if !problems.is_empty() {
            return Ok(Some(Intake::Refused { problems }));
        }
        let result = match arriving.arrival {
            Arrival::Draft {
                draft,
                files,
                redaction,
            } => Some(self.upsert(arriving, (draft, files, redaction), names)?),
            Arrival::Withdrawal { external_id } => self.withdraw(arriving, external_id)?,
        };
        if let Some(Intake::Damaged { problem }) = &result
            && arriving.sets_aside
        {
            self.set_aside(arriving, problem)?;
        }
        Ok(result)
    }

    fn upsert(&mut self, by: Arriving<'_>, given: Given<'_>, names: Names) -> Result<Intake, Fault> {
        let (draft, _, redaction) = given;
        let Names { places, who } = names;
        let mark = self.core.vault.revision_mark(draft.revision.as_deref());
        let earlier = match places.iter().find_map(|place| self.earlier(place)) {
            Some(Place::Known(place, row)) => Some((place, row)),
            Some(Place::Damaged) => return Ok(damaged_row()),
            None => None,
        };
        let is_new = earlier.is_none();
        let (feedback, revision, contact) = match &earlier {
            Some((_, row)) => {
                if let Some(repeat) = self.repeat(row, mark) {
                    return Ok(repeat);
                }
                self.guard_unerased(row.contact);
                // Before anything of it is written: else the whole transaction would have to go, and all neighbours with it.
                if let Some(what) = self.unusable(row.contact) {
                    return Ok(damaged_key(row.contact, what));
                }
                (row.feedback, count(row.revisions.len() + 1), row.contact)
            }
            None => (FeedbackId(self.core.ids.next()), 1, self.contact_of(by.actor, who)?),
        };
        self.record(by, given, (feedback, revision), contact)?;
        self.unseen(redaction, (feedback, revision))?;
        let first = SeenRow {
            feedback,
            contact,
            revisions: Vec::new(),
        };
        let place = earlier.or_else(|| places.into_iter().next().map(|place| (place, first)));
        if let Some((place, mut row)) = place {
            row.revisions.push(mark);
            self.remember(place, row)?;
        }
        Ok(if is_new {
            Intake::New { feedback, revision }
        } else {
            Intake::Revised { feedback, revision }
        })
    }

    /// The answer to a draft of which nothing is kept: its item is there as it says, or was erased.
    fn repeat(&self, row: &SeenRow, mark: u64) -> Option<Intake> {
        let vault = &self.core.vault;
        let is_mark = |known: &u64| *known == mark || (mark == 0 && *known == vault.former_revision_mark());
        let revision = match row.revisions.iter().position(is_mark) {
            Some(index) => index + 1,
            None if self.known.erased.contains(&row.contact) => {
                tracing::info!(feedback = %row.feedback, "a new revision of what an erased contact said is not taken in");
                row.revisions.len()
            }
            None => return None,
        };
        Some(Intake::Duplicate {
            feedback: row.feedback,
            revision: count(revision),
        })
    }

    /// Says who could not look at a text that is stored all the same.
    fn unseen(&mut self, redaction: &Redaction, (feedback, revision): (FeedbackId, u32)) -> Result<(), Fault> {
        for (instance, code) in &redaction.unseen {
            let body = EnrichmentFailed {
                feedback,
                revision,
                instance: instance.clone(),
                code: code.clone(),
            };
            self.event(&Actor::Hub, EventBody::EnrichmentFailed(body))?;
        }
        Ok(())
    }

    /// Takes back every item of this name. What it destroys is an event; a repeat finds nothing and is none. Answers what
    /// could not be taken back.
    fn withdraw(&mut self, by: Arriving<'_>, external_id: &str) -> Result<Option<Intake>, Fault> {
        let hash = self.core.vault.external_hash(external_id);
        let mut places = self.known.places.get(&hash).cloned().unwrap_or_default();
        let written = self.rows.keys().filter(|place| keys::last_id(place) == Some(hash));
        places.extend(written.cloned());
        places.sort_unstable();
        places.dedup();
        let mut left = None;
        for place in places {
            match self.earlier(&place) {
                Some(Place::Known(place, row)) => self.destroy(by.actor, place, row)?,
                Some(Place::Damaged) => left = Some(damaged_row()),
                None => {}
            }
        }
        Ok(left)
    }

    fn destroy(&mut self, actor: &Actor, place: Key, row: SeenRow) -> Result<(), Fault> {
        let stored = self.known.remains.remove(&row.feedback).unwrap_or_default();
        let fresh = self.fresh.remove(&row.feedback).unwrap_or_default();
        if stored.edits.is_empty() && fresh.contents.is_empty() {
            return Ok(());
        }
        self.files.retain(|(id, _)| !fresh.files.contains(id));
        for file in fresh.files {
            self.edit(Edit::Delete(keys::file(file)));
        }
        stored.guards.into_iter().for_each(|guard| self.guard(guard));
        stored.edits.into_iter().for_each(|edit| self.edit(edit));
        for content in fresh.contents {
            // Later edits of a row win: what this transaction has put is gone again before it is there.
            self.edit(Edit::Delete(content));
        }
        for file in stored.files {
            doom(file).into_iter().for_each(|edit| self.edit(edit));
            self.doomed.push(file);
        }
        self.event(actor, EventBody::Withdrawn(Withdrawn { feedback: row.feedback }))?;
        // The row itself stays, so that a late repeat does not bring the item back. It is written all the same: whoever
        // works on the same item at the same time must look again.
        self.remember(place, row)
    }

    fn earlier(&self, place: &Key) -> Option<Place> {
        if let Some(row) = self.rows.get(place) {
            return Some(Place::Known(place.clone(), row.clone()));
        }
        Some(match &self.known.seen.get(place)?.said {
            Some(row) => Place::Known(place.clone(), row.clone()),
            None => Place::Damaged,
        })
    }

    fn remember(&mut self, place: Key, row: SeenRow) -> Result<(), Fault> {
        if !self.rows.contains_key(&place) {
            self.guard(unchanged(self.known.seen.get(&place), place.clone()));
        }
        self.edit(Edit::Put(place.clone(), rows::encode(&row)?));
        self.rows.insert(place, row);
        Ok(())
    }

    fn record(
        &mut self,
        by: Arriving<'_>,
        (draft, files, redaction): Given<'_>,
        (feedback, revision): (FeedbackId, u32),
        contact: ContactId,
    ) -> Result<(), Fault> {
        let key = self.known.keys.get(contact)?.cloned().ok_or_else(|| Fault::Damaged {
            what: "a contact key",
            detail: format!("the key of contact {contact} is gone"),
        })?;
        let files_before = self.files.len();
        let attachments = self.attachments(draft, files, &key)?;
        let attachment_facts = attachments.iter().map(facts::attachment).collect();
        let said = facts::content(draft, attachments);
        let nonce: ContentNonce = self.core.vault.random();
        let salt = self
            .core
            .vault
            .content_salt(&key, &content::place(feedback, revision), &nonce);
        let plain = rows::encode(&said)?;
        let thread = draft.thread.as_deref();
        let body = EventBody::Received(Received {
            feedback,
            revision,
            contact,
            instance: by.instance.clone(),
            channel: draft.channel.clone(),
            kind: draft.kind,
            occurred_at: draft.occurred_at,
            thread: thread.map(|thread| self.core.vault.thread(by.instance, thread)),
            language: draft.language.clone(),
            scores: draft.scores.clone(),
            tags: draft.tags.clone(),
            attachments: attachment_facts,
            call: facts::call(&draft.details),
            body_chars: count(draft.body.chars().count()),
            commitment: commitment(&salt, &plain),
            masked: Some(redaction.masked().to_vec()).filter(|masked| !masked.is_empty()),
        });
        let place = keys::content(feedback, revision);
        let row = self.sealed_content(&key, &content::place(feedback, revision), &nonce, &plain)?;
        self.edit(Edit::Put(place.clone(), row));
        let entry = self.event(by.actor, body)?;
        self.edit(Edit::PutSequence(keys::queue(feedback, revision), entry));
        let fresh = self.fresh.entry(feedback).or_default();
        fresh.contents.push(place);
        fresh
            .files
            .extend(self.files.iter().skip(files_before).map(|(id, _)| *id));
        Ok(())
    }

    fn sealed_content(
        &mut self,
        key: &ContactKey,
        place: &[u8],
        nonce: &ContentNonce,
        plain: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let vault = &self.core.vault;
        if SALT_BYTES + plain.len() + SEAL_BYTES <= INLINE_CONTENT_BYTES_MAX {
            return Ok(content::packed_row(vault, key, place, nonce, plain)?);
        }
        let salt = vault.content_salt(key, place, nonce);
        let sealed = vault.seal_for(key, place, &[salt.as_slice(), plain].concat())?;
        let id = AttachmentId(self.core.ids.next());
        let row = content::blob_row(id, sealed.len());
        self.write_file(id, sealed);
        Ok(row)
    }

    fn attachments(&mut self, draft: &Draft, files: &Files, key: &ContactKey) -> Result<Vec<AttachmentContent>, Fault> {
        let mut attachments = Vec::with_capacity(draft.attachments.len());
        for attachment in &draft.attachments {
            let (bytes, url): (Option<&[u8]>, _) = match &attachment.bytes {
                AttachmentBytes::Inline(bytes) => (Some(bytes.as_slice()), None),
                AttachmentBytes::Blob(handle) => (files.get(handle).map(AsRef::as_ref), None),
                AttachmentBytes::Url(url) => (None, Some(url.clone())),
            };
            let id = match bytes {
                Some(bytes) => Some(self.file(bytes, key)?),
                None => None,
            };
            attachments.push(AttachmentContent {
                id,
                name: attachment.name.clone(),
                media_type: attachment.media_type.clone(),
                size: bytes.map(|bytes| bytes.len() as u64).or(attachment.size),
                url,
            });
        }
        Ok(attachments)
    }

    fn file(&mut self, bytes: &[u8], key: &ContactKey) -> Result<AttachmentId, Fault> {
        let id = AttachmentId(self.core.ids.next());
        let sealed = self.core.vault.seal_for(key, &id.to_bytes(), bytes)?;
        self.write_file(id, sealed);
        Ok(id)
    }

    fn write_file(&mut self, id: AttachmentId, sealed: Vec<u8>) {
        self.edit(keep(id));
        self.files.push((id, sealed));
    }

    /// Adds an event. Answers which of the batch's entries it is.
    fn event(&mut self, actor: &Actor, body: EventBody) -> Result<usize, Fault> {
        let event = Event {
            at: self.now,
            actor: actor.clone(),
            body,
        };
        let bytes = event.to_bytes().map_err(Fault::Encoding)?;
        let entry = self.batch.journal.len();
        self.bytes += bytes.len();
        self.batch.journal.push(bytes);
        Ok(entry)
    }

    fn guard(&mut self, guard: Guard) {
        self.bytes += guard.key().as_bytes().len();
        self.batch.guards.push(guard);
    }

    fn edit(&mut self, edit: Edit) {
        self.bytes += edit.size();
        self.batch.edits.push(edit);
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
