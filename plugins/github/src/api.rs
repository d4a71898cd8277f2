//! The requests that this department makes.

use mihwar_sdk::{Health, Host, PluginError, Request, Response, Setback, json_fault};
use serde_json::{Value as Json, json};

use crate::answer::judged;
use crate::settings::{Settings, is_repository};
use crate::text::{erased_marker, marker};

/// Time that is left for what follows a request.
const RESERVE_MS: u64 = 500;
/// Issues on one page: each may have 64 kB, and an answer 8 MiB.
const PAGE: usize = 50;
/// Comments on one page, and pages that are looked at.
const COMMENTS: usize = 100;
const COMMENT_PAGES: u32 = 10;

/// GitHub, as one call sees it.
#[derive(Clone, Copy)]
pub(crate) struct Api<'a> {
    pub(crate) host: &'a Host,
    pub(crate) settings: &'a Settings,
}

/// An issue, as far as it matters.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) html_url: String,
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// There for a pull request, which is an issue of sorts.
    #[serde(default)]
    pub(crate) pull_request: Option<Json>,
}

#[derive(serde::Deserialize)]
struct Found {
    items: Vec<Issue>,
}

/// A comment, as far as it matters.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) body: Option<String>,
}

#[derive(serde::Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    has_issues: bool,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    private: bool,
}

/// What the hub keeps as the reference of an issue: `owner/name#12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) repository: String,
    pub(crate) number: u64,
}

impl Reference {
    /// Reads what an earlier delivery returned.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (repository, number) = text.split_once('#')?;
        let number = number.parse().ok()?;
        is_repository(repository).then(|| Self {
            repository: repository.to_owned(),
            number,
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.repository, self.number)
    }
}

