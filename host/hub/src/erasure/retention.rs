//! Retention: records whose time is over are erased as those of an erased contact are, and contacts of whom nothing is left
//! then. What is done is done page by page, and whatever cuts it off, the next run goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mihwar_model::{Actor, ContactId, FeedbackId, Tag, Time};
use mihwar_store::{Batch, Edit, Key, Order, Row, View};
use tokio_util::sync::CancellationToken;

use super::open::Waiting;
use super::records::{self, Condemned, Destroyed};
use super::{PAGE, certify, has_nothing_left, heads, held, identifiers};
use crate::config::{Config, Hold, RetentionRule};
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::hub::Shared;
use crate::keys;
use crate::projection;
use crate::rows::{self, ErasingRow, Head};

/// How soon after the start what is over is looked for.
const FIRST: Duration = Duration::from_secs(60);
/// And how often from then on.
const EVERY: Duration = Duration::from_secs(3600);
/// How much further the clock may be than at the last look.
const LEAP_MS: i64 = 24 * 3600 * 1000;

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

/// Rules and legal holds as they are at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForce {
    pub(crate) rules: Vec<RetentionRule>,
    pub(crate) holds: Vec<Hold>,
}

impl InForce {
    fn of(config: &Config) -> Self {
        Self {
            rules: config.retention.clone(),
            holds: config.holds.clone(),
        }
    }

    /// The rule by which a record's time is over.
    fn over(&self, now: Time, head: &Head) -> Option<&Tag> {
        let rule = self.rules.iter().find(|rule| rule.fits(head))?;
        (head.received_at.plus_millis(rule.millis()) <= now).then_some(&rule.name)
    }
}

