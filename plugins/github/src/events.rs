//! What GitHub tells of issues, as reports of what became of items.

use mihwar_sdk::{InboundRequest, PluginError, StatusUpdate, Verification, WorkState, json_fault, time};

use crate::api::Reference;
use crate::settings::Settings;
use crate::text::is_ours;

#[derive(serde::Deserialize)]
struct Payload {
    action: String,
    issue: Told,
    repository: Repository,
    #[serde(default)]
    label: Option<Label>,
}

/// An issue in an event.
#[derive(serde::Deserialize)]
struct Told {
    number: u64,
    html_url: String,
    state: String,
    #[serde(default)]
    state_reason: Option<String>,
    #[serde(default)]
    body: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(default)]
    closed_at: Option<String>,
}

#[derive(serde::Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(serde::Deserialize)]
struct Label {
    name: String,
}

/// The reports in one request: none for what is not about an item of the hub.
pub(crate) fn reports(settings: &Settings, request: &InboundRequest) -> Result<Option<StatusUpdate>, PluginError> {
    if request.verification == Verification::Unverified {
        return Err(PluginError::permanent(
            "unverified",
            "the request carries no checked signature",
        ));
    }
    // `ping` comes once, when the webhook is set up; other events are not asked for, and mean nothing here.
    if request.header("x-github-event") != Some("issues") {
        return Ok(None);
    }
    let is_json = request
        .header("content-type")
        .is_some_and(|what| what.trim_start().starts_with("application/json"));
    if !is_json {
        return Err(PluginError::permanent(
            "media-type",
            "set the webhook's content type to application/json",
        ));
    }
    let payload: Payload = serde_json::from_slice(&request.body).map_err(|error| {
        PluginError::permanent("json", format!("this is no event of an issue: {}", json_fault(&error)))
    })?;
    let is_here = payload.repository.full_name.eq_ignore_ascii_case(&settings.repository);
    if !is_here || !is_ours(payload.issue.body.as_deref().unwrap_or_default()) {
        return Ok(None);
    }
    let Some((state, since)) = state(settings, &payload) else {
        return Ok(None);
    };
    let changed_at = time::parse_rfc3339(since)
        .ok_or_else(|| PluginError::permanent("time", "the time of the change is not one of RFC 3339"))?;
    let at = Reference {
        repository: settings.repository.clone(),
        number: payload.issue.number,
    };
    let update = StatusUpdate::new(at.to_string(), state, changed_at).url(&payload.issue.html_url);
    match update.problems().first() {
        None => Ok(Some(update)),
        Some(problem) => Err(PluginError::permanent("report", problem.as_str())),
    }
}

/// What an event means, and since when. The time is GitHub's: the same event told again is the same report.
fn state<'a>(settings: &Settings, payload: &'a Payload) -> Option<(WorkState, &'a str)> {
    let issue = &payload.issue;
    let updated = issue.updated_at.as_str();
    Some(match payload.action.as_str() {
        "opened" => (WorkState::Open, issue.created_at.as_str()),
        "closed" => {
            let state = match issue.state_reason.as_deref() {
                Some("not_planned" | "duplicate") => WorkState::Rejected,
                // `completed`, and servers that know no reasons.
                _ => WorkState::Resolved,
            };
            (state, issue.closed_at.as_deref().unwrap_or(updated))
        }
        "reopened" => (WorkState::Reopened, updated),
        "deleted" => (WorkState::Other("deleted".into()), updated),
        "transferred" => (WorkState::Other("transferred".into()), updated),
        "labeled" if issue.state == "open" => {
            let state = settings.label_states.get(&payload.label.as_ref()?.name)?;
            (WorkState::named(state), updated)
        }
        _ => return None,
    })
}
