//! Writing down what became of batches: outbox, dead letters, references, how the department stands, and events, those of
//! several batches in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use mihwar_model::{Actor, DeliveryId, DestinationPaused, EventBody, Time};
use mihwar_store::{Batch, Guard};
use tokio_util::sync::CancellationToken;

use super::department::Department;
use super::handing::Called;
use super::outbox::{Due, read};
use super::outcome::{Answer, Counts, Outcome};
use super::pausing;
use super::registry::Outbox;
use super::settling::Settling;
use super::standing::{Paused, Standing, after};
use super::window::Fate;
use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::{Fault, event_code};
use crate::keys;

/// Pause before a settlement that could not be written is written again.
const PAUSE: Duration = Duration::from_secs(2);
/// How often a row that others change is read again.
const READS_MAX: u32 = 10;

/// What is to be written down.
pub(super) struct Settlement<'a> {
    pub(super) core: &'a Core,
    pub(super) department: &'a dyn Department,
    outbox: &'a Outbox,
    calls: &'a [Called],
    pub(super) now: Time,
    /// Whether the department was left alone when these were made.
    pub(super) was_alone: bool,
    /// As it was.
    before: Standing,
    /// As it is from now on.
    standing: Standing,
    /// Why it pauses, in words, if it does from now on.
    pauses: Option<String>,
    events: Vec<EventBody>,
}

/// What a settlement came to.
pub(super) struct Settled {
    pub(super) fates: Vec<(DeliveryId, Fate)>,
    /// Whether a department is back that had been left alone.
    pub(super) is_back: bool,
}

/// Writes down what became of batches. Until that is done the department is not called again: what it was told must not be
/// told once more because a disk is full.
pub(super) async fn settle(
    core: &Core,
    department: &dyn Department,
    outbox: &Outbox,
    calls: &[Called],
    stop: &CancellationToken,
) -> Result<Settled, Fault> {
    let _writing = outbox.writing.lock().await;
    let before = outbox.standing(core).await?;
    let mut settlement = Settlement {
        core,
        department,
        outbox,
        calls,
        now: core.clock.now(),
        was_alone: before.alone.is_some(),
        standing: before.clone(),
        before,
        pauses: None,
        events: Vec::new(),
    };
    settlement.judge()?;
    let fates = settlement.write(stop).await?;
    let is_back = settlement.tell();
    Ok(Settled { fates, is_back })
}

