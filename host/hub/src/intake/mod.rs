//! Intake: drafts become records, and withdrawals destroy them. What fits one transaction is one: the records, their
//! de-duplication rows, new contacts with their keys, the entries for the pipeline, and whatever the caller adds (a
//! cursor, plugin state, an idempotency row) become durable together or not at all.

mod arrival;
mod desk;
mod facts;
mod known;
mod masking;
mod payload;
mod redaction;
mod remains;
mod shown;
#[cfg(test)]
mod tests;
mod texts;
mod verdicts;
mod writing;

use std::time::Duration;

use mihwar_model::{Actor, AttachmentId, Event, FeedbackId, FieldProblem, InstanceName};
use mihwar_store::{ApplyError, Batch, Edit, Guard, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use serde::Serialize;

use crate::core::Core;
use crate::fault::Fault;
use crate::withdrawal;

pub(crate) use arrival::{Arrival, Files};
pub(crate) use desk::Desk;
use known::Known;
#[cfg(test)]
pub(crate) use redaction::Unseen;
pub(crate) use redaction::{NOT_MASKED, Redactor, Redactors};
use redaction::{Redaction, redacted};
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
    /// This very revision is known already, or its contact was erased and it must not come back; nothing was written.
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
    /// Nothing is wrong with it, but what the hub has of its item or its contact is damaged, and it cannot be kept beside
    /// that. The same may be taken in once that is put right.
    Damaged {
        /// What it belongs to, and what to do.
        problem: FieldProblem,
    },
}

/// An arrival with whose it is.
#[derive(Clone, Copy)]
struct Arriving<'a> {
    actor: &'a Actor,
    instance: &'a InstanceName,
    arrival: &'a Arrival,
    /// Whether it becomes a dead letter when it cannot be kept: nobody would tell it again.
    sets_aside: bool,
}

/// What was refused although [`Arrival::problems`] knew of nothing: what it needs of the store is damaged, or it could not
/// be masked. With the source's own id, where it has one. Results are those that [`accept`] gave for these arrivals.
pub(crate) fn refused<'a>(
    arrivals: &'a [Arrival],
    results: &'a [Option<Intake>],
) -> impl Iterator<Item = (&'a str, &'a [FieldProblem])> {
    arrivals.iter().zip(results).filter_map(|(arrival, result)| {
        let problems = match result {
            Some(Intake::Refused { problems }) => problems.as_slice(),
            Some(Intake::Damaged { problem }) => std::slice::from_ref(problem),
            _ => return None,
        };
        Some((arrival.external_id().unwrap_or_default(), problems))
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

    /// Writes it by itself.
    ///
    /// # Errors
    /// [`Fault::Contended`] when a guard fails.
    pub(crate) async fn alone(self, core: &Core) -> Result<(), Fault> {
        core.apply_patiently(self.into_batch()?).await
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
/// Pause before it is rebuilt because a contact is being erased: that takes milliseconds mostly, and seconds for one with
/// very many records.
const ERASING_PAUSE: Duration = Duration::from_millis(250);
/// A transaction of this size takes in no further arrival. One arrival adds a few hundred kilobytes at most.
const BATCH_BYTES_MAX: usize = 6_000_000;
/// Arrivals of one transaction.
const BATCH_ARRIVALS_MAX: usize = 1024;
/// What is left free for what depends on what becomes of the drafts: one large row, and what is small beside it.
const OUTCOME_BYTES_MAX: usize = MAX_KEY_BYTES + MAX_VALUE_BYTES;

/// Takes arrivals in, in their order: one result for each of them; that of a withdrawal is nothing, unless it could not be
/// done. What must be masked in them is, before anything else is done with them. More than one transaction's worth is
/// split; the rider goes with the last part, so that a cursor never runs ahead of its records.
pub(crate) async fn accept(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
) -> Result<Vec<Option<Intake>>, Fault> {
    accept_with(core, actor, instance, arrivals, rider, |_| Ok(Rider::default())).await
}

/// As [`accept`], for what its source does not tell again: what cannot be kept because something that the hub needs for it
/// is damaged becomes a dead letter, in the same transaction.
pub(crate) async fn accept_or_set_aside(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
) -> Result<Vec<Option<Intake>>, Fault> {
    let accepting = Accepting {
        core,
        actor,
        instance,
        rider: rider.clone().into_batch()?,
        outcome: |_: &[Option<Intake>]| -> Result<Rider, Fault> { Ok(Rider::default()) },
        sets_aside: true,
    };
    accepting.all(arrivals).await
}

/// As [`accept`], with more that depends on what becomes of the arrivals, one large row at most: it is asked for with all
/// results, those of earlier parts too, and once more whenever the last part has to be rebuilt.
pub(crate) async fn accept_with(
    core: &Core,
    actor: &Actor,
    instance: &InstanceName,
    arrivals: &[Arrival],
    rider: &Rider,
    outcome: impl Fn(&[Option<Intake>]) -> Result<Rider, Fault>,
) -> Result<Vec<Option<Intake>>, Fault> {
    let accepting = Accepting {
        core,
        actor,
        instance,
        rider: rider.clone().into_batch()?,
        outcome,
        sets_aside: false,
    };
    accepting.all(arrivals).await
}

/// One call, whose arrivals may need several transactions.
struct Accepting<'a, F> {
    core: &'a Core,
    actor: &'a Actor,
    instance: &'a InstanceName,
    rider: Batch,
    outcome: F,
    sets_aside: bool,
}

/// What one transaction took in.
struct Part {
    taken: usize,
    results: Vec<Option<Intake>>,
    /// Whether it was the last one, with the rider.
    is_last: bool,
}

impl<F: Fn(&[Option<Intake>]) -> Result<Rider, Fault>> Accepting<'_, F> {
    async fn all(&self, arrivals: &[Arrival]) -> Result<Vec<Option<Intake>>, Fault> {
        // Here, where all ways in meet: not even what is set aside is the original.
        let arrivals = redacted(self.core, self.instance, arrivals).await?;
        let (mut results, mut rest) = (Vec::with_capacity(arrivals.len()), &*arrivals);
        loop {
            let part = self.part(rest, &results).await?;
            results.extend(part.results);
            rest = rest.get(part.taken..).unwrap_or_default();
            if part.is_last {
                return Ok(results);
            }
        }
    }

    /// Makes the first part of what is left durable; put together anew while others change the rows it rests on.
    async fn part(&self, rest: &[Arrival], earlier: &[Option<Intake>]) -> Result<Part, Fault> {
        let window = rest.chunks(BATCH_ARRIVALS_MAX).next().unwrap_or_default();
        let _first = self.core.right_of_way.taken(1);
        let (actor, instance, sets_aside) = (self.actor, self.instance, self.sets_aside);
        let arriving = |arrival| Arriving {
            actor,
            instance,
            arrival,
            sets_aside,
        };
        let window: Vec<Arriving<'_>> = window.iter().map(arriving).collect();
        for _ in 0..ATTEMPTS_MAX {
            let known = Known::read(self.core, &window).await?;
            let Some(_working) = self.core.turns.work_with_all(known.contacts()) else {
                tokio::time::sleep(ERASING_PAUSE).await;
                continue;
            };
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
        part.results.push(writing.take(*arrival)?);
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
