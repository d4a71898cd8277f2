//! One page of a feed: read, opened, and written down as handed out before it is.

use std::collections::BTreeMap;

use mihwar_model::{Actor, DeliveryId};
use mihwar_store::Batch;

use super::cursors::{self, Cursor};
use super::ending::Endings;
use super::event::cloud_event;
use super::span::{self, Found};
use super::{FeedItem, FeedPage, FeedRefusal, FeedWanted, settles};
use crate::core::Core;
use crate::delivery::damaged;
use crate::delivery::outcome::Outcome;
use crate::delivery::preparing::{self, Prepared, Recipient};
use crate::fault::Fault;
use crate::turns::Working;

/// A page, and what it leaves.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) page: FeedPage,
    /// Something stands in the way of what is next: its contact is being erased, or a file of it cannot be read.
    pub(super) is_held: bool,
}

/// Hands out a page. Whoever reads or acknowledges the same feed waits meanwhile.
pub(super) async fn hand_out(core: &Core, to: Recipient<'_>, wanted: &FeedWanted) -> Result<Handed, FeedRefusal> {
    // First: whoever erases from now on knows that the department may have what it is handed below.
    let cursor = cursors::find_or_make(core, wanted).await?;
    let from = cursor.begin(wanted.after)?;
    let is_main = settles(&wanted.cursor);
    let view = core.store.view().await.map_err(Fault::from)?;
    let span = span::behind(core, &*view, to.name, from, (is_main, wanted.limit)).await?;
    drop(view);
    if !span.damaged.is_empty() {
        damaged::set_aside(core, to.name, span.damaged).await?;
    }
    // Held until it is written down that they were handed out: nobody is erased who is on the way.
    let whose = span.found.iter().filter(|one| one.due.row.erased.is_none());
    let working = core.turns.work_with(whose.map(|one| one.due.row.contact));
    let (found, held_at) = free(span.found, &working);
    let positions: BTreeMap<DeliveryId, u64> = found.iter().map(|one| (one.due.delivery, one.position)).collect();
    // Of now: what was erased up to here is not there any more.
    let view = core.store.view().await.map_err(Fault::from)?;
    let prepared = if is_main {
        let ids: Vec<DeliveryId> = found.iter().map(|one| one.due.delivery).collect();
        preparing::prepare(core, &*view, to, &ids, false).await?
    } else {
        let dues = found.into_iter().map(|one| one.due).collect();
        preparing::prepare_due(core, &*view, to, dues, false).await?
    };
    drop(view);
    let stop = held_at.into_iter().chain(stopped_at(&prepared, &positions)).min();
    let reached = stop.map_or(span.reached, |stop| stop.saturating_sub(1).max(from));
    let items = items(core, to, &prepared, &positions, stop);
    let settled = match items.first().map(|item| item.position).into_iter().chain(stop).min() {
        Some(first) => first.saturating_sub(1),
        None => reached,
    };
    let moved = Moved { from, reached, settled };
    let cursor = write(core, to, cursor, prepared, &moved).await?;
    drop(working);
    let is_held = stop.is_some() && items.is_empty();
    Ok(Handed {
        page: FeedPage {
            items,
            next: reached,
            acknowledged: cursor.row.acknowledged,
            is_more: stop.is_some() || !span.is_end,
        },
        is_held,
    })
}

/// Those before the first whose contact is being erased, and where that one stands.
fn free(found: Vec<Found>, working: &Working<'_>) -> (Vec<Found>, Option<u64>) {
    let is_held = |one: &Found| one.due.row.erased.is_none() && !working.covers(one.due.row.contact);
    let held_at = found.iter().find(|one| is_held(one)).map(|one| one.position);
    let free = found
        .into_iter()
        .take_while(|one| held_at.is_none_or(|held| one.position < held));
    (free.collect(), held_at)
}

/// The first place for which there was no room, or that cannot be read for now: nothing behind it is handed out, so that the
/// order stays.
fn stopped_at(prepared: &Prepared, positions: &BTreeMap<DeliveryId, u64>) -> Option<u64> {
    let later = prepared.outcomes.iter();
    let later = later.filter(|(_, outcome)| matches!(outcome, Outcome::Retry { .. }));
    let stops = later.map(|(delivery, _)| delivery).chain(&prepared.left);
    stops.filter_map(|delivery| positions.get(delivery)).min().copied()
}

fn items(
    core: &Core,
    to: Recipient<'_>,
    prepared: &Prepared,
    positions: &BTreeMap<DeliveryId, u64>,
    stop: Option<u64>,
) -> Vec<FeedItem> {
    let now = core.clock.now();
    let mut items = Vec::with_capacity(prepared.batch.len());
    for (delivery, id) in prepared.batch.iter().zip(&prepared.handed) {
        let position = positions.get(id).copied();
        let Some(position) = position.filter(|position| stop.is_none_or(|stop| *position < stop)) else {
            continue;
        };
        items.push(FeedItem {
            position,
            event: cloud_event(delivery, to.name, now),
        });
    }
    items
}

/// How far a page has come.
struct Moved {
    from: u64,
    reached: u64,
    /// Nothing up to here needs to be acknowledged.
    settled: u64,
}

/// Writes down what was handed out, and what needs no acknowledgement: what is gone, and what cannot be read.
async fn write(
    core: &Core,
    to: Recipient<'_>,
    mut cursor: Cursor,
    prepared: Prepared,
    moved: &Moved,
) -> Result<Cursor, Fault> {
    let now = core.clock.now();
    let mut batch = Batch::default();
    if settles(&cursor.name) {
        if !prepared.damaged.is_empty() {
            damaged::set_aside(core, to.name, prepared.damaged).await?;
        }
        let contacts = prepared.due.iter().map(|due| due.row.contact).collect();
        let contact_keys = core.contact_keys_now(contacts).await?;
        let endings = Endings {
            core,
            department: to.name,
            actor: &Actor::Hub,
            now,
        };
        for due in &prepared.due {
            if let Some(outcome) = prepared.outcomes.get(&due.delivery) {
                endings.write(&mut batch, &contact_keys, due, outcome)?;
            }
        }
    }
    let row = &mut cursor.row;
    let before = row.clone();
    if moved.reached > row.handed {
        (row.handed, row.handed_at) = (moved.reached, Some(now));
    }
    if moved.from == row.acknowledged {
        row.acknowledged = row.acknowledged.max(moved.settled.min(moved.reached));
    }
    if *row != before {
        cursor.write(&mut batch)?;
    }
    if !batch.edits.is_empty() {
        let commit = core.commit_patiently(batch).await?;
        cursor.version = commit.version;
        core.wake.projector.notify_one();
    }
    Ok(cursor)
}
