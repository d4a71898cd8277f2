//! The contract, kept whatever an endpoint does.

use std::collections::BTreeSet;

use mihwar_sdk::Request;
use mihwar_sdk::testing::Answer;
use mihwar_sdk::testing::conformance::{Department, Handed, System};
use serde_json::{Value as Json, json};

use super::{KEY, URL, body, headers};
use crate::WebhookDepartment;

/// A receiver that knows an event again by its id, as Standard Webhooks asks.
#[derive(Default)]
struct Receiver {
    events: BTreeSet<String>,
}

impl System for Receiver {
    fn answer(&mut self, request: &Request) -> Answer {
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", URL));
        let id = headers(request)["webhook-id"].to_str().unwrap().to_owned();
        let event: Json = serde_json::from_slice(body(request)).unwrap();
        assert_eq!(event["id"], id.as_str());
        self.events.insert(id);
        let told =
            json!({ "ref": format!("C-{}", event["subject"].as_str().unwrap()), "url": "https://crm.example/c/7" });
        Answer::json(200, told.to_string())
    }

    fn copies(&self, handed: &Handed) -> usize {
        usize::from(self.events.contains(&handed.delivery))
    }

    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        Some(self.events.contains(&handed.delivery))
    }
}

#[test]
fn the_contract_is_kept_whatever_the_endpoint_does() {
    for settings in [
        json!({ "url": URL }),
        json!({ "url": URL, "payload": "thin", "link": "https://hub.example/{id}" }),
    ] {
        Department::<WebhookDepartment, _>::new(settings, Receiver::default)
            .secret("signing", KEY)
            .origin("https://crm.example")
            .time_ms(60_000)
            .must_pass();
    }
}
