//! Settings that are wrong, and systems that are asked whether they are there.

use mihwar_sdk::testing::{self, Answer, FakeHost};
use serde_json::{Value as Json, json};

use super::system;
use crate::CrmDepartment;

/// The paths and messages of what is wrong with settings.
fn faults(change: impl FnOnce(&mut Json)) -> Vec<(String, String)> {
    let mut settings = system("own")["settings"].clone();
    change(&mut settings);
    let problems = testing::validate::<CrmDepartment>(&settings);
    problems
        .into_iter()
        .map(|problem| (problem.path, problem.message))
        .collect()
}

#[test]
fn the_examples_are_right() {
    for name in ["odoo", "hubspot", "own"] {
        let problems = testing::validate::<CrmDepartment>(&system(name)["settings"]);
        assert!(problems.is_empty(), "{name}: {problems:?}");
    }
}

#[test]
fn an_unknown_field_in_a_template_is_found_and_named_with_its_place() {
    for (place, template, word) in [
        ("title", "{{ item.titel }}", "`item.titel` is no field"),
        (
            "title",
            "لـ {{ item.author.fullname }}",
            "`item.author.fullname` is no field",
        ),
        ("title", "{{ reference }}", "`reference` is no field"),
        ("title", "{{ values.team }}", "`values.team` is no field"),
        ("title", "{{ item.title | shorten }}", "shorten"),
        ("title", "{{ item.title ", "is no template"),
    ] {
        let found = faults(|settings| settings["create"]["body"][place] = json!(template));
        assert_eq!(found.len(), 1, "{template}: {found:?}");
        assert_eq!(found[0].0, "create.body.title");
        assert!(found[0].1.contains(word), "{template}: {found:?}");
    }
    let found = faults(|settings| settings["update"]["path"] = json!("/v1/cases/{{ ref }}"));
    assert_eq!(found[0].0, "update.path");
    let found = faults(|settings| settings["update"]["query"]["source"] = json!("{{ instance }}"));
    assert_eq!(found[0].0, "update.query.source");
    // A lookup and an erasure know the hub's id, and nothing that an item says.
    let found = faults(|settings| settings["lookup"]["query"]["key"] = json!("{{ item.subject }}"));
    assert_eq!(found[0].0, "lookup.query.key");
    let found =
        faults(|settings| settings["erase"] = json!({ "path": "/x", "body": { "a": [{ "ب": "{{ item.body }}" }] } }));
    assert_eq!(found[0].0, "erase.body.a[0].ب");
    let found = faults(|settings| settings["create"]["headers"]["Idempotency-Key"] = json!("{{ delivery.uuid }}"));
    assert_eq!(found[0].0, "create.headers.Idempotency-Key");
}

#[test]
fn settings_are_checked() {
    let paths = |change: fn(&mut Json)| -> Vec<String> { faults(change).into_iter().map(|(path, _)| path).collect() };
    assert!(paths(|_| {}).is_empty());
    assert_eq!(paths(|settings| settings["url"] = json!("cases.example.sa/")), ["url"]);
    assert_eq!(paths(|settings| settings["auth"] = json!("basic")), ["user"]);
    assert_eq!(paths(|settings| settings["user"] = json!("هدى")), ["user"]);
    assert_eq!(
        paths(|settings| settings["headers"] = json!({ "Authorization": "Bearer x", "a b": "c", "X": "a\nb" })),
        ["headers.Authorization", "headers.X", "headers.a b"]
    );
    assert_eq!(
        paths(|settings| settings["create"]["path"] = json!("v1")),
        ["create.path"]
    );
    assert_eq!(
        paths(|settings| settings["create"]["body"] = json!({ "a": {} })),
        ["create.body"]
    );
    assert_eq!(
        paths(|settings| settings["create"]["reference"] = json!("id")),
        ["create.reference"]
    );
    assert_eq!(
        paths(|settings| settings["update"]["reference"] = json!("/id")),
        ["update.reference"]
    );
    assert_eq!(
        paths(|settings| settings["lookup"]["method"] = json!("DELETE")),
        ["lookup.method"]
    );
    assert_eq!(
        paths(|settings| settings["lookup"] = json!({ "method": "GET", "path": "/x", "body": {} })),
        ["lookup.body", "lookup.reference"]
    );
    assert_eq!(
        paths(|settings| settings["statuses"] = json!({ "99": "done" })),
        ["statuses.99"]
    );
    assert_eq!(
        paths(|settings| settings["status"]["states"] = json!({ "x": "On Hold" })),
        ["status.states.x"]
    );
    assert_eq!(
        paths(|settings| settings["status"]["note"] = json!("reply")),
        ["status.note"]
    );
    assert_eq!(paths(|settings| settings["إنشاء"] = json!({})), ["إنشاء"]);
    assert_eq!(
        paths(|settings| settings["page"] = json!("https://a.example/{{ number }}")),
        ["page"]
    );
}

#[test]
fn a_check_asks_what_the_settings_say_and_tells_what_is_not_set() {
    let hubspot = system("hubspot");
    let url = "https://api.hubapi.com/crm/objects/2026-03/tickets?limit=1";
    let fake = FakeHost::new().secret("webhook-token", "س".as_bytes()).answer(
        "GET",
        url,
        Answer::json(200, r#"{ "results": [] }"#),
    );
    let health = testing::check::<CrmDepartment>(&fake.host(), &hubspot["settings"]).unwrap();
    assert!(health.notes.is_empty(), "{health:?}");
    let fake = FakeHost::new().answer("GET", url, Answer::status(404));
    let error = testing::check::<CrmDepartment>(&fake.host(), &hubspot["settings"]).unwrap_err();
    assert!(error.summary().contains("check.path"), "{error:?}");
    let fake = FakeHost::new();
    let health = testing::check::<CrmDepartment>(&fake.host(), &system("own")["settings"]).unwrap();
    assert_eq!((health.notes.len(), fake.requests().len()), (3, 0), "{health:?}");
}
