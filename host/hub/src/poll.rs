//! Polling: channels that can be asked for news are asked, page by page. A page's records, the plugin's
//! state and the new cursor are one transaction, so a page is kept whole or asked for again.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, InstanceName};
use mihwar_sandbox::contract::puller::{PullMode, PullPage, PullRequest};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallFailure, Capability, Effects};
use mihwar_store::{Edit, Guard};
use tokio_util::sync::CancellationToken;

use crate::changes;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Rider};
use crate::keys;
use crate::lent;

/// Items asked for in one page.
const ITEMS_MAX: u32 = 256;
/// Pause after a failure that names none.
const PAUSE: Duration = Duration::from_secs(30);

/// Asks one channel until told to stop or until it is configured away.
pub(crate) async fn run(shared: Arc<Shared>, instance: InstanceName, stop: CancellationToken) {
    loop {
        let Some(running) = shared.instances().get(&instance) else {
            return;
        };
        let pause = match step(&shared, &running).await {
            Ok(pause) => pause,
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(Fault::Contended) => Duration::from_millis(10),
            Err(error) => {
                tracing::error!(%instance, "polling stands still: {error}");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Asks for one page; answers how long to wait before the next.
pub(crate) async fn step(shared: &Arc<Shared>, running: &Arc<Running>) -> Result<Duration, Fault> {
    let every = running.config.every;
    if running.record.counts().paused.is_some() || !running.can(Capability::Pull) {
        return Ok(every);
    }
    let core = &shared.core;
    let key = keys::poll_cursor(&running.name);
    let known = core.store.view().await?.get(&key).await?;
    let cursor = match &known {
        Some(row) => Some(String::from_utf8_lossy(&core.vault.open_own(key.as_bytes(), &row.bytes)?).into_owned()),
        None => None,
    };
    let request = PullRequest {
        mode: PullMode::Incremental,
        cursor,
        max_items: ITEMS_MAX,
    };
    let result = running
        .sandbox
        .pull(request, lent::call(core, &running.name, Arc::new(lent::NoBlobs)))
        .await;
    running.note(core.clock.now(), "pull", &result);
    let done = match result {
        Ok(done) => done,
        Err(error) => return Ok(pause_after(running, &error.failure)),
    };
    let pause = match (done.value.more, done.value.next_after_ms) {
        (true, _) => Duration::ZERO,
        (false, Some(millis)) => Duration::from_millis(millis),
        (false, None) => every,
    };
    let guard = match &known {
        Some(row) => Guard::At(key.clone(), row.version),
        None => Guard::Absent(key.clone()),
    };
    keep(shared, running, done.value, &done.effects, guard).await?;
    Ok(pause)
}

async fn keep(
    shared: &Shared,
    running: &Running,
    page: PullPage,
    effects: &Effects,
    guard: Guard,
) -> Result<(), Fault> {
    let core = &shared.core;
    let taken = changes::arrivals(core, running, page.changes, effects).await?;
    let mut rider = Rider {
        guards: vec![guard.clone()],
        edits: taken.edits,
        events: taken.events,
    };
    rider.edits.extend(lent::state_edits(core, &running.name, effects)?);
    if let Some(cursor) = page.cursor {
        let key = guard.key().clone();
        let sealed = core.vault.seal_own(key.as_bytes(), cursor.as_bytes())?;
        rider.edits.push(Edit::Put(key, sealed));
    }
    let actor = Actor::Instance(running.name.clone());
    let results = intake::accept(core, &actor, &running.name, &taken.arrivals, &rider).await?;
    changes::destroy(core, &taken.doomed).await;
    let refused = results
        .iter()
        .filter(|result| matches!(result, intake::Intake::Refused { .. }))
        .count()
        + taken.refused.len();
    if refused > 0 {
        running.record.failed(
            core.clock.now(),
            &format!("{refused} items of a page could not become records"),
        );
        tracing::warn!(instance = %running.name, refused, "items of a page could not become records: {:?}", taken.refused);
    }
    Ok(())
}

fn pause_after(running: &Running, failure: &CallFailure) -> Duration {
    match failure {
        CallFailure::Plugin(PluginError::Transient(retry) | PluginError::RateLimited(retry)) => {
            retry.after_ms.map_or(PAUSE, Duration::from_millis)
        }
        CallFailure::Plugin(PluginError::Unauthorized(_) | PluginError::Misconfigured(_)) => {
            running.record.pause(Some(failure.to_string()));
            running.config.every
        }
        _ => PAUSE,
    }
}
