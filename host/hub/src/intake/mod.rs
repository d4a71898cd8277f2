//! Intake: drafts become records, and withdrawals destroy them. What fits one transaction is one: the records, their
//! de-duplication rows, new contacts with their keys, the entries for the pipeline, and whatever the caller adds (a
//! cursor, plugin state, an idempotency row) become durable together or not at all.

mod desk;
mod facts;
mod known;
mod masking;
mod redaction;
mod remains;
#[cfg(test)]
mod tests;
mod texts;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use mihwar_model::{Actor, AttachmentBytes, AttachmentId, Draft, Event, FeedbackId, FieldProblem, InstanceName};
use mihwar_store::{ApplyError, Batch, Edit, Guard, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use serde::Serialize;

use crate::core::Core;
use crate::fault::Fault;
use crate::withdrawal;

pub(crate) use desk::Desk;
use known::Known;
use redaction::Redaction;
pub(crate) use redaction::{NOT_MASKED, Redactor, Redactors};
use writing::Writing;

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

/// Files that were handed over during a call, by the handle that attachments name.
pub(crate) type Files = HashMap<String, Bytes>;

/// What happened to one item at its source.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// It is new, or changed.
    Draft {
        draft: Box<Draft>,
        /// Files that were handed over with it.
        files: Arc<Files>,
        /// What was masked in it.
        redaction: Redaction,
    },
    /// It was taken back: everything that names a person is destroyed.
    Withdrawal {
        /// The source's own id of it.
        external_id: String,
    },
}

impl From<Draft> for Arrival {
    fn from(draft: Draft) -> Self {
        Self::with_files(draft, Arc::default())
    }
}

impl Arrival {
    /// A draft with the files that were handed over with it.
    pub(crate) fn with_files(draft: Draft, files: Arc<Files>) -> Self {
        Self::Draft {
            draft: Box::new(draft),
            files,
            redaction: Redaction::default(),
        }
    }

    /// Everything that keeps it from being stored; empty for what can be.
    pub(crate) fn problems(&self) -> Vec<FieldProblem> {
        match self {
            Self::Draft {
                draft,
                files,
                redaction,
            } => {
                let mut problems = draft.problems();
                problems.extend(missing_files(draft, files));
                problems.extend(redaction.refused.clone());
                problems
            }
            Self::Withdrawal { .. } => Vec::new(),
        }
    }

    fn draft(&self) -> Option<&Draft> {
        match self {
            Self::Draft { draft, .. } => Some(draft),
            Self::Withdrawal { .. } => None,
        }
    }

    fn withdrawn(&self) -> Option<&str> {
        match self {
            Self::Draft { .. } => None,
            Self::Withdrawal { external_id } => Some(external_id),
        }
    }
}

/// An arrival with whose it is.
#[derive(Clone, Copy)]
struct Arriving<'a> {
    actor: &'a Actor,
    instance: &'a InstanceName,
    arrival: &'a Arrival,
}

fn missing_files(draft: &Draft, files: &Files) -> Vec<FieldProblem> {
    let attachments = draft.attachments.iter().enumerate();
    let missing = attachments.filter_map(|(i, attachment)| match &attachment.bytes {
        AttachmentBytes::Blob(handle) if !files.contains_key(handle) => Some(FieldProblem::new(
            format!("attachments[{i}]"),
            "names a blob that was not stored in this call",
        )),
        _ => None,
    });
    missing.collect()
}

/// What was refused although [`Arrival::problems`] knew of nothing: what it needs of the store is damaged, or it could not
/// be masked. With the source's own id, where it has one. Results are those that [`accept`] gave for these arrivals.
pub(crate) fn refused<'a>(
    arrivals: &'a [Arrival],
    results: &'a [Intake],
) -> impl Iterator<Item = (&'a str, &'a [FieldProblem])> {
    let drafts = arrivals.iter().filter_map(Arrival::draft);
    drafts.zip(results).filter_map(|(draft, result)| match result {
        Intake::Refused { problems } => Some((draft.external_id.as_deref().unwrap_or_default(), problems.as_slice())),
        _ => None,
    })
}

/// What else becomes durable in the same transaction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rider {
    pub(crate) guards: Vec<Guard>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) events: Vec<Event>,
}

impl Rider {
    /// One edit, and nothing else.
    pub(crate) fn of(edit: Edit) -> Self {
        Self {
            edits: vec![edit],
            ..Self::default()
        }
    }

    fn into_batch(self) -> Result<Batch, Fault> {
        let events = self.events.iter().map(Event::to_bytes);
        Ok(Batch {
            journal: events.collect::<Result<_, _>>().map_err(Fault::Encoding)?,
            guards: self.guards,
            edits: self.edits,
        })
    }
}

/// Content above this lies in the blob folder; a row of the store may have 100 kB.
const INLINE_CONTENT_BYTES_MAX: usize = 60_000;
/// How often a transaction is rebuilt when others change the same rows.
const ATTEMPTS_MAX: u32 = 16;
/// A transaction of this size takes in no further arrival. One arrival adds a few hundred kilobytes at most.
const BATCH_BYTES_MAX: usize = 6_000_000;
/// Arrivals of one transaction.
const BATCH_ARRIVALS_MAX: usize = 1024;
/// What is left free for what depends on what becomes of the drafts: one large row, and what is small beside it.
const OUTCOME_BYTES_MAX: usize = MAX_KEY_BYTES + MAX_VALUE_BYTES;

