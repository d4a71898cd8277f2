//! What Jira tells of issues, as reports of what became of items.

use mihwar_sdk::{InboundRequest, PluginError, StatusUpdate, Verification, WorkState, json_fault};

use crate::api::Status;
use crate::settings::Settings;

#[derive(serde::Deserialize)]
struct Payload {
    #[serde(rename = "webhookEvent")]
    event: String,
    /// When it happened, in milliseconds: the same whenever the event is told again.
    timestamp: i64,
    #[serde(default)]
    issue: Option<Issue>,
    #[serde(default)]
    changelog: Changelog,
}

/// An issue in an event.
#[derive(serde::Deserialize)]
struct Issue {
    id: String,
    key: String,
    fields: Fields,
}

#[derive(serde::Deserialize)]
struct Fields {
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    resolution: Option<Named>,
}

#[derive(serde::Deserialize)]
struct Named {
    name: String,
}

#[derive(Default, serde::Deserialize)]
struct Changelog {
    #[serde(default)]
    items: Vec<Change>,
}

/// A field that was changed, with the ids of what it was and is.
#[derive(serde::Deserialize)]
struct Change {
    field: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
}

/// The report in one request: none for what is not about an item of the hub.
pub(crate) fn reports(settings: &Settings, request: &InboundRequest) -> Result<Option<StatusUpdate>, PluginError> {
    if request.verification == Verification::Unverified {
        return Err(PluginError::permanent(
            "unverified",
            "the request carries no checked signature or token",
        ));
    }
    let payload: Payload = serde_json::from_slice(&request.body)
        .map_err(|error| PluginError::permanent("json", format!("this is no event of Jira: {}", json_fault(&error))))?;
    let Some(issue) = &payload.issue else {
        return Ok(None);
    };
    if !issue.fields.labels.iter().any(|label| settings.is_own(label)) {
        return Ok(None);
    }
    let Some(state) = state(settings, &payload, issue) else {
        return Ok(None);
    };
    let page = format!("{}/browse/{}", settings.url, issue.key);
    let update = StatusUpdate::new(&issue.id, state, payload.timestamp).url(page);
    match update.problems().first() {
        None => Ok(Some(update)),
        Some(problem) => Err(PluginError::permanent("report", problem.as_str())),
    }
}

fn state(settings: &Settings, payload: &Payload, issue: &Issue) -> Option<WorkState> {
    match payload.event.as_str() {
        "jira:issue_created" => standing(settings, issue),
        "jira:issue_deleted" => Some(WorkState::Other("deleted".into())),
        "jira:issue_updated" => {
            let changes = &payload.changelog.items;
            let is_of_work = |change: &Change| matches!(change.field.as_str(), "status" | "resolution");
            if !changes.iter().any(is_of_work) {
                return None;
            }
            let is_set = |id: &Option<String>| id.as_deref().is_some_and(|id| !id.is_empty());
            let was_cleared =
                |change: &Change| change.field == "resolution" && is_set(&change.from) && !is_set(&change.to);
            match standing(settings, issue)? {
                // Taken up again: it had been resolved.
                WorkState::Open if changes.iter().any(was_cleared) => Some(WorkState::Reopened),
                state => Some(state),
            }
        }
        _ => None,
    }
}

/// Where an issue stands: as the settings say for its status, else by the status's category and the resolution.
fn standing(settings: &Settings, issue: &Issue) -> Option<WorkState> {
    let status = issue.fields.status.as_ref()?;
    if let Some(state) = settings.states.get(&status.name) {
        return Some(WorkState::named(state));
    }
    let resolution = issue
        .fields
        .resolution
        .as_ref()
        .map(|resolution| resolution.name.as_str());
    match status.category.as_ref()?.key.as_str() {
        "new" => Some(WorkState::Open),
        "indeterminate" => Some(WorkState::InProgress),
        "done" => {
            let state = resolution.and_then(|name| settings.resolutions.get(name));
            Some(state.map_or(WorkState::Resolved, |state| WorkState::named(state)))
        }
        _ => None,
    }
}