/// Looks for records whose time is over until told to stop, by the rules that are in force then. Erasures that failed go on
/// before that.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    // The first look takes up what a kill or a failure left half done.
    let (mut pause, mut is_whole) = (FIRST, false);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = EVERY;
        let core = &shared.core;
        if let Err(error) = super::finish(core, &shared.config().holds).await {
            tracing::error!("erasures that were cut off do not go on: {error}");
        }
        let in_force = || InForce::of(&shared.config());
        if in_force().rules.is_empty() {
            continue;
        }
        let swept = match is_clock_believed(core).await {
            Ok(true) => sweep(core, in_force, !is_whole, &stop).await,
            Ok(false) => continue,
            Err(error) => Err(error),
        };
        is_whole = swept.is_ok();
        match swept {
            Ok(Sweep {
                records: 0,
                contacts: 0,
                held: 0,
                postponed: 0,
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

/// Whether the clock stands about where the last look found it; notes where it stands. By a clock that leapt into the future
/// the time of everything would be over, and there is no way back: it is believed when it is still there at the next look.
pub(crate) async fn is_clock_believed(core: &Core) -> Result<bool, Fault> {
    let (place, now) = (keys::setting("retention-clock"), core.clock.now());
    let row = core.store.view().await?.get(&place).await?;
    let before = row.and_then(|row| rows::decode::<Time>("the time of the last look", &row.bytes).ok());
    core.apply_patiently(Batch {
        edits: vec![Edit::Put(place, rows::encode(&now)?)],
        ..Batch::default()
    })
    .await?;
    match before {
        Some(before) if now <= before.plus_millis(LEAP_MS) => return Ok(true),
        Some(before) => tracing::warn!(
            %now,
            %before,
            "the clock is more than a day further than when records whose time is over were last looked for: none is erased for an hour; if it is the clock that is wrong, set it"
        ),
        None => tracing::info!(
            "records whose time is over are looked for the first time: they are erased from the next hour on"
        ),
    }
    Ok(false)
}

/// Erases what is over by the rules and holds of each moment. Contacts of whom an earlier run left nothing but their keys are
/// looked for too when that is not known to have come to its end (`is_first`).
pub(crate) async fn sweep(
    core: &Core,
    in_force: impl Fn() -> InForce,
    is_first: bool,
    stop: &CancellationToken,
) -> Result<Sweep, Fault> {
    let mut sweep = Sweep::default();
    let Some(shortest) = in_force().rules.iter().map(RetentionRule::millis).min() else {
        return Ok(sweep);
    };
    projection::catch_up(core).await?;
    let now = core.clock.now();
    let before = now.plus_millis(-shortest);
    let mut waiting = Waiting::of_records_before(before);
    let mut range = Some(keys::heads_between(None, Some(before)));
    while let Some(next) = range.filter(|_| !stop.is_cancelled()) {
        let started = tokio::time::Instant::now();
        let view = core.store.view().await?;
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        // Asked for at each page: a hold that is set while much is erased must count at once.
        let in_force = in_force();
        let mut found = Found::among(&in_force, now, &page.rows, &mut sweep);
        if is_first {
            found.forget_erased(&*view).await?;
        } else {
            found.emptied.clear();
        }
        drop(view);
        if !found.is_empty() {
            destroy(core, &in_force, now, found, &mut waiting, &mut sweep).await?;
            let Sweep { records, contacts, .. } = sweep;
            tracing::info!(records, contacts, "records whose time is over are being erased");
        }
        core.give_way(started.elapsed(), false).await;
        range = page.next;
    }
    Ok(sweep)
}

/// What is to be done about a page of records.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those whose time is over.
    pub(super) records: Vec<(FeedbackId, ContactId)>,
    /// Their contacts, of whom nothing may be left then, and why.
    pub(super) contacts: BTreeMap<ContactId, Tag>,
    /// Contacts of whom something was erased before, and why.
    pub(super) emptied: BTreeMap<ContactId, Tag>,
}

impl Found {
    fn among(in_force: &InForce, now: Time, rows: &[Row], sweep: &mut Sweep) -> Self {
        let mut found = Self::default();
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
            let Some(reason) = in_force.over(now, &head).cloned() else {
                continue;
            };
            match (held(&in_force.holds, head.contact).is_some(), head.erased_at) {
                (true, Some(_)) => {}
                (true, None) => sweep.held += 1,
                (false, Some(_)) => drop(found.emptied.insert(head.contact, reason)),
                (false, None) => {
                    found.records.push((id, head.contact));
                    found.contacts.insert(head.contact, reason);
                }
            }
        }
        found
    }

    /// Leaves out contacts that were erased already.
    async fn forget_erased(&mut self, view: &dyn View) -> Result<(), Fault> {
        let places: Vec<Key> = self.emptied.keys().map(|contact| keys::erased(*contact)).collect();
        let erased = view.get_many(&places).await?.into_iter();
        let left = std::mem::take(&mut self.emptied).into_iter().zip(erased);
        self.emptied = left
            .filter(|(_, row)| row.is_none())
            .map(|(contact, _)| contact)
            .collect();
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.emptied.is_empty()
    }
}

/// Erases records, and then those of the contacts of whom nothing is left. Whatever was found before their turn is looked at
/// once more: another revision may have come in since, or a department may have one that had none. `waiting` is of all records
/// that are asked for.
pub(super) async fn destroy(
    core: &Core,
    in_force: &InForce,
    now: Time,
    found: Found,
    waiting: &mut Waiting,
    sweep: &mut Sweep,
) -> Result<(), Fault> {
    let mut reasons = found.emptied;
    reasons.extend(found.contacts);
    let erasing = core.turns.erase(reasons.keys().copied());
    reasons.retain(|contact, _| erasing.covers(*contact));
    let all = found.records.len() as u64;
    let ids: BTreeSet<FeedbackId> = found
        .records
        .into_iter()
        .filter_map(|(id, contact)| erasing.covers(contact).then_some(id))
        .collect();
    projection::catch_up(core).await?;
    let view = core.store.view().await?;
    let heads = heads(&*view, ids.iter().copied().map(FeedbackId::to_bytes))
        .await?
        .into_iter();
    let condemned: Vec<Condemned> = heads
        .filter(|head| head.erased_at.is_none())
        .filter_map(|head| {
            let reason = in_force.over(now, &head)?.clone();
            Some(Condemned { head, reason })
        })
        .collect();
    let mut known_by = BTreeMap::new();
    for contact in reasons.keys() {
        // Contents tell it, as long as they are there.
        known_by.insert(*contact, identifiers::told(core, *contact).await?);
    }
    let open = waiting.open(&*view, &ids).await?;
    drop(view);
    let mut destroyed = Destroyed::default();
    let result = records::destroy(core, &Actor::Hub, &condemned, &open, &mut destroyed).await;
    sweep.records += destroyed.records;
    sweep.postponed += all.saturating_sub(destroyed.records);
    match result {
        // Somebody replayed a dead letter, say. What was destroyed before it has contacts all the same.
        Ok(()) | Err(Fault::Contended) => {}
        Err(error) => return Err(error),
    }
    sweep.contacts += erase_empty(core, reasons, known_by).await?;
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
        let is_erased = view.get(&keys::erased(contact)).await?.is_some();
        if !is_erased && has_nothing_left(&*view, contact).await? {
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
