//! What is told of records that were something else before.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_model::{EventBody, FeedbackId, Kind, Received, Score, Time};
use proptest::prelude::*;

use super::{DAY, FROM, TO, enriched, id, received, selected, withdrawn};
use crate::metric::FigureGrouping;
use crate::metric::earlier::Changed;
use crate::metric::selection::Selected;

fn whole(selected: &Selected) -> Changed {
    Changed {
        revised: selected.told.revised,
        moved: selected.told.moved,
    }
}

/// Each group: its name, how many records it has, and how many changed.
fn groups(selected: &Selected) -> Vec<(&str, usize, Changed)> {
    let groups = selected.groups.iter();
    groups
        .map(|group| (group.name.as_str(), group.records.len(), group.changed))
        .collect()
}

const fn changed(revised: u64, moved: u64) -> Changed {
    Changed { revised, moved }
}

/// The same, but said at this time.
fn at(received: Received, time: Time) -> EventBody {
    EventBody::Received(Received {
        occurred_at: Some(time),
        ..received
    })
}

#[test]
fn a_bad_rating_does_not_go_unseen() {
    let ids: [FeedbackId; 6] = [1, 2, 3, 4, 5, 6].map(|number| id(number, 2));
    let [better, later, silent, taken_back, same, elsewhere] = ids;
    let first = |feedback| EventBody::Received(received(feedback, 1, "form", 1.0));
    let mut history: Vec<EventBody> = ids.into_iter().map(first).collect();
    history.extend([
        EventBody::Received(received(better, 2, "form", 5.0)),
        at(received(later, 2, "form", 1.0), TO),
        // Moved out, and then withdrawn: it is not among those that the receipt tells as withdrawn.
        withdrawn(later),
        EventBody::Received(Received {
            scores: Vec::new(),
            ..received(silent, 2, "form", 1.0)
        }),
        EventBody::Received(received(taken_back, 2, "form", 5.0)),
        withdrawn(taken_back),
        EventBody::Received(received(same, 2, "form", 1.0)),
        EventBody::Received(received(elsewhere, 2, "فرع", 1.0)),
    ]);
    let plain = selected(None, history.clone());
    assert_eq!((plain.told.records, plain.told.withdrawn), (4, 1));
    assert_eq!(whole(&plain), changed(2, 2));
    assert_eq!(groups(&plain), [("all", 4, changed(2, 2))]);
    let by_channel = selected(Some(FigureGrouping::Channel), history);
    assert_eq!(whole(&by_channel), changed(2, 2));
    assert_eq!(
        groups(&by_channel),
        [("form", 3, changed(1, 3)), ("فرع", 1, changed(1, 0))]
    );
}

#[test]
fn a_group_that_all_have_left_is_told() {
    let (a, b) = (id(1, 0), id(2, 1));
    let history = vec![
        EventBody::Received(received(a, 1, "فرع", 1.0)),
        EventBody::Received(received(a, 2, "form", 1.0)),
        EventBody::Received(received(b, 1, "voice", 1.0)),
        at(received(b, 2, "voice", 1.0), TO),
    ];
    assert_eq!(
        groups(&selected(Some(FigureGrouping::Channel), history)),
        [
            ("form", 1, changed(1, 0)),
            ("voice", 0, changed(0, 1)),
            ("فرع", 0, changed(0, 1))
        ]
    );
}

#[test]
fn what_came_in_from_another_period_was_changed() {
    let feedback = id(1, 0);
    let history = vec![
        at(received(feedback, 1, "form", 3.0), TO),
        EventBody::Received(received(feedback, 2, "form", 3.0)),
    ];
    assert_eq!(whole(&selected(None, history)), changed(1, 0));
    // What never was of the period is nothing that a figure tells of.
    let outside = vec![
        at(received(feedback, 1, "form", 3.0), TO),
        at(received(feedback, 2, "form", 1.0), TO),
    ];
    assert_eq!(whole(&selected(None, outside)), changed(0, 0));
}

#[test]
fn the_order_of_scores_says_nothing_and_a_kind_that_was_found_late_counts() {
    let (a, b) = (id(1, 0), id(2, 0));
    let of = |feedback, revision, metrics: [&str; 2]| {
        let score = |metric: &str| Score {
            metric: metric.to_owned(),
            value: 2.0,
            min: 1.0,
            max: 5.0,
        };
        EventBody::Received(Received {
            scores: metrics.map(score).to_vec(),
            ..received(feedback, revision, "form", 0.0)
        })
    };
    let mut history = vec![
        of(a, 1, ["رضا", "جهد"]),
        of(a, 2, ["جهد", "رضا"]),
        of(b, 1, ["رضا", "جهد"]),
        of(b, 2, ["رضا", "جهد"]),
    ];
    assert_eq!(whole(&selected(None, history.clone())), changed(0, 0));
    // Of a revision that is not the newest any more.
    history.push(enriched(b, 1, Kind::Complaint));
    assert_eq!(whole(&selected(None, history.clone())), changed(1, 0));
    assert_eq!(
        groups(&selected(Some(FigureGrouping::Kind), history)),
        [("complaint", 0, changed(0, 1)), ("unknown", 2, changed(1, 0))]
    );
}

