//! A gate: so many requests of one kind in work at once, and no more than a share of them of one caller's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Counter;
use tokio::time::Instant;

use super::away::{Away, Later};
use super::pace::Pace;

/// So many are always let in, however long they take: a writer that groups what waits is quicker with many than with
/// few, and one caller's share of them, two thirds, should do for a program with 64 connections.
const LEAST: usize = 96;

/// Whose request it counts as: the address, the token, both or neither. Hashes, so that nothing is kept of either.
pub(super) type Parties = [Option<u64>; 2];

/// Why somebody does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// All places are taken.
    Full,
    /// This caller has as many as one may.
    Share,
}

/// Requests of one kind.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    full: Counter,
    share: Counter,
}

#[derive(Debug)]
struct State {
    in_work: usize,
    by_party: HashMap<u64, usize>,
    pace: Pace,
    away: Away,
}

impl Gate {
    /// As many as leave each quick, at most `most`.
    pub(super) fn paced(kind: &'static str, most: usize) -> Arc<Self> {
        Self::new(kind, LEAST, most)
    }

    /// Always `count`.
    pub(super) fn fixed(kind: &'static str, count: usize) -> Arc<Self> {
        Self::new(kind, count, count)
    }

    fn new(kind: &'static str, least: usize, most: usize) -> Arc<Self> {
        let now = Instant::now();
        let shed = |why: &'static str| metrics::counter!("mihwar_http_shed_total", "kind" => kind, "why" => why);
        Arc::new(Self {
            state: Mutex::new(State {
                in_work: 0,
                by_party: HashMap::new(),
                pace: Pace::new(least, most.max(1), now),
                away: Away::new(now),
            }),
            full: shed("full"),
            share: shed("share"),
        })
    }

    /// Lets a request in, or says why not and when to come back.
    pub(super) fn enter(self: &Arc<Self>, parties: Parties) -> Result<Seat, (Why, Later)> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(why) = state.in_the_way(parties) {
            let later = state.away.refused(now);
            drop(state);
            match why {
                Why::Full => self.full.increment(1),
                Why::Share => self.share.increment(1),
            }
            return Err((why, later));
        }
        state.away.admitted(now);
        let beside = state.in_work;
        state.in_work += 1;
        for party in parties.into_iter().flatten() {
            *state.by_party.entry(party).or_default() += 1;
        }
        drop(state);
        Ok(Seat {
            gate: Arc::clone(self),
            parties,
            since: now,
            beside,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn in_the_way(&mut self, parties: Parties) -> Option<Why> {
        let limit = self.pace.limit();
        if self.in_work >= limit {
            self.pace.press();
            return Some(Why::Full);
        }
        // Two thirds, so that whoever comes next finds a place however much one of them sends.
        let share = (limit * 2).div_ceil(3);
        let held = |party| self.by_party.get(&party).copied().unwrap_or_default();
        let most = parties.into_iter().flatten().map(held).max();
        (most.unwrap_or_default() >= share).then_some(Why::Share)
    }

    fn leave(&mut self, parties: Parties) {
        self.in_work = self.in_work.saturating_sub(1);
        for party in parties.into_iter().flatten() {
            if let Some(held) = self.by_party.get_mut(&party) {
                *held = held.saturating_sub(1);
                if *held == 0 {
                    self.by_party.remove(&party);
                }
            }
        }
    }
}

/// A request's place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    gate: Arc<Gate>,
    parties: Parties,
    since: Instant,
    /// How many were in work when it was taken.
    beside: usize,
}

impl Seat {
    /// The work was done, and how long it took says how quick the hub is. What was refused or given up by its caller says
    /// nothing.
    pub(super) fn worked(&self) {
        let now = Instant::now();
        let took = now.duration_since(self.since);
        self.gate.lock().pace.done(now, took, self.beside);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gate.lock().leave(self.parties);
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Why};

    #[test]
    fn the_places_are_given_back_and_nothing_is_kept_of_who_had_them() {
        let gate = Gate::fixed("test", 3);
        let seats: Vec<_> = (0..3).map(|party| gate.enter([Some(party), None]).unwrap()).collect();
        assert_eq!(gate.enter([None, None]).unwrap_err().0, Why::Full);
        drop(seats);
        gate.enter([None, None]).unwrap().worked();
        let state = gate.lock();
        assert_eq!((state.in_work, state.by_party.len()), (0, 0));
    }

    #[test]
    fn one_caller_gets_two_thirds_and_others_the_rest() {
        let gate = Gate::fixed("test", 96);
        // The same token from two addresses counts as one, and so does the same address with two tokens.
        let mut seats: Vec<_> = (0..64)
            .map(|i| gate.enter([Some(100 + i % 2), Some(7)]).unwrap())
            .collect();
        assert_eq!(gate.enter([Some(102), Some(7)]).unwrap_err().0, Why::Share);
        seats.extend((0..32).map(|_| gate.enter([Some(100), Some(8)]).unwrap()));
        assert_eq!(gate.enter([None, Some(9)]).unwrap_err().0, Why::Full);
        drop(seats.remove(1));
        assert_eq!(
            gate.enter([Some(100), Some(9)]).unwrap_err().0,
            Why::Share,
            "the address"
        );
        assert!(gate.enter([Some(102), Some(9)]).is_ok());
    }

    #[test]
    fn where_there_is_one_place_somebody_gets_it() {
        let gate = Gate::paced("test", 1);
        let seat = gate.enter([Some(1), Some(2)]).unwrap();
        assert_eq!(gate.enter([Some(3), None]).unwrap_err().0, Why::Full);
        drop(seat);
        assert!(gate.enter([Some(3), None]).is_ok());
    }
}
