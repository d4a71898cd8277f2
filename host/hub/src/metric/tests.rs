//! Which records count, and in which groups.

mod changed;

use mihwar_model::{
    Actor, Channel, ContactId, Enriched, Event, EventBody, FeedbackId, InstanceName, Kind, Received, RecordErased,
    Score, Tag, Time, Withdrawn,
};
use proptest::prelude::*;

use super::facts::batches;
use super::selection::{Selected, Selecting};
use super::{FigureFilter, FigureGrouping, FigureRefusal};

const DAY: i64 = 86_400_000;
/// The period of these tests: 2026-01-01 to 2026-01-11.
const FROM: Time = Time(1_767_225_600_000);
const TO: Time = FROM.plus_millis(10 * DAY);

fn name() -> InstanceName {
    InstanceName::new("form").unwrap()
}

/// A record whose id was made on this day of the period.
fn id(number: u8, day: i64) -> FeedbackId {
    let mut bytes = [number; 16];
    let millis = FROM.plus_millis(day * DAY).0.to_be_bytes();
    bytes[..6].copy_from_slice(&millis[2..]);
    FeedbackId::from_bytes(bytes)
}

fn received(feedback: FeedbackId, revision: u32, channel: &str, value: f64) -> Received {
    Received {
        feedback,
        revision,
        contact: ContactId::from_bytes([9; 16]),
        instance: name(),
        channel: Channel::new(Tag::new(channel).unwrap()),
        kind: None,
        occurred_at: None,
        thread: None,
        language: None,
        scores: vec![Score {
            metric: "رضا".into(),
            value,
            min: 1.0,
            max: 5.0,
        }],
        tags: Vec::new(),
        attachments: Vec::new(),
        call: None,
        body_chars: 0,
        commitment: [0; 32],
        masked: None,
    }
}

fn enriched(feedback: FeedbackId, revision: u32, kind: Kind) -> EventBody {
    EventBody::Enriched(Enriched {
        feedback,
        revision,
        instance: name(),
        language: None,
        kind: Some(kind),
        sentiment: None,
        tags_added: Vec::new(),
        tags_removed: Vec::new(),
        attributes: Vec::new(),
        routes: Vec::new(),
        quarantine: None,
    })
}

fn erased(feedback: FeedbackId) -> EventBody {
    EventBody::RecordErased(RecordErased {
        feedback,
        reason: Tag::new("طلب").unwrap(),
        routes: Vec::new(),
    })
}

fn withdrawn(feedback: FeedbackId) -> EventBody {
    EventBody::Withdrawn(Withdrawn { feedback })
}

fn selected(by: Option<FigureGrouping>, bodies: Vec<EventBody>) -> Selected {
    let mut selecting = Selecting::new(FigureFilter::new(FROM, TO, by).unwrap());
    for (index, body) in (0..).zip(bodies) {
        let event = Event {
            at: TO.plus_millis(DAY),
            actor: Actor::Hub,
            body,
        };
        selecting.take(index, &event.to_bytes().unwrap()).unwrap();
    }
    selecting.finish().unwrap()
}

/// Each group with the values that a plugin sees of it.
fn values(selected: Selected) -> Vec<(String, Vec<f64>)> {
    let names = std::sync::Arc::new(selected.names);
    let groups = selected.groups.into_iter();
    groups
        .map(|group| {
            let batches = batches(group.records, &names);
            let scores = batches.flat_map(|batch| batch.scores.into_iter().map(|score| score.value));
            (group.name, scores.collect())
        })
        .collect()
}

fn all(values: &[f64]) -> Vec<(String, Vec<f64>)> {
    vec![("all".to_owned(), values.to_vec())]
}

#[test]
fn a_record_counts_once_as_it_stands_at_the_end() {
    let (a, b) = (id(1, 0), id(2, 3));
    let found = selected(
        None,
        vec![
            EventBody::Received(received(a, 1, "form", 1.0)),
            EventBody::Received(received(b, 1, "form", 2.0)),
            EventBody::Received(received(a, 2, "form", 5.0)),
        ],
    );
    assert_eq!((found.told.records, found.told.withdrawn), (2, 0));
    // In the order in which what counts was told.
    assert_eq!(values(found), all(&[2.0, 5.0]));
}

#[test]
fn what_is_withdrawn_does_not_count_and_what_is_erased_does() {
    let (a, b, c) = (id(1, 0), id(2, 3), id(3, 4));
    let found = selected(
        None,
        vec![
            EventBody::Received(received(a, 1, "form", 1.0)),
            EventBody::Received(received(b, 1, "form", 2.0)),
            EventBody::Received(received(c, 1, "form", 3.0)),
            withdrawn(a),
            erased(b),
            withdrawn(c),
            // Said anew at the source.
            EventBody::Received(received(c, 2, "form", 4.0)),
        ],
    );
    assert_eq!((found.told.records, found.told.withdrawn), (2, 1));
    assert_eq!(values(found), all(&[2.0, 4.0]));
}

