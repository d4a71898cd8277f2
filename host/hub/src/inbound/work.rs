//! Working stored requests off. Each instance has a worker of its own, so that a slow one holds up nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::InstanceName;
use mihwar_store::{KeyRange, Order};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::handling::{Stored, longest_pause};
use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::keys;

/// Requests read from the store in one go.
const PAGE: usize = 16;
/// Pause after a request that the hub itself could not handle, and before a store that failed is asked again.
const FAULT_PAUSE: Duration = Duration::from_secs(5);
/// How often the inbox is looked at for requests that have become due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works stored requests off until told to stop: one worker for each instance that requests are addressed to, whether
/// it is configured or not.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut workers: HashMap<InstanceName, Worker> = HashMap::new();
    while !stop.is_cancelled() {
        workers.retain(|_, worker| !worker.has_fallen());
        match addressed(&shared.core).await {
            Ok(instances) => {
                for instance in instances {
                    let worker = workers.entry(instance);
                    let worker = worker.or_insert_with_key(|name| Worker::start(&shared, name.clone(), &stop));
                    worker.wake.notify_one();
                }
            }
            Err(error) => tracing::error!("stored requests cannot be looked for: {error}"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = shared.core.wake.inbound.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    for worker in workers.into_values() {
        if let Err(error) = worker.handle.await {
            tracing::error!("a worker of stored requests fell: {error}");
        }
    }
}

/// The instances that requests are addressed to. Reads one row for each of them, however many there are.
async fn addressed(core: &Core) -> Result<Vec<InstanceName>, Fault> {
    let view = core.store.view().await?;
    let (mut found, mut rest) = (Vec::new(), Some(keys::all(keys::INBOX)));
    while let Some(range) = rest.take() {
        let Some(row) = view.scan(range.clone(), Order::Ascending, 1).await?.rows.pop() else {
            break;
        };
        rest = match keys::inbox_parts(&row.key) {
            Some((instance, _)) => {
                let behind = behind(&range, &keys::inbox_of(&instance));
                found.push(instance);
                behind
            }
            None => Some(range.after(&row.key)),
        };
    }
    Ok(found)
}

/// What of a range lies behind a part of it.
fn behind(range: &KeyRange, part: &KeyRange) -> Option<KeyRange> {
    Some(KeyRange::between(part.end()?.clone(), range.end()?.clone()))
}

/// What works off the requests to one instance.
struct Worker {
    handle: JoinHandle<()>,
    wake: Arc<Notify>,
}

impl Worker {
    fn start(shared: &Arc<Shared>, instance: InstanceName, stop: &CancellationToken) -> Self {
        let wake = Arc::new(Notify::new());
        let work = work_off(shared.clone(), instance, wake.clone(), stop.clone());
        Self {
            handle: tokio::spawn(work),
            wake,
        }
    }

    /// Whether it ended although nobody stopped it.
    fn has_fallen(&self) -> bool {
        let fallen = self.handle.is_finished();
        if fallen {
            metrics::counter!("mihwar_workers_fallen_total").increment(1);
            tracing::error!("a worker of stored requests fell and is started again");
        }
        fallen
    }
}

async fn work_off(shared: Arc<Shared>, instance: InstanceName, wake: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match step(&shared, &instance, &stop).await {
            Ok(0) => tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = wake.notified() => {}
            },
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%instance, "stored requests stand still: {error}");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(FAULT_PAUSE) => {}
                }
            }
        }
    }
}

/// Works some requests to one instance off, one after the other: those that are new in the order of their ids, since a
/// plugin may keep state, and what was made may be deleted by the next request; then those that were put off and are
/// due, in that order; then those that wait for longer than anything is put off, since the clock was put back. Answers
/// how many it took up.
///
/// A request that must wait does not hold up those behind it: one that its plugin cannot handle for hours must not stop
/// a whole channel. The price is that it comes out of order.
async fn step(shared: &Arc<Shared>, instance: &InstanceName, stop: &CancellationToken) -> Result<usize, Fault> {
    let core = &shared.core;
    let view = core.store.view().await?;
    let fresh = view
        .scan(keys::inbox_fresh(instance), Order::Ascending, PAGE)
        .await?
        .rows;
    let now = core.clock.now();
    let due = view
        .scan(keys::inbox_due(instance, now), Order::Ascending, PAGE)
        .await?
        .rows;
    let longest = i64::try_from(longest_pause(shared, instance).as_millis()).unwrap_or(i64::MAX);
    let stranded = keys::inbox_beyond(instance, now.plus_millis(longest));
    let stranded = view.scan(stranded, Order::Ascending, PAGE).await?.rows;
    drop(view);
    let mut taken = 0;
    for row in fresh.into_iter().chain(due).chain(stranded) {
        if stop.is_cancelled() {
            break;
        }
        let Some(stored) = Stored::of(shared, row) else {
            continue;
        };
        taken += 1;
        if let Err(error) = stored.handle().await {
            tracing::warn!(inbound = %stored.id, %instance, "a stored request could not be handled and is tried again later: {error}");
            // Not its own fault: this attempt does not count. Whatever is in the way, the others go on.
            stored.put_off(FAULT_PAUSE, stored.attempts).await?;
        }
    }
    Ok(taken)
}