/// Takes arrivals in, in their order: one result for each draft; withdrawals have none. What must be masked in them is,
/// before anything else is done with them. More than one transaction's
/// worth is split; the rider goes with the last part, so that a cursor never runs ahead of its records.
pub(crate) async fn accept(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
) -> Result<Vec<Intake>, Fault> {
    accept_with(core, actor, instance, arrivals, rider, |_| Ok(Rider::default())).await
}

/// As [`accept`], with more that depends on what becomes of the drafts, one large row at most: it is asked for with all
/// results, those of earlier parts too, and once more whenever the last part has to be rebuilt.
pub(crate) async fn accept_with(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
    outcome: impl Fn(&[Intake]) -> Result<Rider, Fault>,
) -> Result<Vec<Intake>, Fault> {
    let arrivals = redaction::redacted(core, instance, arrivals).await?;
    let arrivals: &[Arrival] = &arrivals;
    let rider = rider.clone().into_batch()?;
    let accepting = Accepting {
        core,
        actor,
        instance,
        rider,
        outcome,
    };
    let (mut results, mut rest) = (Vec::with_capacity(arrivals.len()), arrivals);
    loop {
        let part = accepting.part(rest, &results).await?;
        results.extend(part.results);
        rest = rest.get(part.taken..).unwrap_or_default();
        if part.is_last {
            return Ok(results);
        }
    }
}

/// One call, whose arrivals may need several transactions.
struct Accepting<'a, F> {
    core: &'a Core,
    actor: &'a Actor,
    instance: &'a InstanceName,
    rider: Batch,
    outcome: F,
}

/// What one transaction took in.
struct Part {
    taken: usize,
    results: Vec<Intake>,
    /// Whether it was the last one, with the rider.
    is_last: bool,
}

impl<F: Fn(&[Intake]) -> Result<Rider, Fault>> Accepting<'_, F> {
    /// Makes the first part of what is left durable; put together anew while others change the rows it rests on.
    async fn part(&self, rest: &[Arrival], earlier: &[Intake]) -> Result<Part, Fault> {
        let window = rest.chunks(BATCH_ARRIVALS_MAX).next().unwrap_or_default();
        let _first = self.core.right_of_way.taken(1);
        let (actor, instance) = (self.actor, self.instance);
        let arriving = |arrival| Arriving {
            actor,
            instance,
            arrival,
        };
        let window: Vec<Arriving<'_>> = window.iter().map(arriving).collect();
        for _ in 0..ATTEMPTS_MAX {
            let known = Known::read(self.core, &window).await?;
            let mut writing = Writing::new(self.core, known);
            let mut part = fill(&mut writing, &window)?;
            let room = MAX_BATCH_BYTES - OUTCOME_BYTES_MAX;
            part.is_last = part.taken == rest.len() && (part.taken == 0 || writing.bytes() + self.rider.size() <= room);
            if part.is_last {
                let all = [earlier, part.results.as_slice()].concat();
                for more in [self.rider.clone(), (self.outcome)(&all)?.into_batch()?] {
                    writing.batch.guards.extend(more.guards);
                    writing.batch.edits.extend(more.edits);
                    writing.batch.journal.extend(more.journal);
                }
            }
            if commit(self.core, writing).await? {
                return Ok(part);
            }
        }
        Err(Fault::Contended)
    }
}

/// Takes arrivals into a transaction until it is full.
fn fill(writing: &mut Writing<'_>, window: &[Arriving<'_>]) -> Result<Part, Fault> {
    let mut part = Part {
        taken: 0,
        results: Vec::with_capacity(window.len()),
        is_last: false,
    };
    for arrival in window {
        if writing.bytes() >= BATCH_BYTES_MAX {
            break;
        }
        part.results.extend(writing.take(*arrival)?);
        part.taken += 1;
    }
    Ok(part)
}

/// Makes a transaction durable. False when a row that it rests on has changed: nothing was written then.
async fn commit(core: &Core, writing: Writing<'_>) -> Result<bool, Fault> {
    let Writing {
        batch, files, doomed, ..
    } = writing;
    if batch.edits.is_empty() && batch.journal.is_empty() {
        return Ok(true);
    }
    let written: Vec<AttachmentId> = files.iter().map(|(id, _)| *id).collect();
    if !files.is_empty() {
        let files = files.into_iter().map(|(id, bytes)| (id.0, bytes)).collect();
        if let Err(error) = core.blobs.put_many(files).await {
            withdrawal::discard(core, &written).await;
            return Err(error.into());
        }
    }
    let error = match core.store.apply(batch).await {
        Ok(_) => {
            core.wake.notify();
            withdrawal::destroy(core, &doomed).await;
            return Ok(true);
        }
        Err(error) => error,
    };
    // Not known means that the rows may be there, and with them the need for the files.
    if !matches!(error, ApplyError::Unknown) {
        withdrawal::discard(core, &written).await;
    }
    match error {
        ApplyError::Stale(_) => Ok(false),
        error => Err(error.into()),
    }
}
