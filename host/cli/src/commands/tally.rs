//! Counts and scores from the entries of a ledger alone, the same that the hub shows: of each piece of feedback its newest
//! revision, with what enrichers found in that.

use std::collections::{BTreeMap, HashMap};

use mihwar_model::{EventBody, FeedbackId, Kind, Received};
use serde::Serialize;

/// What is known of a piece of feedback after the entries so far.
struct Record {
    revision: u32,
    kind: Option<Kind>,
    channel: u32,
    /// Place of the scale, and the number given.
    scores: Box<[(u32, f64)]>,
    withdrawn: bool,
    erased: bool,
}

/// Adds events up. In memory are about a hundred bytes for each piece of feedback.
#[derive(Default)]
pub(super) struct Tally {
    events: BTreeMap<&'static str, u64>,
    revisions: u64,
    names: Names,
    /// Metric and both ends of its scale, as they are compared.
    scales: HashMap<(u32, u64, u64), u32>,
    records: HashMap<FeedbackId, Record>,
}

/// Texts that come again and again.
#[derive(Default)]
struct Names {
    known: HashMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.known.get(name) {
            return *place;
        }
        let place = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(name.to_owned(), place);
        place
    }

    fn by_place(&self) -> HashMap<u32, &str> {
        self.known.iter().map(|(name, place)| (*place, name.as_str())).collect()
    }
}

/// What the entries say.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Counts {
    /// Entries of each sort.
    pub(super) events: BTreeMap<&'static str, u64>,
    /// Pieces of feedback.
    pub(super) feedback: u64,
    /// Later revisions of them.
    pub(super) revisions: u64,
    /// How many of them the source has withdrawn.
    pub(super) withdrawn: u64,
    /// How many of them were erased.
    pub(super) erased: u64,
    /// The same by kind and channel.
    pub(super) kinds: Vec<OfKind>,
    /// Their scores.
    pub(super) scores: Vec<OfScale>,
}

/// How many pieces of feedback are of a kind and channel.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OfKind {
    pub(super) kind: &'static str,
    pub(super) channel: String,
    pub(super) count: u64,
}

/// How often something was scored, and how.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OfScale {
    pub(super) metric: String,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) count: u64,
    pub(super) mean: f64,
}

impl Tally {
    /// Adds the next event.
    pub(super) fn add(&mut self, body: &EventBody) {
        *self.events.entry(body.name()).or_default() += 1;
        match body {
            EventBody::Received(received) => self.received(received),
            EventBody::Enriched(enriched) => {
                if let Some(record) = self.records.get_mut(&enriched.feedback)
                    && record.revision == enriched.revision
                    && enriched.kind.is_some()
                {
                    record.kind = enriched.kind;
                }
            }
            EventBody::Withdrawn(withdrawn) => {
                if let Some(record) = self.records.get_mut(&withdrawn.feedback) {
                    record.withdrawn = true;
                }
            }
            EventBody::RecordErased(erased) => {
                if let Some(record) = self.records.get_mut(&erased.feedback) {
                    record.erased = true;
                }
            }
            _ => {}
        }
    }

    fn received(&mut self, received: &Received) {
        let scores = received.scores.iter();
        let scores = scores.map(|score| {
            let scale = (
                self.names.place(&score.metric),
                score.min.to_bits(),
                score.max.to_bits(),
            );
            let next = u32::try_from(self.scales.len()).unwrap_or(u32::MAX);
            (*self.scales.entry(scale).or_insert(next), score.value)
        });
        let record = Record {
            revision: received.revision,
            kind: received.kind,
            scores: scores.collect(),
            channel: self.names.place(received.channel.as_str()),
            withdrawn: false,
            erased: false,
        };
        if self.records.insert(received.feedback, record).is_some() {
            self.revisions += 1;
        }
    }

