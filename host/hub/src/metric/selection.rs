//! Which records a figure is of, and in which groups: a fold over the ledger's entries that asks nothing else.
//!
//! A record counts as it stands at the end of the ledger: of several revisions the newest, with the kind that an enricher
//! found for it. It belongs to the period in which it was said or, where nobody knows when, in which the hub received
//! it. What its source withdrew does not count and is told; what was erased counts, since its facts stay. How many records
//! were something else before is counted beside ([`Earlier`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use mihwar_ledger::{FigureSelection, MAX_FIGURE_GROUPS};
use mihwar_model::{Enriched, Event, EventBody, FeedbackId, Kind, Received, Score, Time};

use super::FigureRefusal;
use super::earlier::{Changed, Earlier};
use super::facts::Names;

/// The name of the only group where nothing is grouped.
const ALL: &str = "all";
/// The group of records of which nobody knows the kind.
const UNKNOWN: &str = "unknown";

/// By what records are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureGrouping {
    /// The sort of channel.
    Channel,
    /// The kind.
    Kind,
}

impl FigureGrouping {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Kind => "kind",
        }
    }
}

impl fmt::Display for FigureGrouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FigureGrouping {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "channel" => Ok(Self::Channel),
            "kind" => Ok(Self::Kind),
            _ => Err("use channel or kind"),
        }
    }
}

/// What is chosen from the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FigureFilter {
    from: Time,
    to: Time,
    by: Option<FigureGrouping>,
}

impl FigureFilter {
    /// Records from `from` on and before `to`.
    ///
    /// # Errors
    /// [`FigureRefusal::Period`] unless `from` is before `to`.
    pub fn new(from: Time, to: Time, by: Option<FigureGrouping>) -> Result<Self, FigureRefusal> {
        if from < to {
            Ok(Self { from, to, by })
        } else {
            Err(FigureRefusal::Period { from, to })
        }
    }

    /// Reads what a receipt says was chosen. `None` when that is no selection.
    pub(super) fn of(told: &FigureSelection) -> Option<Self> {
        let by = told.by.as_deref().map(FigureGrouping::from_str).transpose().ok()?;
        let time = |text| Time::parse_rfc3339(text).ok();
        let filter = Self::new(time(&told.from)?, time(&told.to)?, by).ok()?;
        // Only as this version writes it: people read the text as a time in UTC, and not what is made of it.
        let written = (filter.from.to_rfc3339(), filter.to.to_rfc3339());
        (written == (told.from.clone(), told.to.clone())).then_some(filter)
    }
}

/// A score of a record; the metric is a place among [`Names`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) metric: u32,
    pub(super) value: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// A record of the period. The channel is a place among [`Names`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// The entry that told of the revision.
    entry: u64,
    pub(super) revision: u32,
    pub(super) at: Time,
    pub(super) channel: u32,
    pub(super) kind: Option<Kind>,
    pub(super) scores: Box<[Scored]>,
    pub(super) withdrawn: bool,
}

/// The fold.
#[derive(Debug)]
pub(super) struct Selecting {
    selection: FigureFilter,
    names: Names,
    records: HashMap<FeedbackId, Record>,
    earlier: Earlier,
}

/// The records of one group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// In the order of the ledger.
    pub(super) records: Vec<Record>,
    pub(super) changed: Changed,
}

/// What the fold leaves.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) told: FigureSelection,
    pub(super) names: Names,
    /// By name. At least one.
    pub(super) groups: Vec<Group>,
}

impl Selecting {
    pub(super) fn new(selection: FigureFilter) -> Self {
        Self {
            selection,
            names: Names::default(),
            records: HashMap::new(),
            earlier: Earlier::default(),
        }
    }

    /// Takes the next entry.
    pub(super) fn take(&mut self, index: u64, bytes: &[u8]) -> Result<(), FigureRefusal> {
        let event = Event::feedback_facts(bytes).map_err(|detail| FigureRefusal::Entry { index, detail })?;
        match event.map(|event| event.body) {
            Some(EventBody::Received(received)) => self.received(index, received),
            Some(EventBody::Enriched(enriched)) => self.enriched(&enriched),
            Some(EventBody::Withdrawn(withdrawn)) => {
                if let Some(record) = self.records.get_mut(&withdrawn.feedback) {
                    record.withdrawn = true;
                }
            }
            // The facts of what was erased stay, and count.
            _ => {}
        }
        Ok(())
    }

