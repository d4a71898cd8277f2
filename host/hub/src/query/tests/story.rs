//! Some thousand records, and what became of them.

use mihwar_model::{
    Channel, ContactId, DeliveryId, Enriched, EventBody, FeedbackId, InstanceName, Kind, Language, Received, Route,
    Routed, Score, Tag, Time,
};

use crate::enrichment::nothing;

pub(super) const START: Time = Time(1_790_000_000_000);
pub(super) const RECORDS: i64 = 3_000;

pub(super) fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

pub(super) fn language(text: &str) -> Language {
    Language::new(text).unwrap()
}

/// One of these for each number.
fn one_of<T: Clone, const N: usize>(values: &[T; N], number: i64) -> T {
    values[usize::try_from(number).unwrap() % N].clone()
}

/// The number's record was received so many times ten milliseconds after the start.
pub(super) fn record(number: i64) -> FeedbackId {
    let mut id = [7; 16];
    id[..6].copy_from_slice(&(START.0 + number * 10).to_be_bytes()[2..]);
    FeedbackId::from_bytes(id)
}

fn score(metric: &str, value: i32) -> Score {
    Score {
        metric: metric.into(),
        value: f64::from(value),
        min: 0.0,
        max: 10.0,
    }
}

fn received(number: i64) -> Received {
    let rare = |every: i64| number % every == every / 2;
    let channel = if rare(500) {
        "كشك"
    } else {
        one_of(&["form", "mail", "call"], number)
    };
    let instance = if rare(400) {
        "branch"
    } else {
        one_of(&["form", "mail"], number)
    };
    let kind = one_of(&[None, Some(Kind::Complaint), Some(Kind::Praise)], number);
    let usual = one_of(&[Some("ar"), Some("ar-SA"), Some("en"), None], number);
    let nps = (number % 5 == 0).then(|| score("nps", i32::try_from(number / 5 % 11).unwrap()));
    let csat = rare(450).then(|| score("رضا", 1));
    let tags = [Some("شحن"), rare(350).then_some("عاجل")];
    Received {
        feedback: record(number),
        revision: 1,
        contact: ContactId::from_bytes([u8::try_from(number % 20).unwrap(); 16]),
        instance: name(instance),
        channel: Channel::new(tag(channel)),
        kind: if rare(300) { Some(Kind::Defect) } else { kind },
        occurred_at: Some(Time(START.0 + number)),
        thread: None,
        language: if rare(600) {
            Some(language("ar-OM"))
        } else {
            usual.map(language)
        },
        scores: nps.into_iter().chain(csat).collect(),
        tags: tags.into_iter().flatten().map(tag).collect(),
        attachments: Vec::new(),
        call: None,
        body_chars: 9,
        commitment: [1; 32],
        masked: None,
    }
}

/// What enrichers and rules make of some.
fn later(number: i64) -> Vec<EventBody> {
    let feedback = record(number);
    let mut events = Vec::new();
    if number % 70 == 9 {
        let found = Enriched {
            language: Some(language("fa")),
            tags_added: vec![tag("نادر")],
            tags_removed: vec![tag("شحن")],
            ..nothing(feedback, 1, name("language"))
        };
        events.push(EventBody::Enriched(found));
    }
    let department = if number % 333 == 1 { "legal" } else { "service" };
    if number % 2 == 1 {
        let mut delivery = record(number).to_bytes();
        delivery[15] = 1;
        let routes = vec![Route {
            delivery: DeliveryId::from_bytes(delivery),
            destination: name(department),
            rule: "قاعدة".into(),
        }];
        events.push(EventBody::Routed(Routed {
            feedback,
            revision: 1,
            routes,
            rules: 7,
            failed: None,
        }));
    }
    events
}

/// Neighbours come out of order, and what comes of a record comes some time after it.
pub(super) fn story() -> Vec<EventBody> {
    let mut events = Vec::new();
    for step in 0..RECORDS + 200 {
        if step < RECORDS {
            events.push(EventBody::Received(received(step ^ 5)));
        }
        if step >= 200 {
            events.extend(later((step - 200) ^ 5));
        }
    }
    events
}
