//! From records to the wire.

use std::collections::BTreeMap;

use mihwar_hub::{DeliveryRecord, FeedbackRecord, Head, LedgerEvent};
use mihwar_model::{
    Actor, AttachmentContent, Content, Details, Direction, FactValue, Identifier, Scalar, Score, Speaker, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::statuses::StatusView;
use super::wire::{
    AnswerWire, AttachmentWire, AuthorWire, CallWire, DetailsWire, IdentifierWire, ScalarWire, ScoreWire, SocialWire,
    SurveyWire, UtteranceWire,
};
use crate::api::deliveries::DeliveryView;

/// One piece of feedback as the hub knows it: facts, and the personal part as long as it exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Feedback)]
pub struct FeedbackView {
    /// The hub's id of it.
    pub id: String,
    /// 1 for the first; counts up when the source edits the item.
    pub revision: u32,
    /// The person who said it.
    pub contact: String,
    /// The channel instance that brought it.
    pub instance: String,
    /// The sort of channel.
    pub channel: String,
    /// What sort of feedback it is, if source or enricher said so.
    pub kind: Option<String>,
    /// When the person said it, if the source says so.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub occurred_at: Option<Time>,
    /// When the hub learnt of it.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Time,
    /// The conversation it belongs to.
    pub thread: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// -1 to 1.
    pub sentiment: Option<f64>,
    /// Scores given.
    pub scores: Vec<ScoreWire>,
    /// Labels.
    pub tags: Vec<String>,
    /// What enrichers found out.
    #[schema(value_type = BTreeMap<String, ScalarWire>)]
    pub attributes: BTreeMap<String, Scalar>,
    /// Departments that receive it.
    pub destinations: Vec<String>,
    /// The source took it back.
    pub withdrawn: bool,
    /// When its content was destroyed: with its contact, or because its time was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Time>,
    /// Why it is kept but not delivered.
    pub quarantine: Option<String>,
    /// Letters in the body.
    pub body_chars: u32,
    /// The personal part; null once it is erased.
    pub content: Option<ContentView>,
    /// Only if so: the personal part is there, and damage keeps the hub from reading it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content_unreadable: bool,
}

/// The personal part of feedback.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Content)]
#[serde(default)]
pub struct ContentView {
    /// Identity in the source system.
    pub external_id: Option<String>,
    /// The source's own mark of this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// Who said it.
    pub author: Option<AuthorWire>,
    /// The source's own name of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The source's own id of the item that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// One line.
    pub subject: Option<String>,
    /// Plain text.
    pub body: String,
    /// As the source sent it: not sanitised, never show it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_html: Option<String>,
    /// Files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentWire>,
    /// What is special to a call, a survey or a post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<DetailsWire>,
    /// What the source said beyond these fields.
    #[schema(value_type = BTreeMap<String, ScalarWire>)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Scalar>,
    /// The source's own payload; as text where it is no JSON, or nested deeper than a hundred levels.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

/// One page of feedback, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackPageView {
    /// The records of this page.
    pub items: Vec<FeedbackView>,
    /// Hand it back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// One piece of feedback with its whole story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackDetailView {
    /// The record.
    #[serde(flatten)]
    pub feedback: FeedbackView,
    /// Every event of the ledger that tells of it, oldest first.
    pub events: Vec<EventView>,
    /// Where it went.
    pub deliveries: Vec<DeliveryView>,
    /// What departments say became of it there, in the order in which the hub heard of it.
    #[serde(default)]
    pub statuses: Vec<StatusView>,
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Place in the ledger, from 0.
    pub sequence: u64,
    /// When the hub learnt of it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Who caused it: `hub`, `console`, `instance:NAME` or `token:ID`.
    #[schema(example = "instance:form")]
    pub actor: String,
    /// What happened, with the facts of it; `type` names the sort of event.
    #[schema(value_type = Object)]
    pub event: Value,
}

impl From<LedgerEvent> for EventView {
    fn from(LedgerEvent { sequence, event }: LedgerEvent) -> Self {
        let facts = serde_json::to_value(&event.body).unwrap_or_default();
        Self {
            sequence,
            at: event.at,
            actor: actor(&event.actor),
            event: facts,
        }
    }
}

/// Who caused something: `hub`, `console`, `instance:NAME` or `token:ID`.
pub(crate) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Hub => "hub".to_owned(),
        Actor::Console => "console".to_owned(),
        Actor::Instance(name) => format!("instance:{name}"),
        Actor::Token(id) => format!("token:{id}"),
    }
}

impl From<FeedbackRecord> for FeedbackView {
    fn from(record: FeedbackRecord) -> Self {
        let FeedbackRecord {
            head,
            content,
            is_unreadable,
        } = record;
        let Head {
            feedback,
            contact,
            instance,
            channel,
            kind,
            occurred_at,
            received_at,
            revision,
            ..
        } = head;
        Self {
            id: feedback.to_string(),
            revision,
            contact: contact.to_string(),
            instance: instance.to_string(),
            channel: channel.to_string(),
            kind: kind.map(|kind| kind.to_string()),
            occurred_at,
            received_at,
            thread: head.thread.map(|thread| thread.to_string()),
            language: head.language.map(|language| language.to_string()),
            sentiment: head.sentiment,
            scores: head.scores.into_iter().map(score).collect(),
            tags: head.tags.iter().map(ToString::to_string).collect(),
            attributes: head
                .attributes
                .into_iter()
                .map(|(name, value)| (name, fact(value)))
                .collect(),
            destinations: head.destinations.iter().map(ToString::to_string).collect(),
            withdrawn: head.withdrawn,
            erased_at: head.erased_at,
            quarantine: head.quarantine.map(|reason| reason.to_string()),
            body_chars: head.body_chars,
            content: content.map(ContentView::from),
            content_unreadable: is_unreadable,
        }
    }
}