    fn received(&mut self, entry: u64, received: Received) {
        let feedback = received.feedback;
        let at = received.occurred_at.unwrap_or_else(|| feedback.made_at());
        if at < self.selection.from || at >= self.selection.to {
            // An earlier revision may have been of the period.
            if let Some(before) = self.records.remove(&feedback) {
                self.earlier.keep(feedback, before);
            }
            return;
        }
        let is_first = received.revision <= 1;
        let scores = received.scores.into_iter().map(|score| self.names.scored(&score));
        let record = Record {
            entry,
            revision: received.revision,
            at,
            scores: scores.collect(),
            channel: self.names.place(received.channel.as_str()),
            kind: received.kind,
            withdrawn: false,
        };
        match self.records.insert(feedback, record) {
            Some(before) => self.earlier.keep(feedback, before),
            None if is_first => {}
            None => self.earlier.came_in(feedback),
        }
    }

    fn enriched(&mut self, enriched: &Enriched) {
        let Some(kind) = enriched.kind else {
            return;
        };
        match self.records.get_mut(&enriched.feedback) {
            Some(record) if record.revision == enriched.revision => record.kind = Some(kind),
            _ => self.earlier.found_kind(enriched.feedback, enriched.revision, kind),
        }
    }

    /// The groups as they stand after the last entry.
    pub(super) fn finish(self) -> Result<Selected, FigureRefusal> {
        let Self {
            selection,
            names,
            records,
            earlier,
        } = self;
        let (whole, changed) = earlier.count(&records, |record| group_name(selection.by, record, &names));
        drop(earlier);
        let (withdrawn, mut counting): (Vec<_>, Vec<_>) = records.into_values().partition(|record| record.withdrawn);
        counting.sort_unstable_by_key(|record| record.entry);
        let told = FigureSelection {
            from: selection.from.to_rfc3339(),
            to: selection.to.to_rfc3339(),
            by: selection.by.map(|by| by.to_string()),
            records: counting.len() as u64,
            withdrawn: withdrawn.len() as u64,
            revised: whole.revised,
            moved: whole.moved,
        };
        let groups = grouped(selection.by, counting, changed, &names);
        if groups.len() > MAX_FIGURE_GROUPS {
            return Err(FigureRefusal::TooManyGroups { groups: groups.len() });
        }
        Ok(Selected { told, names, groups })
    }
}

/// The group of a record.
fn group_name<'n>(by: Option<FigureGrouping>, record: &Record, names: &'n Names) -> &'n str {
    match by {
        None => ALL,
        Some(FigureGrouping::Channel) => names.at(record.channel),
        Some(FigureGrouping::Kind) => record.kind.map_or(UNKNOWN, Kind::as_str),
    }
}

/// Records by group, each in the order in which they are given.
fn grouped(
    by: Option<FigureGrouping>,
    records: Vec<Record>,
    changed: BTreeMap<String, Changed>,
    names: &Names,
) -> Vec<Group> {
    // A group that every record has left is told, and not passed over in silence.
    let mut groups: BTreeMap<String, (Vec<Record>, Changed)> = changed
        .into_iter()
        .map(|(name, changed)| (name, (Vec::new(), changed)))
        .collect();
    if by.is_none() {
        groups.entry(ALL.to_owned()).or_default().0 = records;
    } else {
        for record in records {
            let name = group_name(by, &record, names);
            match groups.get_mut(name) {
                Some((group, _)) => group.push(record),
                None => drop(groups.insert(name.to_owned(), (vec![record], Changed::default()))),
            }
        }
    }
    // That there is nothing at all is told by a group without records.
    if groups.is_empty() {
        groups.insert(ALL.to_owned(), (Vec::new(), Changed::default()));
    }
    let groups = groups.into_iter();
    groups
        .map(|(name, (records, changed))| Group { name, records, changed })
        .collect()
}

impl Names {
    fn scored(&mut self, score: &Score) -> Scored {
        Scored {
            metric: self.place(&score.metric),
            value: score.value,
            min: score.min,
            max: score.max,
        }
    }
}