impl Api<'_> {
    pub(crate) fn reference(&self, number: u64) -> Reference {
        Reference {
            repository: self.settings.repository.clone(),
            number,
        }
    }

    pub(crate) fn create(&self, title: &str, body: &str, labels: &[String]) -> Result<Issue, Setback> {
        let path = format!("/repos/{}/issues", self.settings.repository);
        let new = json!({ "title": title, "body": body, "labels": labels });
        // 410: the repository has no issues.
        self.of_all(self.read("POST", &path, Some(&new)))
    }

    pub(crate) fn edit(&self, at: &Reference, changes: &Json) -> Result<Issue, Setback> {
        self.read("PATCH", &issue_path(at), Some(changes))
    }

    pub(crate) fn comment(&self, at: &Reference, body: &str) -> Result<(), Setback> {
        let path = format!("{}/comments", issue_path(at));
        self.send("POST", &path, Some(&json!({ "body": body }))).map(drop)
    }

    /// The comments of an issue, oldest first, at most a thousand.
    pub(crate) fn comments(&self, at: &Reference) -> Result<Vec<Comment>, Setback> {
        let mut all: Vec<Comment> = Vec::new();
        for page in 1..=COMMENT_PAGES {
            let path = format!("{}/comments?per_page={COMMENTS}&page={page}", issue_path(at));
            let some: Vec<Comment> = self.read("GET", &path, None)?;
            let is_last = some.len() < COMMENTS;
            all.extend(some);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Deletes a comment; one that is gone is no failure.
    pub(crate) fn delete_comment(&self, at: &Reference, comment: u64) -> Result<(), Setback> {
        let path = format!("/repos/{}/issues/comments/{comment}", at.repository);
        match self.send("DELETE", &path, None) {
            Ok(_) | Err(Setback::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn lock(&self, at: &Reference) -> Result<(), Setback> {
        self.send("PUT", &format!("{}/lock", issue_path(at)), None).map(drop)
    }

    /// The newest issues of the repository: what was created a moment ago is among them, which a search may not know yet.
    pub(crate) fn newest(&self) -> Result<Vec<Issue>, Setback> {
        let path = format!(
            "/repos/{}/issues?state=all&sort=created&direction=desc&per_page={PAGE}",
            self.settings.repository
        );
        let found: Result<Vec<Issue>, Setback> = self.read("GET", &path, None);
        self.of_all(found).map(issues_only)
    }

    /// Issues of the repository that name an id, by GitHub's search.
    pub(crate) fn search(&self, id: &str) -> Result<Vec<Issue>, Setback> {
        // An id holds nothing that means something to the search, nor to an address.
        let path = format!(
            "/search/issues?q=%22{id}%22+in%3Abody+is%3Aissue+repo%3A{}&per_page=10",
            self.settings.repository.replace('/', "%2F")
        );
        let found: Result<Found, Setback> = self.read("GET", &path, None);
        self.of_all(found).map(|found| issues_only(found.items))
    }

    /// Whether the repository of a reference can be seen: what is missing in it is missing by itself then.
    pub(crate) fn sees(&self, repository: &str) -> Result<bool, Setback> {
        match self.send("GET", &format!("/repos/{repository}"), None) {
            Ok(_) => Ok(true),
            Err(Setback::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn check(&self) -> Result<Health, PluginError> {
        let path = format!("/repos/{}", self.settings.repository);
        let repository: Repository = match self.read("GET", &path, None) {
            Ok(repository) => repository,
            Err(Setback::Item(error) | Setback::All(error)) => return Err(error),
            Err(Setback::Missing(_)) => {
                return Err(PluginError::misconfigured(
                    "repository",
                    "there is no such repository, or the token may not see it",
                ));
            }
        };
        if !repository.has_issues || repository.archived {
            let why = "issues are switched off there, or it is archived";
            return Err(PluginError::misconfigured("repository", why));
        }
        let who = if repository.private {
            "private"
        } else {
            "public: everybody can read what is delivered"
        };
        let mut notes = vec![format!("{} is {who}", repository.full_name)];
        if !self.host.secret_is_set("webhook") {
            notes.push("the secret `webhook` is not set: what becomes of issues is not heard".into());
        }
        Ok(Health { account: None, notes })
    }

    /// What is missing where no single issue was asked for is missing for every item.
    fn of_all<T>(&self, answer: Result<T, Setback>) -> Result<T, Setback> {
        answer.map_err(|setback| match setback {
            Setback::Missing(_) => self.no_repository(),
            other => other,
        })
    }

    fn no_repository(&self) -> Setback {
        Setback::All(PluginError::misconfigured(
            "repository",
            format!(
                "{} is not there, has its issues switched off, or the token may not see it",
                self.settings.repository
            ),
        ))
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
            let what = format!("GitHub's answer is not what its documentation says: {what}");
            Setback::Item(PluginError::transient("unexpected-answer", what))
        })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Response, Setback> {
        let left = self.host.remaining_ms().saturating_sub(RESERVE_MS);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let mut request = Request::new(method, format!("{}{path}", self.settings.api))
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", &self.settings.api_version)
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

/// What the issue of an item holds.
pub(crate) fn mark_of(id: &str) -> Vec<String> {
    vec![marker(id)]
}

/// What it holds, also when its text was taken out already.
pub(crate) fn marks_of(id: &str) -> Vec<String> {
    vec![marker(id), erased_marker(id)]
}

/// The oldest of these issues that holds one of these marks: whoever copies a mark comes after it.
pub(crate) fn marked<'a>(issues: &'a [Issue], marks: &[String]) -> Option<&'a Issue> {
    let holds = |body: &str| marks.iter().any(|mark| body.contains(mark));
    let is_marked = |issue: &&Issue| issue.body.as_deref().is_some_and(holds);
    issues.iter().filter(is_marked).min_by_key(|issue| issue.number)
}

fn issue_path(at: &Reference) -> String {
    format!("/repos/{}/issues/{}", at.repository, at.number)
}

fn issues_only(mut found: Vec<Issue>) -> Vec<Issue> {
    found.retain(|issue| issue.pull_request.is_none());
    found
}
