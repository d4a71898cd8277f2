//! Which deliveries to one department go next. The outbox itself is rows in the store; here is what is known of its
//! beginning, so that no batch is looked for from the start again. Nothing here is authoritative: a window can be dropped at
//! any moment and read anew.
//!
//! The order of ids is the order of contacts' words: of one contact the oldest delivery goes, and the next one when that has
//! come to an end. What was there when the department could take deliveries again after a pause lies behind the boundary, in
//! the back lane; what came since is live. The live lane has three places of four, so that nobody who writes now waits for a
//! week's backlog. A live delivery of a contact who has one in the back lane waits for it all the same: as long as the back
//! lane is not known to its end, a survey of it tells whose deliveries lie there.

mod placing;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mihwar_model::{ContactId, DeliveryId, Time};

use super::crowd::Crowd;

/// Of four places of a batch the back lane has one.
const TURNS: u32 = 4;
/// See [`Window::known_max`].
const KNOWN_MAX: usize = 20_000;
/// The key of one that may go whatever the clock says: it was never tried.
const AT_ONCE: Time = Time(i64::MIN);

/// What a row of the outbox says, as far as the order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: DeliveryId,
    pub(super) contact: ContactId,
    pub(super) due: Time,
    pub(super) attempts: u32,
    /// It tells that an item was erased: it waits for nothing and keeps nothing waiting.
    pub(super) is_notice: bool,
}

/// What became of a delivery that was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its row is gone.
    Ended,
    /// It is tried again, not before this.
    Waits { due: Time, attempts: u32 },
    /// It was not handed over, and may be picked again at this time.
    Later(Time),
    /// Its row is not what it was: it is to be read again.
    Unsure,
}

/// Rows that are to be read: those with ids in (`after`, `before`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) part: Part,
    pub(super) after: Option<DeliveryId>,
    pub(super) before: Option<DeliveryId>,
    pub(super) rows: usize,
}

/// What rows are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Back,
    Survey,
    Live,
}

/// Rows that were read.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The last row that was looked at, whatever it held.
    pub(super) reached: Option<DeliveryId>,
    /// Whether there is nothing behind it.
    pub(super) is_end: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Back,
    Live,
}

/// The same of both lanes.
#[derive(Debug, Default)]
struct Lanes<T> {
    back: T,
    live: T,
}

impl<T> Lanes<T> {
    fn of(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Back => &mut self.back,
            Lane::Live => &mut self.live,
        }
    }
}

#[derive(Debug)]
struct Known {
    contact: ContactId,
    /// When it may go.
    key: Time,
    /// What its row says.
    due: Time,
    attempts: u32,
    is_notice: bool,
    is_flying: bool,
}

/// How far a lane is known.
#[derive(Debug, Default, Clone, Copy)]
struct Reach {
    after: Option<DeliveryId>,
    is_end: bool,
    /// It was read up to here, and is read again from `after` on.
    again_until: Option<DeliveryId>,
}

impl Reach {
    const fn from(after: Option<DeliveryId>) -> Self {
        Self {
            after,
            is_end: false,
            again_until: None,
        }
    }

    /// It is read again from here on.
    fn back_to(&mut self, after: Option<DeliveryId>) {
        if after < self.after {
            self.again_until = self.again_until.max(self.after);
            self.after = after;
        }
        self.is_end = false;
    }

    fn is_behind(&self) -> bool {
        !self.is_end && self.again_until > self.after
    }

    fn come_to(&mut self, after: Option<DeliveryId>, is_end: bool) {
        (self.after, self.is_end) = (after, is_end);
    }
}

/// Whose deliveries lie in the part of the back lane that is not known one by one.
#[derive(Debug)]
struct Survey {
    crowd: Crowd,
    reached: Option<DeliveryId>,
    /// How far the back lane has been read since: what lies up to here is known, or was.
    passed: Option<DeliveryId>,
    is_done: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Window {
    /// Ordinary deliveries are picked all together: see [`Window::pick_edition`].
    is_digest: bool,
    /// Deliveries known at once in each lane, and a twentieth more: that many may wait for a retry before those behind them
    /// wait, too.
    known_max: usize,
    now: Time,
    longest: i64,
    /// Ids from here on are live; without one, all are.
    boundary: Option<DeliveryId>,
    known: BTreeMap<DeliveryId, Known>,
    /// Ordinary deliveries that are known, by contact.
    order: BTreeSet<(ContactId, DeliveryId)>,
    /// Contacts with deliveries on their way.
    flying: BTreeMap<ContactId, usize>,
    ready: Lanes<BTreeSet<DeliveryId>>,
    waiting: BTreeSet<(Time, DeliveryId)>,
    /// Live ones whose contact may have an older one in the back lane.
    shaded: BTreeSet<DeliveryId>,
    reach: Lanes<Reach>,
    counts: Lanes<usize>,
    survey: Option<Survey>,
    turn: u32,
}

impl Window {
    pub(super) fn new(is_digest: bool) -> Self {
        Self {
            is_digest,
            known_max: KNOWN_MAX,
            now: Time(0),
            longest: i64::MAX,
            boundary: None,
            known: BTreeMap::new(),
            order: BTreeSet::new(),
            flying: BTreeMap::new(),
            ready: Lanes::default(),
            waiting: BTreeSet::new(),
            shaded: BTreeSet::new(),
            reach: Lanes::default(),
            counts: Lanes::default(),
            survey: None,
            turn: 0,
        }
    }

