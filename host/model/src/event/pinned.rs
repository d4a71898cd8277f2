//! The bytes of every event, as they were released. They are the leaves of ledgers that exist: entries like a changed
//! line must still be read as what they were.

use super::{
    Actor, AttachmentFacts, Attempted, CallFacts, ContactCreated, ContactErased, DeadLettered, Delivered,
    DestinationPaused, DestinationResumed, Enriched, EnrichmentFailed, Event, EventBody, FactValue,
    InboundDeadLettered, InboundReplayed, InstanceConfigured, Masked, Received, RecordErased, Replayed, Route, Routed,
    RuleFailure, Skipped, StatusReported, TokenCreated, TokenRevoked, Withdrawn,
};
use crate::{
    AttachmentId, Channel, ContactId, DeliveryId, Direction, FeedbackId, InboundId, InstanceName, Kind, Language,
    Score, Tag, ThreadId, Time, TokenId,
};

const FEEDBACK: FeedbackId = FeedbackId::from_bytes([7; 16]);
const CONTACT: ContactId = ContactId::from_bytes([9; 16]);
const DELIVERY: DeliveryId = DeliveryId::from_bytes([5; 16]);
const INBOUND: InboundId = InboundId::from_bytes([3; 16]);

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn received() -> Received {
    Received {
        feedback: FEEDBACK,
        revision: 2,
        contact: CONTACT,
        instance: name("calls"),
        channel: Channel::new(tag("voice")),
        kind: Some(Kind::Complaint),
        occurred_at: Some(Time(1_789_999_999_000)),
        thread: Some(ThreadId::from_bytes([4; 16])),
        language: Some(Language::new("ar").unwrap()),
        scores: vec![Score {
            metric: "nps".into(),
            value: 3.0,
            min: 0.0,
            max: 10.0,
        }],
        tags: vec![tag("شحن")],
        attachments: vec![AttachmentFacts {
            id: Some(AttachmentId::from_bytes([6; 16])),
            media_type: "audio/ogg".into(),
            size: Some(48_000),
        }],
        call: Some(CallFacts {
            direction: Direction::Inbound,
            duration_ms: Some(61_000),
        }),
        body_chars: 42,
        commitment: [1; 32],
        masked: None,
    }
}

fn enriched() -> Enriched {
    Enriched {
        feedback: FEEDBACK,
        revision: 2,
        instance: name("language"),
        language: Some(Language::new("ar-SA").unwrap()),
        kind: Some(Kind::Defect),
        sentiment: Some(-0.5),
        tags_added: vec![tag("عاجل")],
        tags_removed: vec![tag("spam")],
        attributes: vec![
            ("script".into(), FactValue::Code("Arab".into())),
            ("sure".into(), FactValue::Boolean(true)),
            ("words".into(), FactValue::Integer(-3)),
            ("share".into(), FactValue::Decimal(0.25)),
        ],
        routes: vec![name("billing")],
        quarantine: Some(tag("suspect")),
    }
}

fn of_feedback() -> Vec<EventBody> {
    vec![
        EventBody::ContactCreated(ContactCreated {
            contact: CONTACT,
            identifiers: 1,
        }),
        EventBody::Received(received()),
        EventBody::Enriched(enriched()),
        EventBody::EnrichmentFailed(EnrichmentFailed {
            feedback: FEEDBACK,
            revision: 2,
            instance: name("language"),
            code: "limit-time".into(),
        }),
        EventBody::Withdrawn(Withdrawn { feedback: FEEDBACK }),
    ]
}

/// With fields that came later. At the end, since each event has the next actor.
fn of_later_fields() -> Vec<EventBody> {
    let masked = Masked {
        instance: name("redact"),
        label: tag("card-number"),
        count: 2,
    };
    let failure = RuleFailure {
        rule: "فاتورة".into(),
        code: "division-by-zero".into(),
    };
    vec![
        EventBody::Received(Received {
            masked: Some(vec![masked]),
            ..received()
        }),
        EventBody::Routed(Routed {
            failed: Some(vec![failure]),
            ..routed()
        }),
    ]
}

fn routed() -> Routed {
    Routed {
        feedback: FEEDBACK,
        revision: 2,
        routes: vec![Route {
            delivery: DELIVERY,
            destination: name("billing"),
            rule: "money".into(),
        }],
        rules: 77,
        failed: None,
    }
}

fn of_departments() -> Vec<EventBody> {
    let destination = name("billing");
    vec![
        EventBody::BackFilled(routed()),
        EventBody::DestinationPaused(DestinationPaused {
            destination: destination.clone(),
            code: "http-410".into(),
        }),
        EventBody::DestinationResumed(DestinationResumed { destination }),
    ]
}

