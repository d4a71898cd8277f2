//! What goes together in one call: fewer after one that ran out of time, a single one after a department asked to be let
//! alone, and whatever ends its call by itself alone.

use std::collections::BTreeSet;

use mihwar_model::{DeliveryId, Time};

use super::super::handing::Called;
use super::super::outcome::Outcome;
use super::super::window::{Fate, Window};

/// So many calls in a row that went well, before more is handed over in one again.
const WELL: u32 = 16;
/// Deliveries that end their call, each by itself, are remembered up to here.
const APART_MAX: usize = 1_000;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Parting {
    /// Halved after a call that ran out of time.
    most: usize,
    well: u32,
    /// Whether the last call came to nothing but that the department wants to be let alone.
    is_limited: bool,
    apart: BTreeSet<DeliveryId>,
}

impl Default for Parting {
    fn default() -> Self {
        Self {
            most: usize::MAX,
            well: 0,
            is_limited: false,
            apart: BTreeSet::new(),
        }
    }
}

impl Parting {
    /// Deliveries in one call.
    pub(super) const fn most(&self) -> usize {
        // Each one that is handed over is written down: whoever is asked too early for a week is asked with one at a time.
        if self.is_limited { 1 } else { self.most }
    }

    /// Forgets what was learned of another configuration.
    pub(super) fn renew(&mut self) {
        (self.most, self.well, self.is_limited) = (usize::MAX, 0, false);
    }

    /// Learns by what a batch came to.
    pub(super) fn learn(&mut self, called: &Called) {
        match called.timed_out {
            Some(tried) => (self.most, self.well) = ((tried / 2).max(1), 0),
            None if called.due.is_empty() => {}
            None => {
                self.well += 1;
                if self.well >= WELL {
                    (self.most, self.well) = (self.most.saturating_mul(2), 0);
                }
            }
        }
        if !called.due.is_empty() {
            let mut outcomes = called.said.outcomes.values();
            let all_wait = outcomes.all(|outcome| matches!(outcome, Outcome::Retry { .. }));
            self.is_limited = called.said.hold.is_some() && all_wait;
        }
        let is_over = |id: &DeliveryId| {
            let outcome = called.said.outcomes.get(id);
            outcome.is_some_and(|outcome| !matches!(outcome, Outcome::Retry { .. }))
        };
        self.apart.retain(|id| !is_over(id));
        for id in &called.breakers {
            if self.apart.len() < APART_MAX {
                self.apart.insert(*id);
            }
        }
    }

    /// Of what was picked: one that has ended a call, by itself; or all, if none of them has. What is not taken may be picked
    /// again at once.
    pub(super) fn alone_or_others(&self, window: &mut Window, ids: Vec<DeliveryId>, now: Time) -> Vec<DeliveryId> {
        let Some(alone) = ids.iter().copied().find(|id| self.apart.contains(id)) else {
            return ids;
        };
        for id in ids {
            if id != alone {
                window.ended(id, Fate::Later(now));
            }
        }
        vec![alone]
    }
}
