//! What Jira tells of issues.

use mihwar_sdk::testing::{self, FakeHost};
use mihwar_sdk::{Change, InboundRequest, StatusUpdate, Verification, WorkState};
use serde_json::{Value as Json, json};

use super::cloud;
use crate::JiraDepartment;

const UPDATED: &str = include_str!("updated.json");

pub(super) fn told(body: &str) -> InboundRequest {
    InboundRequest {
        delivery_id: "i-1".into(),
        endpoint: "events".into(),
        method: "POST".into(),
        path: "/hooks/it/events".into(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        verification: Verification::Verified("events".into()),
        received_at: 0,
    }
}

fn reported(settings: &Json, body: &str) -> Option<StatusUpdate> {
    let outcome = testing::handle::<JiraDepartment>(&FakeHost::new().host(), settings, told(body)).unwrap();
    assert!(outcome.changes.len() <= 1);
    outcome.changes.into_iter().next().map(|change| match change {
        Change::Status(update) => update,
        other => panic!("no report: {other:?}"),
    })
}

fn changed(change: impl FnOnce(&mut Json)) -> String {
    let mut payload: Json = serde_json::from_str(UPDATED).unwrap();
    change(&mut payload);
    payload.to_string()
}

#[test]
fn a_status_is_read_by_its_category_and_resolution_or_as_the_settings_say() {
    let settings = cloud(&json!({ "states": { "بانتظار العميل": "waiting-for-customer" } }));
    let update = reported(&settings, UPDATED).unwrap();
    assert_eq!(
        (update.external_ref.as_str(), &update.state),
        ("10042", &WorkState::Resolved)
    );
    assert_eq!(update.changed_at, 1_767_427_200_123);
    assert_eq!(update.url.as_deref(), Some("https://acme.atlassian.net/browse/SHOP-12"));
    assert_eq!(reported(&settings, UPDATED), Some(update), "told again it is the same");
    let as_state = |change: &dyn Fn(&mut Json)| reported(&settings, &changed(|p| change(p))).map(|update| update.state);
    let category = |p: &mut Json, key: &str| p["issue"]["fields"]["status"]["statusCategory"]["key"] = json!(key);
    let rejected = as_state(&|p| p["issue"]["fields"]["resolution"]["name"] = json!("Won't Do"));
    assert_eq!(rejected, Some(WorkState::Rejected));
    assert_eq!(as_state(&|p| category(p, "indeterminate")), Some(WorkState::InProgress));
    assert_eq!(as_state(&|p| category(p, "new")), Some(WorkState::Open));
    let reopened = as_state(&|p| {
        category(p, "new");
        p["issue"]["fields"]["resolution"] = Json::Null;
        p["changelog"]["items"][0] = json!({ "field": "resolution", "from": "10000", "to": null });
    });
    assert_eq!(reopened, Some(WorkState::Reopened));
    let own = as_state(&|p| p["issue"]["fields"]["status"]["name"] = json!("بانتظار العميل"));
    assert_eq!(own, Some(WorkState::Other("waiting-for-customer".into())));
    assert_eq!(
        as_state(&|p| p["webhookEvent"] = json!("jira:issue_deleted")),
        Some(WorkState::Other("deleted".into()))
    );
    let created = as_state(&|p| {
        p["webhookEvent"] = json!("jira:issue_created");
        category(p, "new");
    });
    assert_eq!(created, Some(WorkState::Open));
}

#[test]
fn what_is_not_about_the_work_on_an_item_of_the_hub_means_nothing() {
    let settings = cloud(&json!({}));
    for body in [
        changed(|p| {
            p["issue"]["fields"]["labels"] = json!(["feedback", "mihwar", "mihwar-erased", "mihwar-erased-fb-1"]);
        }),
        changed(|p| p["changelog"]["items"] = json!([{ "field": "summary", "from": null, "to": null }])),
        changed(|p| p["webhookEvent"] = json!("comment_created")),
        json!({ "timestamp": 1, "webhookEvent": "user_updated", "user": {} }).to_string(),
    ] {
        assert_eq!(reported(&settings, &body), None, "{body}");
    }
    let code = |request| {
        let refused = testing::handle::<JiraDepartment>(&FakeHost::new().host(), &settings, request);
        refused.unwrap_err().code().unwrap_or_default().to_owned()
    };
    assert_eq!(code(told("شيء آخر")), "json");
    assert_eq!(code(told(&changed(|p| p["timestamp"] = json!(-1)))), "report");
    let mut unsigned = told(UPDATED);
    unsigned.verification = Verification::Unverified;
    assert_eq!(code(unsigned), "unverified");
}