/// One thing that happens to one of a few records.
#[derive(Debug, Clone)]
enum Act {
    Said {
        channel: &'static str,
        is_inside: bool,
        value: Option<u8>,
        kind: Option<Kind>,
    },
    /// An enricher finds the kind of the revision with this number, if there is one.
    Found(u32, Kind),
    Withdrawn,
}

fn act() -> impl Strategy<Value = Act> {
    let kind = || prop_oneof![Just(Kind::Complaint), Just(Kind::Praise)];
    let said = (
        prop_oneof![Just("form"), Just("فرع")],
        prop::bool::weighted(0.8),
        prop::option::weighted(0.8, 1_u8..4),
        prop::option::of(kind()),
    );
    prop_oneof![
        5 => said.prop_map(|(channel, is_inside, value, kind)| Act::Said { channel, is_inside, value, kind }),
        2 => (1_u32..4, kind()).prop_map(|(revision, kind)| Act::Found(revision, kind)),
        1 => Just(Act::Withdrawn),
    ]
}

/// A revision as the model keeps it, of whichever period.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    channel: &'static str,
    is_inside: bool,
    value: Option<u8>,
    kind: Option<Kind>,
}

impl Said {
    /// The group in which it would be counted.
    fn place(&self, by: Option<FigureGrouping>) -> Option<&'static str> {
        self.is_inside.then(|| match by {
            None => "all",
            Some(FigureGrouping::Channel) => self.channel,
            Some(FigureGrouping::Kind) => self.kind.map_or("unknown", Kind::as_str),
        })
    }
}

/// The history of one record: all its revisions, and whether its source took back the newest.
#[derive(Debug, Clone, Default)]
struct Story {
    revisions: Vec<Said>,
    is_withdrawn: bool,
}

impl Story {
    /// Whether it is counted among the changed of a place: with the places of its revisions as `by` names them.
    fn add(&self, by: Option<FigureGrouping>, told: &mut BTreeMap<&'static str, Changed>) {
        let Some((newest, before)) = self.revisions.split_last() else {
            return;
        };
        let here = newest.place(by);
        if here.is_some() && self.is_withdrawn {
            return;
        }
        let places: BTreeSet<&str> = self.revisions.iter().filter_map(|said| said.place(by)).collect();
        for place in places {
            let were_here = || before.iter().filter(|said| said.place(by) == Some(place));
            let is_gone = here != Some(place) && were_here().count() > 0;
            let is_mute = newest.value.is_none() && were_here().any(|said| said.value.is_some());
            if is_gone || is_mute {
                told.entry(place).or_default().moved += 1;
            } else if here == Some(place) && self.revisions.first() != Some(newest) {
                told.entry(place).or_default().revised += 1;
            }
        }
    }
}

/// The entries of a history, and the stories that they tell.
fn played(history: Vec<(u8, Act)>) -> (Vec<EventBody>, [Story; 4]) {
    let (mut bodies, mut stories) = (Vec::new(), <[Story; 4]>::default());
    for (record, act) in history {
        let (feedback, story) = (id(record, i64::from(record)), &mut stories[usize::from(record)]);
        match act {
            Act::Said {
                channel,
                is_inside,
                value,
                kind,
            } => {
                story.revisions.push(Said {
                    channel,
                    is_inside,
                    value,
                    kind,
                });
                story.is_withdrawn = false;
                let revision = u32::try_from(story.revisions.len()).unwrap();
                let mut said = received(feedback, revision, channel, value.map_or(0.0, f64::from));
                said.kind = kind;
                said.scores.truncate(usize::from(value.is_some()));
                bodies.push(at(said, if is_inside { FROM.plus_millis(DAY) } else { TO }));
            }
            Act::Found(revision, kind) => {
                if let Some(said) = story.revisions.get_mut(revision as usize - 1) {
                    said.kind = Some(kind);
                    bodies.push(enriched(feedback, revision, kind));
                }
            }
            Act::Withdrawn if story.revisions.is_empty() => {}
            Act::Withdrawn => {
                story.is_withdrawn = true;
                bodies.push(withdrawn(feedback));
            }
        }
    }
    (bodies, stories)
}

proptest! {
    /// What the fold tells, against whole histories that are looked at in the plainest way.
    #[test]
    fn what_changed_is_what_whole_histories_say(history in prop::collection::vec((0_u8..4, act()), 0..40)) {
        let (bodies, stories) = played(history);
        for by in [None, Some(FigureGrouping::Channel), Some(FigureGrouping::Kind)] {
            let found = selected(by, bodies.clone());
            let (mut all, mut expected) = (BTreeMap::new(), BTreeMap::new());
            for story in &stories {
                story.add(None, &mut all);
                story.add(by, &mut expected);
            }
            prop_assert_eq!(whole(&found), all.get("all").copied().unwrap_or_default());
            let told = groups(&found).into_iter().filter(|(_, _, told)| *told != Changed::default());
            let told: BTreeMap<&str, Changed> = told.map(|(name, _, told)| (name, told)).collect();
            prop_assert_eq!(told, expected);
        }
    }
}
