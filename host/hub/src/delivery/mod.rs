//! Delivery: what routing put into the outbox is handed to department instances. The outbox is rows in
//! the store; a restart changes nothing. Order is kept per contact and destination; a dead letter steps
//! aside and the rest go on.

mod damaged;
mod outbox;
mod outcome;
mod replay;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::InstanceName;
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;
use crate::hub::Shared;
use crate::instances::Running;
use crate::lent;
use crate::projection;

pub(crate) use damaged::{dead_entry, waiting_entry};
pub(crate) use outbox::{open_reference, reference};
use outcome::judge;
pub use replay::ReplaySelection;
pub(crate) use replay::replay;

/// Longest sleep before the outbox is looked at again.
const IDLE: Duration = Duration::from_secs(5);

/// Delivers to one department until told to stop or until the department is configured away.
pub(crate) async fn run(shared: Arc<Shared>, destination: InstanceName, stop: CancellationToken) {
    loop {
        let Some(running) = shared.instances().get(&destination) else {
            return;
        };
        let woken = shared.core.wake.deliveries.notified();
        let pause = match step(&shared, &running, &stop).await {
            Ok(Step::Worked) => {
                if stop.is_cancelled() {
                    return;
                }
                continue;
            }
            Ok(Step::Idle(pause)) => pause.min(IDLE),
            Err(Fault::Busy { retry_after }) => retry_after,
            Err(Fault::Contended) => Duration::from_millis(10),
            Err(error) => {
                tracing::error!(%destination, "deliveries stand still: {error}");
                Duration::from_secs(2)
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Sleep while all that is due is of contacts that are being erased.
const ERASING: Duration = Duration::from_millis(50);

/// What one look at the outbox came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was delivered or failed: look again.
    Worked,
    /// Nothing is due before this much time.
    Idle(Duration),
}

/// Looks at the outbox of one department and hands over one batch.
pub(crate) async fn step(shared: &Shared, department: &Arc<Running>, stop: &CancellationToken) -> Result<Step, Fault> {
    if department.record.counts().paused.is_some() {
        return Ok(Step::Idle(IDLE));
    }
    let core = &shared.core;
    let erasures = core.turns.ended();
    let view = core.store.view().await?;
    let now = core.clock.now();
    let longest = department.config.retry.most;
    let most = department.config.batch;
    let looked = outbox::due(&*view, &core.passed_over, &department.name, now, longest, most).await?;
    if damaged::set_aside(core, &department.name, looked.damaged).await? > 0 {
        return Ok(Step::Worked);
    }
    let (due, next) = (looked.due, looked.next);
    if due.is_empty() {
        let pause = next.map_or(IDLE, |next| {
            Duration::from_millis(u64::try_from(next.0 - now.0).unwrap_or(0))
        });
        return Ok(Step::Idle(pause));
    }
    drop(view);
    // Held until it is written down what became of them: nobody is erased who is on the way.
    let working = core.turns.work_with(due.iter().map(|due| due.row.contact));
    if core.turns.ended() != erasures {
        return Ok(Step::Worked);
    }
    let due: Vec<_> = due.into_iter().filter(|due| working.covers(due.row.contact)).collect();
    if due.is_empty() {
        return Ok(Step::Idle(ERASING));
    }
    // What a department sees is the record with all that enrichers found: the read models must have seen that.
    projection::catch_up(core).await?;
    let prepared = outbox::prepare(core, &*core.store.view().await?, department, due).await?;
    let aside = damaged::set_aside(core, &department.name, prepared.damaged).await?;
    if prepared.due.is_empty() {
        return Ok(if aside > 0 { Step::Worked } else { Step::Idle(IDLE) });
    }
    let (due, mut outcomes, mut state) = (prepared.due, prepared.outcomes, Vec::new());
    if !prepared.batch.is_empty() {
        let attachments = lent::Attachments::new(core.clone(), prepared.owners);
        let call = lent::call(core, &department.name, Arc::new(attachments));
        let result = department.sandbox.deliver(prepared.batch, call).await;
        department.note(core.clock.now(), "deliver", &result);
        if let Ok(done) = &result {
            state = lent::state_edits(core, &department.name, &done.effects)?;
        }
        judge(department, result.map(|done| done.value), &due, &mut outcomes);
    }
    settle::settle(core, department, &due, &outcomes, state, stop).await?;
    core.wake.projector.notify_one();
    Ok(Step::Worked)
}
