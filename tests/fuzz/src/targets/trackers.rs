//! Departments that make tickets in other systems: what these answer, and what they report. As in `plugins`, a report that the
//! hub would refuse panics in the test kit, and is a finding.

use mihwar_sdk::testing::{self, Answer, FakeHost};
use mihwar_sdk::{
    Ack, Change, ChannelKind, Delivery, Destination, Event, Feedback, Header, InboundRequest, Outcome, PluginError,
    Verification, Webhook,
};
use plugin_crm::CrmDepartment;
use plugin_github::GithubDepartment;
use plugin_jira::JiraDepartment;
use serde_json::{Value as Json, json};

use super::plugins::refusal;
use super::{Target, file};

/// Reports: which system, then the body.
pub(super) const REPORT: Target = Target {
    name: "report",
    seeds: || {
        let of = |system: u8, bytes: Vec<u8>| [vec![system], bytes].concat();
        let crm = r#"[{ "number": "ق/٧", "state": "open", "since": "2026-01-03 08:00:00", "reply": "نعم", "link": "https://a.example/7" },
            { "number": 8, "state": "x", "since": 1767427200 }]"#;
        vec![
            of(b'g', file("plugins/github/src/tests/closed.json")),
            of(b'j', file("plugins/jira/src/tests/updated.json")),
            of(b'c', crm.as_bytes().to_vec()),
        ]
    },
    words: &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "-1",
        "99999999999999999999",
        "1969-12-31T23:59:59Z",
        "\"state\":",
        "closed",
        "reopened",
        "\\u0000",
        "javascript:",
        "https://",
        "<!-- mihwar:",
        "mihwar-",
        "indeterminate",
        "\"id\":",
    ],
    check: report,
    bounded_inputs: 6_000,
    bytes_max: 32 << 20,
};

fn report(input: &[u8]) -> Result<String, String> {
    let (system, body) = input.split_first().unwrap_or((&b'g', &[]));
    let header = |name: &str, value: &str| Header {
        name: name.into(),
        value: value.into(),
    };
    let request = InboundRequest {
        delivery_id: "d-1".into(),
        endpoint: "events".into(),
        method: "POST".into(),
        path: "/hooks/it/events".into(),
        query: Vec::new(),
        headers: vec![
            header("content-type", "application/json"),
            header("x-github-event", "issues"),
        ],
        body: body.to_vec(),
        verification: Verification::Verified("events".into()),
        received_at: 1_767_225_600_000,
    };
    let handled = match system {
        b'j' => handle::<JiraDepartment>(&jira(), request),
        b'c' => handle::<CrmDepartment>(&crm(), request),
        _ => handle::<GithubDepartment>(&github(), request),
    };
    match handled {
        Ok(outcome) => {
            let states = outcome.changes.iter().filter_map(|change| match change {
                Change::Status(update) => Some(update.state.name()),
                _ => None,
            });
            let codes = outcome.refusals.iter().map(|refusal| refusal.code.as_str());
            Ok(format!(
                "{:?} {:?}",
                states.take(4).collect::<Vec<_>>(),
                codes.take(4).collect::<Vec<_>>()
            ))
        }
        Err(error) => refusal(&error),
    }
}

fn handle<P: Webhook>(settings: &Json, request: InboundRequest) -> Result<Outcome, PluginError> {
    testing::handle::<P>(&FakeHost::new().host(), settings, request)
}

