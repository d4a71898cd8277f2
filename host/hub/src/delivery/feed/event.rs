//! A delivery as who asks gets it: a `CloudEvent` 1.0 in structured JSON, as departments that are called by HTTP get it.
//! Names are in `snake_case`, times RFC 3339 in UTC; what is not known or not granted is left out.

use mihwar_model::{InstanceName, Time};
use mihwar_sandbox::contract::destination::{Delivery, Event};
use mihwar_sandbox::contract::types::{
    Answer, Attachment, AttachmentSource, CallDetails, ChannelKind, Details, Direction, Identifier, Person, Score,
    Speaker, StoredFeedback, Utterance, Value,
};
use serde_json::{Value as Json, json};

use crate::channel_kinds;

/// Makes the event. Its id is the delivery's; `now` stands where the hub has no time of its own for what happened.
pub(super) fn cloud_event(delivery: &Delivery, department: &InstanceName, now: Time) -> Json {
    let (what, subject, at, data) = match &delivery.event {
        Event::Created(item) => ("created", &item.id, Time(item.received_at), record(item)),
        Event::Updated(item) => ("updated", &item.id, now, record(item)),
        Event::Digest(item) => ("digest", &item.id, Time(item.received_at), record(item)),
        Event::Erased(id) => ("erased", id, now, json!({ "id": id })),
    };
    let mut event = json!({
        "specversion": "1.0",
        "id": delivery.id,
        "source": format!("urn:mihwar:{department}"),
        "type": format!("mihwar.feedback.{what}"),
        "subject": subject,
        "time": at.to_rfc3339(),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let (Some(reference), Some(event)) = (&delivery.external_ref, event.as_object_mut()) {
        event.insert("externalref".into(), json!(reference));
    }
    event
}

/// An object without the entries that hold nothing.
fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
    let says_something = |value: &Json| match value {
        Json::Null => false,
        Json::Array(items) => !items.is_empty(),
        _ => true,
    };
    let entries = entries.into_iter().filter(|(_, value)| says_something(value));
    Json::Object(entries.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Json) -> Json {
    items.iter().map(item).collect()
}

/// JSON text as JSON; as a string where it is none.
fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn time(millis: i64) -> String {
    Time(millis).to_rfc3339()
}

fn record(item: &StoredFeedback) -> Json {
    let f = &item.feedback;
    object([
        ("id", json!(item.id)),
        ("instance", json!(item.connector)),
        ("received_at", json!(time(item.received_at))),
        ("version", json!(item.version)),
        ("external_id", json!(f.external_id)),
        ("revision", json!(f.revision)),
        ("channel", channel(&f.channel)),
        ("kind", json!(f.kind)),
        ("occurred_at", json!(f.occurred_at.map(time))),
        ("author", f.author.as_ref().map_or(Json::Null, person)),
        ("thread", json!(f.thread_id)),
        ("in_reply_to", json!(f.in_reply_to)),
        ("subject", json!(f.subject)),
        ("body", json!(f.body)),
        ("body_html", json!(f.body_html)),
        ("language", json!(f.language)),
        ("scores", list(&f.scores, score)),
        ("tags", json!(f.tags)),
        ("attachments", list(&f.attachments, attachment)),
        ("details", details(&f.details)),
        (
            "attributes",
            list(&f.attributes, |a| json!({ "name": a.name, "value": value(&a.value) })),
        ),
        ("raw", f.raw.as_deref().map_or(Json::Null, parsed)),
    ])
}

fn channel(kind: &ChannelKind) -> Json {
    channel_kinds::channel(kind.clone()).map_or(Json::Null, |channel| json!(channel.as_str()))
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Decimal(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::Timestamp(at) => json!(time(*at)),
        Value::Json(text) => parsed(text),
    }
}

fn person(person: &Person) -> Json {
    object([
        ("name", json!(person.display_name)),
        ("identifiers", list(&person.identifiers, identifier)),
        ("locale", json!(person.locale)),
    ])
}

fn identifier(identifier: &Identifier) -> Json {
    json!({ "scheme": identifier.scheme, "id": identifier.id })
}

fn score(score: &Score) -> Json {
    json!({ "metric": score.metric, "value": score.value, "min": score.min, "max": score.max })
}

/// The bytes stay with the hub; only an address at the source is told.
fn attachment(attachment: &Attachment) -> Json {
    let url = match &attachment.source {
        AttachmentSource::Url(url) => Some(url),
        AttachmentSource::Inline(_) | AttachmentSource::Blob(_) => None,
    };
    object([
        ("name", json!(attachment.name)),
        ("media_type", json!(attachment.media_type)),
        ("size", json!(attachment.size)),
        ("url", json!(url)),
    ])
}

fn details(details: &Details) -> Json {
    match details {
        Details::None => Json::Null,
        Details::Call(call) => json!({ "call": call_details(call) }),
        Details::Survey(survey) => json!({ "survey": {
            "survey_id": survey.survey_id,
            "answers": list(&survey.answers, answer),
        } }),
        Details::Social(social) => json!({ "social": object([
            ("network", json!(social.network)),
            ("permalink", json!(social.permalink)),
            ("audience", json!(social.audience)),
        ]) }),
        Details::Other(text) => json!({ "other": parsed(text) }),
    }
}

fn call_details(call: &CallDetails) -> Json {
    let direction = match call.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    object([
        ("direction", json!(direction)),
        ("duration_ms", json!(call.duration_ms)),
        ("queue", json!(call.queue)),
        ("agent", call.agent.as_ref().map_or(Json::Null, identifier)),
        ("recording", call.recording.as_ref().map_or(Json::Null, attachment)),
        ("transcript", list(&call.transcript, utterance)),
    ])
}

fn utterance(utterance: &Utterance) -> Json {
    let speaker = match utterance.speaker {
        Speaker::Customer => "customer",
        Speaker::Agent => "agent",
        Speaker::Bot => "bot",
        Speaker::Unknown => "unknown",
    };
    let (start_ms, end_ms) = (utterance.start_ms, utterance.end_ms);
    json!({ "speaker": speaker, "start_ms": start_ms, "end_ms": end_ms, "text": utterance.text })
}

fn answer(answer: &Answer) -> Json {
    object([
        ("question_id", json!(answer.question_id)),
        ("question", json!(answer.question)),
        ("value", value(&answer.value)),
    ])
}

#[cfg(test)]
mod tests {
    use mihwar_sandbox::contract::types::{Attribute, Feedback, SurveyDetails};

    use super::*;

    fn item() -> StoredFeedback {
        let answer = |question_id: &str, question: Option<&str>, value| Answer {
            question_id: question_id.into(),
            question: question.map(Into::into),
            value,
        };
        let survey = SurveyDetails {
            survey_id: "زيارة".into(),
            answers: vec![
                answer("wait", Some("كم انتظرت؟"), Value::Integer(12)),
                answer("when", None, Value::Timestamp(0)),
            ],
        };
        StoredFeedback {
            id: "id-1".into(),
            connector: "form".into(),
            received_at: 0,
            version: 2,
            feedback: Feedback {
                external_id: "id-1".into(),
                revision: Some("2".into()),
                channel: ChannelKind::InApp,
                kind: Some("complaint".into()),
                occurred_at: None,
                author: Some(Person {
                    identifiers: Vec::new(),
                    display_name: Some("سارة".into()),
                    locale: None,
                }),
                thread_id: None,
                in_reply_to: None,
                subject: None,
                body: "الخدمة بطيئة".into(),
                body_html: None,
                language: Some("ar".into()),
                scores: vec![Score {
                    metric: "nps".into(),
                    value: 3.0,
                    min: 0.0,
                    max: 10.0,
                }],
                tags: Vec::new(),
                attachments: vec![Attachment {
                    name: "صورة.png".into(),
                    media_type: "image/png".into(),
                    size: Some(3),
                    source: AttachmentSource::Blob("b-1".into()),
                }],
                details: Details::Survey(survey),
                attributes: vec![Attribute {
                    name: "topic".into(),
                    value: Value::Text("سرعة".into()),
                }],
                raw: Some("{\"a\": [1]}".into()),
            },
        }
    }

    fn event(event: Event, external_ref: Option<&str>) -> Json {
        let delivery = Delivery {
            id: "d-1".into(),
            attempt: 1,
            event,
            external_ref: external_ref.map(Into::into),
        };
        cloud_event(&delivery, &InstanceName::new("branches").unwrap(), Time(60_000))
    }

    #[test]
    fn an_item_shows_what_it_holds_and_nothing_else() {
        let expected = json!({
            "specversion": "1.0", "id": "d-1", "source": "urn:mihwar:branches", "type": "mihwar.feedback.updated",
            "subject": "id-1", "time": "1970-01-01T00:01:00.000Z", "datacontenttype": "application/json",
            "externalref": "تذكرة-٧",
            "data": {
                "id": "id-1", "instance": "form", "received_at": "1970-01-01T00:00:00.000Z", "version": 2,
                "external_id": "id-1", "revision": "2", "channel": "in-app", "kind": "complaint",
                "author": { "name": "سارة" }, "body": "الخدمة بطيئة", "language": "ar",
                "scores": [{ "metric": "nps", "value": 3.0, "min": 0.0, "max": 10.0 }],
                "attachments": [{ "name": "صورة.png", "media_type": "image/png", "size": 3 }],
                "details": { "survey": { "survey_id": "زيارة", "answers": [
                    { "question_id": "wait", "question": "كم انتظرت؟", "value": 12 },
                    { "question_id": "when", "value": "1970-01-01T00:00:00.000Z" },
                ] } },
                "attributes": [{ "name": "topic", "value": "سرعة" }],
                "raw": { "a": [1] },
            },
        });
        assert_eq!(event(Event::Updated(item()), Some("تذكرة-٧")), expected);
    }

    #[test]
    fn an_erased_item_is_told_by_its_id_alone() {
        let told = event(Event::Erased("id-1".into()), None);
        assert_eq!(told["type"], "mihwar.feedback.erased");
        assert_eq!(
            (&told["subject"], &told["data"]),
            (&json!("id-1"), &json!({ "id": "id-1" }))
        );
        assert!(told.get("externalref").is_none());
    }
}
