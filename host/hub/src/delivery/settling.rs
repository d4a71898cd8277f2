//! One delivery written down: its row, its dead letter, what its department calls the item, and the event.

use std::time::Duration;

use mihwar_model::{Actor, Attempted, DeadLettered, Delivered, DeliveryId, EventBody, FeedbackId, Skipped};
use mihwar_store::{Batch, Edit, Guard};

use super::crowd::mixed;
use super::handing::Called;
use super::outbox::{Due, reference_place};
use super::outcome::{Counts, Outcome};
use super::settle::Settlement;
use super::standing::after;
use super::told::Story;
use super::window::Fate;
use crate::fault::{Fault, event_code};
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow, ReferenceContent};
use crate::status_reports;
use crate::vault::ContactKey;

/// Longest reference or address that is kept of what another system answered.
const REFERENCE_BYTES_MAX: usize = 2048;

/// One delivery in a settlement.
pub(super) struct Settling<'a, 'b> {
    pub(super) all: &'a Settlement<'b>,
    pub(super) call: &'a Called,
    pub(super) due: &'a Due,
    pub(super) contact_key: Option<&'a ContactKey>,
    /// Guards the delivered content; none if it was taken back while it was on its way.
    pub(super) content: Option<Guard>,
    pub(super) batch: &'a mut Batch,
}

impl Settling<'_, '_> {
    /// Adds what became of it to the batch.
    pub(super) fn settle(mut self, outcome: &Outcome) -> Result<Fate, Fault> {
        let (delivery, feedback) = (self.due.delivery, self.due.row.feedback);
        let destination = self.all.department.name().clone();
        let attempt = self.due.row.attempts + 1;
        let body = match outcome {
            Outcome::Delivered { reference, url } => {
                let reference = self.reference(reference.as_ref(), url.as_ref())?;
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
                let made = attempt - self.due.row.attempts_before_replay;
                let counts = self.counts(*counts);
                if counts && made >= self.all.department.config().delivery.retry.attempts() {
                    return self.dead(code, reason);
                }
                return self.retry(code, *after, counts);
            }
            Outcome::Dead { code, reason } => return self.dead(code, reason),
        };
        let place = keys::outbox(self.all.department.name(), delivery);
        self.batch.edits.push(Edit::Delete(place));
        self.event(body)?;
        Ok(Fate::Ended)
    }

    /// Whether this attempt is one of those that the delivery has.
    const fn counts(&self, counts: Counts) -> bool {
        match counts {
            Counts::Always => true,
            Counts::UnlessDown => !self.call.is_probe && !self.all.was_alone,
            Counts::Never => false,
        }
    }

    fn retry(&mut self, code: &str, asked: Option<Duration>, counts: bool) -> Result<Fate, Fault> {
        let row = &self.due.row;
        let retry = &self.all.department.config().delivery.retry;
        let attempt = row.attempts + 1;
        let made = attempt - row.attempts_before_replay;
        // Whatever does not count leaves the schedule as it is, and is tried again soon: as soon as the department is back.
        let pause = retry.pause(if counts { made } else { 1 }, jitter(self.due.delivery, attempt));
        let pause = pause.max(asked.unwrap_or_default().min(retry.put_off_most()));
        let retry_at = after(self.all.now, pause);
        let body = Attempted {
            delivery: self.due.delivery,
            feedback: row.feedback,
            destination: self.all.department.name().clone(),
            attempt,
            code: event_code(code),
            retry_at,
        };
        let row = OutboxRow {
            attempts: attempt,
            due: retry_at,
            attempts_before_replay: row.attempts_before_replay + u32::from(!counts),
            ..row.clone()
        };
        let place = keys::outbox(self.all.department.name(), self.due.delivery);
        self.batch.edits.push(Edit::Put(place, rows::encode(&row)?));
        self.event(EventBody::DeliveryFailed(body))?;
        Ok(Fate::Waits {
            due: retry_at,
            attempts: attempt,
        })
    }

    fn dead(&mut self, code: &str, reason: &str) -> Result<Fate, Fault> {
        let (delivery, feedback) = (self.due.delivery, self.due.row.feedback);
        let attempts = self.due.row.attempts + 1;
        let story = Story {
            reason: reason.to_owned(),
            exchanges: self.call.exchanges.get(&delivery).cloned().unwrap_or_default(),
        };
        let code = event_code(code);
        let row = DeadRow {
            entry: OutboxRow {
                attempts,
                ..self.due.row.clone()
            },
            code: code.clone(),
            reason: story.sealed(&self.all.core.vault, self.contact_key, delivery)?,
            at: self.all.now,
        };
        let name = self.all.department.name();
        let edits = &mut self.batch.edits;
        edits.push(Edit::Delete(keys::outbox(name, delivery)));
        edits.push(Edit::Put(keys::dead(name, delivery), rows::encode(&row)?));
        self.event(EventBody::DeliveryDeadLettered(DeadLettered {
            delivery,
            feedback,
            destination: name.clone(),
            attempts,
            code,
        }))?;
        Ok(Fate::Ended)
    }

    /// Keeps what the department calls an item. Of what is gone nothing is kept, not even that.
    fn reference(&mut self, reference: Option<&String>, url: Option<&String>) -> Result<Option<[u8; 32]>, Fault> {
        let fits = |text: &&String| text.len() <= REFERENCE_BYTES_MAX;
        let is_kept = self.due.row.erased.is_none() && self.content.is_some();
        let (Some(reference), Some(key)) = (reference.filter(fits).filter(|_| is_kept), self.contact_key) else {
            return Ok(None);
        };
        let content = ReferenceContent {
            reference: reference.clone(),
            url: url.filter(fits).cloned(),
        };
        let feedback: FeedbackId = self.due.row.feedback;
        let (core, name) = (self.all.core, self.all.department.name());
        let plain = rows::encode(&content)?;
        let salt = core.vault.random::<32>();
        let salted = [salt.as_slice(), &plain].concat();
        let sealed = core.vault.seal_for(key, &reference_place(feedback, name), &salted)?;
        self.batch
            .edits
            .push(Edit::Put(keys::reference(feedback, name), sealed));
        self.batch.guards.extend(self.content.take());
        let named = status_reports::named(core, name, &content.reference, &self.due.row)?;
        self.batch.edits.extend(named);
        Ok(Some(crate::vault::commitment(&salt, &plain)))
    }

    fn event(&mut self, body: EventBody) -> Result<(), Fault> {
        let actor = Actor::Instance(self.all.department.name().clone());
        self.batch.journal.push(self.all.core.event(actor, body)?);
        Ok(())
    }
}

/// By how much a pause is shortened: by the delivery and its attempt alone, so that many do not come back at once, and the
/// same one always does at the same time.
fn jitter(delivery: DeliveryId, attempt: u32) -> u16 {
    let bytes = delivery.to_bytes().into_iter().chain(attempt.to_be_bytes());
    let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    u16::try_from(mixed(hash) >> 48).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mihwar_model::DeliveryId;

    use super::jitter;

    #[test]
    fn pauses_differ_and_are_the_same_each_time() {
        let of = |number: u8, attempt| jitter(DeliveryId::from_bytes([number; 16]), attempt);
        let different: BTreeSet<u16> = (0..100).map(|number| of(number, 1)).collect();
        assert!(different.len() > 95, "{} of a hundred differ", different.len());
        assert!(*different.first().unwrap() < 6_000 && *different.last().unwrap() > 59_000);
        assert_eq!(of(7, 3), of(7, 3));
        assert_ne!(of(7, 3), of(7, 4));
    }
}
