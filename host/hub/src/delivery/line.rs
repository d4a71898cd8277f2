//! The line to one department: what waits for it is read, handed over in batches, several at once if it is so configured, and
//! what became of them is written down. One line for each department; it looks when it is told that there is something, and at
//! the times that it has set itself.

mod gate;
mod parting;
mod reading;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mihwar_model::{DeliveryId, InstanceName, Time};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::damaged;
use super::department::Department;
use super::handing::{self, Called, Order};
use super::pausing;
use super::registry::Outbox;
use super::settle;
use super::standing::Standing;
use super::window::{Fate, Window};
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::turns::Working;
use gate::{Gate, Terms};
use parting::Parting;

/// Deliveries of one digest that are handed over in one call.
const EDITION_MAX: usize = 1_000;
/// What is known of an outbox at least and at most, in deliveries that may go.
const READY_MIN: usize = 64;
const READY_MAX: usize = 4_096;
/// Known of the outbox of a department that is left alone: enough to find one that was not tried before.
const READY_OF_PROBE: usize = 8;
/// A line that has nothing to do for this long forgets what it knows.
const LONG_MS: i64 = 60_000;
/// Pause while contacts are being erased.
const ERASING_MS: i64 = 50;
/// Pause after something that is no fault of the delivery, before it is picked again.
const STUMBLE_MS: i64 = 2_000;

/// When a line has something to do again, unless it is told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// When it is told, or when one of its calls has ended.
    Told,
    At(Time),
    /// At once.
    Again,
}

/// A batch on its way.
struct Flight<'a> {
    /// Nobody is erased of whom something is on the way.
    _working: Working<'a>,
    ids: Vec<DeliveryId>,
}

/// A batch that came back; nothing if its task fell.
pub(super) struct Landed<'a> {
    flight: Option<Flight<'a>>,
    came: Option<Result<Called, Fault>>,
}

/// See the head of this file.
pub(super) struct Line<'a> {
    core: &'a Arc<Core>,
    name: InstanceName,
    outbox: Arc<Outbox>,
    /// What is known of the outbox; nothing while there is nothing to do for long.
    window: Option<Window>,
    survey: Option<OwnedSemaphorePermit>,
    terms: Terms,
    calls: JoinSet<Result<Called, Fault>>,
    flights: HashMap<Id, Flight<'a>>,
    parting: Parting,
    /// The configuration is another one than that by which the outbox was read.
    is_outdated: bool,
    /// Entries of the ledger when the outbox was read last.
    seen: u64,
}

impl<'a> Line<'a> {
    pub(super) fn new(core: &'a Arc<Core>, name: InstanceName) -> Self {
        Self {
            outbox: core.outboxes.of(&name),
            core,
            name,
            window: None,
            survey: None,
            terms: Terms::default(),
            calls: JoinSet::new(),
            flights: HashMap::new(),
            parting: Parting::default(),
            is_outdated: false,
            seen: 0,
        }
    }

