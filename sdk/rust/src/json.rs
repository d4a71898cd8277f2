//! A stored record as JSON, for departments that take JSON.
//!
//! Names are snake_case, times RFC 3339 in UTC; what is not known or not granted is left out.

use serde_json::{Map, Value as Json, json};

use crate::{
    Answer, Attachment, AttachmentSource, CallDetails, ChannelKind, Details, Direction, Identifier, Person, Score,
    Speaker, StoredFeedback, Utterance, Value, time,
};

/// An object without the entries that hold nothing.
fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
    let says_something = |value: &Json| match value {
        Json::Null => false,
        Json::Array(items) => !items.is_empty(),
        _ => true,
    };
    let entries = entries.into_iter().filter(|(_, value)| says_something(value));
    Json::Object(
        entries
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Json) -> Json {
    items.iter().map(item).collect()
}

/// JSON text as JSON; as a string where it is none.
fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

impl StoredFeedback {
    /// The record as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let f = &self.feedback;
        object([
            ("id", json!(self.id)),
            ("instance", json!(self.connector)),
            ("received_at", json!(time::to_rfc3339(self.received_at))),
            ("version", json!(self.version)),
            ("external_id", json!(f.external_id)),
            ("revision", json!(f.revision)),
            ("channel", json!(f.channel.name())),
            ("kind", json!(f.kind)),
            ("occurred_at", json!(f.occurred_at.map(time::to_rfc3339))),
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
                list(&f.attributes, |a| json!({ "name": a.name, "value": a.value.to_json() })),
            ),
            ("raw", f.raw.as_deref().map_or(Json::Null, parsed)),
        ])
    }
}

impl ChannelKind {
    /// The name as in the contract, such as `in-app`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Email => "email",
            Self::Voice => "voice",
            Self::Chat => "chat",
            Self::Survey => "survey",
            Self::Social => "social",
            Self::Review => "review",
            Self::Form => "form",
            Self::InApp => "in-app",
            Self::Other(name) => name,
        }
    }
}

impl Value {
    /// The value as JSON; a time becomes RFC 3339 text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            Self::Decimal(number) => json!(number),
            Self::Boolean(truth) => json!(truth),
            Self::Timestamp(at) => json!(time::to_rfc3339(*at)),
            Self::Json(text) => parsed(text),
        }
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
        ("value", answer.value.to_json()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Feedback, SurveyDetails};

    #[test]
    fn a_record_shows_what_it_holds_and_nothing_else() {
        let survey = SurveyDetails {
            survey_id: "زيارة".into(),
            answers: vec![
                Answer::new("wait", Some("كم انتظرت؟".into()), 12),
                Answer::new("when", None, Value::Timestamp(0)),
            ],
        };
        let feedback = Feedback::new("x-1", ChannelKind::InApp)
            .body("الخدمة بطيئة")
            .author(Person::new().named("سارة"))
            .score("nps", 3.0, 0.0, 10.0)
            .attachment(Attachment::inline("صورة.png", "image/png", vec![1, 2, 3]))
            .details(Details::Survey(survey))
            .raw("{\"a\": [1]}");
        let stored = StoredFeedback {
            id: "id-1".into(),
            connector: "form".into(),
            received_at: 0,
            version: 2,
            feedback,
        };
        let expected = json!({
            "id": "id-1", "instance": "form", "received_at": "1970-01-01T00:00:00.000Z", "version": 2,
            "external_id": "x-1", "channel": "in-app", "body": "الخدمة بطيئة", "author": { "name": "سارة" },
            "scores": [{ "metric": "nps", "value": 3.0, "min": 0.0, "max": 10.0 }],
            "attachments": [{ "name": "صورة.png", "media_type": "image/png", "size": 3 }],
            "details": { "survey": { "survey_id": "زيارة", "answers": [
                { "question_id": "wait", "question": "كم انتظرت؟", "value": 12 },
                { "question_id": "when", "value": "1970-01-01T00:00:00.000Z" },
            ] } },
            "raw": { "a": [1] },
        });
        assert_eq!(stored.to_json(), expected);
    }
}
