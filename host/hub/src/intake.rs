//! Intake: drafts become records. One call is one transaction: the records, their de-duplication rows,
//! new contacts with their keys, the entries for the pipeline, and whatever the caller adds (a cursor,
//! plugin state, an idempotency row) become durable together or not at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mihwar_model::{
    Actor, AttachmentBytes, AttachmentContent, AttachmentFacts, AttachmentId, CallFacts, ContactCreated, ContactId,
    Content, Details, Draft, Event, EventBody, FeedbackId, FieldProblem, InstanceName, Received, Time,
};
use mihwar_store::{ApplyError, Batch, Edit, Guard, Key, Versioned, View};
use serde::Serialize;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows::{self, QueueRow, SeenRow};
use crate::vault::{ContactKey, commitment};

/// What became of one draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Intake {
    /// A new record.
    New {
        /// Its id.
        feedback: FeedbackId,
        /// Always 1.
        revision: u32,
    },
    /// A new revision of a known record.
    Revised {
        /// Its id.
        feedback: FeedbackId,
        /// The new revision.
        revision: u32,
    },
    /// This very revision is known already; nothing was written.
    Duplicate {
        /// The existing id.
        feedback: FeedbackId,
        /// The known revision.
        revision: u32,
    },
    /// It cannot be stored as it is.
    Refused {
        /// Every bad field.
        problems: Vec<FieldProblem>,
    },
}

/// A draft and the files that were handed over with it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) draft: Draft,
    /// Files by the handle that the draft's attachments name.
    pub(crate) files: Arc<HashMap<String, Vec<u8>>>,
}

impl From<Draft> for Arrival {
    fn from(draft: Draft) -> Self {
        Self {
            draft,
            files: Arc::default(),
        }
    }
}

/// What else becomes durable in the same transaction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rider {
    pub(crate) guards: Vec<Guard>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) events: Vec<Event>,
}

/// Content above this lies in the blob folder; a row of the store may have 100 kB.
const INLINE_CONTENT_BYTES_MAX: usize = 60_000;
/// How often a transaction is rebuilt when others change the same rows.
const ATTEMPTS_MAX: u32 = 16;
/// Rows of a record beyond its content: room for them in the batch.
const BATCH_CONTENT_BYTES_MAX: usize = 6 << 20;
/// Records of one transaction.
const BATCH_RECORDS_MAX: usize = 1024;

/// Takes drafts in. More than one transaction's worth is split; the rider goes with the last part, so
/// that a cursor never runs ahead of its records.
pub(crate) async fn accept(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
) -> Result<Vec<Intake>, Fault> {
    accept_with(core, actor, instance, arrivals, rider, |_| Ok(None)).await
}

/// As [`accept`], with one more edit that depends on what becomes of the drafts.
pub(crate) async fn accept_with(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
    outcome: impl Fn(&[Intake]) -> Result<Option<Edit>, Fault>,
) -> Result<Vec<Intake>, Fault> {
    let mut parts = split(arrivals);
    let last = parts.pop().unwrap_or_default();
    let mut results = Vec::with_capacity(arrivals.len());
    for part in parts {
        results.extend(accept_part(core, actor, instance, part, &Rider::default(), |_| Ok(None)).await?);
    }
    let earlier = results.clone();
    let all = |part: &[Intake]| outcome(&[&earlier, part].concat());
    results.extend(accept_part(core, actor, instance, last, rider, all).await?);
    Ok(results)
}

