//! Settings that are wrong, and a repository that is asked whether it is there.

use mihwar_sdk::PluginError;
use mihwar_sdk::testing::{self, Answer, FakeHost};
use serde_json::{Value as Json, json};

use super::{REPO, settings, with};
use crate::GithubDepartment;

#[test]
fn settings_and_connection_are_checked() {
    let paths = |more: &Json| -> Vec<String> {
        let problems = testing::validate::<GithubDepartment>(&with(more));
        problems.into_iter().map(|problem| problem.path).collect()
    };
    assert!(paths(&json!({})).is_empty());
    assert_eq!(
        paths(&json!({ "repository": "acme", "api": "git.example" })),
        ["repository", "api"]
    );
    assert_eq!(
        paths(&json!({ "repository": "a/../b", "api_version": "new" })),
        ["repository", "api_version"]
    );
    assert_eq!(
        paths(&json!({ "labels": [""], "kind_labels": { "شكوى": "bug" }, "label_states": { "x": "On Hold" } })),
        ["labels[0]", "kind_labels.شكوى", "label_states.x"]
    );
    assert_eq!(paths(&json!({ "repo": "x" })), ["repo"]);

    let repository = r#"{ "full_name": "acme/shop", "has_issues": true, "archived": false, "private": false }"#;
    let fake = FakeHost::new()
        .secret("webhook", "س".as_bytes())
        .answer("GET", REPO, Answer::json(200, repository));
    let health = testing::check::<GithubDepartment>(&fake.host(), &settings()).unwrap();
    assert!(
        health.notes.len() == 1 && health.notes[0].contains("everybody can read"),
        "{health:?}"
    );
    let fake = FakeHost::new().answer("GET", REPO, Answer::status(404));
    let error = testing::check::<GithubDepartment>(&fake.host(), &settings()).unwrap_err();
    assert!(matches!(error, PluginError::Misconfigured(_)));
}
