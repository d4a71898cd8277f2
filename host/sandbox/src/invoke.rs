//! One call: a slot, a fresh store, the function, what came of it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance as Component;
use wasmtime::{Store, UpdateDeadline};

use crate::call::{Call, Done};
use crate::contract::types::{ConfigProblem, PluginError};
use crate::contract::{destination, importer, lifecycle, processor, puller, webhook};
use crate::effects::Cost;
use crate::error::{CallError, CallFailure};
use crate::host::{Admission, CallState};
use crate::instance::Instance;
use crate::limits::setting;
use crate::outcome::{failed, finished};

/// What a contract function gives: a trap, the plugin's own error, or a value.
pub(crate) type Answer<T> = wasmtime::Result<Result<T, PluginError>>;

impl Instance {
    /// The JSON Schema of the plugin's settings, as text.
    pub(crate) async fn settings_schema(&self, call: Call) -> Result<Done<String>, CallError> {
        let guest = self.bound.plugin.exports.lifecycle.clone();
        self.run("settings-schema", call, Admission::Offline, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_settings_schema(store).await.map(Ok)
            })
        })
        .await
    }

    /// Asks the plugin whether it is content with its settings. No network.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn validate(&self, call: Call) -> Result<Done<Vec<ConfigProblem>>, CallError> {
        let guest = self.bound.plugin.exports.lifecycle.clone();
        self.run("validate", call, Admission::Offline, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_validate(store).await
            })
        })
        .await
    }

    /// "Test connection": network, but no outside effect.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn check(&self, call: Call) -> Result<Done<lifecycle::Health>, CallError> {
        let guest = self.bound.plugin.exports.lifecycle.clone();
        self.run("check", call, Admission::Online, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_check(store).await
            })
        })
        .await
    }

    /// Brings the instance's state to this version's layout.
    ///
    /// # Errors
    /// See [`CallFailure`].
    pub async fn migrate(&self, previous_version: String, call: Call) -> Result<Done<()>, CallError> {
        let guest = self.bound.plugin.exports.lifecycle.clone();
        self.run("migrate", call, Admission::Online, move |store, component| {
            Box::pin(async move {
                let guest = guest.load(&mut *store, component)?;
                guest.call_migrate(store, &previous_version).await
            })
        })
        .await
    }

    /// Reads one page of a file.
    ///
    /// # Errors
    /// See [`CallFailure`]; a page with more items than the limit is an error.
    pub async fn read_file(&self, request: importer::ImportRequest, call: Call) -> Result<Done<importer::ImportPage>, CallError> {
        let guest = offered(self.bound.plugin.exports.importer.as_ref(), "importer")?;
        let done = self
            .run("importer.read", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_read(store, &request).await
                })
            })
            .await?;
        self.counted(done, |page| page.changes.len() + page.refusals.len())
    }

    /// Asks for news.
    ///
    /// # Errors
    /// See [`CallFailure`]; a page with more items than the limit is an error.
    pub async fn pull(&self, request: puller::PullRequest, call: Call) -> Result<Done<puller::PullPage>, CallError> {
        let guest = offered(self.bound.plugin.exports.puller.as_ref(), "puller")?;
        let done = self
            .run("puller.pull", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_pull(store, &request).await
                })
            })
            .await?;
        self.counted(done, |page| page.changes.len())
    }

    /// Hands over an inbound request.
    ///
    /// # Errors
    /// See [`CallFailure`]; an outcome with more items than the limit is an error.
    pub async fn handle_webhook(&self, request: webhook::InboundRequest, call: Call) -> Result<Done<webhook::Outcome>, CallError> {
        let guest = offered(self.bound.plugin.exports.webhook.as_ref(), "webhook")?;
        let done = self
            .run("webhook.handle", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_handle(store, &request).await
                })
            })
            .await?;
        self.counted(done, |outcome| outcome.changes.len() + outcome.refusals.len())
    }

    /// Lets an enricher look at records.
    ///
    /// # Errors
    /// See [`CallFailure`]; more edits in all than the limit are an error.
    pub async fn process(&self, items: Vec<processor::StoredFeedback>, call: Call) -> Result<Done<Vec<processor::Verdict>>, CallError> {
        let guest = offered(self.bound.plugin.exports.processor.as_ref(), "processor")?;
        let done = self
            .run("processor.process", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_process(store, &items).await
                })
            })
            .await?;
        self.counted(done, |verdicts| {
            let edits = verdicts.iter().map(|verdict| match verdict {
                processor::Verdict::Edited(edits) => edits.edits.len(),
                processor::Verdict::Failed(_) => 0,
            });
            verdicts.len() + edits.sum::<usize>()
        })
    }

    /// Hands deliveries to a department.
    ///
    /// # Errors
    /// See [`CallFailure`]; more acks than the limit are an error.
    pub async fn deliver(&self, batch: Vec<destination::Delivery>, call: Call) -> Result<Done<Vec<destination::Ack>>, CallError> {
        let guest = offered(self.bound.plugin.exports.destination.as_ref(), "destination")?;
        let done = self
            .run("destination.deliver", call, Admission::Online, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    guest.call_deliver(store, &batch).await
                })
            })
            .await?;
        self.counted(done, Vec::len)
    }

    /// Runs `function` in a fresh store under the instance's limits.
    async fn run<T, F>(&self, name: &'static str, call: Call, admission: Admission, function: F) -> Result<Done<T>, CallError>
    where
        T: Send,
        F: for<'a> FnOnce(&'a mut Store<CallState>, &'a Component) -> BoxFuture<'a, Answer<T>> + Send,
    {
        let queued = Instant::now();
        let _slot = self.slot().await?;
        let started = Instant::now();
        let mut store = self.store(call, admission, started);
        let time = self.bound.limits.time;
        // The guest stops itself at the deadline; this ends host calls that do not come back.
        let last = tokio::time::Instant::from_std(started + time + self.bound.plugin.engine.tick * 2);
        let pre = self.bound.plugin.pre.clone();
        let work = AssertUnwindSafe(async {
            let component = pre.instantiate_async(&mut store).await?;
            function(&mut store, &component).await
        });
        let answer = tokio::time::timeout_at(last, work.catch_unwind()).await;
        let cost = |state: &CallState| Cost {
            wall: started.elapsed(),
            waited: started.duration_since(queued),
            memory_peak: u64::try_from(state.meter.memory_peak).unwrap_or(u64::MAX),
            cpu_ticks: state.ticks,
        };
        let cost = cost(store.data());
        match answer {
            Ok(Ok(Ok(Ok(value)))) => Ok(finished(value, store.into_data(), cost)),
            Ok(Ok(Ok(Err(error)))) => Err(failed(CallFailure::Plugin(error), store.into_data(), cost)),
            Ok(Ok(Err(trap))) => {
                let failure = crate::outcome::classify(&trap, name, store.data());
                Err(failed(failure, store.into_data(), cost))
            }
            Ok(Err(panic)) => {
                let failure = CallFailure::Host(format!("a host function of `{name}` panicked: {}", crate::outcome::panic_text(&*panic)));
                Err(failed(failure, store.into_data(), cost))
            }
            Err(_elapsed) => {
                let failure = CallFailure::TimeLimit { limit: time, setting: setting::TIME };
                Err(failed(failure, store.into_data(), cost))
            }
        }
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let engine = &self.bound.plugin.engine;
        let slots = std::sync::Arc::clone(&engine.slots);
        match tokio::time::timeout(engine.slot_wait, slots.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(bare(CallFailure::Busy { slots: engine.slot_count, waited: engine.slot_wait })),
        }
    }

    fn store(&self, call: Call, admission: Admission, started: Instant) -> Store<CallState> {
        let engine = &self.bound.plugin.engine;
        let deadline = started + self.bound.limits.time;
        let state = CallState::new(&self.bound, call, admission, deadline);
        let mut store = Store::new(&engine.wasm, state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(self.bound.limits.hostcall_fuel());
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut context| {
            context.data_mut().ticks += 1;
            // A busy guest lets other work of this thread run once per tick. tokio's own yield, because a
            // task that wakes itself would keep the thread from looking at sockets and timers.
            Ok(if Instant::now() >= deadline {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            })
        });
        store
    }

    /// Refuses a value with more items than the limit.
    fn counted<T>(&self, done: Done<T>, count: impl Fn(&T) -> usize) -> Result<Done<T>, CallError> {
        let limit = self.bound.limits.items;
        if u64::try_from(count(&done.value)).unwrap_or(u64::MAX) <= limit {
            return Ok(done);
        }
        Err(CallError {
            failure: Box::new(CallFailure::OutputTooLarge { limit, unit: "items", setting: setting::ITEMS }),
            log: done.effects.log,
            stderr: String::new(),
            cost: done.cost,
        })
    }
}

fn offered<I: Clone>(indices: Option<&I>, interface: &'static str) -> Result<I, CallError> {
    indices.cloned().ok_or_else(|| bare(CallFailure::NotOffered(interface)))
}

fn bare(failure: CallFailure) -> CallError {
    CallError { failure: Box::new(failure), log: Vec::new(), stderr: String::new(), cost: Cost::default() }
}