    /// Moves on to this moment. One that is put off for longer than `longest` need not wait: the clock was put back since.
    pub(super) fn look(&mut self, now: Time, longest: Duration) {
        self.now = now;
        self.longest = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        while let Some((key, id)) = self.waiting.first().copied().filter(|(key, _)| *key <= now) {
            self.waiting.remove(&(key, id));
            self.make_ready(id);
        }
        let end = now.plus_millis(self.longest);
        while let Some((key, id)) = self.waiting.last().copied().filter(|(key, _)| *key > end) {
            self.waiting.remove(&(key, id));
            self.make_ready(id);
        }
    }

    /// Picks up to `most` deliveries, and notes them as being on their way.
    pub(super) fn pick(&mut self, most: usize) -> Vec<DeliveryId> {
        let mut picked = Vec::new();
        while picked.len() < most {
            let first = if self.turn % TURNS == TURNS - 1 {
                Lane::Back
            } else {
                Lane::Live
            };
            let other = if first == Lane::Back { Lane::Live } else { Lane::Back };
            let from_first = self.ready.of(first).pop_first();
            let Some(id) = from_first.or_else(|| self.ready.of(other).pop_first()) else {
                break;
            };
            self.turn = self.turn.wrapping_add(1);
            self.fly(id);
            picked.push(id);
        }
        picked
    }

    /// Picks the delivery that was tried least often: to find out whether a department is back, none has to be the one that
    /// it cannot take.
    pub(super) fn pick_least_tried(&mut self) -> Option<DeliveryId> {
        let attempts = |id: &DeliveryId| self.known.get(id).map(|known| (known.attempts, *id));
        let candidates = self.ready.back.iter().chain(&self.ready.live);
        let (_, id) = candidates.filter_map(attempts).min()?;
        self.unplace(id);
        self.fly(id);
        Some(id)
    }

    /// Picks what goes into a digest that began at `edition`, in order; of one contact several.
    pub(super) fn pick_edition(&mut self, edition: Time, most: usize) -> Vec<DeliveryId> {
        let mut held: BTreeSet<ContactId> = self.flying.keys().copied().collect();
        let mut picked = Vec::new();
        for (id, known) in &self.known {
            if known.is_notice || held.contains(&known.contact) {
                continue;
            }
            // Written at a time that has not come: by a clock that was ahead.
            let is_of_it = known.attempts > 0 || known.due < edition || known.due > self.now;
            if !is_of_it || !self.is_due(known.key) {
                held.insert(known.contact);
                continue;
            }
            picked.push(*id);
            if picked.len() >= most {
                break;
            }
        }
        picked.iter().for_each(|id| self.fly(*id));
        picked
    }

    /// What became of one that was picked.
    pub(super) fn ended(&mut self, id: DeliveryId, fate: Fate) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        let (contact, is_notice) = (known.contact, known.is_notice);
        if std::mem::take(&mut known.is_flying) && !is_notice {
            self.land(contact);
        }
        match fate {
            Fate::Ended => self.forget(id),
            Fate::Unsure => {
                self.forget(id);
                self.came_ahead(id);
            }
            // It is read again in its place, and what is older with it.
            Fate::Waits { .. } | Fate::Later(_) if !self.is_read_to(id) => self.leave(id),
            Fate::Waits { due, attempts } => {
                if let Some(known) = self.known.get_mut(&id) {
                    (known.key, known.due, known.attempts) = (due, due, attempts);
                }
            }
            Fate::Later(time) => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.key = time;
                }
            }
        }
        if is_notice {
            self.place(id);
        } else if let Some(head) = self.head(contact) {
            self.unplace(head);
            self.place(head);
        }
    }

    /// Whose it is.
    pub(super) fn contact(&self, id: DeliveryId) -> Option<ContactId> {
        self.known.get(&id).map(|known| known.contact)
    }

    /// When the next one that is known may go; of a digest, the next that was put off.
    pub(super) fn next(&self) -> Option<Time> {
        if !self.ready.back.is_empty() || !self.ready.live.is_empty() {
            return Some(self.now);
        }
        let waiting = self.waiting.first().map(|(key, _)| *key);
        if !self.is_digest {
            return waiting;
        }
        let put_off = self
            .known
            .values()
            .filter(|known| !known.is_flying && known.key > self.now);
        put_off.map(|known| known.key).chain(waiting).min()
    }

    fn lane(&self, id: DeliveryId) -> Lane {
        match self.boundary {
            Some(boundary) if id < boundary => Lane::Back,
            _ => Lane::Live,
        }
    }

    const fn is_back_known(&self) -> bool {
        self.boundary.is_none() || self.reach.back.is_end
    }

    /// Whether a survey is under way or in use: it takes some memory.
    pub(super) fn has_survey(&self) -> bool {
        self.survey.is_some()
    }

    /// Ids above this have not been looked at.
    pub(super) const fn ahead(&self) -> Option<DeliveryId> {
        self.reach.live.after
    }

    /// Whether all of it is known, and there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.reach.live.is_end && self.is_back_known()
    }

    /// Whether something that is no notice is known.
    pub(super) fn has_ordinary(&self) -> bool {
        !self.order.is_empty()
    }
}

/// The id before this one; none before the first.
fn before(id: DeliveryId) -> Option<DeliveryId> {
    let number = u128::from_be_bytes(id.to_bytes()).checked_sub(1)?;
    Some(DeliveryId::from_bytes(number.to_be_bytes()))
}

#[cfg(test)]
mod tests;
