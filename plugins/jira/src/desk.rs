//! Handing items over: an issue for each, once.

use mihwar_sdk::{AckState, Delivered, Delivery, Event, Setback, StoredFeedback};
use serde_json::json;

use crate::api::{Api, Issue};
use crate::settings::{OnErase, OnUpdate, Settings};
use crate::text;

/// Works a batch off.
pub(crate) struct Desk<'a> {
    api: Api<'a>,
    /// Labels that the issues of those items of this batch may have of which none is known.
    unknown: Vec<String>,
    /// The issues that have one of them, once that was asked.
    found: Option<Vec<Issue>>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(api: Api<'a>, batch: &[Delivery]) -> Self {
        let unknown = batch.iter().filter(|delivery| reference(delivery).is_none());
        let unknown = unknown.flat_map(|delivery| labels_of(api.settings, &delivery.event));
        Self {
            unknown: unknown.collect(),
            api,
            found: None,
        }
    }

    pub(crate) fn take(&mut self, delivery: &Delivery) -> Result<AckState, Setback> {
        match (&delivery.event, reference(delivery)) {
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), Some(issue)) => {
                self.update(item, issue, &delivery.id)
            }
            (Event::Created(item) | Event::Updated(item) | Event::Digest(item), None) => {
                self.create(item, &delivery.event)
            }
            (Event::Erased(id), Some(issue)) => self.erase(id, issue),
            (Event::Erased(id), None) => match self.find(&delivery.event)? {
                Some(issue) => self.erase(id, &issue.id),
                None => Ok(nothing_more()),
            },
        }
    }

    /// Creates an issue, unless there is one: its creation may not have been answered, or the hub may have died before it
    /// could write the answer down.
    fn create(&mut self, item: &StoredFeedback, event: &Event) -> Result<AckState, Setback> {
        let settings = self.api.settings;
        let issue = match self.find(event)? {
            Some(found) => match self.api.edit(&found.id, &self.newest(item)) {
                Err(Setback::Missing(_)) => return self.deleted(),
                edited => edited.map(|()| found)?,
            },
            None => self.api.create(&text::fields(settings, item))?,
        };
        Ok(AckState::Delivered(Delivered {
            url: Some(self.api.page(&issue.key)),
            external_ref: Some(issue.id),
        }))
    }

    /// The issue of an event's item, by its label. All items of the batch are asked for at once.
    fn find(&mut self, event: &Event) -> Result<Option<Issue>, Setback> {
        let found = match self.found.take() {
            Some(found) => found,
            None => self.api.labelled(&self.unknown)?,
        };
        let labels = labels_of(self.api.settings, event);
        let is_meant = |issue: &&Issue| labels.iter().any(|label| issue.fields.labels.contains(label));
        let issue = found.iter().find(is_meant).cloned();
        self.found = Some(found);
        Ok(issue)
    }

    /// The change that writes an issue's text anew.
    fn newest(&self, item: &StoredFeedback) -> serde_json::Value {
        let settings = self.api.settings;
        let description = text::description(settings, item).written(settings);
        json!({ "fields": { "summary": text::summary(settings, item), "description": description } })
    }

    fn update(&self, item: &StoredFeedback, issue: &str, delivery: &str) -> Result<AckState, Setback> {
        let settings = self.api.settings;
        let done = match settings.on_update {
            OnUpdate::Edit => self.api.edit(issue, &self.newest(item)),
            OnUpdate::Comment => self.comment_once(item, issue, delivery),
        };
        match done.and_then(|()| self.reopened(issue)) {
            Ok(()) => Ok(AckState::Delivered(Delivered {
                external_ref: Some(issue.to_owned()),
                url: None,
            })),
            Err(Setback::Missing(_)) => self.deleted(),
            Err(error) => Err(error),
        }
    }

    /// A comment for each delivery, however often it is made.
    fn comment_once(&self, item: &StoredFeedback, issue: &str, delivery: &str) -> Result<(), Setback> {
        let mark = text::comment_mark(&item.id, delivery);
        let comments = self.api.comments(issue)?;
        if comments.iter().any(|comment| text::holds(&comment.body, &mark)) {
            return Ok(());
        }
        let settings = self.api.settings;
        self.api
            .comment(issue, &text::comment(settings, item, delivery).written(settings))
    }

    /// Opens an issue again that is done, where the settings say how.
    fn reopened(&self, issue: &str) -> Result<(), Setback> {
        let Some(name) = &self.api.settings.reopen_transition else {
            return Ok(());
        };
        let status = self.api.get(issue)?.fields.status;
        let is_done = status
            .and_then(|status| status.category)
            .is_some_and(|category| category.key == "done");
        if is_done {
            self.api.transition(issue, name)
        } else {
            Ok(())
        }
    }

    /// Takes everything of an item out of its issue, and deletes it if it may.
    fn erase(&self, id: &str, issue: &str) -> Result<AckState, Setback> {
        let settings = self.api.settings;
        let (summary, text) = text::erased(settings);
        // The label goes first: what Jira tells of this issue from here on is not about an item of the hub.
        let labels = [
            json!({ "remove": settings.label_of(id) }),
            json!({ "add": settings.erased_label_of(id) }),
        ];
        let change = json!({
            "fields": { "summary": summary, "description": text.written(settings) },
            "update": { "labels": labels },
        });
        match self.api.edit(issue, &change) {
            Ok(()) => {}
            // Whoever deleted the issue has erased it.
            Err(Setback::Missing(_)) => return self.deleted().map(|_| nothing_more()),
            Err(error) => return Err(error),
        }
        if settings.on_erase == OnErase::Delete {
            self.api.delete(issue)?;
            return Ok(nothing_more());
        }
        let mark = text::any_mark(id);
        for comment in self.api.comments(issue)? {
            if text::holds(&comment.body, &mark) {
                self.api.delete_comment(issue, &comment.id)?;
            }
        }
        Ok(nothing_more())
    }

    /// What it means that an issue is not there: it was deleted, or the whole project is not to be seen.
    fn deleted(&self) -> Result<AckState, Setback> {
        if self.api.sees_project()? {
            return Ok(AckState::Skipped("the issue was deleted there".into()));
        }
        Err(self.api.no_project())
    }
}

/// The id that an earlier delivery returned: digits, so that it can stand in a path.
fn reference(delivery: &Delivery) -> Option<&str> {
    let issue = delivery.external_ref.as_deref()?;
    let is_id = (1..=20).contains(&issue.len()) && issue.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then_some(issue)
}

/// The labels that the issue of an event's item may have: one that is to be erased may have been so halfway.
fn labels_of(settings: &Settings, event: &Event) -> Vec<String> {
    match event {
        Event::Created(item) | Event::Updated(item) | Event::Digest(item) => vec![settings.label_of(&item.id)],
        Event::Erased(id) => vec![settings.label_of(id), settings.erased_label_of(id)],
    }
}

/// Delivered, and nothing is kept of it.
fn nothing_more() -> AckState {
    AckState::Delivered(Delivered {
        external_ref: None,
        url: None,
    })
}
