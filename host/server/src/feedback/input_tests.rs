use mihwar_model::{AttachmentBytes, Details, Kind, Scalar};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::read_feedback;
use crate::feedback::wire::FeedbackInput;

/// Every field that there is, with a good value.
fn complete() -> Value {
    json!({
        "external_id": "ticket-1042", "revision": "2", "channel": "branch-visit", "kind": "complaint",
        "occurred_at": "2026-11-22T09:30:00+03:00",
        "author": {"name": "ليلى حداد", "identifiers": [{"scheme": "tel", "id": "+966500000001"}], "locale": "ar-SA"},
        "thread": "t-1", "in_reply_to": "ticket-1041", "subject": "تأخر التوصيل",
        "body": "طلبت الجهاز قبل أسبوعين ولم يصل حتى الآن.", "body_html": "<p>…</p>", "language": "ar",
        "scores": [{"metric": "nps", "value": 3}, {"metric": "wait", "value": 2.5, "min": 0, "max": 5}],
        "tags": ["توصيل", "vip:gold"],
        "attachments": [
            {"name": "فاتورة.pdf", "media_type": "application/pdf", "size": 9, "url": "https://example.org/f.pdf"},
            {"name": "a.txt", "media_type": "text/plain", "content_base64": "2YXYsdit2KjYpw=="}
        ],
        "details": {"survey": {"survey_id": "s", "answers": [{"question_id": "q1", "question": "لماذا؟", "value": "بطيء"}]}},
        "attributes": {"order": "A-17", "vip": true, "items": 3},
        "raw": {"anything": [1, 2]}
    })
}

fn faults(value: Value) -> Vec<String> {
    let found = read_feedback(value).unwrap_err();
    found.told().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refuses(value: Value, fields: &[&str]) {
    let found = read_feedback(value).unwrap_err();
    let found: Vec<_> = found.told().iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(found, fields);
}

#[test]
fn a_complete_record_is_read_whole() {
    let draft = read_feedback(complete()).unwrap();
    assert_eq!(draft.external_id.as_deref(), Some("ticket-1042"));
    assert_eq!(draft.channel.as_str(), "branch-visit");
    assert_eq!(draft.kind, Some(Kind::Complaint));
    assert_eq!(draft.occurred_at.unwrap().to_rfc3339(), "2026-11-22T06:30:00.000Z");
    assert_eq!(draft.author.as_ref().unwrap().name.as_deref(), Some("ليلى حداد"));
    assert_eq!((draft.scores[0].min, draft.scores[0].max), (0.0, 10.0));
    assert_eq!(
        draft.attachments[1].bytes,
        AttachmentBytes::Inline("مرحبا".as_bytes().to_vec())
    );
    assert_eq!(draft.attributes[0].value, Scalar::Integer(3));
    assert!(matches!(&draft.details, Details::Survey(survey) if survey.answers.len() == 1));
    assert_eq!(draft.raw.as_deref(), Some("{\"anything\":[1,2]}"));
    assert!(draft.problems().is_empty());
}

/// The schema in the API's document and the reader must know the same fields.
#[test]
fn the_document_names_exactly_the_fields_that_are_read() {
    let schema = serde_json::to_value(FeedbackInput::schema()).unwrap();
    let documented: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut read: Vec<_> = complete().as_object().unwrap().keys().cloned().collect();
    read.sort();
    let mut documented_sorted = documented;
    documented_sorted.sort();
    assert_eq!(documented_sorted, read, "{}", FeedbackInput::name());
    assert_eq!(schema["additionalProperties"], false);
    serde_json::from_value::<FeedbackInput>(complete()).unwrap();
}

#[test]
fn every_bad_field_is_listed_at_once() {
    refuses(
        json!({
            "bodi": "كلام", "body": 7, "kind": "شكوى", "occurred_at": "yesterday", "channel": "Branch Visit",
            "scores": [{"metric": "nps"}, {"metric": "mood", "value": 1}, {"metric": "csat", "value": 9}],
            "tags": ["جيد", "Not Good"], "author": {"identifiers": [{"scheme": "tel"}], "nam": "ن"},
            "details": {"call": {"direction": "sideways"}}, "attributes": {"a": [1]}
        }),
        &[
            "channel",
            "kind",
            "occurred_at",
            "author.identifiers[0].id",
            "author.nam",
            "body",
            "scores[0].value",
            "scores[1].min",
            "scores[1].max",
            "tags[1]",
            "details.call.direction",
            "attributes.a",
            "bodi",
            "scores[2].value",
        ],
    );
}

#[test]
fn faults_say_what_would_be_right() {
    assert!(faults(json!({"body": 5}))[0].contains("should be text, not a number"));
    assert!(faults(json!({"bodey": "x"}))[0].contains("known are"));
    refuses(json!([1]), &[""]);
    // What only the domain can find is found when nothing else is wrong.
    let silent = read_feedback(json!({"channel": "api"})).unwrap();
    assert_eq!(silent.problems()[0].field, "body");
}

#[test]
fn what_is_known_is_said_once() {
    let said = faults(json!({"body": "x", "نص": 1, "bodi": 2, "scores": [{"a": 1}, {"b": 1}]})).join("\n");
    // Once for the record and once for a score, however many of each are wrong.
    assert_eq!(said.matches("is not known here").count(), 4, "{said}");
    assert_eq!(said.matches("known are").count(), 2, "{said}");
}

#[test]
fn a_list_beyond_its_limit_is_refused_before_it_is_walked() {
    let empty: Vec<Value> = vec![json!({}); 87_000];
    let many_names: serde_json::Map<_, _> = (0..5_000).map(|i| (format!("سمة{i}"), json!(i))).collect();
    let started = std::time::Instant::now();
    let said = faults(json!({
        "body": "شكرًا", "scores": empty, "tags": empty, "attachments": empty, "attributes": many_names,
        "author": {"identifiers": empty}, "details": {"survey": {"survey_id": "s", "answers": empty}}
    }));
    assert_eq!(
        said,
        [
            "author.identifiers: 87000 entries; at most 16 are taken",
            "scores: 87000 entries; at most 32 are taken",
            "tags: 87000 entries; at most 64 are taken",
            "attachments: 87000 entries; at most 256 are taken",
            "details.survey.answers: 87000 entries; at most 512 are taken",
            "attributes: 5000 entries; at most 128 are taken",
        ]
    );
    // Each entry has faults of its own; that they were compared one by one with the others took minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn faults_without_end_are_counted_and_not_listed() {
    let utterances: Vec<Value> = vec![json!({}); 20_000];
    let found = read_feedback(json!({"details": {"call": {"direction": "inbound", "transcript": utterances}}}));
    let found = found.unwrap_err();
    assert_eq!((found.told().len(), found.untold()), (100, 19_900));
}

#[test]
fn what_the_domain_finds_carries_the_names_of_the_wire() {
    refuses(
        json!({"attributes": {"note": "a\u{0}b"}, "subject": "س\u{0}", "nothing": 1, "body": "x"}),
        &["nothing", "subject", "attributes.note"],
    );
    refuses(
        json!({"x": 1, "details": {"call": {"direction": "inbound", "queue": "\u{0}"}}}),
        &["x", "details.call.queue"],
    );
}

#[test]
fn details_are_one_thing() {
    refuses(
        json!({"body": "x", "details": {"other": 1, "social": {"network": "n"}}}),
        &["details.call"],
    );
    let draft = read_feedback(json!({"details": {"call": {"direction": "outbound", "duration_ms": 5000}}})).unwrap();
    assert!(matches!(draft.details, Details::Call(call) if call.duration_ms == Some(5000)));
}
