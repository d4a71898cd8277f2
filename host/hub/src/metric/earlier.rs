//! What records of a figure were before they were revised. A figure is of what stands at the end of the ledger; that
//! something else stood there before is told with it, so that nothing leaves a figure unseen.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use mihwar_model::{FeedbackId, Kind};

use super::selection::Record;

/// How many records of a figure, or of a group of it, are not what they once were. No record is among both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// They count, and their first revision said otherwise.
    pub(super) revised: u64,
    /// An earlier revision was there; the newest is not, or has lost the last of its scores.
    pub(super) moved: u64,
}

/// Earlier revisions of one record.
#[derive(Debug)]
struct Past {
    /// The first of all; nothing where that was not of the period.
    first: Option<Record>,
    /// The others that were of the period, in their order.
    later: Vec<Record>,
}

impl Past {
    fn of_period(&self) -> impl Iterator<Item = &Record> {
        self.first.iter().chain(&self.later)
    }
}

/// Earlier revisions of all records that have more than one. Of a record that never was of the period nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Earlier(HashMap<FeedbackId, Past>);

impl Earlier {
    /// A revision of the period has another one behind it now.
    pub(super) fn keep(&mut self, feedback: FeedbackId, revision: Record) {
        match self.0.entry(feedback) {
            Entry::Occupied(mut past) => past.get_mut().later.push(revision),
            Entry::Vacant(place) => {
                place.insert(Past {
                    first: Some(revision),
                    later: Vec::new(),
                });
            }
        }
    }

    /// A record comes into the period by a revision that is not its first. Unless something is known of it, all before it was
    /// outside.
    pub(super) fn came_in(&mut self, feedback: FeedbackId) {
        self.0.entry(feedback).or_insert_with(|| Past {
            first: None,
            later: Vec::new(),
        });
    }

    /// Somebody found the kind of a revision that is not the newest any more.
    pub(super) fn found_kind(&mut self, feedback: FeedbackId, revision: u32, kind: Kind) {
        if let Some(past) = self.0.get_mut(&feedback) {
            let mut all = past.first.iter_mut().chain(&mut past.later).rev();
            if let Some(record) = all.find(|record| record.revision == revision) {
                record.kind = Some(kind);
            }
        }
    }

    /// Counts over the whole figure, and for each group in which there is something to tell. `newest` holds what is of the period
    /// at the end, and `group` names the group of a revision. A record that is withdrawn at the end is told as that.
    pub(super) fn count<'n>(
        &self,
        newest: &HashMap<FeedbackId, Record>,
        group: impl Fn(&Record) -> &'n str,
    ) -> (Changed, BTreeMap<String, Changed>) {
        let mut whole = Changed::default();
        let mut groups: BTreeMap<&'n str, Changed> = BTreeMap::new();
        let mut left: Vec<&'n str> = Vec::new();
        for (feedback, past) in &self.0 {
            let newest = newest.get(feedback);
            if newest.is_some_and(|newest| newest.withdrawn) {
                continue;
            }
            let is_revised = newest.is_some_and(|newest| past.first.as_ref().is_none_or(|first| first.differs(newest)));
            let is_lost =
                |earlier: &Record| newest.is_none_or(|newest| newest.scores.is_empty() && !earlier.scores.is_empty());
            if past.of_period().any(is_lost) {
                whole.moved += 1;
            } else if is_revised {
                whole.revised += 1;
            }
            let here = newest.map(&group);
            let gone = past
                .of_period()
                .filter(|&earlier| is_lost(earlier) || here != Some(group(earlier)));
            left.clear();
            left.extend(gone.map(&group));
            left.sort_unstable();
            left.dedup();
            for name in &left {
                groups.entry(*name).or_default().moved += 1;
            }
            if let Some(here) = here.filter(|here| is_revised && !left.contains(here)) {
                groups.entry(here).or_default().revised += 1;
            }
        }
        let groups = groups.into_iter();
        (
            whole,
            groups.map(|(name, changed)| (name.to_owned(), changed)).collect(),
        )
    }
}

impl Record {
    /// Whether a module would be told something else of it.
    fn differs(&self, other: &Self) -> bool {
        let facts = |record: &Self| (record.at, record.channel, record.kind, record.scores.len());
        // Each metric is there once, and the order in which a source names them says nothing.
        facts(self) != facts(other) || !self.scores.iter().all(|score| other.scores.contains(score))
    }
}
