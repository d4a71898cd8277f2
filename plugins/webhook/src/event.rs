//! A delivery as a CloudEvent 1.0 in structured JSON.

use mihwar_sdk::{Delivery, Event, StoredFeedback, time};
use serde_json::{Map, Value as Json, json};

use crate::{Payload, Settings};

/// Makes the event. Its id is the delivery's, the same on every attempt; `now` is used where the hub has no time of
/// its own for what happened.
pub(crate) fn cloud_event(delivery: &Delivery, settings: &Settings, source: &str, now: i64) -> Json {
    let (what, subject, at, data) = match &delivery.event {
        Event::Created(item) => ("created", &item.id, item.received_at, data(item, settings)),
        Event::Updated(item) => ("updated", &item.id, now, data(item, settings)),
        Event::Digest(item) => ("digest", &item.id, item.received_at, data(item, settings)),
        Event::Erased(id) => ("erased", id, now, json!({ "id": id })),
    };
    let mut event = json!({
        "specversion": "1.0",
        "id": delivery.id,
        "source": source,
        "type": format!("mihwar.feedback.{what}"),
        "subject": subject,
        "time": time::to_rfc3339(at),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let (Some(reference), Some(event)) = (&delivery.external_ref, event.as_object_mut()) {
        event.insert("externalref".into(), json!(reference));
    }
    event
}

fn data(item: &StoredFeedback, settings: &Settings) -> Json {
    match settings.payload {
        Payload::Full => item.to_json(),
        Payload::Thin => thin(item, settings.link.as_deref()),
    }
}

/// What tells which item it is, and nothing that anybody said.
fn thin(item: &StoredFeedback, link: Option<&str>) -> Json {
    let mut data = Map::new();
    data.insert("id".into(), json!(item.id));
    data.insert("version".into(), json!(item.version));
    if let Some(kind) = &item.feedback.kind {
        data.insert("kind".into(), json!(kind));
    }
    if let Some(link) = link {
        data.insert("links".into(), json!({ "self": link.replace("{id}", &item.id) }));
    }
    Json::Object(data)
}
