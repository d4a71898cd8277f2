//! What was done to a disk, to be done again step by step.

use std::collections::VecDeque;

use mihwar_model::SplitMix64;

use super::cached::Cut;
use super::tree::{Change, DiskImage, Left, Tree};

/// All that was done to a disk for some time: the power can be cut after each change of it. See
/// [`SimulatedDisk::record`](super::SimulatedDisk::record).
#[derive(Clone, Debug, Default)]
pub struct Recording {
    tree: Tree,
    steps: VecDeque<Step>,
    marked: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    Mark(u64),
}

impl Recording {
    pub(super) fn of(tree: Tree) -> Self {
        Self {
            tree,
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, change: Change) {
        self.steps.push_back(Step::Change(change));
    }

    pub(super) fn mark(&mut self, number: u64) {
        self.steps.push_back(Step::Mark(number));
    }

    /// Does the next change, or passes the next mark. False at the end.
    pub fn advance(&mut self) -> bool {
        match self.steps.pop_front() {
            Some(Step::Change(change)) => self.tree.apply(change),
            Some(Step::Mark(number)) => self.marked = number,
            None => return false,
        }
        true
    }

    /// The mark that was passed last; 0 before the first.
    #[must_use]
    pub fn marked(&self) -> u64 {
        self.marked
    }

    /// As [`SimulatedDisk::after_the_worst_power_cut`](super::SimulatedDisk::after_the_worst_power_cut), here.
    #[must_use]
    pub fn after_the_worst_power_cut(&self) -> DiskImage {
        self.tree.image(Left::Durable)
    }

    /// As [`SimulatedDisk::after_power_cut`](super::SimulatedDisk::after_power_cut), here.
    pub fn after_power_cut(&self, numbers: &mut SplitMix64) -> DiskImage {
        self.tree.image(Left::Cut(Cut::drawn(numbers)))
    }
}
