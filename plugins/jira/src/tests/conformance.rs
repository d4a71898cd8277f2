//! The contract, kept whatever Jira does.

use mihwar_sdk::testing::Answer;
use mihwar_sdk::testing::conformance::{Department, Handed, System, Told};
use mihwar_sdk::{InboundRequest, Request, WorkState};
use serde_json::{Value as Json, json};

use super::events::told as event;
use super::{API, cloud, sent};
use crate::JiraDepartment;

/// A project with its issues, as far as the department asks for them.
#[derive(Default)]
struct Project {
    issues: Vec<Issue>,
}

struct Issue {
    id: String,
    /// The item that it was created for.
    item: String,
    labels: Vec<String>,
    /// Everything that it says.
    text: String,
    comments: Vec<String>,
    is_deleted: bool,
}

impl Issue {
    fn json(&self) -> Json {
        json!({ "id": self.id, "key": format!("SHOP-{}", self.id), "fields": { "labels": self.labels } })
    }
}

fn labels_of(fields: &Json) -> Vec<String> {
    let labels = fields["labels"].as_array().into_iter().flatten();
    labels.filter_map(|label| Some(label.as_str()?.to_owned())).collect()
}

impl Project {
    fn create(&mut self, fields: &Json) -> Answer {
        let labels = labels_of(fields);
        let item = labels
            .first()
            .and_then(|label| label.strip_prefix("mihwar-"))
            .unwrap_or_default();
        let issue = Issue {
            id: (10_001 + self.issues.len()).to_string(),
            item: item.to_owned(),
            text: fields.to_string(),
            labels,
            comments: Vec::new(),
            is_deleted: false,
        };
        let answer = Answer::json(201, issue.json().to_string());
        self.issues.push(issue);
        answer
    }

    /// Issues with a label that stands between quotation marks in a query.
    fn search(&self, query: &str) -> Answer {
        let is_asked = |issue: &&Issue| issue.labels.iter().any(|label| query.contains(&format!("\"{label}\"")));
        let found = self.issues.iter().filter(|issue| !issue.is_deleted).filter(is_asked);
        let found: Vec<Json> = found.map(Issue::json).collect();
        Answer::json(200, json!({ "isLast": true, "issues": found }).to_string())
    }

    /// A request about one issue; `what` stands behind its id.
    fn of_issue(&mut self, request: &Request, id: &str, what: &str) -> Answer {
        let Some(issue) = self.issues.iter_mut().find(|issue| issue.id == id && !issue.is_deleted) else {
            return Answer::status(404);
        };
        match (request.method.as_str(), what) {
            ("PUT", "") => {
                let change = sent(request);
                issue.text = change["fields"].to_string();
                for label in change["update"]["labels"].as_array().into_iter().flatten() {
                    issue
                        .labels
                        .retain(|own| Some(own.as_str()) != label["remove"].as_str());
                    issue.labels.extend(label["add"].as_str().map(str::to_owned));
                }
                Answer::status(204)
            }
            ("DELETE", "") => {
                issue.is_deleted = true;
                Answer::status(204)
            }
            ("GET", "/comment") => {
                let numbered = (1..).zip(&issue.comments);
                let comments: Vec<Json> = numbered
                    .map(|(id, body): (u64, &String)| {
                        let body: Json = serde_json::from_str(body).unwrap();
                        json!({ "id": id.to_string(), "body": body })
                    })
                    .collect();
                Answer::json(200, json!({ "comments": comments }).to_string())
            }
            ("POST", "/comment") => {
                issue.comments.push(sent(request)["body"].to_string());
                Answer::json(201, r#"{ "id": "1" }"#)
            }
            _ => Answer::status(404),
        }
    }

    fn of<'a>(&'a self, item: &'a str) -> impl Iterator<Item = &'a Issue> {
        self.issues
            .iter()
            .filter(move |issue| issue.item == item && !issue.is_deleted)
    }
}

impl System for Project {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.url.strip_prefix(API).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("POST", "/search/jql") => return self.search(sent(request)["jql"].as_str().unwrap()),
            ("POST", "/issue") => return self.create(&sent(request)["fields"]),
            ("GET", "/project/SHOP") => return Answer::json(200, json!({ "name": "المتجر" }).to_string()),
            _ => {}
        }
        let rest = path.strip_prefix("/issue/").unwrap_or_default();
        let end = rest.find('/').unwrap_or(rest.len());
        let (id, what) = rest.split_at(end);
        self.of_issue(request, id, what)
    }

    fn copies(&self, handed: &Handed) -> usize {
        let comments = self.of(&handed.item).flat_map(|issue| &issue.comments);
        let comments = comments.filter(|comment| comment.contains(&handed.delivery)).count();
        if handed.is_update && comments > 0 {
            return comments;
        }
        self.of(&handed.item).count()
    }

    fn is_current(&self, handed: &Handed) -> Option<bool> {
        let says = |text: &String| text.contains(&handed.words);
        Some(
            self.of(&handed.item)
                .any(|issue| says(&issue.text) || issue.comments.iter().any(says)),
        )
    }

    /// Only without the issue there is no history that shows it.
    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        Some(self.of(&handed.item).next().is_none())
    }

    fn tells(&self, told: &Told) -> Option<InboundRequest> {
        let issue = self.issues.iter().find(|issue| issue.id == told.reference)?;
        let (name, category, resolution, change) = match told.state {
            WorkState::Open => ("jira:issue_created", "new", Json::Null, Json::Null),
            WorkState::InProgress => ("jira:issue_updated", "indeterminate", Json::Null, moved(None)),
            WorkState::Resolved => ("jira:issue_updated", "done", json!({ "name": "Done" }), moved(None)),
            WorkState::Rejected => ("jira:issue_updated", "done", json!({ "name": "Won't Do" }), moved(None)),
            WorkState::Reopened => ("jira:issue_updated", "new", Json::Null, moved(Some("10000"))),
            WorkState::Other(_) => return None,
        };
        let mut issue = issue.json();
        issue["fields"]["status"] = json!({ "name": "قيد المعالجة", "statusCategory": { "key": category } });
        issue["fields"]["resolution"] = resolution;
        Some(told_of(name, &issue, &change, told.changed_at))
    }

    fn tells_of_others(&self) -> Option<InboundRequest> {
        let status = json!({ "name": "To Do", "statusCategory": { "key": "new" } });
        let issue = json!({ "id": "99", "key": "SHOP-99", "fields": { "labels": ["feedback"], "status": status } });
        Some(told_of("jira:issue_created", &issue, &Json::Null, 1_767_000_000_000))
    }
}

/// What was changed; `cleared` is the resolution that is not there any more.
fn moved(cleared: Option<&str>) -> Json {
    let field = if cleared.is_some() { "resolution" } else { "status" };
    json!({ "items": [{ "field": field, "from": cleared, "to": null }] })
}

fn told_of(name: &str, issue: &Json, changelog: &Json, at: i64) -> InboundRequest {
    let mut payload = json!({ "timestamp": at, "webhookEvent": name, "issue": issue });
    if !changelog.is_null() {
        payload["changelog"] = changelog.clone();
    }
    event(&payload.to_string())
}

#[test]
fn the_contract_is_kept_whatever_jira_does() {
    for on_update in ["comment", "edit"] {
        Department::<JiraDepartment, _>::new(cloud(&json!({ "on_update": on_update })), Project::default)
            .secret("token", "ATATT-kit-0123456789")
            .secret("webhook", "سر-jira-2026")
            .origin("https://acme.atlassian.net")
            .time_ms(60_000)
            .reports()
            .must_pass();
    }
}