/// Answers to deliveries: which system, then status, headers and body, the same for every request.
pub(super) const TICKET: Target = Target {
    name: "ticket",
    seeds: || {
        [
            "g201\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1767225690\n\n{\"number\": 12, \"html_url\": \"https://github.com/acme/shop/issues/12\"}",
            "g200\n\n[{\"number\": 12, \"html_url\": \"https://a.example\", \"body\": \"<!-- mihwar:fb-1 -->\"}]",
            "j200\n\n{\"issues\": [{\"id\": \"10042\", \"key\": \"SHOP-12\", \"fields\": {\"labels\": [\"mihwar-fb-1\"]}}], \"isLast\": true}",
            "j201\n\n{\"id\": \"10042\", \"key\": \"SHOP-12\"}",
            "c200\n\n{\"number\": \"ق/٧\", \"cases\": [{\"number\": 7}], \"link\": \"https://a.example/7\", \"error\": null}",
            "c429\nretry-after: 5\n\nخطأ",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    },
    words: &[
        "retry-after: ",
        "x-ratelimit-reset: ",
        "x-ratelimit-remaining: 0",
        "\n\n",
        "200",
        "403",
        "404",
        "409",
        "429",
        "503",
        "rate limit",
        "99999999999999999999",
        "null",
        "[",
        "{",
        "\u{0}",
        "\"error\":",
    ],
    check: ticket,
    bounded_inputs: 4_000,
    bytes_max: 48 << 20,
};

/// Addresses that the departments ask for the item below.
const ASKED: [(&str, &str); 10] = [
    (
        "GET",
        "https://api.github.com/repos/acme/shop/issues?state=all&sort=created&direction=desc&per_page=50",
    ),
    ("POST", "https://api.github.com/repos/acme/shop/issues"),
    ("PATCH", "https://api.github.com/repos/acme/shop/issues/12"),
    ("GET", "https://api.github.com/repos/acme/shop"),
    ("POST", "https://acme.atlassian.net/rest/api/3/search/jql"),
    ("POST", "https://acme.atlassian.net/rest/api/3/issue"),
    ("PUT", "https://acme.atlassian.net/rest/api/3/issue/10042"),
    ("GET", "https://cases.example/v1/cases?key=fb-1"),
    ("POST", "https://cases.example/v1/cases"),
    ("PUT", "https://cases.example/v1/cases/7"),
];

fn ticket(input: &[u8]) -> Result<String, String> {
    let (system, input) = input.split_first().unwrap_or((&b'g', &[]));
    let text = String::from_utf8_lossy(input);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status: u16 = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(200);
    let mut answer = Answer::body(status, body.as_bytes());
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        answer = answer.header(name, value);
    }
    let asked = ASKED.iter();
    let fake = asked.fold(FakeHost::new().with_remaining_ms(60_000), |fake, (method, url)| {
        fake.always(method, url, answer.clone())
    });
    let stored = || testing::stored("fb-1", Feedback::new("m-1", ChannelKind::Email).body("لم يصل"));
    let delivery = |id: &str, event: Event, reference: Option<&str>| Delivery {
        id: id.into(),
        attempt: 1,
        event,
        external_ref: reference.map(str::to_owned),
    };
    let batch = |reference: &str| {
        vec![
            delivery("a", Event::Created(stored()), None),
            delivery("b", Event::Updated(stored()), Some(reference)),
        ]
    };
    let acks = match system {
        b'j' => deliver::<JiraDepartment>(&fake, &jira(), batch("10042")),
        b'c' => deliver::<CrmDepartment>(&fake, &crm(), batch("7")),
        _ => deliver::<GithubDepartment>(&fake, &github(), batch("acme/shop#12")),
    };
    match acks {
        Ok(acks) if acks.len() == 2 => Ok(format!("{:?}", acks.iter().map(|ack| &ack.state).collect::<Vec<_>>())),
        Ok(acks) => Err(format!("{} acknowledgements for 2 deliveries", acks.len())),
        Err(error) => refusal(&error),
    }
}

fn deliver<P: Destination>(fake: &FakeHost, settings: &Json, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
    testing::deliver::<P>(&fake.host(), settings, batch)
}

fn github() -> Json {
    json!({ "repository": "acme/shop" })
}

fn jira() -> Json {
    json!({ "url": "https://acme.atlassian.net", "email": "hub@acme.example", "project": "SHOP", "on_update": "edit" })
}

fn crm() -> Json {
    json!({
        "url": "https://cases.example", "page_at": "/link", "error_at": "/error", "statuses": { "409": "done" },
        "create": { "path": "/v1/cases", "body": { "title": "{{ item.title }}" }, "reference": "/number" },
        "update": { "method": "PUT", "path": "/v1/cases/{{ reference }}", "body": { "text": "{{ item.body }}" } },
        "lookup": {
            "method": "GET", "path": "/v1/cases", "query": { "key": "{{ item.id }}" }, "reference": "/cases/0/number",
        },
        "status": {
            "reference": "/number", "state": "/state", "changed_at": "/since", "note": "/reply", "page": "/link",
        },
    })
}
