//! How a delivery of a department that asks comes to its end, or does not yet: its row, its dead letter, and the event.

use mihwar_model::{Actor, Attempted, DeadLettered, Delivered, DeliveryId, EventBody, InstanceName, Skipped, Time};
use mihwar_store::{Batch, Edit, Guard};

use super::super::outbox::Due;
use super::super::outcome::Outcome;
use super::super::told::Story;
use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::{Fault, event_code};
use crate::keys;
use crate::rows::{self, DeadRow, OutboxRow};

/// How often something that cannot be read for now is tried before it is a dead letter.
const ATTEMPTS_MAX: u32 = 10;
/// Time that has to pass between two of these attempts, so that a disk has time to come to itself.
const PAUSE_MS: i64 = 30_000;

/// What all of a batch share.
pub(super) struct Endings<'a> {
    pub(super) core: &'a Core,
    pub(super) department: &'a InstanceName,
    /// Who acknowledges; the hub itself for what it decides.
    pub(super) actor: &'a Actor,
    pub(super) now: Time,
}

impl Endings<'_> {
    /// Adds what becomes of a delivery, guarded by its row.
    pub(super) fn write(
        &self,
        batch: &mut Batch,
        contact_keys: &ContactKeys,
        due: &Due,
        outcome: &Outcome,
    ) -> Result<(), Fault> {
        let (delivery, feedback) = (due.delivery, due.row.feedback);
        let destination = self.department.clone();
        let attempt = due.row.attempts + 1;
        let body = match outcome {
            Outcome::Delivered { .. } => EventBody::Delivered(Delivered {
                delivery,
                feedback,
                destination,
                attempt,
                reference: None,
            }),
            Outcome::Skipped | Outcome::Gone => EventBody::DeliverySkipped(Skipped {
                delivery,
                feedback,
                destination,
                attempt,
            }),
            Outcome::Retry { .. } if due.row.attempts > 0 && self.now < due.row.due => return Ok(()),
            Outcome::Retry { code, reason, .. } => {
                let made = attempt - due.row.attempts_before_replay;
                if made < ATTEMPTS_MAX {
                    return self.put_off(batch, due, code);
                }
                return self.dead(batch, contact_keys, due, (code.as_str(), reason.as_str()));
            }
            Outcome::Dead { code, reason } => {
                return self.dead(batch, contact_keys, due, (code.as_str(), reason.as_str()));
            }
        };
        self.guard(batch, due);
        batch.edits.push(Edit::Delete(keys::outbox(self.department, delivery)));
        self.event(batch, body)
    }

    fn put_off(&self, batch: &mut Batch, due: &Due, code: &str) -> Result<(), Fault> {
        let retry_at = self.now.plus_millis(PAUSE_MS);
        let row = OutboxRow {
            attempts: due.row.attempts + 1,
            due: retry_at,
            ..due.row.clone()
        };
        let body = Attempted {
            delivery: due.delivery,
            feedback: row.feedback,
            destination: self.department.clone(),
            attempt: row.attempts,
            code: event_code(code),
            retry_at,
        };
        self.guard(batch, due);
        let place = keys::outbox(self.department, due.delivery);
        batch.edits.push(Edit::Put(place, rows::encode(&row)?));
        self.event(batch, EventBody::DeliveryFailed(body))
    }

    fn dead(
        &self,
        batch: &mut Batch,
        contact_keys: &ContactKeys,
        due: &Due,
        (code, reason): (&str, &str),
    ) -> Result<(), Fault> {
        let delivery: DeliveryId = due.delivery;
        let (code, attempts) = (event_code(code), due.row.attempts + 1);
        let key = contact_keys.usable(due.row.contact);
        let row = DeadRow {
            entry: OutboxRow {
                attempts,
                ..due.row.clone()
            },
            code: code.clone(),
            reason: Story::of_reason(reason.to_owned()).sealed(&self.core.vault, key, delivery)?,
            at: self.now,
        };
        self.guard(batch, due);
        let department = self.department;
        batch.edits.push(Edit::Delete(keys::outbox(department, delivery)));
        batch
            .edits
            .push(Edit::Put(keys::dead(department, delivery), rows::encode(&row)?));
        let body = DeadLettered {
            delivery,
            feedback: due.row.feedback,
            destination: department.clone(),
            attempts,
            code,
        };
        self.event(batch, EventBody::DeliveryDeadLettered(body))
    }

    fn guard(&self, batch: &mut Batch, due: &Due) {
        let place = keys::outbox(self.department, due.delivery);
        batch.guards.push(Guard::At(place, due.version));
    }

    fn event(&self, batch: &mut Batch, body: EventBody) -> Result<(), Fault> {
        batch.journal.push(self.core.event(self.actor.clone(), body)?);
        Ok(())
    }
}