    /// What came together.
    pub(super) fn counts(self) -> Counts {
        let names = self.names.by_place();
        let name = |place: u32| names.get(&place).copied().unwrap_or_default();
        let mut kinds: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
        let mut values: HashMap<u32, Vec<f64>> = HashMap::new();
        for record in self.records.values() {
            let kind = record.kind.map_or("unknown", Kind::as_str);
            *kinds.entry((kind, name(record.channel))).or_default() += 1;
            for (scale, value) in &record.scores {
                values.entry(*scale).or_default().push(*value);
            }
        }
        let scales = self.scales.iter().map(|((metric, min, max), place)| {
            let (min, max) = (f64::from_bits(*min), f64::from_bits(*max));
            of_scale(name(*metric), min, max, values.remove(place).unwrap_or_default())
        });
        let mut scores: Vec<OfScale> = scales.filter(|scale| scale.count > 0).collect();
        scores.sort_by(|a, b| {
            let ends = a.min.total_cmp(&b.min).then(a.max.total_cmp(&b.max));
            a.metric.cmp(&b.metric).then(ends)
        });
        let having = |test: fn(&Record) -> bool| self.records.values().filter(|record| test(record)).count() as u64;
        Counts {
            feedback: self.records.len() as u64,
            revisions: self.revisions,
            withdrawn: having(|record| record.withdrawn),
            erased: having(|record| record.erased),
            kinds: kinds.into_iter().map(of_kind).collect(),
            scores,
            events: self.events,
        }
    }
}

fn of_kind(((kind, channel), count): ((&'static str, &str), u64)) -> OfKind {
    OfKind {
        kind,
        channel: channel.to_owned(),
        count,
    }
}

fn of_scale(metric: &str, min: f64, max: f64, mut values: Vec<f64>) -> OfScale {
    // Added up in one order, so that the same entries give the same digits everywhere.
    values.sort_by(f64::total_cmp);
    let count = values.len() as u64;
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53")]
    let mean = values.iter().sum::<f64>() / count.max(1) as f64;
    OfScale {
        metric: metric.to_owned(),
        min,
        max,
        count,
        mean,
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{
        Channel, ContactId, Enriched, EventBody, FeedbackId, InstanceName, Kind, Received, Score, Tag, Withdrawn,
    };

    use super::{OfKind, OfScale, Tally};

    fn received(number: u8, revision: u32, kind: Option<Kind>, scores: &[(&str, f64)]) -> EventBody {
        let score = |(metric, value): &(&str, f64)| Score {
            metric: (*metric).to_owned(),
            value: *value,
            min: 0.0,
            max: 10.0,
        };
        EventBody::Received(Received {
            feedback: FeedbackId::from_bytes([number; 16]),
            revision,
            contact: ContactId::from_bytes([9; 16]),
            instance: InstanceName::new("form").unwrap(),
            channel: Channel::new(Tag::new("استبيان").unwrap()),
            kind,
            occurred_at: None,
            thread: None,
            language: None,
            scores: scores.iter().map(score).collect(),
            tags: vec![],
            attachments: vec![],
            call: None,
            body_chars: 42,
            commitment: [number; 32],
            masked: None,
        })
    }

    fn found(number: u8, revision: u32, kind: Kind) -> EventBody {
        EventBody::Enriched(Enriched {
            feedback: FeedbackId::from_bytes([number; 16]),
            revision,
            instance: InstanceName::new("language").unwrap(),
            language: None,
            kind: Some(kind),
            sentiment: None,
            tags_added: vec![],
            tags_removed: vec![],
            attributes: vec![],
            routes: vec![],
            quarantine: None,
        })
    }

    #[test]
    fn the_newest_revision_counts_with_what_was_found_in_it() {
        let mut tally = Tally::default();
        let withdrawn = EventBody::Withdrawn(Withdrawn {
            feedback: FeedbackId::from_bytes([3; 16]),
        });
        for body in [
            received(1, 1, None, &[("رضا", 3.0)]),
            received(2, 1, Some(Kind::Praise), &[("رضا", 10.0), ("nps", 9.0)]),
            found(1, 1, Kind::Complaint),
            received(1, 2, Some(Kind::Enquiry), &[("رضا", 5.0)]),
            // Of a revision that is none any more.
            found(1, 1, Kind::Defect),
            received(3, 1, None, &[]),
            withdrawn,
        ] {
            tally.add(&body);
        }
        let counts = tally.counts();
        assert_eq!((counts.feedback, counts.revisions), (3, 1));
        assert_eq!((counts.withdrawn, counts.erased), (1, 0));
        assert_eq!((counts.events["received"], counts.events["enriched"]), (4, 2));
        let of = |kind| OfKind {
            kind,
            channel: "استبيان".to_owned(),
            count: 1,
        };
        assert_eq!(counts.kinds, [of("enquiry"), of("praise"), of("unknown")]);
        let scale = |metric: &str, count, mean| OfScale {
            metric: metric.to_owned(),
            min: 0.0,
            max: 10.0,
            count,
            mean,
        };
        assert_eq!(counts.scores, [scale("nps", 1, 9.0), scale("رضا", 2, 7.5)]);
    }
}