    /// Whether a batch is on its way.
    pub(super) fn is_flying(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Does what can be done now, and answers when there is something to do again.
    pub(super) async fn turn(&mut self, department: &Arc<dyn Department>) -> Result<Next, Fault> {
        let standing = pausing::standing(self.core, &self.outbox, &**department).await?;
        self.is_outdated |= self.terms.renew(&**department, standing.mark, self.core.clock.now());
        if self.is_outdated {
            // What is on its way comes back first: digests and single deliveries are not known in one window.
            if self.is_flying() {
                return Ok(Next::Told);
            }
            self.sleep();
            self.parting.renew();
            self.is_outdated = false;
        }
        self.read_mail().await?;
        let config = &department.config().delivery;
        let calls_most = if config.digest.is_some() { 1 } else { config.concurrency };
        loop {
            let now = self.core.clock.now();
            let gate = self.terms.gate(&**department, &standing, now);
            if let Gate::Closed(until) = gate {
                return Ok(self.rest(until, &standing, now));
            }
            let is_probe = gate == Gate::Probe;
            if self.calls.len() >= calls_most || (is_probe && self.is_flying()) {
                return Ok(Next::Told);
            }
            let most = match gate {
                Gate::Open(room) => room.min(config.batch).min(self.parting.most()),
                _ => 1,
            };
            let ready = if is_probe {
                READY_OF_PROBE
            } else {
                (2 * config.batch * config.concurrency).clamp(READY_MIN, READY_MAX)
            };
            self.wake(config.digest.is_some(), is_probe, now);
            self.load(ready, now, config.retry.put_off_most()).await?;
            let picked = self.pick(most, is_probe, now);
            if picked.ids.is_empty() {
                return Ok(self.next(now));
            }
            self.launch(department, &picked, &standing, is_probe, now);
        }
    }

    /// Nothing is handed over until then.
    fn rest(&mut self, until: Option<Time>, standing: &Standing, now: Time) -> Next {
        let is_long = until.is_none_or(|until| until.0.saturating_sub(now.0) >= LONG_MS);
        if !self.is_flying() && (is_long || standing.alone.is_some()) {
            self.sleep();
        }
        until.map_or(Next::Told, Next::At)
    }

    /// Forgets what is known of the outbox: it is read anew.
    fn sleep(&mut self) {
        self.window = None;
        self.survey = None;
        self.outbox.reached(None);
        self.outbox.is_idle.store(false, Ordering::Relaxed);
    }

    /// Begins to know the outbox. What is there now is a backlog to what comes from now on.
    fn wake(&mut self, is_digest: bool, is_probe: bool, now: Time) {
        if self.window.is_some() {
            return;
        }
        let mut window = Window::new(is_digest);
        if !is_probe {
            window.begin_catch_up(boundary(now));
        }
        self.window = Some(window);
    }

    /// What goes now.
    fn pick(&mut self, most: usize, is_probe: bool, now: Time) -> Picked {
        let edition = self.terms.edition(now);
        let Some(window) = self.window.as_mut().filter(|window| !window.is_behind()) else {
            return Picked::default();
        };
        let ids = if is_probe {
            window.pick_least_tried().into_iter().collect()
        } else {
            window.pick(most)
        };
        if let Some((last, _)) = edition.filter(|_| ids.is_empty()) {
            return Picked {
                ids: window.pick_edition(last, EDITION_MAX),
                is_edition: true,
            };
        }
        let ids = self.parting.alone_or_others(window, ids, now);
        Picked { ids, is_edition: false }
    }

    /// Sends a batch on its way.
    fn launch(
        &mut self,
        department: &Arc<dyn Department>,
        picked: &Picked,
        standing: &Standing,
        is_probe: bool,
        now: Time,
    ) {
        let Some(window) = &mut self.window else {
            return;
        };
        let core: &'a Arc<Core> = self.core;
        let contact = |id: &DeliveryId| window.contact(*id);
        // Held until it is written down what became of them: nobody is erased who is on the way.
        let working = core.turns.work_with(picked.ids.iter().filter_map(contact));
        let is_free = |id: &DeliveryId| window.contact(*id).is_some_and(|contact| working.covers(contact));
        let (ids, held): (Vec<DeliveryId>, Vec<DeliveryId>) = picked.ids.iter().copied().partition(is_free);
        for id in held {
            window.ended(id, Fate::Later(now.plus_millis(ERASING_MS)));
        }
        if ids.is_empty() {
            return;
        }
        self.terms.take(ids.len(), now);
        let order = Order {
            wanted: ids.clone(),
            seen: self.seen,
            failures: standing.failures,
            beginnings: self.outbox.beginnings(),
            is_probe,
            is_edition: picked.is_edition,
        };
        let task = self
            .calls
            .spawn(handing::hand_over(core.clone(), department.clone(), order));
        let flight = Flight { _working: working, ids };
        self.flights.insert(task.id(), flight);
    }

    /// When there is something to do again.
    fn next(&mut self, now: Time) -> Next {
        let edition = self.terms.edition(now);
        let is_flying = self.is_flying();
        let Some(window) = &mut self.window else {
            return Next::Told;
        };
        let may_survey = self.survey.is_some();
        if window.is_behind() || window.wants(1, may_survey).is_some() {
            return Next::Again;
        }
        let is_idle = window.is_empty() && !is_flying;
        self.outbox.is_idle.store(is_idle, Ordering::Relaxed);
        if is_idle {
            return Next::Told;
        }
        let edition = edition.map(|(_, next)| next).filter(|_| window.has_ordinary());
        match window.next().into_iter().chain(edition).min() {
            Some(next) => Next::At(next),
            None if is_flying => Next::Told,
            // Behind a backlog of which no survey could be made yet.
            None => Next::At(now.plus_millis(1_000)),
        }
    }

    /// Waits for a batch to come back, and takes all that have.
    pub(super) async fn land(&mut self) -> Vec<Landed<'a>> {
        let mut landed = Vec::new();
        let first = self.calls.join_next_with_id().await;
        landed.extend(first.map(|joined| self.landed(joined)));
        while let Some(joined) = self.calls.try_join_next_with_id() {
            let next = self.landed(joined);
            landed.push(next);
        }
        landed
    }

