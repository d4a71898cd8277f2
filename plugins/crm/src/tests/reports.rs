//! Reports of what became of items.

use mihwar_sdk::testing::{self, FakeHost};
use mihwar_sdk::{Change, Header, InboundRequest, Outcome, PluginError, StatusUpdate, Verification, WorkState};
use serde_json::{Value as Json, json};

use super::system;
use crate::CrmDepartment;

pub(super) fn told(body: &Json) -> InboundRequest {
    InboundRequest {
        delivery_id: "i-1".into(),
        endpoint: "status-token".into(),
        method: "POST".into(),
        path: "/hooks/it/status-token".into(),
        query: Vec::new(),
        headers: vec![Header {
            name: "Content-Type".into(),
            value: "application/json".into(),
        }],
        body: body.to_string().into_bytes(),
        verification: Verification::Verified("status-token".into()),
        received_at: 1_767_225_600_000,
    }
}

fn handled(settings: &Json, request: InboundRequest) -> Result<Outcome, PluginError> {
    testing::handle::<CrmDepartment>(&FakeHost::new().host(), settings, request)
}

fn reports(outcome: &Outcome) -> Vec<StatusUpdate> {
    let of = |change: &Change| match change {
        Change::Status(update) => update.clone(),
        other => panic!("no report: {other:?}"),
    };
    outcome.changes.iter().map(of).collect()
}

#[test]
fn reports_are_read_where_the_settings_say() {
    let odoo = system("odoo");
    let resolved = |reference: &str| StatusUpdate::new(reference, WorkState::Resolved, 1_767_427_200_000);
    let outcome = handled(&odoo["settings"], told(&odoo["event"])).unwrap();
    assert_eq!(reports(&outcome), [resolved("7")]);
    let change = |name: &str, value: Json| {
        let mut event = odoo["event"].clone();
        event[name] = value;
        handled(&odoo["settings"], told(&event)).unwrap()
    };
    for (name, value) in [("_model", json!("crm.lead")), ("stage_id", json!(99))] {
        let outcome = change(name, value);
        assert!(outcome.changes.is_empty() && outcome.refusals.is_empty(), "{name}");
    }

    let hubspot = system("hubspot");
    let outcome = handled(&hubspot["settings"], told(&hubspot["event"])).unwrap();
    assert_eq!(reports(&outcome), [resolved("30140252481")]);
    assert_eq!(
        (outcome.refusals.len(), outcome.refusals[0].place.as_str()),
        (1, "item 3")
    );
    assert!(
        !outcome.refusals[0].reason.contains("مرحلة"),
        "what people type is not told"
    );

    let own = system("own");
    let outcome = handled(&own["settings"], told(&own["event"])).unwrap();
    let waiting = WorkState::Other("بانتظار-العميل".into());
    let expected = StatusUpdate::new("ق/٧", waiting, 1_767_225_600_000)
        .note("اتصلنا به")
        .url("https://cases.example.sa/c/7");
    assert_eq!(
        reports(&outcome),
        [expected],
        "without a time of its own it is that of the request"
    );
    let codes: Vec<&str> = outcome.refusals.iter().map(|refusal| refusal.code.as_str()).collect();
    assert_eq!(codes, ["state", "reference"]);
}

#[test]
fn what_is_no_report_is_told() {
    let own = system("own");
    let code = |settings: &Json, request: InboundRequest| {
        let refused = handled(settings, request).unwrap_err();
        refused.code().unwrap_or_default().to_owned()
    };
    assert_eq!(code(&own["settings"], told(&json!({ "قضايا": [] }))), "items");
    let mut broken = told(&json!({}));
    broken.body = b"state=open".to_vec();
    assert_eq!(code(&own["settings"], broken), "json");
    let mut unsigned = told(&own["event"]);
    unsigned.verification = Verification::Unverified;
    assert_eq!(code(&own["settings"], unsigned), "unverified");
    let mut deaf = own["settings"].clone();
    deaf.as_object_mut().unwrap().remove("status");
    assert_eq!(code(&deaf, told(&own["event"])), "no-mapping");
    let odoo = system("odoo");
    let mut late = odoo["event"].clone();
    late["write_date"] = json!("أمس");
    let outcome = handled(&odoo["settings"], told(&late)).unwrap();
    assert_eq!(outcome.refusals[0].code, "time");
    let odd = json!({ "cases": [{ "number": "ق/٧", "state": "open", "link": "javascript:alert(1)" }] });
    let outcome = handled(&own["settings"], told(&odd)).unwrap();
    assert_eq!(
        (outcome.changes.len(), outcome.refusals[0].code.as_str()),
        (0, "report")
    );
}