fn of_delivery() -> Vec<EventBody> {
    let (delivery, feedback, destination) = (DELIVERY, FEEDBACK, name("billing"));
    vec![
        EventBody::Routed(routed()),
        EventBody::Delivered(Delivered {
            delivery,
            feedback,
            destination: destination.clone(),
            attempt: 3,
            reference: Some([2; 32]),
        }),
        EventBody::DeliveryFailed(Attempted {
            delivery,
            feedback,
            destination: destination.clone(),
            attempt: 1,
            code: "http-503".into(),
            retry_at: Time(1_790_000_001_000),
        }),
        EventBody::DeliverySkipped(Skipped {
            delivery,
            feedback,
            destination: destination.clone(),
            attempt: 1,
        }),
        EventBody::DeliveryDeadLettered(DeadLettered {
            delivery,
            feedback,
            destination: destination.clone(),
            attempts: 20,
            code: "http-404".into(),
        }),
        EventBody::DeliveryReplayed(Replayed {
            delivery,
            feedback,
            destination,
        }),
    ]
}

fn of_operation() -> Vec<EventBody> {
    let token = TokenId::from_bytes([8; 16]);
    vec![
        EventBody::InboundDeadLettered(InboundDeadLettered {
            inbound: INBOUND,
            instance: name("form"),
            code: "refused".into(),
        }),
        EventBody::InboundReplayed(InboundReplayed {
            inbound: INBOUND,
            instance: name("form"),
        }),
        EventBody::InstanceConfigured(InstanceConfigured {
            instance: name("form"),
            plugin: name("form"),
            version: "0.1.0".into(),
            module: [3; 32],
        }),
        EventBody::TokenCreated(TokenCreated {
            token,
            scopes: vec!["feedback:read".into()],
        }),
        EventBody::TokenRevoked(TokenRevoked { token }),
    ]
}

fn of_erasure() -> Vec<EventBody> {
    vec![
        EventBody::ContactErased(ContactErased {
            contact: CONTACT,
            records: 3,
            reason: tag("طلب-صاحبها"),
        }),
        EventBody::RecordErased(RecordErased {
            feedback: FEEDBACK,
            reason: tag("retention"),
            routes: vec![Route {
                delivery: DELIVERY,
                destination: name("billing"),
                rule: "erasure".into(),
            }],
        }),
    ]
}

/// What departments report. At the end, too.
fn of_reports() -> Vec<EventBody> {
    vec![EventBody::StatusReported(StatusReported {
        feedback: FEEDBACK,
        destination: name("billing"),
        state: tag("resolved"),
        changed_at: Time(1_790_000_001_000),
        commitment: Some([2; 32]),
    })]
}

#[test]
fn every_event_has_the_name_that_its_json_says() {
    let mut names: Vec<_> = [
        of_feedback(),
        of_delivery(),
        of_operation(),
        of_erasure(),
        of_reports(),
        of_departments(),
    ]
    .concat()
    .iter()
    .map(|body| {
        let json = serde_json::to_value(body).unwrap();
        assert_eq!(json["type"], body.name());
        body.name()
    })
    .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 22, "one of each");
}

#[test]
fn the_bytes_of_every_event_stay_as_they_were_released() {
    let actors = [
        Actor::Hub,
        Actor::Instance(name("form")),
        Actor::Token(TokenId::from_bytes([8; 16])),
        Actor::Console,
    ];
    let bodies = [
        of_feedback(),
        of_delivery(),
        of_operation(),
        of_erasure(),
        of_later_fields(),
        of_reports(),
        of_departments(),
    ]
    .concat();
    let mut released = include_str!("pinned.txt").lines();
    for (body, actor) in bodies.into_iter().zip(actors.iter().cycle()) {
        let event = Event {
            at: Time(1_790_000_000_000),
            actor: actor.clone(),
            body,
        };
        let bytes = event.to_bytes().unwrap();
        assert_eq!(Event::from_bytes(&bytes).unwrap(), event);
        let tells_of_facts = matches!(
            event.body,
            EventBody::Received(_) | EventBody::Enriched(_) | EventBody::Withdrawn(_) | EventBody::RecordErased(_)
        );
        let facts = Event::feedback_facts(&bytes).unwrap();
        assert_eq!(facts, tells_of_facts.then(|| event.clone()));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Some(hex.as_str()), released.next(), "{event:?}");
    }
    assert_eq!(released.next(), None, "an event kind is pinned that is no longer there");
}

/// `received` with floats for whole numbers, as it was written at first: such entries stay readable.
const RECEIVED_WITH_FLOATS: &str = "831b000001a0c4506c0082018164666f726d8201818f50070707070707070707070707070707070250090909090909090909 \
    090909090909096563616c6c7365766f696365001b000001a0c4506818500404040404040404040404040404040462617281 \
    84636e7073fb4008000000000000fb0000000000000000fb40240000000000008166d8b4d8add98681835006060606060606 \
    06060606060606060669617564696f2f6f676719bb80820019ee48182a582001010101010101010101010101010101010101 \
    01010101010101010101010101";

#[test]
fn entries_with_floats_for_whole_numbers_are_read() {
    let digits: Vec<u8> = RECEIVED_WITH_FLOATS.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    assert_eq!(Event::from_bytes(&bytes).unwrap().body, EventBody::Received(received()));
}