impl Settlement<'_> {
    /// What the calls say of the department itself.
    fn judge(&mut self) -> Result<(), Fault> {
        let config = &self.department.config().delivery;
        let name = self.department.name();
        // Those that began under another configuration, or before somebody let it go on, do not tell how it is now: the key that
        // was refused may be the former one.
        let beginnings = self.outbox.beginnings();
        for call in self.calls.iter().filter(|call| call.beginnings == beginnings) {
            match call.said.answer {
                Answer::Worked => {
                    self.standing.worked();
                }
                Answer::Failed => {
                    self.standing.failed(config, call.failures, self.now);
                }
                Answer::Silent => {}
            }
            if let Some(hold) = call.said.hold {
                let most = config.retry.put_off_most();
                self.standing.hold(after(self.now, hold.min(most)), self.now, most);
            }
            let Some(refusal) = call.said.refusal.as_ref().filter(|_| self.standing.paused.is_none()) else {
                continue;
            };
            let place = keys::delivery_standing(name);
            let code = event_code(&refusal.code);
            self.standing.paused = Some(Paused {
                since: self.now,
                code: code.clone(),
                reason: self.core.vault.seal_own(place.as_bytes(), refusal.reason.as_bytes())?,
            });
            self.pauses = Some(refusal.reason.clone());
            self.events.push(EventBody::DestinationPaused(DestinationPaused {
                destination: name.clone(),
                code,
            }));
        }
        Ok(())
    }

    /// Writes until it is written, or the hub is told to stop.
    async fn write(&self, stop: &CancellationToken) -> Result<Vec<(DeliveryId, Fate)>, Fault> {
        let name = self.department.name();
        let mut standing_is_written = false;
        loop {
            let error = match self.write_all().await {
                Ok(fates) => return Ok(fates),
                Err(error) => error,
            };
            let error = match error {
                Fault::TooLarge(detail) if self.can_be_split() => {
                    tracing::error!(instance = %name, "the plugin's state is too large to be written, and dropped: {detail}");
                    match self.write_singly(false, &mut standing_is_written).await {
                        Ok(fates) => return Ok(fates),
                        Err(error) => error,
                    }
                }
                // Some row is not what it was, or all of it is written and nobody knew.
                Fault::Contended => match self.write_singly(true, &mut standing_is_written).await {
                    Ok(fates) => return Ok(fates),
                    Err(error) => error,
                },
                error => error,
            };
            match error {
                Fault::NoSpace { .. } | Fault::Full(_) | Fault::Store(_) | Fault::Stopped(_) | Fault::Unknown
                    if !stop.is_cancelled() =>
                {
                    tracing::error!(instance = %name, "deliveries that were made cannot be written down, and none is made before: {error}");
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

    fn can_be_split(&self) -> bool {
        let deliveries: usize = self.calls.iter().map(|call| call.due.len()).sum();
        deliveries > 1 || self.calls.iter().any(|call| !call.state.is_empty())
    }

    async fn write_all(&self) -> Result<Vec<(DeliveryId, Fate)>, Fault> {
        let keys = self.keys().await?;
        let dues: Vec<&Due> = self.calls.iter().flat_map(|call| &call.due).collect();
        let mut contents = self.contents(&dues).await?;
        let (mut batch, mut fates) = (Batch::default(), Vec::new());
        for call in self.calls {
            batch.edits.extend(call.state.iter().cloned());
            for due in &call.due {
                let content = contents.remove(&due.delivery);
                fates.push((due.delivery, self.one(&mut batch, &keys, call, due, content)?));
            }
        }
        self.write_standing(&mut batch)?;
        self.apply(batch).await?;
        Ok(fates)
    }

    /// Each delivery by itself. One whose row is gone was settled before, or withheld.
    async fn write_singly(
        &self,
        with_state: bool,
        standing_is_written: &mut bool,
    ) -> Result<Vec<(DeliveryId, Fate)>, Fault> {
        let keys = self.keys().await?;
        if !*standing_is_written {
            let mut batch = Batch::default();
            if with_state {
                let state = self.calls.iter().flat_map(|call| &call.state);
                batch.edits.extend(state.cloned());
            }
            if !self.standing_is_there().await? {
                self.write_standing(&mut batch)?;
            }
            self.apply(batch).await?;
            *standing_is_written = true;
        }
        let mut fates = Vec::new();
        for call in self.calls {
            for due in &call.due {
                let fate = self.write_one(&keys, call, due.clone()).await?;
                fates.push((due.delivery, fate));
            }
        }
        Ok(fates)
    }

    async fn write_one(&self, keys: &ContactKeys, call: &Called, mut due: Due) -> Result<Fate, Fault> {
        let place = keys::outbox(self.department.name(), due.delivery);
        for _ in 0..READS_MAX {
            let mut batch = Batch::default();
            let content = self.contents(&[&due]).await?.remove(&due.delivery);
            let fate = self.one(&mut batch, keys, call, &due, content)?;
            match self.apply(batch).await {
                Err(Fault::Contended) => {}
                written => return written.map(|()| fate),
            }
            let row = self
                .core
                .store
                .get_many(std::slice::from_ref(&place))
                .await?
                .pop()
                .flatten();
            match row.map(|row| read(due.delivery, &row)) {
                // Nobody else counts attempts: this was written down before, and the answer got lost.
                Some(Ok(now)) if now.row.attempts > due.row.attempts => {
                    return Ok(Fate::Waits {
                        due: now.row.due,
                        attempts: now.row.attempts,
                    });
                }
                Some(Ok(now)) => due = now,
                Some(Err(_)) => return Ok(Fate::Unsure),
                None => return Ok(Fate::Ended),
            }
        }
        Err(Fault::Contended)
    }

    async fn apply(&self, batch: Batch) -> Result<(), Fault> {
        if batch.edits.is_empty() && batch.journal.is_empty() {
            return Ok(());
        }
        // What the department already has must not be forgotten because the writer is busy for a moment.
        self.core.apply_patiently(batch).await
    }

    /// Whoever's key is damaged gets no reason and no reference; what the department did is written down all the same.
    async fn keys(&self) -> Result<ContactKeys, Fault> {
        let deliveries = self.calls.iter().flat_map(|call| &call.due);
        let contacts = deliveries.map(|due| due.row.contact).collect();
        self.core.contact_keys_now(contacts).await
    }

    /// The content of each of these that is there still: what it is guarded by, if anything is kept about it.
    async fn contents(&self, due: &[&Due]) -> Result<HashMap<DeliveryId, Guard>, Fault> {
        let places = due.iter().map(|due| keys::content(due.row.feedback, due.row.revision));
        let places: Vec<_> = places.collect();
        let rows = self.core.store.get_many(&places).await?;
        let there = due.iter().zip(rows).zip(places);
        let guards = there.filter_map(|((due, row), place)| Some((due.delivery, Guard::At(place, row?.version))));
        Ok(guards.collect())
    }

    /// Whether how the department stands from now on was written before, by a commit of which nobody heard.
    async fn standing_is_there(&self) -> Result<bool, Fault> {
        let place = keys::delivery_standing(self.department.name());
        let row = self.core.store.get_many(&[place]).await?.pop().flatten();
        let there = row.and_then(|row| minicbor::decode::<Standing>(&row.bytes).ok());
        Ok(self.standing != self.before && there.as_ref() == Some(&self.standing))
    }

    fn write_standing(&self, batch: &mut Batch) -> Result<(), Fault> {
        if self.standing != self.before {
            batch.edits.push(self.outbox.edit(&self.standing)?);
        }
        for body in &self.events {
            batch.journal.push(self.core.event(Actor::Hub, body.clone())?);
        }
        Ok(())
    }

    /// Adds what became of one delivery. One that was not decided stays as it is.
    fn one(
        &self,
        batch: &mut Batch,
        keys: &ContactKeys,
        call: &Called,
        due: &Due,
        content: Option<Guard>,
    ) -> Result<Fate, Fault> {
        let Some(outcome) = call.said.outcomes.get(&due.delivery) else {
            return Ok(Fate::Later(self.now));
        };
        let place = keys::outbox(self.department.name(), due.delivery);
        batch.guards.push(Guard::At(place, due.version));
        Settling {
            all: self,
            call,
            due,
            contact_key: keys.usable(due.row.contact),
            content,
            batch,
        }
        .settle(outcome)
    }

    /// Tells whoever watches. Whether the department is back.
    fn tell(&self) -> bool {
        let name = self.department.name();
        self.outbox.stands(self.standing.clone());
        let (mut attempts, mut failures) = (0_u64, 0_u64);
        for outcome in self.calls.iter().flat_map(|call| call.said.outcomes.values()) {
            let (label, counts, fails): (&str, u64, u64) = match outcome {
                Outcome::Delivered { .. } => ("delivered", 1, 0),
                Outcome::Skipped => ("skipped", 1, 0),
                Outcome::Retry { counts, .. } => ("retry", 1, u64::from(*counts != Counts::Never)),
                Outcome::Dead { .. } => ("dead", 1, 1),
                Outcome::Gone => ("gone", 0, 0),
            };
            attempts += counts;
            failures += fails;
            let labels = [("destination", name.to_string()), ("outcome", label.to_owned())];
            metrics::counter!("mihwar_delivery_attempts_total", &labels).increment(1);
        }
        self.outbox.count(self.now, attempts, failures);
        if let (Some(reason), Some(paused)) = (&self.pauses, &self.standing.paused) {
            let code = &paused.code;
            // What the plugin says may quote a customer: it is shown to admins, and in the log only on request.
            tracing::error!(instance = %name, code, "paused until somebody acts; why: mihwar delivery status; to go on: mihwar delivery resume {name}");
            tracing::debug!(instance = %name, "paused: {reason}");
            self.department.show_paused(Some(pausing::shown(name, paused, reason)));
        }
        match (&self.before.alone, &self.standing.alone) {
            (None, Some(alone)) => {
                let next = alone.next;
                tracing::warn!(instance = %name, %next, "it does not answer: it is left alone, but for one delivery now and then");
            }
            (Some(alone), None) => {
                let since = alone.since;
                tracing::info!(instance = %name, %since, "it answers again");
            }
            _ => {}
        }
        self.before.alone.is_some() && self.standing.alone.is_none()
    }
}
