//! Asking for a page of a feed, and waiting for something to come.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::reading::{Handed, hand_out};
use super::{FeedPage, FeedRefusal, FeedWanted, READS_MAX, granted};
use crate::delivery::preparing::Recipient;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::projection;

/// How often whoever waits looks without having been told: a word that got lost costs time, and nothing else.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pause while something stands in the way.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// A page of a feed; where there is nothing, whatever comes while it is waited for. An empty one when the time is over, or
/// when told that it `ends`.
pub(crate) async fn page(
    shared: &Shared,
    wanted: &FeedWanted,
    ends: &CancellationToken,
) -> Result<FeedPage, FeedRefusal> {
    let until = Instant::now() + wanted.wait;
    let mut wanted = wanted.clone();
    granted(shared, &wanted.department)?;
    let outbox = shared.core.outboxes.of(&wanted.department);
    loop {
        let mut arrived = pin!(outbox.arrived.notified());
        // From here on nothing comes unheard.
        arrived.as_mut().enable();
        let Handed { page, is_held } = look(shared, &wanted).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !page.items.is_empty() || left.is_zero() || ends.is_cancelled() {
            return Ok(page);
        }
        wanted.after = Some(page.next);
        if page.is_more && !is_held {
            continue;
        }
        let pause = if is_held { HELD_PAUSE } else { LOOK_EVERY };
        tokio::select! {
            biased;
            () = ends.cancelled() => return Ok(page),
            () = arrived => {}
            () = tokio::time::sleep(pause.min(left)) => {}
        }
    }
}

/// What is there now.
async fn look(shared: &Shared, wanted: &FeedWanted) -> Result<Handed, FeedRefusal> {
    let core = &shared.core;
    projection::catch_up_for_readers(core).await?;
    let outbox = core.outboxes.of(&wanted.department);
    let mut contended = 0;
    loop {
        let _feeding = outbox.feeding.lock().await;
        let to = Recipient {
            name: &wanted.department,
            fields: granted(shared, &wanted.department)?,
        };
        match hand_out(core, to, wanted).await {
            // A row was changed by others meanwhile: what is there now counts.
            Err(FeedRefusal::Fault(Fault::Contended)) if contended < READS_MAX => contended += 1,
            done => return done,
        }
    }
}
