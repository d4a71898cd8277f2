//! Handing items over: an issue for each, once.

use mihwar_sdk::{AckState, Delivered, Delivery, Event, Setback, StoredFeedback};
use serde_json::json;

use crate::api::{Api, Issue, Reference, mark_of, marked, marks_of};
use crate::settings::OnUpdate;
use crate::text;

/// Works a batch off.
pub(crate) struct Desk<'a> {
    api: Api<'a>,
    /// The newest issues as they were when this call first asked.
    newest: Option<Vec<Issue>>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(api: Api<'a>) -> Self {
        Self { api, newest: None }
    }

    pub(crate) fn take(&mut self, delivery: &Delivery) -> Result<AckState, Setback> {
        let known = delivery.external_ref.as_deref().and_then(Reference::parse);
        match (&delivery.event, known) {
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), Some(at)) => {
                self.update(item, &at, &delivery.id)
            }
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), None) => {
                self.open(item, delivery.attempt)
            }
            (Event::Erased(_), Some(at)) => self.erase(delivery, &at),
            // An earlier attempt may have come half the way.
            (Event::Erased(id), None) => match self.find(id, &marks_of(id), true)? {
                Some(issue) => self.erase(delivery, &self.api.reference(issue.number)),
                None => Ok(nothing_more()),
            },
        }
    }

    /// Opens an issue, unless there is one: its creation may not have been answered, or the hub may have died before it
    /// could write the answer down.
    fn open(&mut self, item: &StoredFeedback, attempt: u32) -> Result<AckState, Setback> {
        let settings = self.api.settings;
        let (title, body) = (text::title(settings, item), text::body(settings, item));
        let issue = match self.find(&item.id, &mark_of(&item.id), attempt > 1)? {
            Some(found) => {
                let at = self.api.reference(found.number);
                match self.api.edit(&at, &json!({ "title": title, "body": body })) {
                    Err(Setback::Missing(_)) => return self.deleted(&at),
                    edited => edited?,
                }
            }
            None => self.api.create(&title, &body, &text::labels(settings, item))?,
        };
        Ok(self.delivered(&self.api.reference(issue.number), issue.html_url))
    }

    /// The issue of an item. What was created a moment ago is among the newest; what was created long ago, only a search finds,
    /// which costs more.
    fn find(&mut self, id: &str, marks: &[String], search: bool) -> Result<Option<Issue>, Setback> {
        if self.newest.is_none() {
            self.newest = Some(self.api.newest()?);
        }
        let newest = self.newest.as_deref().unwrap_or_default();
        if let Some(issue) = marked(newest, marks) {
            return Ok(Some(issue.clone()));
        }
        if !search {
            return Ok(None);
        }
        Ok(marked(&self.api.search(id)?, marks).cloned())
    }

    fn update(&self, item: &StoredFeedback, at: &Reference, delivery: &str) -> Result<AckState, Setback> {
        let settings = self.api.settings;
        let done = match settings.on_update {
            OnUpdate::Edit => {
                let changes = json!({ "title": text::title(settings, item), "body": text::body(settings, item) });
                self.api.edit(at, &changes).map(|issue| Some(issue.html_url))
            }
            OnUpdate::Comment => self.comment_once(item, at, delivery).map(|()| None),
        };
        match done {
            Ok(url) => Ok(self.delivered(at, url)),
            Err(Setback::Missing(_)) => self.deleted(at),
            Err(error) => Err(error),
        }
    }

    /// A comment for each delivery, however often it is made.
    fn comment_once(&self, item: &StoredFeedback, at: &Reference, delivery: &str) -> Result<(), Setback> {
        let mark = text::comment_marker(&item.id, delivery);
        let comments = self.api.comments(at)?;
        let mut bodies = comments.iter().filter_map(|comment| comment.body.as_deref());
        if bodies.any(|body| body.contains(&mark)) {
            return Ok(());
        }
        self.api.comment(at, &text::comment(self.api.settings, item, delivery))
    }

    /// Takes everything of an item out of its issue, closes and locks it.
    fn erase(&self, delivery: &Delivery, at: &Reference) -> Result<AckState, Setback> {
        let Event::Erased(id) = &delivery.event else {
            return Ok(nothing_more());
        };
        let settings = self.api.settings;
        let (title, body) = text::erased(settings, id);
        let changes = json!({ "title": title, "body": body, "state": "closed", "state_reason": "not_planned" });
        match self.api.edit(at, &changes) {
            Ok(_) => {}
            // Whoever deleted the issue has erased it.
            Err(Setback::Missing(_)) => return self.deleted(at).map(|_| nothing_more()),
            Err(error) => return Err(error),
        }
        let mark = text::any_marker(id);
        for comment in self.api.comments(at)? {
            if comment.body.as_deref().is_some_and(|body| body.contains(&mark)) {
                self.api.delete_comment(at, comment.id)?;
            }
        }
        if settings.lock_erased {
            self.api.lock(at)?;
        }
        Ok(nothing_more())
    }

    /// What it means that an issue is not there: it was deleted, or the whole repository is not to be seen.
    fn deleted(&self, at: &Reference) -> Result<AckState, Setback> {
        if self.api.sees(&at.repository)? {
            return Ok(AckState::Skipped("the issue was deleted there".into()));
        }
        Err(Setback::All(mihwar_sdk::PluginError::misconfigured(
            "repository",
            format!("{} is not there, or the token may not see it", at.repository),
        )))
    }

    fn delivered(&self, at: &Reference, url: impl Into<Option<String>>) -> AckState {
        let told = Delivered::told(Some(at.to_string()), url.into());
        AckState::Delivered(Delivered {
            url: told.url.or_else(|| web_address(&self.api.settings.api, at)),
            external_ref: told.external_ref,
        })
    }
}

/// Where people see an issue, as far as that follows from where its API is.
fn web_address(api: &str, at: &Reference) -> Option<String> {
    let site = match api {
        "https://api.github.com" => "https://github.com",
        own => own.strip_suffix("/api/v3")?,
    };
    Some(format!("{site}/{}/issues/{}", at.repository, at.number))
}

/// Delivered, and nothing is kept of it.
fn nothing_more() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    })
}
