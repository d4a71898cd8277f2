//! One call: a slot, a fresh store, the function, what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime::component::Instance as Component;
use wasmtime::{Store, UpdateDeadline};

use crate::call::{Call, Done};
use crate::contract::types::PluginError;
use crate::effects::Cost;
use crate::error::{CallError, CallFailure};
use crate::host::{Admission, CallState};
use crate::instance::Instance;
use crate::limits::setting;
use crate::outcome::{classify, failed, finished, panic_text};

/// What a contract function gives: a trap, the plugin's own error, or a value.
pub(crate) type Answer<T> = wasmtime::Result<Result<T, PluginError>>;

impl Instance {
    /// Runs `function` in a fresh store under the instance's limits.
    pub(crate) async fn run<T, F>(
        &self,
        name: &'static str,
        call: Call,
        admission: Admission,
        function: F,
    ) -> Result<Done<T>, CallError>
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
        let last = started + time + self.bound.plugin.engine.tick * 2;
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
                let failure = classify(&trap, name, store.data());
                Err(failed(failure, store.into_data(), cost))
            }
            Ok(Err(panic)) => {
                let failure =
                    CallFailure::Host(format!("a host function of `{name}` panicked: {}", panic_text(&*panic)));
                Err(failed(failure, store.into_data(), cost))
            }
            Err(_elapsed) => {
                let failure = CallFailure::TimeLimit {
                    limit: time,
                    setting: setting::TIME,
                };
                Err(failed(failure, store.into_data(), cost))
            }
        }
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let engine = &self.bound.plugin.engine;
        let slots = Arc::clone(&engine.slots);
        match tokio::time::timeout(engine.slot_wait, slots.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(bare(CallFailure::Busy {
                slots: engine.slot_count,
                waited: engine.slot_wait,
            })),
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
    pub(crate) fn counted<T>(&self, done: Done<T>, count: impl Fn(&T) -> usize) -> Result<Done<T>, CallError> {
        let limit = self.bound.limits.items;
        if u64::try_from(count(&done.value)).unwrap_or(u64::MAX) <= limit {
            return Ok(done);
        }
        Err(CallError {
            failure: Box::new(CallFailure::OutputTooLarge {
                limit,
                unit: "items",
                setting: setting::ITEMS,
            }),
            log: done.effects.log,
            stderr: String::new(),
            cost: done.cost,
            told: done.effects.told.into(),
        })
    }
}

/// A failure before anything ran.
pub(crate) fn bare(failure: CallFailure) -> CallError {
    CallError {
        failure: Box::new(failure),
        log: Vec::new(),
        stderr: String::new(),
        cost: Cost::default(),
        told: Box::default(),
    }
}
