//! Filling up the outbox of a department with what the rules in force would have chosen for it before: of a department that is
//! new, or of rules that were wrong. What it gets has ids as old as the records are, so that it stands where it would have
//! stood: behind what comes now, and before whatever the same contact said later.

use mihwar_model::{
    Actor, ContactId, Content, DeliveryId, EventBody, FeedbackId, InstanceName, Route, Routed, RuleFailure, Time,
};
use mihwar_store::{Batch, Edit, Guard, Key, Order, Row, Versioned, View};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::damaged::FIRST_REVISION;
use super::replay::apply;
use crate::contact_keys::ContactKeys;
use crate::content::Opened;
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::keys;
use crate::projection;
use crate::routing::RuleSet;
use crate::rows::{self, Head, OutboxRow};
use crate::turns::Working;

/// Records looked at in one go.
const PAGE: usize = 256;
/// Bytes of contents brought into memory in one go.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// What a department is filled up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackFill {
    /// The department.
    pub destination: InstanceName,
    /// Records that were received at this time or later.
    pub from: Time,
    /// … and before this one; left out: up to now.
    pub to: Option<Time>,
}

/// What was put into an outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BackFillReport {
    /// Records that were looked at.
    pub looked_at: u64,
    /// Deliveries that wait now.
    pub filled: u64,
    /// Records that the department has, or that wait for it, already.
    pub known: u64,
    /// Records that could not be read, or whose contact is being erased.
    pub left_out: u64,
}

/// Puts into the outbox of a department what the rules would have chosen for it. What it was given before is left out, so
/// that this may be done again.
pub(crate) async fn fill(
    core: &Core,
    rules: &RuleSet,
    actor: &Actor,
    wanted: &BackFill,
) -> Result<BackFillReport, Fault> {
    // One at a time: each looks first at what the department has.
    let _filling = core.outboxes.filling.lock().await;
    let mut report = BackFillReport::default();
    let mut range = Some(keys::heads_between(Some(wanted.from), wanted.to));
    while let Some(next) = range {
        let page = core.store.view().await?.scan(next, Order::Ascending, PAGE).await?;
        let filling = Filling {
            core,
            rules,
            actor,
            destination: &wanted.destination,
        };
        // Contents may be long: what does not fit into memory at once is looked at next.
        let mut rest = page.rows;
        while !rest.is_empty() {
            let done = filling.some(&rest, &mut report).await?;
            rest.drain(..done.clamp(1, rest.len()));
        }
        range = page.next;
    }
    // What waits now is a backlog to what comes from now on.
    core.outboxes.of(&wanted.destination).look_again(true);
    Ok(report)
}

struct Filling<'a> {
    core: &'a Core,
    rules: &'a RuleSet,
    actor: &'a Actor,
    destination: &'a InstanceName,
}

