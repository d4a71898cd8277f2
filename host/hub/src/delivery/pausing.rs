//! Departments that are paused: what is shown of it, and how they go on.

use mihwar_model::{Actor, DestinationResumed, EventBody, InstanceName};
use mihwar_store::Batch;

use super::department::Department;
use super::registry::Outbox;
use super::standing::{Paused, Standing};
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;

/// Why a department is paused, since when, and what makes it go on.
pub(super) fn shown(name: &InstanceName, paused: &Paused, reason: &str) -> String {
    let since = paused.since;
    format!(
        "{reason} (since {since}; it goes on when its configuration or a secret changes, or with: mihwar delivery resume {name})"
    )
}

/// What its plugin said; the code alone where that cannot be read.
pub(crate) fn reason(core: &Core, name: &InstanceName, paused: &Paused) -> String {
    let place = keys::delivery_standing(name);
    match core.vault.open_own(place.as_bytes(), &paused.reason) {
        Ok(reason) => String::from_utf8_lossy(&reason).into_owned(),
        Err(error) => {
            tracing::error!(instance = %name, "why it is paused cannot be read: {error}");
            paused.code.clone()
        }
    }
}

/// How a department stands under its present configuration. Of another one nothing holds: whoever changed it has acted.
pub(super) async fn standing(core: &Core, outbox: &Outbox, department: &dyn Department) -> Result<Standing, Fault> {
    let (mark, name) = (department.mark(core), department.name());
    let mut standing = outbox.standing(core).await?;
    if standing.mark != mark {
        let _writing = outbox.writing.lock().await;
        let (before, now) = (outbox.standing(core).await?, Standing::under(mark));
        write(core, outbox, name, &Actor::Hub, &before, &now).await?;
        if before.paused.is_some() {
            tracing::info!(instance = %name, "it goes on: its configuration has changed");
            department.show_paused(None);
        }
        outbox.stands(now.clone());
        outbox.begin_anew();
        standing = now;
    }
    if standing.paused.is_some() && !department.is_paused() {
        // Whoever lets it go on at this moment must not find it shown as paused afterwards.
        let _writing = outbox.writing.lock().await;
        standing = outbox.standing(core).await?;
        if let Some(paused) = &standing.paused {
            department.show_paused(Some(shown(name, paused, &reason(core, name, paused))));
        }
    }
    Ok(standing)
}

/// Takes back whatever keeps deliveries to a department from going out. Whether there was anything.
pub(crate) async fn resume(core: &Core, actor: &Actor, name: &InstanceName) -> Result<bool, Fault> {
    let outbox = core.outboxes.of(name);
    let _writing = outbox.writing.lock().await;
    let before = outbox.standing(core).await?;
    let mut now = before.clone();
    if !now.resume() {
        return Ok(false);
    }
    write(core, &outbox, name, actor, &before, &now).await?;
    outbox.stands(now);
    outbox.begin_anew();
    outbox.bell.notify_one();
    Ok(true)
}

/// Writes how a department stands from now on, and that it goes on if it was paused.
async fn write(
    core: &Core,
    outbox: &Outbox,
    name: &InstanceName,
    actor: &Actor,
    before: &Standing,
    now: &Standing,
) -> Result<(), Fault> {
    let mut batch = Batch::default();
    // Of one that nothing was ever said about, nothing is written.
    if *before != Standing::default() {
        batch.edits.push(outbox.edit(now)?);
    }
    if before.paused.is_some() && now.paused.is_none() {
        let body = DestinationResumed {
            destination: name.clone(),
        };
        let body = EventBody::DestinationResumed(body);
        batch.journal.push(core.event(actor.clone(), body)?);
    }
    if batch.edits.is_empty() {
        return Ok(());
    }
    core.apply_patiently(batch).await
}
