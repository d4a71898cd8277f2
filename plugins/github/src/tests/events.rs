//! What GitHub tells of issues.

use mihwar_sdk::testing::{self, FakeHost};
use mihwar_sdk::{Change, Header, InboundRequest, StatusUpdate, Verification, WorkState};
use serde_json::{Value as Json, json};

use super::{settings, with};
use crate::GithubDepartment;

const CLOSED: &str = include_str!("closed.json");

pub(super) fn told(event: &str, body: &str) -> InboundRequest {
    let header = |name: &str, value: &str| Header {
        name: name.into(),
        value: value.into(),
    };
    InboundRequest {
        delivery_id: "i-1".into(),
        endpoint: "events".into(),
        method: "POST".into(),
        path: "/hooks/it/events".into(),
        query: Vec::new(),
        headers: vec![
            header("X-GitHub-Event", event),
            header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            header("Content-Type", "application/json"),
        ],
        body: body.as_bytes().to_vec(),
        verification: Verification::Verified("events".into()),
        received_at: 0,
    }
}

/// The report that an event comes to.
fn reported(settings: &Json, request: InboundRequest) -> Option<StatusUpdate> {
    let outcome = testing::handle::<GithubDepartment>(&FakeHost::new().host(), settings, request).unwrap();
    let mut reports = outcome.changes.into_iter().map(|change| match change {
        Change::Status(update) => update,
        other => panic!("no report: {other:?}"),
    });
    let first = reports.next();
    assert!(reports.next().is_none());
    first
}

fn changed(change: impl FnOnce(&mut Json)) -> String {
    let mut payload: Json = serde_json::from_str(CLOSED).unwrap();
    change(&mut payload);
    payload.to_string()
}

#[test]
fn a_closed_issue_is_resolved_or_rejected_since_githubs_own_time() {
    let update = reported(&settings(), told("issues", CLOSED)).unwrap();
    assert_eq!(update.external_ref, "acme/shop#12");
    assert_eq!(update.state, WorkState::Resolved);
    assert_eq!(update.changed_at, 1_767_427_200_000);
    assert_eq!(update.url.as_deref(), Some("https://github.com/acme/shop/issues/12"));
    assert_eq!(
        reported(&settings(), told("issues", CLOSED)),
        Some(update),
        "told again it is the same"
    );
    for (reason, state) in [
        (json!("not_planned"), WorkState::Rejected),
        (json!("duplicate"), WorkState::Rejected),
        (Json::Null, WorkState::Resolved),
    ] {
        let body = changed(|payload| payload["issue"]["state_reason"] = reason);
        assert_eq!(reported(&settings(), told("issues", &body)).unwrap().state, state);
    }
}

#[test]
fn other_events_have_their_states_and_the_rest_means_nothing() {
    let labels = with(&json!({ "label_states": { "قيد التنفيذ": "in-progress" } }));
    for (action, state) in [
        ("opened", Some(WorkState::Open)),
        ("reopened", Some(WorkState::Reopened)),
        ("deleted", Some(WorkState::Other("deleted".into()))),
        ("labeled", Some(WorkState::InProgress)),
        ("assigned", None),
        ("edited", None),
    ] {
        let body = changed(|payload| {
            payload["action"] = json!(action);
            payload["issue"]["state"] = json!("open");
            payload["label"] = json!({ "name": "قيد التنفيذ" });
        });
        let update = reported(&labels, told("issues", &body));
        assert_eq!(update.map(|update| update.state), state, "{action}");
    }
    let ping = r#"{ "zen": "Design for failure.", "hook_id": 7, "hook": { "events": ["issues"] } }"#;
    assert_eq!(reported(&labels, told("ping", ping)), None);
    assert_eq!(reported(&labels, told("push", "{}")), None);
    // Issues of other people, of other repositories, and those that the hub emptied itself.
    for body in [
        changed(|payload| payload["issue"]["body"] = json!("my own issue")),
        changed(|payload| payload["issue"]["body"] = Json::Null),
        changed(|payload| payload["issue"]["body"] = json!("<!-- mihwar-erased:fb-1 -->\nمُحي")),
        changed(|payload| payload["repository"]["full_name"] = json!("acme/other")),
    ] {
        assert_eq!(reported(&labels, told("issues", &body)), None, "{body}");
    }
}

#[test]
fn what_is_no_event_of_an_issue_is_told() {
    let code = |request| {
        let refused = testing::handle::<GithubDepartment>(&FakeHost::new().host(), &settings(), request);
        refused.unwrap_err().code().unwrap_or_default().to_owned()
    };
    assert_eq!(code(told("issues", "{}")), "json");
    let mut form = told("issues", "payload=%7B%7D");
    form.headers[2].value = "application/x-www-form-urlencoded".into();
    assert_eq!(code(form), "media-type");
    let mut unsigned = told("issues", CLOSED);
    unsigned.verification = Verification::Unverified;
    assert_eq!(code(unsigned), "unverified");
    let odd = changed(|payload| payload["issue"]["closed_at"] = json!("yesterday"));
    assert_eq!(code(told("issues", &odd)), "time");
    let odd = changed(|payload| payload["issue"]["html_url"] = json!("javascript:alert(1)"));
    assert_eq!(code(told("issues", &odd)), "report");
}
