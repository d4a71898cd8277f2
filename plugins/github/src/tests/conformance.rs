//! The contract, kept whatever GitHub does.

use mihwar_sdk::testing::Answer;
use mihwar_sdk::testing::conformance::{Department, Handed, System, Told};
use mihwar_sdk::{InboundRequest, Request, WorkState, time};
use serde_json::{Value as Json, json};

use super::events::told as event;
use super::{sent, with};
use crate::GithubDepartment;
use crate::text::{any_marker, is_ours, marker};

/// A repository with its issues, by their number, as far as the department asks for them.
#[derive(Default)]
struct Repository {
    issues: Vec<Issue>,
    comments: Vec<Comment>,
}

struct Issue {
    number: usize,
    title: String,
    body: String,
    is_locked: bool,
}

struct Comment {
    issue: usize,
    body: String,
    is_deleted: bool,
}

impl Issue {
    fn json(&self) -> Json {
        let page = format!("https://github.com/acme/shop/issues/{}", self.number);
        json!({ "number": self.number, "html_url": page, "title": self.title, "body": self.body })
    }
}

fn text(json: &Json, name: &str) -> String {
    json[name].as_str().unwrap_or_default().to_owned()
}

impl Repository {
    fn open(&mut self, new: &Json) -> Answer {
        self.issues.push(Issue {
            number: self.issues.len() + 1,
            title: text(new, "title"),
            body: text(new, "body"),
            is_locked: false,
        });
        Answer::json(201, self.issues[self.issues.len() - 1].json().to_string())
    }

    /// The newest issues whose text holds this.
    fn list(&self, holding: &str) -> Vec<Json> {
        let found = self.issues.iter().rev().filter(|issue| issue.body.contains(holding));
        found.map(Issue::json).collect()
    }

    /// A request about one issue; `what` stands behind its number.
    fn of_issue(&mut self, request: &Request, number: usize, what: &str) -> Answer {
        let Some(issue) = self.issues.iter_mut().find(|issue| issue.number == number) else {
            return Answer::status(404);
        };
        match (request.method.as_str(), what.split('?').next().unwrap_or_default()) {
            ("PATCH", "") => {
                let changes = sent(request);
                issue.title = text(&changes, "title");
                issue.body = text(&changes, "body");
                Answer::json(200, issue.json().to_string())
            }
            ("PUT", "/lock") => {
                issue.is_locked = true;
                Answer::status(204)
            }
            ("POST", "/comments") => {
                self.comments.push(Comment {
                    issue: number,
                    body: text(&sent(request), "body"),
                    is_deleted: false,
                });
                Answer::json(201, "{}")
            }
            ("GET", "/comments") => {
                let numbered = (1..).zip(&self.comments);
                let there = numbered.filter(|(_, comment)| comment.issue == number && !comment.is_deleted);
                let there: Vec<Json> = there
                    .map(|(id, comment): (u64, &Comment)| json!({ "id": id, "body": comment.body }))
                    .collect();
                Answer::json(200, json!(there).to_string())
            }
            _ => Answer::status(404),
        }
    }

    fn delete_comment(&mut self, id: usize) -> Answer {
        match self.comments.get_mut(id.wrapping_sub(1)) {
            Some(comment) => {
                comment.is_deleted = true;
                Answer::status(204)
            }
            None => Answer::status(404),
        }
    }
}