impl From<Content> for ContentView {
    fn from(content: Content) -> Self {
        Self {
            external_id: content.external_id,
            source_revision: content.revision,
            author: content.author.map(|author| AuthorWire {
                name: author.name,
                identifiers: author.identifiers.into_iter().map(identifier).collect(),
                locale: author.locale,
            }),
            thread: content.thread,
            in_reply_to: content.in_reply_to,
            subject: content.subject,
            body: content.body,
            body_html: content.body_html,
            attachments: content.attachments.into_iter().map(attachment).collect(),
            details: details(content.details),
            attributes: content.attributes.into_iter().map(|a| (a.name, a.value)).collect(),
            raw: content.raw.map(json_or_text),
        }
    }
}

/// The facts of a page of deliveries belong to the same answer.
pub(crate) fn deliveries(records: Vec<DeliveryRecord>) -> Vec<DeliveryView> {
    records.into_iter().map(DeliveryView::from).collect()
}

fn score(score: Score) -> ScoreWire {
    ScoreWire {
        metric: score.metric,
        value: score.value,
        min: Some(score.min),
        max: Some(score.max),
    }
}

fn fact(value: FactValue) -> Scalar {
    match value {
        FactValue::Boolean(value) => Scalar::Boolean(value),
        FactValue::Integer(value) => Scalar::Integer(value),
        FactValue::Decimal(value) => Scalar::Decimal(value),
        FactValue::Code(value) => Scalar::Text(value),
    }
}

fn identifier(identifier: Identifier) -> IdentifierWire {
    IdentifierWire {
        scheme: identifier.scheme,
        id: identifier.id,
    }
}

fn attachment(attachment: AttachmentContent) -> AttachmentWire {
    AttachmentWire {
        name: attachment.name,
        media_type: attachment.media_type,
        size: attachment.size,
        url: attachment.url,
        content_base64: None,
        id: attachment.id.map(|id| id.to_string()),
    }
}

fn details(details: Details) -> Option<DetailsWire> {
    Some(match details {
        Details::None => return None,
        Details::Call(call) => DetailsWire::Call(CallWire {
            direction: match call.direction {
                Direction::Inbound => "inbound".to_owned(),
                Direction::Outbound => "outbound".to_owned(),
            },
            duration_ms: call.duration_ms,
            queue: call.queue,
            agent: call.agent.map(identifier),
            transcript: call.transcript.into_iter().map(utterance).collect(),
        }),
        Details::Survey(survey) => DetailsWire::Survey(SurveyWire {
            survey_id: survey.survey_id,
            answers: survey
                .answers
                .into_iter()
                .map(|a| AnswerWire {
                    question_id: a.question_id,
                    question: a.question,
                    value: a.value,
                })
                .collect(),
        }),
        Details::Social(social) => DetailsWire::Social(SocialWire {
            network: social.network,
            permalink: social.permalink,
            audience: social.audience,
        }),
        Details::Other(json) => DetailsWire::Other(json_or_text(json)),
    })
}

fn utterance(utterance: mihwar_model::Utterance) -> UtteranceWire {
    let speaker = match utterance.speaker {
        Speaker::Customer => "customer",
        Speaker::Agent => "agent",
        Speaker::Bot => "bot",
        Speaker::Unknown => "unknown",
    };
    UtteranceWire {
        speaker: speaker.to_owned(),
        start_ms: utterance.start_ms,
        end_ms: utterance.end_ms,
        text: utterance.text,
    }
}

/// A source's JSON that is nested deeper stands as text. Readers, our own commands among them, take 128 levels, of which a line
/// has some around it: one record would keep them from reading all others.
const LEVELS_MAX: usize = 100;

fn json_or_text(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(json) if levels(&json) <= LEVELS_MAX => json,
        _ => Value::String(text),
    }
}

/// How many lists and objects lie in each other. Bounded by what could be read.
fn levels(json: &Value) -> usize {
    match json {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(levels).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::json_or_text;

    #[test]
    fn json_that_no_reader_of_a_line_takes_stands_as_text() {
        let nested = |levels: usize| format!("{}\"شكوى\"{}", "[".repeat(levels), "]".repeat(levels));
        for (levels, is_text) in [(1, false), (100, false), (101, true), (126, true), (200, true)] {
            let raw = json_or_text(nested(levels));
            assert_eq!(raw.is_string(), is_text, "{levels}");
            let line = json!({ "record": { "revisions": [{ "content": { "raw": raw } }] } }).to_string();
            serde_json::from_str::<Value>(&line).unwrap();
        }
    }
}
