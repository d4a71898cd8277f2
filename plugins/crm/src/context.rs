//! What templates see.

use mihwar_sdk::{Delivery, Event, Person, Score, StoredFeedback, time};
use serde_json::{Map, Number, Value as Json, json};

use crate::settings::Settings;

/// Longest `item.title`.
const TITLE_CHARS: usize = 120;

/// Below these an item says itself what there is.
pub(crate) const OPEN: [&str; 2] = ["item.attributes", "item.scores"];

/// The values of one request's templates.
pub(crate) struct Context(Map<String, Json>);

impl Context {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self(Map::from_iter([("values".to_owned(), json!(settings.values))]))
    }

    /// An item with all that is granted of it.
    pub(crate) fn item(self, item: &StoredFeedback) -> Self {
        self.with("item", fields(item))
    }

    /// An item of which nothing but the hub's id is known.
    pub(crate) fn id(self, id: &str) -> Self {
        self.with("item", json!({ "id": id }))
    }

    pub(crate) fn delivery(self, delivery: &Delivery) -> Self {
        let event = match delivery.event {
            Event::Created(_) => "created",
            Event::Updated(_) => "updated",
            Event::Erased(_) => "erased",
            Event::Digest(_) => "digest",
        };
        let told = json!({ "id": delivery.id, "attempt": delivery.attempt, "event": event });
        self.with("delivery", told)
    }

    pub(crate) fn reference(self, reference: &str) -> Self {
        self.with("reference", json!(reference))
    }

    fn with(mut self, name: &str, value: Json) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn json(self) -> Json {
        Json::Object(self.0)
    }
}

/// Everything that is known of an item. What is not known or not granted is `null`, so that every name is there always.
fn fields(item: &StoredFeedback) -> Json {
    let feedback = &item.feedback;
    let attributes = feedback
        .attributes
        .iter()
        .map(|attribute| (attribute.name.clone(), attribute.value.to_json()));
    let scores = feedback
        .scores
        .iter()
        .map(|score| (score.metric.clone(), number(score)));
    json!({
        "id": item.id,
        "instance": item.connector,
        "received_at": time::to_rfc3339(item.received_at),
        "version": item.version,
        "external_id": feedback.external_id,
        "revision": feedback.revision,
        "channel": feedback.channel.name(),
        "kind": feedback.kind,
        "occurred_at": feedback.occurred_at.map(time::to_rfc3339),
        "thread": feedback.thread_id,
        "in_reply_to": feedback.in_reply_to,
        "title": title(item),
        "subject": feedback.subject,
        "body": feedback.body,
        "language": feedback.language,
        "author": author(feedback.author.as_ref()),
        "scores": scores.collect::<Map<_, _>>(),
        "tags": feedback.tags,
        "attributes": attributes.collect::<Map<_, _>>(),
    })
}

fn author(person: Option<&Person>) -> Json {
    let known = person.map(|person| person.identifiers.as_slice()).unwrap_or_default();
    let first = |scheme: &str| known.iter().find(|one| one.scheme == scheme).map(|one| one.id.as_str());
    let all: Vec<Json> = known
        .iter()
        .map(|one| json!({ "scheme": one.scheme, "id": one.id }))
        .collect();
    json!({
        "name": person.and_then(|person| person.display_name.as_deref()),
        "locale": person.and_then(|person| person.locale.as_deref()),
        "email": first("email"),
        "tel": first("tel"),
        "identifiers": all,
    })
}

/// A score as a whole number where it is one.
fn number(score: &Score) -> Json {
    score
        .value
        .to_string()
        .parse::<Number>()
        .map_or(Json::Null, Json::Number)
}

/// The subject, or the first line of what was said, or the hub's id.
fn title(item: &StoredFeedback) -> String {
    let feedback = &item.feedback;
    let said = feedback.subject.as_deref().into_iter().chain(feedback.body.lines());
    let line = said.map(str::trim).find(|line| !line.is_empty()).unwrap_or(&item.id);
    let mut short: String = line
        .chars()
        .filter(|letter| !letter.is_control())
        .take(TITLE_CHARS)
        .collect();
    if line.chars().count() > TITLE_CHARS {
        short.push('…');
    }
    short
}