#[test]
fn the_period_is_that_in_which_it_was_said_and_its_end_is_outside() {
    let said = |number: u8, at: Option<Time>, day: i64| {
        let mut received = received(id(number, day), 1, "form", f64::from(number));
        received.occurred_at = at;
        EventBody::Received(received)
    };
    let mut moved = received(id(7, 2), 2, "form", 9.0);
    moved.occurred_at = Some(TO);
    let found = selected(
        None,
        vec![
            said(1, Some(FROM), 20),
            said(2, Some(TO), 3),
            said(3, Some(TO.plus_millis(-1)), -20),
            said(4, Some(FROM.plus_millis(-1)), 3),
            said(5, None, 0),
            said(6, None, 10),
            said(7, None, 2),
            // Its source says now that it was said later.
            EventBody::Received(moved),
        ],
    );
    assert_eq!(values(found), all(&[1.0, 3.0, 5.0]));
}

#[test]
fn groups_are_named_and_in_the_order_of_their_names() {
    let (a, b, c) = (id(1, 0), id(2, 1), id(3, 2));
    let history = || {
        vec![
            EventBody::Received(received(a, 1, "voice", 1.0)),
            EventBody::Received(received(b, 1, "form", 2.0)),
            EventBody::Received(received(c, 1, "form", 3.0)),
            enriched(b, 1, Kind::Praise),
            // Of a revision that is not the newest.
            enriched(c, 7, Kind::Defect),
        ]
    };
    let by = |by| values(selected(Some(by), history()));
    let group = |name: &str, values: &[f64]| (name.to_owned(), values.to_vec());
    assert_eq!(
        by(FigureGrouping::Channel),
        [group("form", &[2.0, 3.0]), group("voice", &[1.0])]
    );
    assert_eq!(
        by(FigureGrouping::Kind),
        [group("praise", &[2.0]), group("unknown", &[1.0, 3.0])]
    );
    // Nothing is told as nothing, not by silence.
    assert_eq!(values(selected(Some(FigureGrouping::Kind), Vec::new())), all(&[]));
}

#[test]
fn what_a_receipt_says_was_chosen_is_chosen_again() {
    let filter = FigureFilter::new(FROM, TO, Some(FigureGrouping::Kind)).unwrap();
    let mut told = Selecting::new(filter).finish().unwrap().told;
    assert_eq!(FigureFilter::of(&told), Some(filter));
    told.by = Some("person".into());
    assert_eq!(FigureFilter::of(&told), None);
    told.by = None;
    // The same moment, which people would read as another one.
    for to in ["أمس", "2026-01-10T12:00:00.000-12:00", "2026-01-11T00:00:00.0001Z"] {
        told.to = to.into();
        assert_eq!(FigureFilter::of(&told), None, "{to}");
    }
    let refused = FigureFilter::new(TO, FROM, None);
    assert!(matches!(refused, Err(FigureRefusal::Period { .. })));
}

#[test]
fn an_entry_that_says_nothing_is_named() {
    let mut selecting = Selecting::new(FigureFilter::new(FROM, TO, None).unwrap());
    let error = selecting.take(41, b"\xff\x00").unwrap_err();
    assert!(error.to_string().starts_with("entry 41 of the ledger"), "{error}");
}

/// One thing that happens to one of a few records.
fn happening() -> impl Strategy<Value = (u8, u8)> {
    (0_u8..5, 0_u8..6)
}

proptest! {
    /// The fold, against the plain reading of it: of each record the last thing said counts, unless it was taken back after
    /// that.
    #[test]
    fn the_fold_is_its_plain_reading(history in prop::collection::vec(happening(), 0..60)) {
        let mut revisions = [0_u32; 5];
        let mut standing: [Option<(usize, f64, bool)>; 5] = [None; 5];
        let mut bodies = Vec::new();
        for (record, act) in history {
            let place = usize::from(record);
            let feedback = id(record, i64::from(record));
            match act {
                0 if revisions[place] > 0 => {
                    bodies.push(withdrawn(feedback));
                    standing[place] = standing[place].map(|(entry, value, _)| (entry, value, true));
                }
                1 if revisions[place] > 0 => bodies.push(erased(feedback)),
                _ => {
                    revisions[place] += 1;
                    let value = f64::from(act);
                    standing[place] = Some((bodies.len(), value, false));
                    bodies.push(EventBody::Received(received(feedback, revisions[place], "form", value)));
                }
            }
        }
        let mut expected: Vec<(usize, f64)> = standing
            .iter()
            .flatten()
            .filter(|(_, _, gone)| !gone)
            .map(|(entry, value, _)| (*entry, *value))
            .collect();
        expected.sort_by_key(|(entry, _)| *entry);
        let expected: Vec<f64> = expected.into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(values(selected(None, bodies)), all(&expected));
    }
}
