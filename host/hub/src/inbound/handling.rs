//! One stored request: its plugin is called, and what comes of it replaces the request in one transaction.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, AttachmentId, InboundId, InstanceName};
use mihwar_sandbox::contract::types::{Header, PluginError};
use mihwar_sandbox::contract::webhook;
use mihwar_sandbox::{CallFailure, Capability, Effects};
use mihwar_store::{Batch, Edit, Guard, Row};

use super::dead::{self, Dead};
use super::{items, open};
use crate::changes;
use crate::content::blob_of;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Arrival, Intake, Rider};
use crate::keys;
use crate::lent;
use crate::rows::{InboxRow, Item};
use crate::status_reports;
use crate::withdrawal;

/// Shortest pause after a failure that is not the request's.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after a request that could not be read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// Pause before a report is looked at again that came before the department's answer was written down: longer than most
/// calls take.
const EARLY_PAUSE: Duration = Duration::from_secs(30);
/// So long after a request came in: longer no call takes.
const EARLY_MAX_MS: i64 = 90_000;
/// How often a request is written anew because an item that it reports about is changed at the same time.
const WRITES_MAX: u32 = 5;

/// What a plugin may always ask for as a pause.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// For how long a request to this instance is put off at most. One that seems to wait for longer was put off before the
/// clock was put back.
pub(super) fn longest_pause(shared: &Shared, instance: &InstanceName) -> Duration {
    let most = shared
        .instances()
        .get(instance)
        .map(|running| running.config.retry.longest());
    most.unwrap_or_default().max(ASKED_PAUSE_MAX)
}

/// A request as it lies in the inbox.
pub(super) struct Stored<'a> {
    shared: &'a Arc<Shared>,
    pub(super) id: InboundId,
    instance: InstanceName,
    /// Attempts that count.
    pub(super) attempts: u32,
    row: Row,
}

impl<'a> Stored<'a> {
    /// None for a row that is no request.
    pub(super) fn of(shared: &'a Arc<Shared>, row: Row) -> Option<Self> {
        let (instance, attempts) = keys::inbox_parts(&row.key)?;
        let id = InboundId::from_bytes(keys::last_id(&row.key)?);
        Some(Self {
            shared,
            id,
            instance,
            attempts,
            row,
        })
    }

    /// Gives the request to its plugin. Afterwards it has left the place where it lay: it was handled, put off or set
    /// aside as a dead letter.
    ///
    /// # Errors
    /// When the hub could not do its part; the request lies where it lay.
    pub(super) async fn handle(&self) -> Result<(), Fault> {
        let request = match open(self.shared, self.id, &self.row.value.bytes).await {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(inbound = %self.id, "a stored request cannot be read: {error}");
                if error.is_damage() {
                    return self.bury_unread(&error.to_string()).await;
                }
                // The system did not give its file, and may give it later.
                return self.put_off(UNREADABLE_PAUSE, self.attempts).await;
            }
        };
        let running = self.shared.instances().get(&self.instance);
        let running = running.filter(|running| running.can(Capability::Webhook));
        let handling = Handling {
            stored: self,
            request: &request,
        };
        let result = match (&request.item, running) {
            (Some(item), _) => handling.keep_item(item.clone()).await,
            (None, Some(running)) => handling.call(&running).await,
            (None, None) => {
                let reason = "no such instance is configured any more";
                handling.bury("instance-gone", reason).await
            }
        };
        match result {
            // It will be too large at the next attempt, too.
            Err(Fault::TooLarge(detail)) => handling.bury("too-large", &detail).await,
            result => result,
        }
    }

    /// Puts the request off, for [`longest_pause`] at most. That is durable, so that pauses and attempts outlive a restart.
    pub(super) async fn put_off(&self, pause: Duration, attempts: u32) -> Result<(), Fault> {
        let core = &self.shared.core;
        let pause = pause.min(longest_pause(self.shared, &self.instance));
        let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let due = core.clock.now().plus_millis(millis);
        let place = keys::inbox_put_off(&self.instance, due, attempts, self.id);
        let batch = Batch {
            guards: vec![self.guard()],
            edits: vec![
                Edit::Delete(self.row.key.clone()),
                Edit::Put(place, self.row.value.bytes.clone()),
            ],
            ..Batch::default()
        };
        core.apply_patiently(batch).await
    }

    /// Sets a request aside that is damaged, as it is: whoever puts right what is damaged can replay it.
    async fn bury_unread(&self, reason: &str) -> Result<(), Fault> {
        metrics::counter!("mihwar_damaged_rows_total").increment(1);
        let unread = InboxRow {
            instance: self.instance.clone(),
            endpoint: String::new(),
            method: String::new(),
            path: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            verified: None,
            received_at: self.id.made_at(),
            item: None,
        };
        let dead = Dead {
            id: self.id,
            stored: &self.row.value.bytes,
            request: &unread,
            code: "damaged",
            reason,
        };
        dead::bury(&self.shared.core, self.guard(), &dead).await
    }

    fn guard(&self) -> Guard {
        Guard::At(self.row.key.clone(), self.row.value.version)
    }
}

