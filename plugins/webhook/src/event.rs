//! A delivery as a CloudEvent 1.0 in structured JSON.

use mihwar_sdk::{Delivery, Event, time};
use serde_json::{Value as Json, json};

/// Makes the event. Its id is the delivery's, the same on every attempt; `now` is used where the hub has no time of
/// its own for what happened.
pub(crate) fn cloud_event(delivery: &Delivery, source: &str, now: i64) -> Json {
    let (what, subject, at, data) = match &delivery.event {
        Event::Created(item) => ("created", &item.id, item.received_at, item.to_json()),
        Event::Updated(item) => ("updated", &item.id, now, item.to_json()),
        Event::Digest(item) => ("digest", &item.id, item.received_at, item.to_json()),
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
