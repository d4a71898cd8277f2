//! Writing down what became of a batch: outbox, dead letters, references and events in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use mihwar_model::{Actor, Attempted, DeadLettered, Delivered, DeliveryId, EventBody, FeedbackId, Skipped, Time};
use mihwar_store::{Batch, Edit, Guard, Key, View};
use tokio_util::sync::CancellationToken;

use super::outbox::{Due, reference_place};
use super::outcome::Outcome;
use crate::core::Core;
use crate::fault::Fault;
use crate::instances::Running;
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow, ReferenceContent};
use crate::status_reports;

/// So often a settlement is made anew because something was taken back, or changed, while it was made.
const ANEW_MAX: u32 = 3;
/// Pause before a settlement that could not be written is written again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest reference or address that is kept of what another system answered.
const REFERENCE_BYTES_MAX: usize = 2048;

/// Writes down what became of a batch. Until that is done the department is not called again: what it was told must
/// not be told once more because a disk is full.
pub(super) async fn settle(
    core: &Core,
    department: &Running,
    due: &[Due],
    outcomes: &HashMap<DeliveryId, Outcome>,
    state: Vec<Edit>,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let mut anew = 0;
    loop {
        let error = match write(core, department, due, outcomes, state.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error {
            Fault::Contended if anew < ANEW_MAX => {
                anew += 1;
                continue;
            }
            Fault::TooLarge(detail) if due.len() > 1 || !state.is_empty() => {
                tracing::error!(instance = %department.name, "the plugin's state is too large to be written, and dropped: {detail}");
                for one in due {
                    // Boxed, since it is this function again; it does not come here a second time, with one and no state.
                    Box::pin(settle(
                        core,
                        department,
                        std::slice::from_ref(one),
                        outcomes,
                        Vec::new(),
                        stop,
                    ))
                    .await?;
                }
                return Ok(());
            }
            Fault::NoSpace { .. } | Fault::Store(_) | Fault::Stopped(_) | Fault::Unknown if !stop.is_cancelled() => {
                tracing::error!(instance = %department.name, "deliveries that were made cannot be written down, and none is made before: {error}");
            }
            error => return Err(error),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn write(
    core: &Core,
    department: &Running,
    due: &[Due],
    outcomes: &HashMap<DeliveryId, Outcome>,
    state: Vec<Edit>,
) -> Result<(), Fault> {
    let view = core.store.view().await?;
    // Whoever's key is damaged gets no reason and no reference; what the department did is written down all the same.
    let keys = core
        .contact_keys(&*view, due.iter().map(|due| due.row.contact).collect())
        .await?;
    let contents = contents(&*view, due).await?;
    let now = core.clock.now();
    let mut batch = Batch {
        edits: state,
        ..Batch::default()
    };
    for (due, content) in due.iter().zip(contents) {
        let Some(outcome) = outcomes.get(&due.delivery) else {
            continue;
        };
        let key = keys::outbox(&department.name, due.delivery);
        batch.guards.push(Guard::At(key, due.version));
        let contact_key = keys.usable(due.row.contact);
        Settling {
            core,
            department,
            now,
            contact_key,
            content,
            batch: &mut batch,
        }
        .settle(due, outcome.clone())?;
    }
    // What the department already has must not be forgotten because the writer is busy for a moment.
    core.apply_patiently(batch).await
}

/// The content of each of these that is there still: what it is guarded by, if anything is kept about it.
async fn contents(view: &dyn View, due: &[Due]) -> Result<Vec<Option<Guard>>, Fault> {
    let places = due.iter().map(|due| keys::content(due.row.feedback, due.row.revision));
    let places: Vec<Key> = places.collect();
    let there = view.get_many(&places).await?.into_iter().zip(places);
    let guards = there.map(|(row, place)| row.map(|row| Guard::At(place, row.version)));
    Ok(guards.collect())
}

struct Settling<'a> {
    core: &'a Core,
    department: &'a Running,
    now: Time,
    contact_key: Option<&'a crate::vault::ContactKey>,
    /// Guards the delivered content; none if it was taken back while it was on its way.
    content: Option<Guard>,
    batch: &'a mut Batch,
}

impl Settling<'_> {
    fn settle(&mut self, due: &Due, outcome: Outcome) -> Result<(), Fault> {
        let (delivery, feedback) = (due.delivery, due.row.feedback);
        let destination = self.department.name.clone();
        let attempt = due.row.attempts + 1;
        let body = match outcome {
            Outcome::Delivered { reference, url } => {
                // Of what is gone nothing is kept, not even what the department calls it.
                let reference = reference.filter(|_| due.row.erased.is_none() && self.content.is_some());
                let reference = match reference.filter(|reference| reference.len() <= REFERENCE_BYTES_MAX) {
                    Some(reference) => {
                        let url = url.filter(|url| url.len() <= REFERENCE_BYTES_MAX);
                        let content = ReferenceContent { reference, url };
                        let kept = self.keep_reference(feedback, &content)?;
                        if kept.is_some() {
                            self.batch.guards.extend(self.content.take());
                            let named = status_reports::named(self.core, &destination, &content.reference, &due.row)?;
                            self.batch.edits.extend(named);
                        }
                        kept
                    }
                    None => None,
                };
                EventBody::Delivered(Delivered {
                    delivery,
                    feedback,
                    destination,
                    attempt,
                    reference,
                })
            }
            Outcome::Skipped | Outcome::Gone => EventBody::DeliverySkipped(Skipped {
                delivery,
                feedback,
                destination,
                attempt,
            }),
            Outcome::Retry {
                code,
                after,
                counts,
                reason,
            } => {
                let made = attempt - due.row.attempts_before_replay;
                if counts && made >= self.department.config.retry.attempts {
                    return self.dead(due, &code, &reason);
                }
                return self.retry(due, &code, after, counts);
            }
            Outcome::Dead { code, reason } => return self.dead(due, &code, &reason),
        };
        self.batch
            .edits
            .push(Edit::Delete(keys::outbox(&self.department.name, delivery)));
        self.event(body)
    }

    fn retry(&mut self, due: &Due, code: &str, after: Option<Duration>, counts: bool) -> Result<(), Fault> {
        let attempt = due.row.attempts + 1;
        let made = attempt - due.row.attempts_before_replay;
        let pause = self.department.config.retry.pause(made, self.core.jitter());
        let pause = pause.max(after.unwrap_or_default().min(self.department.config.retry.most));
        let retry_at = self
            .now
            .plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        let key = keys::outbox(&self.department.name, due.delivery);
        // An attempt that does not count (the other side asked for a pause) leaves the schedule as it is.
        let attempts_before_replay = due.row.attempts_before_replay + u32::from(!counts);
        let body = Attempted {
            delivery: due.delivery,
            feedback: due.row.feedback,
            destination: self.department.name.clone(),
            attempt,
            code: crate::fault::event_code(code),
            retry_at,
        };
        let row = OutboxRow {
            attempts: attempt,
            due: retry_at,
            attempts_before_replay,
            ..due.row.clone()
        };
        self.batch.edits.push(Edit::Put(key, rows::encode(&row)?));
        self.event(EventBody::DeliveryFailed(body))
    }

    fn dead(&mut self, due: &Due, code: &str, reason: &str) -> Result<(), Fault> {
        let (delivery, feedback, attempts) = (due.delivery, due.row.feedback, due.row.attempts + 1);
        let reason = match self.contact_key {
            Some(key) => self.core.vault.seal_for(key, &delivery.to_bytes(), reason.as_bytes())?,
            None => Vec::new(),
        };
        let code = crate::fault::event_code(code);
        let entry = OutboxRow {
            attempts,
            ..due.row.clone()
        };
        let row = DeadRow {
            entry,
            code: code.clone(),
            reason,
            at: self.now,
        };
        let name = &self.department.name;
        self.batch.edits.push(Edit::Delete(keys::outbox(name, delivery)));
        self.batch
            .edits
            .push(Edit::Put(keys::dead(name, delivery), rows::encode(&row)?));
        let body = DeadLettered {
            delivery,
            feedback,
            destination: name.clone(),
            attempts,
            code,
        };
        self.event(EventBody::DeliveryDeadLettered(body))
    }

    fn keep_reference(&mut self, feedback: FeedbackId, content: &ReferenceContent) -> Result<Option<[u8; 32]>, Fault> {
        let Some(key) = self.contact_key else {
            return Ok(None);
        };
        let plain = rows::encode(content)?;
        let salt = self.core.vault.random::<32>();
        let salted = [salt.as_slice(), &plain].concat();
        let name = &self.department.name;
        let sealed = self
            .core
            .vault
            .seal_for(key, &reference_place(feedback, name), &salted)?;
        self.batch
            .edits
            .push(Edit::Put(keys::reference(feedback, name), sealed));
        Ok(Some(crate::vault::commitment(&salt, &plain)))
    }

    fn event(&mut self, body: EventBody) -> Result<(), Fault> {
        let actor = Actor::Instance(self.department.name.clone());
        self.batch.journal.push(self.core.event(actor, body)?);
        Ok(())
    }
}