fn split(arrivals: &[Arrival]) -> Vec<&[Arrival]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, arrival) in arrivals.iter().enumerate() {
        let size = arrival.draft.body.len().min(INLINE_CONTENT_BYTES_MAX) + 2048;
        if index > start && (index - start >= BATCH_RECORDS_MAX || bytes + size > BATCH_CONTENT_BYTES_MAX) {
            parts.push(&arrivals[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes += size;
    }
    if start < arrivals.len() {
        parts.push(&arrivals[start..]);
    }
    parts
}

async fn accept_part(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
    outcome: impl Fn(&[Intake]) -> Result<Option<Edit>, Fault>,
) -> Result<Vec<Intake>, Fault> {
    for _ in 0..ATTEMPTS_MAX {
        let view = core.store.view().await?;
        let known = Known::read(core, &*view, instance, arrivals).await?;
        let mut writing = Writing::new(core, actor, instance, known);
        let results = arrivals
            .iter()
            .map(|arrival| writing.take(arrival))
            .collect::<Result<Vec<_>, _>>()?;
        let Writing { mut batch, files, .. } = writing;
        batch.guards.extend(rider.guards.iter().cloned());
        batch.edits.extend(rider.edits.iter().cloned());
        batch.edits.extend(outcome(&results)?);
        for event in &rider.events {
            batch.journal.push(event.to_bytes().map_err(Fault::Encoding)?);
        }
        if batch.edits.is_empty() && batch.journal.is_empty() {
            return Ok(results);
        }
        let written: Vec<_> = files.iter().map(|(id, _)| id.0).collect();
        if !files.is_empty() {
            let files = files.into_iter().map(|(id, bytes)| (id.0, bytes)).collect();
            core.blobs
                .put_many(files)
                .await
                .map_err(|error| Fault::Blob(error.to_string()))?;
        }
        match core.store.apply(batch).await {
            Ok(_) => {
                core.wake.notify();
                return Ok(results);
            }
            Err(error) => {
                for id in written {
                    if let Err(error) = core.blobs.delete(id).await {
                        tracing::warn!(%id, "cannot remove a file of an abandoned transaction: {error}");
                    }
                }
                if !matches!(error, ApplyError::Stale(_)) {
                    return Err(error.into());
                }
            }
        }
    }
    Err(Fault::Contended)
}

/// What the store already knows about these drafts.
struct Known {
    seen: HashMap<Key, Option<Versioned>>,
    identifiers: HashMap<[u8; 16], Option<ContactId>>,
    keys: HashMap<ContactId, ContactKey>,
}

impl Known {
    async fn read(core: &Core, view: &dyn View, instance: &InstanceName, arrivals: &[Arrival]) -> Result<Self, Fault> {
        let mut seen_keys: Vec<Key> = arrivals
            .iter()
            .filter_map(|a| seen_key(core, instance, &a.draft))
            .collect();
        seen_keys.sort_unstable();
        seen_keys.dedup();
        let mut hashes: Vec<[u8; 16]> = arrivals.iter().filter_map(|a| identity(core, &a.draft)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let lookups: Vec<Key> = seen_keys
            .iter()
            .cloned()
            .chain(hashes.iter().map(|hash| keys::identifier(*hash)))
            .collect();
        let mut found = view.get_many(&lookups).await?;
        let contacts = found.split_off(seen_keys.len());
        let seen: HashMap<_, _> = seen_keys.into_iter().zip(found).collect();
        let mut identifiers = HashMap::new();
        for (hash, row) in hashes.into_iter().zip(contacts) {
            let contact = row
                .map(|row| rows::decode::<ContactId>("an identifier", &row.bytes))
                .transpose()?;
            identifiers.insert(hash, contact);
        }
        let mut wanted: Vec<ContactId> = identifiers.values().filter_map(|contact| *contact).collect();
        for row in seen.values().flatten() {
            wanted.push(rows::decode::<SeenRow>("a de-duplication row", &row.bytes)?.contact);
        }
        let keys = core.contact_keys(view, wanted).await?;
        Ok(Self {
            seen,
            identifiers,
            keys,
        })
    }
}

fn seen_key(core: &Core, instance: &InstanceName, draft: &Draft) -> Option<Key> {
    let external_id = draft.external_id.as_deref()?;
    let day = draft.occurred_at.map_or(0, Time::day);
    Some(keys::seen(instance, day, core.vault.external_hash(external_id)))
}

/// A person is known again by the first identifier only: further ones (a reply address, say) may belong
/// to many, and a wrong merge cannot be seen by its victims.
fn identity(core: &Core, draft: &Draft) -> Option<[u8; 16]> {
    let first = draft.author.as_ref()?.identifiers.first()?;
    Some(core.vault.identifier_hash(first))
}

/// A transaction in the making.
struct Writing<'a> {
    core: &'a Core,
    actor: &'a Actor,
    instance: &'a InstanceName,
    now: Time,
    known: Known,
    /// Items of this very transaction, so that a repeat within it is a repeat.
    rows: BTreeMap<Key, SeenRow>,
    batch: Batch,
    files: Vec<(AttachmentId, Vec<u8>)>,
}

impl<'a> Writing<'a> {
    fn new(core: &'a Core, actor: &'a Actor, instance: &'a InstanceName, known: Known) -> Self {
        let now = core.clock.now();
        Self {
            core,
            actor,
            instance,
            now,
            known,
            rows: BTreeMap::new(),
            batch: Batch::default(),
            files: Vec::new(),
        }
    }

    fn take(&mut self, arrival: &Arrival) -> Result<Intake, Fault> {
        let draft = &arrival.draft;
        let mut problems = draft.problems();
        problems.extend(missing_files(arrival));
        if !problems.is_empty() {
            return Ok(Intake::Refused { problems });
        }
        let mark = self.core.vault.revision_hash(draft.revision.as_deref());
        let seen_key = seen_key(self.core, self.instance, draft);
        let earlier = match &seen_key {
            Some(key) => self.earlier(key)?,
            None => None,
        };
        if let Some(row) = &earlier
            && let Some(index) = row.revisions.iter().position(|known| *known == mark)
        {
            return Ok(Intake::Duplicate {
                feedback: row.feedback,
                revision: count(index + 1),
            });
        }
        let (feedback, contact, revision) = match &earlier {
            Some(row) => (row.feedback, row.contact, count(row.revisions.len() + 1)),
            None => (FeedbackId(self.core.ids.next()), self.contact(draft)?, 1),
        };
        self.record(arrival, feedback, contact, revision)?;
        if let Some(key) = seen_key {
            let mut row = earlier.clone().unwrap_or(SeenRow {
                feedback,
                contact,
                revisions: Vec::new(),
            });
            row.revisions.push(mark);
            self.remember(key, row)?;
        }
        Ok(match earlier {
            Some(_) => Intake::Revised { feedback, revision },
            None => Intake::New { feedback, revision },
        })
    }

    fn earlier(&self, key: &Key) -> Result<Option<SeenRow>, Fault> {
        if let Some(row) = self.rows.get(key) {
            return Ok(Some(row.clone()));
        }
        match self.known.seen.get(key) {
            Some(Some(row)) => Ok(Some(rows::decode("a de-duplication row", &row.bytes)?)),
            _ => Ok(None),
        }
    }

    fn remember(&mut self, key: Key, row: SeenRow) -> Result<(), Fault> {
        if !self.rows.contains_key(&key) {
            self.batch.guards.push(match self.known.seen.get(&key) {
                Some(Some(stored)) => Guard::At(key.clone(), stored.version),
                _ => Guard::Absent(key.clone()),
            });
        }
        self.batch.edits.push(Edit::Put(key.clone(), rows::encode(&row)?));
        self.rows.insert(key, row);
        Ok(())
    }

    /// The contact behind a draft: the known one, or a new one with a key of its own.
    fn contact(&mut self, draft: &Draft) -> Result<ContactId, Fault> {
        let hash = identity(self.core, draft);
        if let Some(hash) = hash
            && let Some(Some(contact)) = self.known.identifiers.get(&hash)
        {
            return Ok(*contact);
        }
        let contact = ContactId(self.core.ids.next());
        let (key, sealed) = self.core.vault.new_contact_key(contact)?;
        self.known.keys.insert(contact, key);
        self.batch.edits.push(Edit::Put(keys::contact_key(contact), sealed));
        if let Some(hash) = hash {
            self.known.identifiers.insert(hash, Some(contact));
            self.batch.guards.push(Guard::Absent(keys::identifier(hash)));
            self.batch
                .edits
                .push(Edit::Put(keys::identifier(hash), rows::encode(&contact)?));
        }
        self.event(EventBody::ContactCreated(ContactCreated {
            contact,
            identifiers: u32::from(hash.is_some()),
        }))?;
        Ok(contact)
    }

    fn record(
        &mut self,
        arrival: &Arrival,
        feedback: FeedbackId,
        contact: ContactId,
        revision: u32,
    ) -> Result<(), Fault> {
        let key = self.known.keys.get(&contact).cloned().ok_or(Fault::Damaged {
            what: "a contact key",
            detail: format!("the key of contact {contact} is gone"),
        })?;
        let draft = &arrival.draft;
        let attachments = self.attachments(arrival, &key)?;
        let facts = attachments.iter().map(|a| AttachmentFacts {
            id: a.id,
            media_type: media_type(&a.media_type),
            size: a.size,
        });
        let facts = facts.collect();
        let content = content_of(draft, attachments);
        let salt: [u8; 32] = self.core.vault.random();
        let plain = rows::encode(&content)?;
        let body = EventBody::Received(Received {
            feedback,
            revision,
            contact,
            instance: self.instance.clone(),
            channel: draft.channel.clone(),
            kind: draft.kind,
            occurred_at: draft.occurred_at,
            thread: draft
                .thread
                .as_deref()
                .map(|thread| self.core.vault.thread(self.instance, thread)),
            language: draft.language.clone(),
            scores: draft.scores.clone(),
            tags: draft.tags.clone(),
            attachments: facts,
            call: call_facts(&draft.details),
            body_chars: count(draft.body.chars().count()),
            commitment: commitment(&salt, &plain),
        });
        let row = self.sealed_content(&key, feedback, revision, &salt, &plain)?;
        self.batch.edits.push(Edit::Put(keys::content(feedback, revision), row));
        let event = self.event(body)?;
        self.batch.edits.push(Edit::Put(
            keys::queue(feedback, revision),
            rows::encode(&QueueRow { event })?,
        ));
        Ok(())
    }

    fn sealed_content(
        &mut self,
        key: &ContactKey,
        feedback: FeedbackId,
        revision: u32,
        salt: &[u8; 32],
        plain: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let mut salted = salt.to_vec();
        salted.extend_from_slice(plain);
        let sealed = self
            .core
            .vault
            .seal_for(key, &crate::content::place(feedback, revision), &salted)?;
        if sealed.len() <= INLINE_CONTENT_BYTES_MAX {
            return Ok(crate::content::inline_row(&sealed));
        }
        let id = AttachmentId(self.core.ids.next());
        let row = crate::content::blob_row(id, sealed.len());
        self.files.push((id, sealed));
        Ok(row)
    }

    fn attachments(&mut self, arrival: &Arrival, key: &ContactKey) -> Result<Vec<AttachmentContent>, Fault> {
        let mut attachments = Vec::with_capacity(arrival.draft.attachments.len());
        for attachment in &arrival.draft.attachments {
            let bytes = match &attachment.bytes {
                AttachmentBytes::Inline(bytes) => Some(bytes),
                AttachmentBytes::Blob(handle) => arrival.files.get(handle),
                AttachmentBytes::Url(_) => None,
            };
            let id = match bytes {
                Some(bytes) => {
                    let id = AttachmentId(self.core.ids.next());
                    let sealed = self.core.vault.seal_for(key, &id.to_bytes(), bytes)?;
                    self.files.push((id, sealed));
                    Some(id)
                }
                None => None,
            };
            attachments.push(AttachmentContent {
                id,
                name: attachment.name.clone(),
                media_type: attachment.media_type.clone(),
                size: bytes.map(|bytes| bytes.len() as u64).or(attachment.size),
                url: match &attachment.bytes {
                    AttachmentBytes::Url(url) => Some(url.clone()),
                    AttachmentBytes::Inline(_) | AttachmentBytes::Blob(_) => None,
                },
            });
        }
        Ok(attachments)
    }

    fn event(&mut self, body: EventBody) -> Result<Vec<u8>, Fault> {
        let event = Event {
            at: self.now,
            actor: self.actor.clone(),
            body,
        };
        let bytes = event.to_bytes().map_err(Fault::Encoding)?;
        self.batch.journal.push(bytes.clone());
        Ok(bytes)
    }
}

fn missing_files(arrival: &Arrival) -> Vec<FieldProblem> {
    let attachments = arrival.draft.attachments.iter().enumerate();
    attachments
        .filter_map(|(i, attachment)| match &attachment.bytes {
            AttachmentBytes::Blob(handle) if !arrival.files.contains_key(handle) => Some(FieldProblem::new(
                format!("attachments[{i}]"),
                "names a blob that was not stored in this call",
            )),
            _ => None,
        })
        .collect()
}

fn content_of(draft: &Draft, attachments: Vec<AttachmentContent>) -> Content {
    Content {
        external_id: draft.external_id.clone(),
        revision: draft.revision.clone(),
        author: draft.author.clone(),
        thread: draft.thread.clone(),
        in_reply_to: draft.in_reply_to.clone(),
        subject: draft.subject.clone(),
        body: draft.body.clone(),
        body_html: draft.body_html.clone(),
        attachments,
        details: draft.details.clone(),
        attributes: draft.attributes.clone(),
        raw: draft.raw.clone(),
    }
}

fn call_facts(details: &Details) -> Option<CallFacts> {
    match details {
        Details::Call(call) => Some(CallFacts {
            direction: call.direction,
            duration_ms: call.duration_ms,
        }),
        _ => None,
    }
}

/// A media type as a fact: type and subtype only, since parameters may carry file names.
fn media_type(given: &str) -> String {
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = essence.len() <= 100
        && essence.split_once('/').is_some_and(|(a, b)| {
            [a, b].iter().all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+' | b'.' | b'_'))
            })
        });
    if fits {
        essence
    } else {
        "application/octet-stream".to_owned()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
