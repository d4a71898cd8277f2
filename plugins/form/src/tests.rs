//! Posts as forms send them, good and bad, in Arabic and in English.

use mihwar_sdk::testing::{self, FakeHost};
use mihwar_sdk::{
    Answer, Change, ChannelKind, Details, Feedback, Header, InboundRequest, Outcome, PluginError, Value, Verification,
};
use serde_json::{Value as Json, json};

use crate::FormChannel;

fn post(settings: &Json, content_type: &str, body: impl AsRef<[u8]>) -> Result<Outcome, PluginError> {
    deliver(settings, request(content_type, body))
}

fn deliver(settings: &Json, request: InboundRequest) -> Result<Outcome, PluginError> {
    testing::handle::<FormChannel>(&FakeHost::new().host(), settings, request)
}

fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.into(),
        value: value.into(),
    }
}

fn request(content_type: &str, body: impl AsRef<[u8]>) -> InboundRequest {
    InboundRequest {
        delivery_id: "d-1".into(),
        endpoint: "submit".into(),
        method: "POST".into(),
        path: "/hooks/form/submit".into(),
        query: Vec::new(),
        headers: vec![
            header("Content-Type", content_type),
            header("X-Form-Timestamp", "1772357400"),
        ],
        body: body.as_ref().to_vec(),
        verification: Verification::Verified("submit".into()),
        received_at: 0,
    }
}

fn records(outcome: Outcome) -> Vec<Feedback> {
    let record = |change| match change {
        Change::Upsert(feedback) => feedback,
        other => panic!("not a record: {other:?}"),
    };
    outcome.changes.into_iter().map(record).collect()
}

fn one(settings: &Json, body: &Json) -> Feedback {
    records(post(settings, "application/json", body.to_string()).unwrap()).remove(0)
}

fn refused(body: &str) -> (String, String) {
    match post(&json!({}), "application/json", body) {
        Err(PluginError::Permanent(failure)) => (failure.code, failure.message),
        other => panic!("expected a permanent error, got {other:?}"),
    }
}

#[test]
fn an_arabic_form_becomes_a_record() {
    let body = json!({
        "name": " سارة العتيبي ", "email": "Sara@Example.COM", "phone": "٠٥٥ ١٢٣ ٤٥٦٧", "message": "انتظرتُ ساعتين ولم يردّ أحد.",
        "subject": "تأخير", "kind": "شكوى", "nps": "٣", "csat": "۲", "ces": 1, "language": "ar",
        "submitted-at": "2026-03-01T12:30:00+03:00",
    });
    let feedback = one(&json!({ "country_code": "966" }), &body);
    assert_eq!(feedback.channel, ChannelKind::Form);
    assert_eq!(feedback.body, "انتظرتُ ساعتين ولم يردّ أحد.");
    assert_eq!(feedback.kind.as_deref(), Some("complaint"));
    assert_eq!(feedback.language.as_deref(), Some("ar"));
    assert_eq!(feedback.occurred_at, Some(1_772_357_400_000));
    let author = feedback.author.unwrap();
    assert_eq!(author.display_name.as_deref(), Some("سارة العتيبي"));
    let handles: Vec<String> = author
        .identifiers
        .iter()
        .map(|i| format!("{}:{}", i.scheme, i.id))
        .collect();
    assert_eq!(handles, ["email:sara@example.com", "tel:+966551234567"]);
    let scores: Vec<(&str, f64)> = feedback.scores.iter().map(|s| (s.metric.as_str(), s.value)).collect();
    assert_eq!(scores, [("nps", 3.0), ("csat", 2.0), ("ces", 1.0)]);
    assert_eq!(feedback.details, Details::None);
    let raw: Json = serde_json::from_str(&feedback.raw.unwrap()).unwrap();
    assert_eq!(raw, body);
}

#[test]
fn a_urlencoded_post_is_read_with_its_lists() {
    let body = "message=%D8%B4%D9%83%D8%B1%D8%A7+%D9%84%D9%83%D9%85&nps=10&topic%5B%5D=price&topic%5B%5D=%D8%A7%D9%84%D9%81%D8%B1%D8%B9&odd=100%&email=";
    let outcome = post(&json!({}), "application/x-www-form-urlencoded; charset=UTF-8", body).unwrap();
    let feedback = records(outcome).remove(0);
    assert_eq!(feedback.body, "شكرا لكم");
    assert_eq!(feedback.author, None);
    let Details::Survey(survey) = feedback.details else {
        panic!("no answers")
    };
    assert_eq!(
        survey.answers,
        [
            Answer::new("topic[]", None, "price، الفرع"),
            Answer::new("odd", None, "100%"),
        ]
    );
}

