//! The contract, kept whatever a system of one's own does.

use mihwar_sdk::testing::Answer;
use mihwar_sdk::testing::conformance::{Department, Handed, System, Told};
use mihwar_sdk::{InboundRequest, Request, time};
use serde_json::{Value as Json, json};

use super::reports::told as report;
use super::{CASES, sent};
use crate::CrmDepartment;

fn settings() -> Json {
    json!({
        "url": "https://cases.example.sa",
        "auth": "key",
        "page_at": "/links/self",
        "error_at": "/error",
        "create": {
            "path": "/v1/cases",
            "headers": { "Idempotency-Key": "{{ delivery.id }}" },
            "body": { "title": "{{ item.title }}", "text": "{{ item.body }}\n— {{ item.author.name }}", "key": "{{ item.id }}" },
            "reference": "/case/number",
        },
        "update": { "method": "PUT", "path": "/v1/cases/{{ reference }}", "body": { "text": "{{ item.body }}" } },
        "erase": { "method": "DELETE", "path": "/v1/cases/{{ reference }}" },
        "lookup": {
            "method": "GET", "path": "/v1/cases", "query": { "key": "{{ item.id }}" }, "reference": "/cases/0/number",
        },
        "status": { "items": "/cases", "reference": "/number", "state": "/state", "changed_at": "/since" },
    })
}

/// The system, as the settings know it.
#[derive(Default)]
struct Cases {
    cases: Vec<Case>,
}

struct Case {
    number: String,
    key: String,
    text: String,
    is_deleted: bool,
}

impl Case {
    fn answer(&self, status: u16) -> Answer {
        let page = format!("https://cases.example.sa/c/{}", self.number);
        let answer = json!({ "case": { "number": self.number }, "links": { "self": page }, "error": null });
        Answer::json(status, answer.to_string())
    }
}

impl Cases {
    fn create(&mut self, new: &Json) -> Answer {
        let text = |name: &str| new[name].as_str().unwrap_or_default().to_owned();
        let case = Case {
            number: format!("C-{}", self.cases.len() + 1),
            key: text("key"),
            text: text("text"),
            is_deleted: false,
        };
        let answer = case.answer(201);
        self.cases.push(case);
        answer
    }

    fn of<'a>(&'a self, item: &'a str) -> impl Iterator<Item = &'a Case> {
        self.cases
            .iter()
            .filter(move |case| case.key == item && !case.is_deleted)
    }
}

impl System for Cases {
    fn answer(&mut self, request: &Request) -> Answer {
        let rest = request.url.strip_prefix(CASES).unwrap_or("/");
        if let Some(key) = rest.strip_prefix("?key=") {
            let found: Vec<Json> = self.of(key).map(|case| json!({ "number": case.number })).collect();
            return Answer::json(200, json!({ "cases": found }).to_string());
        }
        if (request.method.as_str(), rest) == ("POST", "") {
            return self.create(&sent(request));
        }
        let number = rest.strip_prefix('/').unwrap_or_default();
        let Some(case) = self
            .cases
            .iter_mut()
            .find(|case| case.number == number && !case.is_deleted)
        else {
            return Answer::status(404);
        };
        match request.method.as_str() {
            "PUT" => sent(request)["text"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut case.text),
            "DELETE" => case.is_deleted = true,
            _ => return Answer::status(405),
        }
        case.answer(200)
    }

    fn copies(&self, handed: &Handed) -> usize {
        self.of(&handed.item).count()
    }

    fn is_current(&self, handed: &Handed) -> Option<bool> {
        Some(self.of(&handed.item).any(|case| case.text.contains(&handed.words)))
    }

    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        Some(self.of(&handed.item).next().is_none())
    }

    fn tells(&self, told: &Told) -> Option<InboundRequest> {
        let since = time::to_rfc3339(told.changed_at);
        let case = json!({ "number": told.reference, "state": told.state.name(), "since": since });
        Some(report(&json!({ "cases": [case] })))
    }
}

#[test]
fn the_contract_is_kept_whatever_the_other_system_does() {
    Department::<CrmDepartment, _>::new(settings(), Cases::default)
        .secret("key", "مفتاح-crm-2026")
        .secret("webhook-token", "رمز-crm-2026")
        .origin("https://cases.example.sa")
        .time_ms(60_000)
        .reports()
        .must_pass();
}