/// Why parts of a request are not kept, known before anything of it is written.
#[derive(Debug, Default)]
struct Refusals {
    early: Vec<String>,
    /// Those that alone are no reason to keep the request.
    lesser: Vec<String>,
}

impl Refusals {
    fn of(early: &[String]) -> Self {
        Self {
            early: early.to_vec(),
            lesser: Vec::new(),
        }
    }

    /// All that is to be told of the request, with what showed while it was written; nothing when it need not be kept.
    fn with(&self, late: impl Iterator<Item = String>) -> Vec<String> {
        let mut reasons: Vec<String> = self.early.iter().cloned().chain(late).collect();
        if !reasons.is_empty() {
            reasons.extend(self.lesser.iter().cloned());
        }
        reasons
    }
}

/// A request on its way through its plugin.
struct Handling<'a> {
    stored: &'a Stored<'a>,
    request: &'a InboxRow,
}

impl Handling<'_> {
    async fn call(&self, running: &Running) -> Result<(), Fault> {
        let core = &self.stored.shared.core;
        let attempts = self.stored.attempts;
        let call = lent::call(core, &running.name, Arc::new(lent::NoBlobs));
        let result = running.sandbox.handle_webhook(self.contract_request(), call).await;
        running.note(core.clock.now(), "handle", &result);
        let error = match result {
            Ok(done) => return self.keep(&running.name, done.value, &done.effects).await,
            Err(error) => error,
        };
        let retry = &running.config.retry;
        match &*error.failure {
            CallFailure::Busy { .. } | CallFailure::Host(_) => self.stored.put_off(PAUSE, attempts).await,
            CallFailure::Plugin(PluginError::Transient(asked)) if attempts + 1 < retry.attempts() => {
                let asked = asked.after_ms.map(Duration::from_millis).unwrap_or_default();
                let pause = retry.pause(attempts + 1, core.jitter()).max(asked);
                self.stored.put_off(pause, attempts + 1).await
            }
            CallFailure::Plugin(PluginError::RateLimited(asked)) => {
                let pause = asked.after_ms.map_or(retry.first(), Duration::from_millis);
                self.stored.put_off(pause.max(PAUSE), attempts).await
            }
            failure => self.bury(error.code(), &failure.to_string()).await,
        }
    }

    /// Writes what the plugin made of the request. Good items are kept; if others were refused, the request stays
    /// whole as a dead letter for them. Reports about what is gone, or never was here, are no reason to keep it: what a
    /// department says of somebody who was erased would outlive the erasure.
    async fn keep(&self, name: &InstanceName, outcome: webhook::Outcome, effects: &Effects) -> Result<(), Fault> {
        let taken = changes::arrivals(outcome.changes, effects);
        let told = outcome.refusals.iter();
        let told = told.map(|refusal| format!("{} ({}): {}", refusal.place, refusal.code, refusal.reason));
        let found = taken.refused.iter();
        let found = found.map(|(item, problems)| format!("{item}: {}", changes::list(problems)));
        let early: Vec<String> = told.chain(found).collect();
        let core = &self.stored.shared.core;
        let state = lent::state_edits(core, name, effects)?;
        let mut writes = 0;
        loop {
            let mut reported = status_reports::plan(core, name, &taken.reports).await?;
            if reported.may_be_early && self.may_wait() {
                return self.stored.put_off(EARLY_PAUSE, self.stored.attempts).await;
            }
            let refused = reported.refused.iter();
            let refused = refused.map(|(item, problems)| format!("{item}: {}", changes::list(problems)));
            let mut refusals = Refusals::of(&early);
            if reported.is_about_nothing() {
                refusals.lesser = refused.collect();
            } else {
                refusals.early.extend(refused);
            }
            let mut beside = std::mem::take(&mut reported.rider);
            beside.edits.extend(state.iter().cloned());
            match self.write(name, &taken.arrivals, &refusals, beside).await {
                Err(Fault::Contended) if !taken.reports.is_empty() && writes < WRITES_MAX => writes += 1,
                Ok(()) => {
                    reported.count(name);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands an item that was set aside to the intake once more; no plugin is needed for it.
    async fn keep_item(&self, item: Item) -> Result<(), Fault> {
        let arrivals = [items::arrival(item)];
        self.write(&self.stored.instance, &arrivals, &Refusals::default(), Rider::default())
            .await
    }

    /// Whether what a report may be about can still be on its way: when the request came a moment ago, or an earlier process
    /// stored it, which may have ended between a department's answer and writing it down.
    fn may_wait(&self) -> bool {
        let core = &self.stored.shared.core;
        let is_new = core.clock.now() < self.request.received_at.plus_millis(EARLY_MAX_MS);
        is_new || self.stored.row.value.version <= core.opened_at
    }

    /// Writes arrivals, and what goes beside them, in the place of the request. Of what could not become one of them, it is
    /// told beforehand.
    async fn write(
        &self,
        name: &InstanceName,
        arrivals: &[Arrival],
        refusals: &Refusals,
        beside: Rider,
    ) -> Result<(), Fault> {
        let Stored { shared, row, .. } = self.stored;
        let core = &shared.core;
        // What the intake refuses shows only while it is written.
        let refused = |results: &[Option<Intake>]| -> Vec<String> {
            let late = intake::refused(arrivals, results);
            refusals.with(late.map(|(item, problems)| format!("{item}: {}", changes::list(problems))))
        };
        let mut rider = beside;
        rider.guards.push(self.stored.guard());
        rider.edits.push(Edit::Delete(row.key.clone()));
        let file = blob_of(&row.value.bytes);
        let actor = Actor::Instance(name.clone());
        let results = intake::accept_with(core, &actor, name, arrivals, &rider, |results| {
            self.left(&refused(results), file)
        })
        .await?;
        if let Some(file) = file.filter(|_| refused(&results).is_empty()) {
            withdrawal::destroy(core, &[file]).await;
        }
        Ok(())
    }

    /// What is left of the request: a dead letter for what was refused of it, with its file; else nothing.
    fn left(&self, refused: &[String], file: Option<AttachmentId>) -> Result<Rider, Fault> {
        if refused.is_empty() {
            return Ok(Rider {
                edits: file.into_iter().flat_map(withdrawal::doom).collect(),
                ..Rider::default()
            });
        }
        let core = &self.stored.shared.core;
        let reason = refused.join("\n");
        let dead = self.dead("refused", &reason);
        Ok(Rider {
            edits: vec![dead.put(core)?],
            events: vec![dead.event(core)],
            ..Rider::default()
        })
    }

    async fn bury(&self, code: &str, reason: &str) -> Result<(), Fault> {
        let core = &self.stored.shared.core;
        dead::bury(core, self.stored.guard(), &self.dead(code, reason)).await
    }

    fn dead<'a>(&'a self, code: &'a str, reason: &'a str) -> Dead<'a> {
        Dead {
            id: self.stored.id,
            stored: &self.stored.row.value.bytes,
            request: self.request,
            code,
            reason,
        }
    }

    fn contract_request(&self) -> webhook::InboundRequest {
        let request = self.request;
        let headers = request.headers.iter().map(|(name, value)| Header {
            name: name.clone(),
            value: value.clone(),
        });
        webhook::InboundRequest {
            delivery_id: self.stored.id.to_string(),
            endpoint: request.endpoint.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: headers.collect(),
            body: request.body.clone(),
            verification: match &request.verified {
                Some(recipe) => webhook::Verification::Verified(recipe.clone()),
                None => webhook::Verification::Unverified,
            },
            received_at: request.received_at.0,
        }
    }
}

#[cfg(test)]
mod tests;