impl Filling<'_> {
    /// Looks at some records, from the first on. Answers at how many.
    async fn some(&self, found: &[Row], report: &mut BackFillReport) -> Result<usize, Fault> {
        let core = self.core;
        // Whatever is routed by now shows in the heads; what is not yet still waits for it in this view.
        let before = core.store.view().await?;
        let waiting = self.unrouted(&*before, found).await?;
        let size = before.tree().size();
        drop(before);
        projection::catch_up_to(core, size).await?;
        let places: Vec<Key> = found.iter().map(|row| row.key.clone()).collect();
        let rows = core.store.get_many(&places).await?;
        let mut heads = Vec::with_capacity(found.len());
        for ((place, row), is_waiting) in places.iter().zip(rows).zip(waiting) {
            let id = keys::last_id(place).map(FeedbackId::from_bytes);
            let head = id.zip(row).map(|(id, row)| head_row::decode(id, &row.bytes));
            heads.push(head.filter(|_| !is_waiting).transpose());
        }
        // Nobody is erased of whom something is put into the outbox.
        let contacts: Vec<ContactId> = readable(&heads).map(|head| head.contact).collect();
        let working = core.turns.work_with(contacts);
        let (batch, done) = self.batch(&heads, &working, report).await?;
        if !batch.edits.is_empty() {
            apply(core, batch).await?;
        }
        Ok(done)
    }

    /// Which of these records are not routed yet: the rules in force will choose for them anyway.
    async fn unrouted(&self, view: &dyn View, found: &[Row]) -> Result<Vec<bool>, Fault> {
        let mut waiting = Vec::with_capacity(found.len());
        for row in found {
            let Some(id) = keys::last_id(&row.key).map(FeedbackId::from_bytes) else {
                waiting.push(true);
                continue;
            };
            let queued = view.scan(keys::queued_of(id), Order::Ascending, 1).await?;
            waiting.push(!queued.rows.is_empty());
        }
        Ok(waiting)
    }

    /// What is written for records, from the first on, and for how many of them.
    async fn batch(
        &self,
        heads: &[Result<Option<Head>, Fault>],
        working: &Working<'_>,
        report: &mut BackFillReport,
    ) -> Result<(Batch, usize), Fault> {
        let core = self.core;
        let view = core.store.view().await?;
        let contents: Vec<Key> = heads
            .iter()
            .map(|head| match head {
                Ok(Some(head)) => keys::content(head.feedback, head.revision),
                // There is none.
                _ => keys::content(FeedbackId::from_bytes([0; 16]), 0),
            })
            .collect();
        let contents = view.get_many(&contents).await?;
        let contacts = readable(heads).map(|head| head.contact).collect();
        let contact_keys = core.contact_keys(&*view, contacts).await?;
        let (mut batch, mut bytes) = (Batch::default(), 0);
        for (number, (head, content)) in heads.iter().zip(contents).enumerate() {
            if bytes > CONTENT_BYTES_MAX {
                return Ok((batch, number));
            }
            report.looked_at += 1;
            let head = match head {
                Ok(Some(head)) => head,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!("a record is left out of what a department is given: {error}");
                    report.left_out += 1;
                    continue;
                }
            };
            if head.destinations.contains(self.destination) {
                report.known += 1;
                continue;
            }
            // Withdrawn, erased, or kept back on purpose.
            let Some(content) = content.filter(|_| head.quarantine.is_none()) else {
                continue;
            };
            if !working.covers(head.contact) {
                report.left_out += 1;
                continue;
            }
            let Some(opened) = self.text(&contact_keys, head, &content, report).await? else {
                continue;
            };
            bytes += opened.bytes;
            if let Some((rule, failed)) = self.chosen_by(head, &opened.content) {
                self.add(&mut batch, head, rule, failed)?;
                report.filled += 1;
            }
        }
        Ok((batch, heads.len()))
    }

    /// What a record says; nothing when its contact was erased, or damage hides it.
    async fn text(
        &self,
        keys: &ContactKeys,
        head: &Head,
        content: &Versioned,
        report: &mut BackFillReport,
    ) -> Result<Option<Opened>, Fault> {
        let opened = self
            .core
            .open_with(keys, head.contact, head.feedback, head.revision, &content.bytes);
        match opened.await {
            Err(error) if error.is_unreadable() => {
                tracing::error!(feedback = %head.feedback, "left out of what a department is given: {error}");
                report.left_out += 1;
                Ok(None)
            }
            opened => opened,
        }
    }

    /// The rule that would have chosen the department, and those that failed on the record.
    fn chosen_by(&self, head: &Head, content: &Content) -> Option<(String, Option<Vec<RuleFailure>>)> {
        let decided = self.rules.decide(head, content, &[]);
        let failed = self.rules.failures(&decided);
        let mut ours = decided.decisions.into_iter();
        let decision = ours.find(|one| one.destination == *self.destination)?;
        Some((decision.rule, failed))
    }

    fn add(&self, batch: &mut Batch, head: &Head, rule: String, failed: Option<Vec<RuleFailure>>) -> Result<(), Fault> {
        let delivery = delivery_of(head.feedback, self.destination);
        let place = keys::outbox(self.destination, delivery);
        let row = OutboxRow {
            feedback: head.feedback,
            revision: FIRST_REVISION,
            contact: head.contact,
            attempts: 0,
            due: self.core.clock.now(),
            rule: rule.clone(),
            attempts_before_replay: 0,
            erased: None,
        };
        batch.guards.push(Guard::Absent(place.clone()));
        batch.edits.push(Edit::Put(place, rows::encode(&row)?));
        let filled = Routed {
            feedback: head.feedback,
            revision: head.revision,
            routes: vec![Route {
                delivery,
                destination: self.destination.clone(),
                rule,
            }],
            rules: self.rules.fingerprint(),
            failed,
        };
        let event = self.core.event(self.actor.clone(), EventBody::BackFilled(filled))?;
        batch.journal.push(event);
        Ok(())
    }
}

fn readable(heads: &[Result<Option<Head>, Fault>]) -> impl Iterator<Item = &Head> {
    heads.iter().filter_map(|head| head.as_ref().ok()?.as_ref())
}

/// The id of a record's delivery to a department that is filled up with it: as old as the record, in the order of records, and
/// always the same.
fn delivery_of(feedback: FeedbackId, destination: &InstanceName) -> DeliveryId {
    let mut hash = Sha256::new();
    hash.update(b"back-filled");
    hash.update(feedback.to_bytes());
    hash.update(destination.as_str());
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = feedback.to_bytes();
    for (byte, hashed) in bytes.iter_mut().zip(digest).skip(8) {
        *byte = hashed;
    }
    // The mark of a UUID of this sort.
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    DeliveryId::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
