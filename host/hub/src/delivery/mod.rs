//! Delivery: what routing put into the outbox is handed to department instances. The outbox is rows in the store; a restart
//! changes nothing.
//!
//! Each department has a line of its own ([`line`]): a window on the beginning of its outbox tells what may go
//! ([`window`]), a task hands a batch over ([`handing`]), and what became of it is written down in one transaction, with how the
//! department stands ([`settle`], [`standing`]). Order is kept per contact and department. A dead letter steps aside and the
//! rest go on; a department that does not answer is left alone but for one delivery now and then, and costs the others nothing.
//!
//! A department that asks has no line: what waits for it is its feed ([`feed`]), until it acknowledges it.

mod backfill;
mod bucket;
mod calendar;
mod crowd;
mod damaged;
mod department;
mod feed;
mod handing;
mod holders;
#[cfg(test)]
mod house;
mod line;
#[cfg(test)]
mod line_tests;
mod outbox;
mod outcome;
mod pausing;
mod preparing;
mod registry;
mod replay;
mod settle;
mod settling;
mod standing;
mod status;
mod told;
mod window;

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{InstanceName, Time};
use mihwar_sandbox::Capability;
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::fault::Fault;
use crate::hub::Shared;
pub(crate) use backfill::fill;
pub use backfill::{BackFill, BackFillReport};
pub(crate) use damaged::{dead_entry, waiting_entry};
use department::Department;
pub use feed::{FeedCursor, FeedCursors, FeedItem, FeedPage, FeedRefusal, FeedStart, FeedWanted, MAIN_CURSOR};
pub(crate) use feed::{
    acknowledge as feed_acknowledge, known as feed_known, list as feed_cursors, page as feed_page,
    remove as feed_remove,
};
use holders::Holders;
use line::{Line, Next};
pub(crate) use outbox::{open_reference, reference};
pub(crate) use pausing::resume;
pub(crate) use registry::{Outboxes, Written};
pub(crate) use replay::replay;
pub use replay::{ReplayFilter, ReplaySelection};
pub use status::{DestinationPage, DestinationState, DestinationStatus};
pub(crate) use status::{all as destinations_now, page as destination_page};
pub use told::Exchange;
pub(crate) use told::Story;

/// Longest sleep before the clock is looked at again: it may have been put forward.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Shortest sleep until a time.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// Pause after something that kept a line from doing anything.
const STUMBLE: Duration = Duration::from_secs(2);
/// How often outboxes are looked for that hold something of which nobody was told.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Delivers to one department until told to stop or until the department is configured away.
pub(crate) async fn run(shared: Arc<Shared>, destination: InstanceName, stop: CancellationToken) {
    let Some(mut department) = department_of(&shared, &destination) else {
        return;
    };
    let core = shared.core.clone();
    let mut line = Line::new(&core, destination.clone());
    let outbox = core.outboxes.of(&destination);
    while !stop.is_cancelled() {
        let pause = match line.turn(&department).await {
            Ok(next) => pause_until(next, core.clock.now()),
            Err(error) => Some(stumbled(&destination, &error)),
        };
        let is_flying = line.is_flying();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            landed = line.land(), if is_flying => {
                if let Err(error) = line.settle(&*department, landed, &stop).await {
                    tokio::time::sleep(stumbled(&destination, &error)).await;
                }
            }
            () = outbox.bell.notified() => {}
            () = sleep(pause) => {}
        }
        match department_of(&shared, &destination) {
            Some(present) => department = present,
            None => break,
        }
    }
    line.come_to_rest(&*department, &stop).await;
}

fn department_of(shared: &Shared, name: &InstanceName) -> Option<Arc<dyn Department>> {
    let running = shared.instances().get(name)?;
    running
        .can(Capability::Deliver)
        .then_some(running as Arc<dyn Department>)
}

fn pause_until(next: Next, now: Time) -> Option<Duration> {
    match next {
        Next::Told => None,
        Next::Again => Some(Duration::ZERO),
        Next::At(time) => {
            let millis = u64::try_from(time.0.saturating_sub(now.0)).unwrap_or(0);
            Some(Duration::from_millis(millis).clamp(SLEEP_MIN, SLEEP_MAX))
        }
    }
}

/// For ever without a pause.
async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// How long a line waits that could not go on.
fn stumbled(destination: &InstanceName, error: &Fault) -> Duration {
    match error {
        Fault::Busy { retry_after } => *retry_after,
        Fault::Contended => Duration::from_millis(10),
        error => {
            tracing::error!(%destination, "deliveries stand still: {error}");
            STUMBLE
        }
    }
}

/// Looks now and then for outboxes that hold something although whoever works on them knows of nothing. A word that got lost
/// costs time, and nothing else.
pub(crate) async fn sweep(core: Arc<Core>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        if let Err(error) = wake_overlooked(&core).await {
            tracing::warn!("whether deliveries were overlooked cannot be told: {error}");
        }
    }
}

/// Reads one row for each department that holds something, however much that is.
async fn wake_overlooked(core: &Core) -> Result<(), Fault> {
    let idle = core.outboxes.idle();
    if idle.is_empty() {
        return Ok(());
    }
    let view = core.store.view().await?;
    let mut holders = Holders::of_outboxes(&*view, None);
    while let Some(name) = holders.another().await? {
        if let Ok(place) = idle.binary_search_by(|outbox| outbox.name().cmp(&name))
            && let Some(outbox) = idle.get(place)
        {
            outbox.look_again(false);
        }
    }
    Ok(())
}