    fn landed(&mut self, joined: Result<(Id, Result<Called, Fault>), JoinError>) -> Landed<'a> {
        match joined {
            Ok((id, came)) => Landed {
                flight: self.flights.remove(&id),
                came: Some(came),
            },
            Err(error) => {
                metrics::counter!("mihwar_workers_fallen_total").increment(1);
                tracing::error!(instance = %self.name, "handing over fell, and is tried again: {error}");
                Landed {
                    flight: self.flights.remove(&error.id()),
                    came: None,
                }
            }
        }
    }

    /// Writes down what became of batches.
    pub(super) async fn settle(
        &mut self,
        department: &dyn Department,
        landed: Vec<Landed<'a>>,
        stop: &CancellationToken,
    ) -> Result<(), Fault> {
        let (mut calls, mut flights, mut failed) = (Vec::new(), Vec::new(), None);
        for one in landed {
            match one.came {
                Some(Ok(called)) => calls.push(called),
                Some(Err(error)) => {
                    self.put_back(one.flight.as_ref());
                    failed = Some(error);
                }
                None => self.put_back(one.flight.as_ref()),
            }
            flights.extend(one.flight);
        }
        let settled = settle::settle(self.core, department, &self.outbox, &calls, stop).await;
        let settled = match settled {
            Ok(settled) => settled,
            Err(error) => {
                // Some of it may be written down: what their rows say now counts.
                for id in flights.iter().flat_map(|flight| &flight.ids) {
                    self.ended(*id, Fate::Unsure);
                }
                return Err(error);
            }
        };
        if let Some(window) = &mut self.window {
            // By an older moment, what is put off for the longest pause would look like one of a clock that was put back.
            window.look(self.core.clock.now(), department.config().delivery.retry.put_off_most());
        }
        for (id, fate) in settled.fates {
            self.ended(id, fate);
        }
        for called in calls {
            if let Err(error) = self.clear_away(called).await {
                failed.get_or_insert(error);
            }
        }
        // Only now may whoever it is of be erased.
        drop(flights);
        self.core.wake.projector.notify_one();
        if settled.is_back {
            // Little was known of the outbox meanwhile, and what there is of it is a backlog now.
            let now = self.core.clock.now();
            match &mut self.window {
                Some(window) if !self.calls.is_empty() => window.begin_catch_up(boundary(now)),
                _ => self.sleep(),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What a batch left besides.
    async fn clear_away(&mut self, called: Called) -> Result<(), Fault> {
        let now = self.core.clock.now();
        self.parting.learn(&called);
        for id in called.left {
            self.ended(id, Fate::Later(now));
        }
        for id in called.vanished {
            self.ended(id, Fate::Ended);
        }
        if called.damaged.is_empty() {
            return Ok(());
        }
        let ids: Vec<DeliveryId> = called.damaged.iter().map(|damaged| damaged.delivery).collect();
        let set_aside = damaged::set_aside(self.core, &self.name, called.damaged).await;
        let fate = match &set_aside {
            Ok(_) => Fate::Ended,
            Err(_) => Fate::Later(now.plus_millis(STUMBLE_MS)),
        };
        for id in ids {
            self.ended(id, fate);
        }
        set_aside?;
        Ok(())
    }

    fn ended(&mut self, id: DeliveryId, fate: Fate) {
        if let Some(window) = &mut self.window {
            window.ended(id, fate);
        }
    }

    /// What was on its way is as it was.
    fn put_back(&mut self, flight: Option<&Flight<'a>>) {
        let later = self.core.clock.now().plus_millis(STUMBLE_MS);
        for id in flight.into_iter().flat_map(|flight| &flight.ids) {
            if let Some(window) = &mut self.window {
                window.ended(*id, Fate::Later(later));
            }
        }
    }

    /// Waits for everything that is on its way, and writes it down.
    pub(super) async fn come_to_rest(&mut self, department: &dyn Department, stop: &CancellationToken) {
        while self.is_flying() {
            let landed = self.land().await;
            if let Err(error) = self.settle(department, landed, stop).await {
                tracing::error!(instance = %self.name, "the last deliveries could not be written down: {error}");
            }
        }
    }
}

/// What goes in one batch.
#[derive(Debug, Default)]
struct Picked {
    ids: Vec<DeliveryId>,
    is_edition: bool,
}

/// The lowest id of what is made from now on.
fn boundary(now: Time) -> DeliveryId {
    DeliveryId::from_bytes(keys::first_id_at(now))
}
