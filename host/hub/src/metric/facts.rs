//! Records as a metric plugin sees them: in batches, each name once.

use std::collections::HashMap;
use std::sync::Arc;

use mihwar_model::Kind;
use mihwar_sandbox::Batches;
use mihwar_sandbox::contract::figure::{Batch, Fact, ScoreFact};

use super::selection::Record;

/// Records that are handed over at once. Few in tests, so that a short history has several batches.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 4096 };

/// Names that occur again and again, each once.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    list: Vec<String>,
    places: HashMap<String, u32>,
}

impl Names {
    /// The place of a name; it gets one if it has none yet.
    pub(super) fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(name.to_owned());
        self.places.insert(name.to_owned(), place);
        place
    }

    /// The name at a place.
    pub(super) fn at(&self, place: u32) -> &str {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        self.list.get(place).map_or("", String::as_str)
    }
}

/// The facts of these records, in their order.
pub(super) fn batches(records: Vec<Record>, names: &Arc<Names>) -> Batches {
    let mut records = records.into_iter();
    let names = Arc::clone(names);
    Box::new(std::iter::from_fn(move || {
        let page: Vec<Record> = records.by_ref().take(AT_ONCE).collect();
        (!page.is_empty()).then(|| batch(&page, &names))
    }))
}

fn batch(page: &[Record], names: &Names) -> Batch {
    let mut own = Names::default();
    let facts = page.iter().map(|record| Fact {
        at: record.at.0,
        channel: own.place(names.at(record.channel)),
        kind: record.kind.map(|kind| own.place(Kind::as_str(kind))),
        scores: u32::try_from(record.scores.len()).unwrap_or(u32::MAX),
    });
    let facts: Vec<Fact> = facts.collect();
    let scores = page.iter().flat_map(|record| record.scores.iter());
    let scores = scores.map(|score| ScoreFact {
        metric: own.place(names.at(score.metric)),
        value: score.value,
        min: score.min,
        max: score.max,
    });
    Batch {
        facts,
        scores: scores.collect(),
        names: own.list,
    }
}
