//! The requests that this department makes.

use mihwar_sdk::{Health, Host, PluginError, Request, Response, Setback, json_fault};
use serde_json::{Value as Json, json};

use crate::answer::judged;
use crate::settings::{Deployment, Settings};

/// Time that is left for what follows a request.
const RESERVE_MS: u64 = 500;
/// Issues that a search answers at most.
const FOUND_MAX: usize = 100;
/// Comments that are looked at, the newest first.
const COMMENTS_MAX: usize = 100;

/// Jira, as one call sees it.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    pub(crate) host: &'a Host,
    pub(crate) settings: &'a Settings,
}

/// An issue, as far as it matters.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Issue {
    /// Stays the same when the issue moves to another project.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) fields: Fields,
}

/// Fields of an issue, as far as they were asked for.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    #[serde(default)]
    pub(crate) status: Option<Status>,
}

/// A status.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "statusCategory")]
    pub(crate) category: Option<Category>,
}

/// The sort of a status: `new`, `indeterminate` or `done`.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Category {
    pub(crate) key: String,
}

/// A comment; its body is a document in Cloud and a text in Data Center.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) body: Json,
}

#[derive(serde::Deserialize)]
struct Found {
    issues: Vec<Issue>,
}

#[derive(serde::Deserialize)]
struct Comments {
    comments: Vec<Comment>,
}

#[derive(serde::Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(serde::Deserialize)]
struct Transition {
    id: String,
    name: String,
}

#[derive(serde::Deserialize)]
struct Myself {
    #[serde(rename = "displayName")]
    display_name: String,
}

#[derive(serde::Deserialize)]
struct Project {
    name: String,
    #[serde(default, rename = "issueTypes")]
    issue_types: Vec<IssueType>,
}

#[derive(serde::Deserialize)]
struct IssueType {
    name: String,
}

