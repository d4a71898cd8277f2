//! Polling: channels that can be asked for news are asked, page by page. A page's records, the plugin's
//! state and the new cursor are one transaction, so a page is kept whole or asked for again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, FieldProblem, InstanceName};
use mihwar_sandbox::contract::puller::{PullMode, PullPage, PullRequest};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallFailure, Capability, Effects};
use mihwar_store::{Edit, Guard};
use tokio_util::sync::CancellationToken;

use crate::changes;
use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::intake::{self, Intake};
use crate::keys;
use crate::lent;
use crate::status_reports;

/// Items asked for in one page.
const ITEMS_MAX: u32 = 256;
/// Pause after a failure that names none.
const PAUSE: Duration = Duration::from_secs(30);
/// Pause before a page is asked for again that reports about what may be on its way still, and how often that is done.
const EARLY_PAUSE: Duration = Duration::from_secs(30);
const EARLY_MAX: u32 = 3;
/// Shortest pause that a plugin may ask for.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Asks one channel until told to stop or until it is configured away.
pub(crate) async fn run(shared: Arc<Shared>, instance: InstanceName, stop: CancellationToken) {
    let (mut was_stuck, mut early) = (false, 0);
    loop {
        let Some(running) = shared.instances().get(&instance) else {
            return;
        };
        let pause = match step(&shared, &running, early < EARLY_MAX).await {
            Ok(next) => {
                if next.is_stuck && !was_stuck {
                    tracing::warn!(%instance, "the plugin has more to tell but its cursor does not move; it is asked again after its usual interval");
                }
                was_stuck = next.is_stuck;
                early = if next.is_early { early + 1 } else { 0 };
                next.pause
            }
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(Fault::Contended) => {
                tracing::debug!(%instance, "what a page touches was changed meanwhile; the page is asked for again");
                Duration::from_millis(10)
            }
            Err(error) => {
                tracing::error!(%instance, "polling stands still: {error}");
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// When a channel is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) pause: Duration,
    /// Whether the plugin wants to go on at once, but from where it was.
    pub(crate) is_stuck: bool,
    /// Whether nothing of the page was kept, since it reports about what may be on its way still.
    pub(crate) is_early: bool,
}

impl Next {
    const fn after(pause: Duration) -> Self {
        Self {
            pause,
            is_stuck: false,
            is_early: false,
        }
    }

    fn of(page: &PullPage, asked: Option<&str>, every: Duration) -> Self {
        let moved = page.cursor.as_deref().is_some_and(|cursor| Some(cursor) != asked);
        match (page.more, page.next_after_ms) {
            (true, _) if moved => Self::after(Duration::ZERO),
            (true, _) => Self {
                is_stuck: true,
                ..Self::after(every)
            },
            (false, Some(millis)) => Self::after(Duration::from_millis(millis).max(PAUSE_MIN)),
            (false, None) => Self::after(every),
        }
    }
}

/// Asks for one page. One that reports about what may be on its way still is not kept while `waits`: its cursor would move on,
/// and nobody tell it again.
pub(crate) async fn step(shared: &Arc<Shared>, running: &Arc<Running>, waits: bool) -> Result<Next, Fault> {
    let every = running.config.every;
    if running.record.counts().paused.is_some() || !running.can(Capability::Pull) {
        return Ok(Next::after(every));
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
        cursor: cursor.clone(),
        max_items: ITEMS_MAX,
    };
    let result = running
        .sandbox
        .pull(request, lent::call(core, &running.name, Arc::new(lent::NoBlobs)))
        .await;
    running.note(core.clock.now(), "pull", &result);
    let done = match result {
        Ok(done) => done,
        Err(error) => return Ok(Next::after(pause_after(running, &error.failure))),
    };
    let next = Next::of(&done.value, cursor.as_deref(), every);
    let guard = match &known {
        Some(row) => Guard::At(key.clone(), row.version),
        None => Guard::Absent(key.clone()),
    };
    let is_kept = keep(shared, running, done.value, &done.effects, guard, waits).await?;
    Ok(if is_kept {
        next
    } else {
        Next {
            is_early: true,
            ..Next::after(EARLY_PAUSE)
        }
    })
}

/// Answers whether the page was kept.
async fn keep(
    shared: &Shared,
    running: &Running,
    page: PullPage,
    effects: &Effects,
    guard: Guard,
    waits: bool,
) -> Result<bool, Fault> {
    let core = &shared.core;
    let taken = changes::arrivals(page.changes, effects);
    let mut reported = status_reports::plan(core, &running.name, &taken.reports).await?;
    if waits && reported.may_be_early {
        return Ok(false);
    }
    let mut rider = std::mem::take(&mut reported.rider);
    rider.guards.push(guard.clone());
    rider.edits.extend(lent::state_edits(core, &running.name, effects)?);
    if let Some(cursor) = page.cursor {
        let key = guard.key().clone();
        let sealed = core.vault.seal_own(key.as_bytes(), cursor.as_bytes())?;
        rider.edits.push(Edit::Put(key, sealed));
    }
    let actor = Actor::Instance(running.name.clone());
    let results = intake::accept_or_set_aside(core, &actor, &running.name, &taken.arrivals, &rider).await?;
    reported.count(&running.name);
    let early = taken.refused.iter().chain(&reported.refused);
    let early = early.map(|(_, problems)| problems.as_slice());
    let late = intake::refused(&taken.arrivals, &results).map(|(_, problems)| problems);
    let refusals: Vec<&[FieldProblem]> = early.chain(late).collect();
    let refused = refusals.len();
    if refused > 0 {
        let is_damaged = |result: &&Intake| matches!(result, Intake::Damaged { .. });
        let set_aside = results.iter().flatten().filter(is_damaged).count();
        running.record.failed(core.clock.now(), &told(refused, set_aside));
        // Ids and values may name a person: the log says only where the plugin went wrong.
        let fields = fields(refusals.into_iter().flatten());
        tracing::warn!(instance = %running.name, refused, ?fields, "items of a page could not become records");
    }
    Ok(true)
}

/// What an admin is told of a page: how many items did not become records, and how many of them were set aside.
fn told(refused: usize, set_aside: usize) -> String {
    let mut told = format!("{refused} items of a page could not become records");
    if set_aside > 0 {
        told += &format!(
            "; {set_aside} of them, which damage in the hub kept out, wait as dead letters: mihwar delivery list --inbound"
        );
    }
    told
}

/// The names of the fields that were wrong, without the numbers of list entries.
fn fields<'a>(problems: impl Iterator<Item = &'a FieldProblem>) -> BTreeSet<String> {
    let name = |problem: &FieldProblem| -> String { problem.field.chars().filter(|c| !c.is_ascii_digit()).collect() };
    problems.map(name).collect()
}

fn pause_after(running: &Running, failure: &CallFailure) -> Duration {
    match failure {
        CallFailure::Plugin(PluginError::Transient(retry) | PluginError::RateLimited(retry)) => {
            retry.after_ms.map_or(PAUSE, Duration::from_millis).max(PAUSE_MIN)
        }
        CallFailure::Plugin(PluginError::Unauthorized(_) | PluginError::Misconfigured(_)) => {
            running.record.pause(Some(failure.to_string()));
            running.config.every
        }
        _ => PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mihwar_model::FieldProblem;
    use mihwar_sandbox::contract::puller::PullPage;

    use super::{Next, PAUSE_MIN, fields, told};

    const EVERY: Duration = Duration::from_secs(60);

    fn page(cursor: Option<&str>, more: bool, next_after_ms: Option<u64>) -> PullPage {
        PullPage {
            changes: Vec::new(),
            cursor: cursor.map(str::to_owned),
            more,
            next_after_ms,
        }
    }

    #[test]
    fn a_cursor_that_does_not_move_is_not_asked_in_a_circle() {
        for (page, asked) in [
            (page(Some("صفحة 2"), true, None), Some("صفحة 2")),
            (page(None, true, Some(5)), Some("2")),
            (page(None, true, None), None),
        ] {
            let next = Next::of(&page, asked, EVERY);
            assert_eq!((next.pause, next.is_stuck), (EVERY, true), "{page:?}");
        }
        let moved = Next::of(&page(Some("3"), true, Some(9_000)), Some("2"), EVERY);
        assert_eq!((moved.pause, moved.is_stuck), (Duration::ZERO, false));
    }

    #[test]
    fn a_plugin_may_ask_for_a_pause_but_not_for_none() {
        let next = |millis| Next::of(&page(None, false, millis), None, EVERY).pause;
        assert_eq!(next(None), EVERY);
        assert_eq!(next(Some(2_000)), Duration::from_secs(2));
        assert_eq!(next(Some(0)), PAUSE_MIN);
    }

    #[test]
    fn an_admin_is_told_where_to_find_what_was_set_aside() {
        assert!(!told(3, 0).contains("dead letters"));
        let told = told(3, 2);
        assert!(told.starts_with("3 items") && told.contains("; 2 of them"), "{told}");
        assert!(told.contains("mihwar delivery list --inbound"), "{told}");
    }

    #[test]
    fn the_log_names_fields_and_nothing_that_they_held() {
        let problems = [
            FieldProblem::new("tags[0]", "\"هدى العلي\" is not a valid tag"),
            FieldProblem::new("tags[17]", "\"Huda\" is not a valid tag"),
            FieldProblem::new("kind", "\"؟\" is not a valid kind"),
        ];
        let fields: Vec<_> = fields(problems.iter()).into_iter().collect();
        assert_eq!(fields, ["kind", "tags[]"]);
    }
}
