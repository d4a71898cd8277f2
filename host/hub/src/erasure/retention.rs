//! Retention: records whose time is over are erased as those of an erased contact are, and contacts of whom nothing is left
//! then. What is done is done page by page, and whatever cuts it off, the next run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, ContactId, FeedbackId, Tag, Time};
use mihwar_store::{Key, Order, Row};
use tokio_util::sync::CancellationToken;

use super::open::Open;
use super::records::{self, Condemned, Destroyed};
use super::{PAGE, certify, contacts, has_nothing_left, held, identifiers};
use crate::config::{Hold, RetentionRule};
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::hub::Shared;
use crate::keys;
use crate::projection;
use crate::rows::ErasingRow;

/// How soon after the start what is over is looked for.
const FIRST: Duration = Duration::from_secs(60);
/// And how often from then on.
const EVERY: Duration = Duration::from_secs(3600);

/// What one run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sweep {
    /// Records that were erased.
    pub(crate) records: u64,
    /// Contacts of whom nothing was left then, and who were erased, too.
    pub(crate) contacts: u64,
    /// Records that stay because of a legal hold.
    pub(crate) held: u64,
    /// Records of contacts of whom something was on its way; the next run takes them.
    pub(crate) postponed: u64,
}

/// Looks for records whose time is over until told to stop, by the rules that are in force then.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = EVERY;
        let config = shared.config();
        match sweep(&shared.core, &config.retention, &config.holds, &stop).await {
            Ok(Sweep {
                records: 0,
                held: 0,
                postponed: 0,
                ..
            }) => {}
            Ok(Sweep {
                records,
                contacts,
                held,
                postponed,
            }) => tracing::info!(
                records,
                contacts,
                held,
                postponed,
                "records whose time is over were erased"
            ),
            Err(error) => tracing::error!("records whose time is over could not all be erased: {error}"),
        }
    }
}

/// Erases what is over by these rules.
pub(crate) async fn sweep(
    core: &Core,
    rules: &[RetentionRule],
    holds: &[Hold],
    stop: &CancellationToken,
) -> Result<Sweep, Fault> {
    let mut sweep = Sweep::default();
    let Some(shortest) = rules.iter().map(RetentionRule::millis).min() else {
        return Ok(sweep);
    };
    projection::catch_up(core).await?;
    let now = core.clock.now();
    let mut range = Some(keys::heads_between(None, Some(now.plus_millis(-shortest))));
    while let Some(next) = range.filter(|_| !stop.is_cancelled()) {
        let started = tokio::time::Instant::now();
        let page = core.store.view().await?.scan(next, Order::Ascending, PAGE).await?;
        let condemned = over(rules, holds, now, &page.rows, &mut sweep);
        if !condemned.is_empty() {
            destroy(core, condemned, &mut sweep).await?;
            let Sweep { records, contacts, .. } = sweep;
            tracing::info!(records, contacts, "records whose time is over are being erased");
            core.give_way(started.elapsed(), false).await;
        }
        range = page.next;
    }
    Ok(sweep)
}

/// Which of these records are to be erased.
fn over(rules: &[RetentionRule], holds: &[Hold], now: Time, rows: &[Row], sweep: &mut Sweep) -> Vec<Condemned> {
    let mut condemned = Vec::new();
    for row in rows {
        let Some(id) = keys::last_id(&row.key).map(FeedbackId::from_bytes) else {
            continue;
        };
        let head = match head_row::decode(id, &row.value.bytes) {
            Ok(head) => head,
            Err(error) => {
                tracing::error!(feedback = %id, "whether its time is over cannot be told: {error}");
                continue;
            }
        };
        let rule = rules.iter().find(|rule| rule.fits(&head));
        let rule = rule.filter(|rule| head.erased_at.is_none() && head.received_at.plus_millis(rule.millis()) <= now);
        let Some(rule) = rule else { continue };
        if held(holds, head.contact).is_some() {
            sweep.held += 1;
            continue;
        }
        condemned.push(Condemned {
            head,
            reason: rule.name.clone(),
        });
    }
    condemned
}

/// Erases records, and then those of their contacts of whom nothing is left.
async fn destroy(core: &Core, condemned: Vec<Condemned>, sweep: &mut Sweep) -> Result<(), Fault> {
    let erasing = core.turns.erase(contacts(&condemned));
    let found = condemned.len() as u64;
    let condemned: Vec<Condemned> = condemned
        .into_iter()
        .filter(|one| erasing.covers(one.head.contact))
        .collect();
    let mut known_by = BTreeMap::new();
    for contact in contacts(&condemned) {
        // Contents tell it, as long as they are there.
        known_by.insert(contact, identifiers::told(core, contact).await?);
    }
    let ids: BTreeSet<FeedbackId> = condemned.iter().map(|one| one.head.feedback).collect();
    let open = Open::read(&*core.store.view().await?, |entry| ids.contains(&entry.feedback)).await?;
    let mut destroyed = Destroyed::default();
    let result = records::destroy(core, &Actor::Hub, &condemned, &open, &mut destroyed).await;
    sweep.records += destroyed.records;
    sweep.postponed += found - destroyed.records;
    match result {
        // Somebody replayed a dead letter, say.
        Err(Fault::Contended) => return Ok(()),
        result => result?,
    }
    let reasons = condemned.into_iter().map(|one| (one.head.contact, one.reason));
    sweep.contacts += erase_empty(core, reasons.collect(), known_by).await?;
    Ok(())
}

/// Erases those of these contacts of whom nothing is left. Answers how many.
async fn erase_empty(
    core: &Core,
    reasons: BTreeMap<ContactId, Tag>,
    mut known_by: BTreeMap<ContactId, Option<Vec<Key>>>,
) -> Result<u64, Fault> {
    projection::catch_up(core).await?;
    let view = core.store.view().await?;
    let mut empty = BTreeMap::new();
    for (contact, reason) in reasons {
        if has_nothing_left(&*view, contact).await? {
            empty.insert(contact, reason);
        }
    }
    let is_untold = |contact: &ContactId| known_by.get(contact).is_none_or(Option::is_none);
    let untold: BTreeSet<ContactId> = empty.keys().copied().filter(is_untold).collect();
    let mut looked_up = if untold.is_empty() {
        BTreeMap::new()
    } else {
        identifiers::look_through(&*view, &untold).await?
    };
    drop(view);
    let erased = empty.len() as u64;
    for (contact, reason) in empty {
        let told = known_by.remove(&contact).flatten();
        let places = told.or_else(|| looked_up.remove(&contact)).unwrap_or_default();
        let by = Actor::Hub;
        certify(core, contact, ErasingRow { by, reason }, places, Destroyed::default()).await?;
    }
    Ok(erased)
}