/// The answers of a form that has these fields beside its message.
fn answers(settings: &Json, mut body: Json) -> Vec<(String, Value)> {
    body["message"] = "نص".into();
    match one(settings, &body).details {
        Details::Survey(survey) => survey.answers.into_iter().map(|a| (a.question_id, a.value)).collect(),
        Details::None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_and_nested_answers_become_text() {
    let body = json!({
        "boxes": ["price", "speed"], "صناديق": ["السعر", "السرعة", 3], "mixed": [1, true, null, " "],
        "nested": { "a": ["ب", 1] }, "deep": [["x"]], "none": [], "blank": [""],
    });
    let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let mut found = answers(&json!({}), body);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        [
            text("boxes", "price, speed"),
            text("deep", r#"[["x"]]"#),
            text("mixed", "1, true"),
            text("nested", r#"{"a":["ب",1]}"#),
            text("صناديق", "السعر، السرعة، 3"),
        ]
    );
}

#[test]
fn a_repeated_post_is_the_same_record() {
    let id = |request| records(deliver(&json!({}), request).unwrap()).remove(0).external_id;
    let body = r#"{"message": "لم يصل الطلب"}"#;
    let first = request("application/json", body);
    let again = InboundRequest {
        delivery_id: "d-2".into(),
        received_at: 9,
        ..first.clone()
    };
    let mut later = first.clone();
    later.headers[1].value = "1772357401".into();
    let mut without = first.clone();
    without.headers.truncate(1);
    let other = request("application/json", r#"{"message": "لم يصل الطلب!"}"#);
    let ids = [first, again, later, without, other].map(id);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), "post-".len() + 64);
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
}

#[test]
fn telephone_numbers_get_their_country_code_once() {
    let settings = json!({ "country_code": "966" });
    let number = |text: &str| {
        let author = one(&settings, &json!({ "message": "نص", "phone": text })).author;
        author.map(|author| author.identifiers[0].id.clone())
    };
    for text in [
        "966501234567",
        "+966 50 123 4567",
        "00966501234567",
        "0501234567",
        "٥٠١٢٣٤٥٦٧",
        "٩٦٦٥٠١٢٣٤٥٦٧",
    ] {
        assert_eq!(number(text).as_deref(), Some("+966501234567"), "{text}");
    }
    assert_eq!(
        number("9661234567").as_deref(),
        Some("+9669661234567"),
        "too short to hold a code"
    );
}

#[test]
fn only_milliseconds_of_our_time_are_a_moment() {
    let at = |value: Json| one(&json!({}), &json!({ "message": "نص", "submitted-at": value })).occurred_at;
    assert_eq!(at(json!(1_772_357_400_000_i64)), Some(1_772_357_400_000));
    assert_eq!(at(json!("631152000000")), Some(631_152_000_000));
    for other in [
        json!(1_772_357_400),
        json!(0),
        json!(i64::MAX),
        json!("4102444800000"),
        json!(-5),
    ] {
        assert_eq!(at(other.clone()), None, "{other}");
        let kept = answers(&json!({}), json!({ "submitted-at": other }));
        assert_eq!(kept.len(), 1, "{other} stays as an answer");
    }
}

#[test]
fn fields_questions_and_kinds_come_from_the_settings() {
    let settings = json!({
        "channel": "survey", "survey": "branch-visit", "ignore": ["csrf"],
        "fields": { "id": "response", "message": "التعليق", "nps": "recommend" },
        "questions": { "wait": "كم انتظرت؟" }, "kinds": { "bug": "defect" },
    });
    let body =
        r#"{"response": 77, "التعليق": "جيد", "recommend": 9, "wait": 12, "clean": true, "csrf": "x", "kind": "bug"}"#;
    let feedback = records(post(&settings, "application/json", body).unwrap()).remove(0);
    assert_eq!(
        feedback.raw.as_deref(),
        Some(body.replace(": ", ":").replace(", ", ",").as_str())
    );
    assert_eq!(
        (feedback.external_id.as_str(), feedback.channel),
        ("77", ChannelKind::Survey)
    );
    assert_eq!(feedback.kind.as_deref(), Some("defect"));
    let Details::Survey(survey) = feedback.details else {
        panic!("no answers")
    };
    assert_eq!(survey.survey_id, "branch-visit");
    assert_eq!(
        survey.answers,
        [
            Answer::new("wait", Some("كم انتظرت؟".into()), 12),
            Answer::new("clean", None, true)
        ]
    );
}

#[test]
fn what_a_field_cannot_hold_stays_as_an_answer() {
    let body = json!({ "message": "hi", "email": "ask my brother", "phone": "0551234567", "kind": "رأي", "language": "العربية" });
    let feedback = one(&json!({}), &body);
    assert_eq!(
        feedback.author, None,
        "a number without country and a text that is no address name nobody"
    );
    let Details::Survey(survey) = feedback.details else {
        panic!("no answers")
    };
    let kept: Vec<&str> = survey
        .answers
        .iter()
        .map(|answer| answer.question_id.as_str())
        .collect();
    assert_eq!(kept, ["kind", "language", "email", "phone"]);
}

#[test]
fn scores_outside_their_scale_are_refused_by_name_and_without_the_text() {
    for (field, wrong) in [
        ("nps", json!(11)),
        ("nps", json!(-1)),
        ("nps", json!("٨٫٥")),
        ("csat", json!(0)),
        ("ces", json!("٨")),
        ("ces", json!("سهل")),
    ] {
        let (code, message) = refused(&json!({ "message": "x", field: wrong }).to_string());
        assert_eq!(code, "score");
        assert!(
            message.starts_with(&format!("`{field}` must be a whole number from ")),
            "{message}"
        );
        assert!(!message.contains("سهل"), "{message}");
    }
    let (_, both) = refused(r#"{"message": "x", "nps": 11, "csat": [1]}"#);
    assert_eq!(both, "`nps` must be a whole number from 0 to 10; `csat` must be text");
}

#[test]
fn bad_posts_say_what_is_wrong() {
    assert_eq!(
        refused(r#"{"message": "a", "message": "b"}"#).1,
        "the field is there twice: `message` at line 1 column 32"
    );
    assert_eq!(
        refused(r#"{"message": "a\u0000b"}"#),
        ("nul".into(), "`message` holds a NUL character".into())
    );
    assert_eq!(refused(r#"{"x": {"y": ["\u0000"]}}"#).0, "nul");
    assert_eq!(
        refused(r#"{"name": "ليلى", "message": "  ", "nps": ""}"#).0,
        "nothing-said"
    );
    assert_eq!(refused(r#"{"message": "\ud800"}"#).0, "json");
    assert_eq!(refused("\"text\"").0, "json");
    assert_eq!(refused("[]").0, "batch-size");
    let deep = format!(
        "{{\"message\": \"x\", \"a\": {}1{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(refused(&deep).0, "json");
}

#[test]
fn names_and_ids_that_nobody_could_keep_are_refused() {
    let long_name = json!({ "message": "الخدمة بطيئة", "سؤال".repeat(40): 5 });
    let (code, message) = refused(&long_name.to_string());
    assert!(
        code == "long-name" && message.contains("320 bytes"),
        "{code}: {message}"
    );
    let settings = json!({ "fields": { "id": "id" } });
    let long_id = json!({ "message": "slow", "id": "ه".repeat(300) });
    let error = post(&settings, "application/json", long_id.to_string()).unwrap_err();
    assert!(format!("{error:?}").contains("long-id"), "{error:?}");
}

#[test]
fn charset_media_type_and_signature_are_checked() {
    let code = |result: Result<Outcome, PluginError>| result.unwrap_err().code().unwrap().to_owned();
    assert_eq!(
        code(post(&json!({}), "application/json; charset=windows-1256", "{}")),
        "charset"
    );
    for name in ["utf8", "UTF-8", "\"utf-8\"", "UTF8"] {
        let content_type = format!("application/json; charset={name}");
        assert!(
            post(&json!({}), &content_type, r#"{"message": "نعم"}"#).is_ok(),
            "{name}"
        );
    }
    assert_eq!(
        code(post(&json!({}), "multipart/form-data; boundary=x", "")),
        "media-type"
    );
    assert_eq!(
        code(post(&json!({}), "application/json", b"{\"message\": \"\xff\"}")),
        "not-utf8"
    );
    let twice = post(&json!({}), "application/x-www-form-urlencoded", "message=a&message=b");
    assert_eq!(code(twice), "duplicated-field");
    assert_eq!(
        code(post(&json!({}), "application/x-www-form-urlencoded", "message=%D8")),
        "not-utf8"
    );
}

#[test]
fn a_batch_keeps_the_good_beside_the_bad() {
    let body = r#"[{"message": "الأولى"}, {"message": "x", "nps": 12}, {"message": "\ud800"}, 7, {"id": "k", "message": "last"}]"#;
    let outcome = post(&json!({ "fields": { "id": "id" } }), "application/json", body).unwrap();
    let refusals: Vec<(String, String)> = outcome
        .refusals
        .iter()
        .map(|r| (r.place.clone(), r.code.clone()))
        .collect();
    let expected = [("item 2", "score"), ("item 3", "json"), ("item 4", "json")];
    assert_eq!(
        refusals,
        expected.map(|(place, code)| (place.to_owned(), code.to_owned()))
    );
    let kept: Vec<(String, String)> = records(outcome).into_iter().map(|f| (f.external_id, f.body)).collect();
    assert!(
        kept[0].0.starts_with("post-") && kept[0].0.ends_with("/1"),
        "{}",
        kept[0].0
    );
    assert_eq!(kept[0].1, "الأولى");
    assert_eq!(kept[1], ("k".to_owned(), "last".to_owned()));
}

#[test]
fn settings_are_checked_beyond_their_schema() {
    let problems = testing::validate::<FormChannel>(&json!({
        "kinds": { "شكوى": "anger" }, "country_code": "+966",
        "fields": { "subject": "message", "submitted_at": "name" },
    }));
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["kinds.شكوى", "fields.subject", "fields.submitted_at", "country_code"]
    );
    assert_eq!(
        testing::validate::<FormChannel>(&json!({ "feilds": {} }))[0].path,
        "feilds"
    );
    assert!(testing::validate::<FormChannel>(&json!({})).is_empty());
}