impl System for Repository {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.url.strip_prefix("https://api.github.com").unwrap_or_default();
        if let Some(query) = path.strip_prefix("/search/issues?q=%22") {
            let id = query.split("%22").next().unwrap_or_default();
            let found = json!({ "items": self.list(id) });
            return Answer::json(200, found.to_string());
        }
        let Some(path) = path.strip_prefix("/repos/acme/shop") else {
            return Answer::status(404);
        };
        match (request.method.as_str(), path) {
            ("GET", "") => return Answer::json(200, json!({ "full_name": "acme/shop" }).to_string()),
            ("POST", "/issues") => return self.open(&sent(request)),
            ("GET", path) if path.starts_with("/issues?state=all&sort=created&direction=desc") => {
                return Answer::json(200, json!(self.list("")).to_string());
            }
            _ => {}
        }
        if let Some(id) = path.strip_prefix("/issues/comments/") {
            return self.delete_comment(id.parse().unwrap_or(0));
        }
        let rest = path.strip_prefix("/issues/").unwrap_or_default();
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, what) = rest.split_at(end);
        self.of_issue(request, number.parse().unwrap_or(0), what)
    }

    fn copies(&self, handed: &Handed) -> usize {
        let of_delivery = |comment: &&Comment| comment.body.contains(&handed.delivery) && !comment.is_deleted;
        let comments = self.comments.iter().filter(of_delivery).count();
        if handed.is_update && comments > 0 {
            return comments;
        }
        self.list(&marker(&handed.item)).len()
    }

    fn is_current(&self, handed: &Handed) -> Option<bool> {
        let in_issue = self
            .list(&marker(&handed.item))
            .iter()
            .any(|issue| issue.to_string().contains(&handed.words));
        let in_comment = self.comments.iter().any(|comment| comment.body.contains(&handed.words));
        Some(in_issue || in_comment)
    }

    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        let of_item = |issue: &&Issue| issue.body.contains(&handed.item);
        let mark = any_marker(&handed.item);
        let is_told = self
            .comments
            .iter()
            .any(|comment| comment.body.contains(&mark) && !comment.is_deleted);
        let is_left = self
            .issues
            .iter()
            .filter(of_item)
            .any(|issue| is_ours(&issue.body) || !issue.is_locked);
        Some(!is_left && !is_told)
    }

    fn tells(&self, told: &Told) -> Option<InboundRequest> {
        let (_, number) = told.reference.split_once('#')?;
        let issue = self.issues.iter().find(|issue| issue.number.to_string() == number)?;
        let (action, reason) = match told.state {
            WorkState::Open => ("opened", Json::Null),
            WorkState::InProgress => ("labeled", Json::Null),
            WorkState::Resolved => ("closed", json!("completed")),
            WorkState::Rejected => ("closed", json!("not_planned")),
            WorkState::Reopened => ("reopened", Json::Null),
            WorkState::Other(_) => return None,
        };
        Some(told_of(issue.json(), action, &reason, told.changed_at))
    }

    fn tells_of_others(&self) -> Option<InboundRequest> {
        let issue = json!({
            "number": 99, "html_url": "https://github.com/acme/shop/issues/99", "title": "تذكرتي", "body": "my own issue",
        });
        Some(told_of(issue, "opened", &Json::Null, 1_767_000_000_000))
    }
}

/// An event of an issue, at this time.
fn told_of(mut issue: Json, action: &str, reason: &Json, at: i64) -> InboundRequest {
    let at = time::to_rfc3339(at);
    issue["state"] = json!(if action == "closed" { "closed" } else { "open" });
    issue["state_reason"] = reason.clone();
    for name in ["created_at", "updated_at", "closed_at"] {
        issue[name] = json!(at);
    }
    let payload = json!({
        "action": action, "issue": issue, "label": { "name": "قيد التنفيذ" }, "repository": { "full_name": "acme/shop" },
    });
    event("issues", &payload.to_string())
}

#[test]
fn the_contract_is_kept_whatever_github_does() {
    for on_update in ["edit", "comment"] {
        let settings = with(&json!({ "on_update": on_update, "label_states": { "قيد التنفيذ": "in-progress" } }));
        Department::<GithubDepartment, _>::new(settings, Repository::default)
            .secret("token", "ghp_kit-0123456789")
            .secret("webhook", "سر-github-2026")
            .origin("https://api.github.com")
            .time_ms(60_000)
            .reports()
            .must_pass();
    }
}