impl Api<'_> {
    /// The secret that this sort of Jira takes.
    const fn secret(&self) -> &'static str {
        match self.settings.deployment {
            Deployment::Cloud => "token",
            Deployment::DataCenter => "access-token",
        }
    }

    pub(crate) fn require_token(&self) -> Result<(), PluginError> {
        if self.host.secret_is_set(self.secret()) {
            return Ok(());
        }
        Err(PluginError::unauthorized(
            "secret-not-set",
            format!("the secret `{}` is not set for this instance", self.secret()),
        ))
    }

    /// Where people see an issue.
    pub(crate) fn page(&self, key: &str) -> String {
        format!("{}/browse/{key}", self.settings.url)
    }

    pub(crate) fn create(&self, fields: &Json) -> Result<Issue, Setback> {
        of_all(self.read("POST", "/issue", Some(&json!({ "fields": fields }))))
    }

    pub(crate) fn edit(&self, issue: &str, change: &Json) -> Result<(), Setback> {
        self.send("PUT", &format!("/issue/{issue}"), Some(change)).map(drop)
    }

    /// What matters of an issue.
    pub(crate) fn get(&self, issue: &str) -> Result<Issue, Setback> {
        self.read("GET", &format!("/issue/{issue}?fields=status,labels"), None)
    }

    /// Deletes an issue; one that is gone is no failure. What the account may not delete, a person has to.
    pub(crate) fn delete(&self, issue: &str) -> Result<(), Setback> {
        match self.send("DELETE", &format!("/issue/{issue}?deleteSubtasks=true"), None) {
            Ok(_) | Err(Setback::Missing(_)) => Ok(()),
            Err(Setback::All(PluginError::Unauthorized(failure))) if failure.code == "http-403" => {
                Err(Setback::Item(PluginError::permanent(
                    "may-not-delete",
                    "its text is taken out, but the account may not delete the issue: let it, or set on_erase = \"empty\"",
                )))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn comment(&self, issue: &str, body: &Json) -> Result<(), Setback> {
        let path = format!("/issue/{issue}/comment");
        self.send("POST", &path, Some(&json!({ "body": body }))).map(drop)
    }

    /// The newest comments of an issue.
    pub(crate) fn comments(&self, issue: &str) -> Result<Vec<Comment>, Setback> {
        let path = format!("/issue/{issue}/comment?maxResults={COMMENTS_MAX}&orderBy=-created");
        let found: Comments = self.read("GET", &path, None)?;
        Ok(found.comments)
    }

    /// Deletes a comment; one that is gone is no failure.
    pub(crate) fn delete_comment(&self, issue: &str, comment: &str) -> Result<(), Setback> {
        match self.send("DELETE", &format!("/issue/{issue}/comment/{comment}"), None) {
            Ok(_) | Err(Setback::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets an issue take the transition of this name. One that it cannot take now is passed over.
    pub(crate) fn transition(&self, issue: &str, name: &str) -> Result<(), Setback> {
        let path = format!("/issue/{issue}/transitions");
        let found: Transitions = self.read("GET", &path, None)?;
        let Some(transition) = found.transitions.iter().find(|one| one.name.eq_ignore_ascii_case(name)) else {
            self.host
                .warn("an issue cannot take the transition of `reopen_transition` from where it is");
            return Ok(());
        };
        let taken = json!({ "transition": { "id": transition.id } });
        self.send("POST", &path, Some(&taken)).map(drop)
    }

    /// Issues that have one of these labels, oldest first.
    pub(crate) fn labelled(&self, labels: &[String]) -> Result<Vec<Issue>, Setback> {
        // Labels of the hub hold nothing that JQL would act on: see the settings.
        let quoted: Vec<String> = labels
            .iter()
            .map(|label| format!("\"{}\"", label.replace(['"', '\\'], "")))
            .collect();
        let jql = format!("labels in ({}) ORDER BY created ASC", quoted.join(", "));
        let asked = json!({ "jql": jql, "fields": ["labels", "status"], "maxResults": FOUND_MAX });
        let path = match self.settings.deployment {
            Deployment::Cloud => "/search/jql",
            Deployment::DataCenter => "/search",
        };
        let found: Found = of_all(self.read("POST", path, Some(&asked)))?;
        Ok(found.issues)
    }

    /// Whether the project can be seen: what is missing in it is missing by itself then.
    pub(crate) fn sees_project(&self) -> Result<bool, Setback> {
        match self.send("GET", &format!("/project/{}", self.settings.project), None) {
            Ok(_) => Ok(true),
            Err(Setback::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn no_project(&self) -> Setback {
        Setback::All(PluginError::misconfigured(
            "project",
            format!("{} is not there, or the account may not see it", self.settings.project),
        ))
    }

    pub(crate) fn check(&self) -> Result<Health, PluginError> {
        self.require_token()?;
        let myself: Myself = self
            .read("GET", "/myself", None)
            .map_err(|fail| of_check(fail, "url"))?;
        let path = format!("/project/{}", self.settings.project);
        let project: Project = self
            .read("GET", &path, None)
            .map_err(|fail| of_check(fail, "project"))?;
        let wanted = std::iter::once(&self.settings.issue_type).chain(self.settings.kind_types.values());
        let is_there = |name: &&String| project.issue_types.iter().any(|one| one.name == **name);
        let missing: Vec<&str> = wanted.filter(|name| !is_there(name)).map(String::as_str).collect();
        if !missing.is_empty() && !project.issue_types.is_empty() {
            let why = format!("the project has no issue type {}", missing.join(", "));
            return Err(PluginError::misconfigured("issue_type", why));
        }
        let mut notes = vec![format!("project {}", project.name)];
        if !self.host.secret_is_set("webhook") && !self.host.secret_is_set("webhook-token") {
            notes.push("neither `webhook` nor `webhook-token` is set: what becomes of issues is not heard".into());
        }
        Ok(Health {
            account: Some(myself.display_name),
            notes,
        })
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Json>,
    ) -> Result<T, Setback> {
        let response = self.send(method, path, body)?;
        response.json().map_err(|error| {
            let what = json_fault(&error);
            let what = format!("Jira's answer is not what its documentation says: {what}");
            Setback::Item(PluginError::transient("unexpected-answer", what))
        })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Response, Setback> {
        let version = match self.settings.deployment {
            Deployment::Cloud => 3,
            Deployment::DataCenter => 2,
        };
        let left = self.host.remaining_ms().saturating_sub(RESERVE_MS);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let mut request = Request::new(method, format!("{}/rest/api/{version}{path}", self.settings.url))
            .header("accept", "application/json")
            .credential(self.secret())
            .timeout_ms(self.settings.timeout_ms.min(left));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.host.http(&request)?;
        if response.is_success() {
            return Ok(response);
        }
        Err(judged(&response, self.host.now()))
    }
}

/// What is missing where no single issue was asked for is missing for every item.
fn of_all<T>(answer: Result<T, Setback>) -> Result<T, Setback> {
    answer.map_err(|setback| match setback {
        Setback::Missing(_) => Setback::All(PluginError::misconfigured(
            "url",
            "there is no Jira at this address, or not this sort of Jira: see `deployment`",
        )),
        other => other,
    })
}

fn of_check(fail: Setback, setting: &str) -> PluginError {
    match fail {
        Setback::Item(error) | Setback::All(error) => error,
        Setback::Missing(_) => {
            PluginError::misconfigured(setting, "Jira does not know it, or the account may not see it")
        }
    }
}
