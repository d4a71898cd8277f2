//! What an answer of Jira means for a delivery.

use std::collections::BTreeMap;

use mihwar_sdk::{PluginError, Response, Setback, time};

/// Pause after a limit that names none.
const LIMIT_PAUSE_MS: u64 = 60_000;
/// No pause is shorter, whatever clocks say.
const PAUSE_MS_MIN: u64 = 1_000;

/// The body of an answer that refuses.
#[derive(Default, serde::Deserialize)]
struct Refusal {
    /// What is wrong, by field.
    #[serde(default)]
    errors: BTreeMap<String, serde_json::Value>,
}

/// Judges an answer that is not 2xx. `now` is the hub's clock.
pub(crate) fn judged(response: &Response, now: i64) -> Setback {
    let status = response.status;
    let code = format!("http-{status}");
    match status {
        429 => Setback::All(PluginError::rate_limited(
            code,
            "Jira asks for a pause",
            pause(response, now),
        )),
        300..=399 => Setback::All(PluginError::misconfigured(
            "url",
            "Jira has another address now, or wants a sign-in: set its final address, with https and its path",
        )),
        400 => refused(response, code),
        401 => Setback::All(PluginError::unauthorized(
            code,
            "Jira refuses the token: it is wrong, expired or revoked, or it is of another account than `email`",
        )),
        403 => Setback::All(PluginError::unauthorized(
            code,
            "the account may not do this: it needs to browse the project, and to create, edit and comment on issues there",
        )),
        404 | 410 => Setback::Missing(status),
        408 | 409 | 425 => Setback::Item(PluginError::transient(code, "Jira asks to repeat")),
        500..=599 => Setback::failed(code, "Jira failed", response.retry_after_ms(now)),
        _ => Setback::Item(PluginError::permanent(code, "Jira refuses this")),
    }
}

/// For how long Jira wants to be left alone: `Retry-After`, or the time at which the limit ends.
fn pause(response: &Response, now: i64) -> u64 {
    let asked = response.retry_after_ms(now).or_else(|| {
        let reset = response.header("x-ratelimit-reset")?.trim();
        // Written without seconds, such as `2026-05-08T15:00Z`, too.
        let at = time::parse_rfc3339(reset).or_else(|| time::parse_rfc3339(&reset.replacen('Z', ":00Z", 1)))?;
        Some(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
    });
    asked.map_or(LIMIT_PAUSE_MS, |asked| asked.max(PAUSE_MS_MIN))
}

/// Which fields Jira does not take. What it says of them may quote them, so only their names are told. A field that the
/// settings give is wrong for every item.
fn refused(response: &Response, code: String) -> Setback {
    let refusal: Refusal = response.json().unwrap_or_default();
    let of_item = ["summary", "description", "comment"];
    let of_settings: Vec<&str> = refusal
        .errors
        .keys()
        .map(String::as_str)
        .filter(|name| !of_item.contains(name))
        .collect();
    if of_settings.is_empty() {
        let fields: Vec<&str> = refusal.errors.keys().map(String::as_str).collect();
        let what = if fields.is_empty() {
            "it does not say why".to_owned()
        } else {
            fields.join(", ")
        };
        return Setback::Item(PluginError::permanent(code, format!("Jira refuses the issue: {what}")));
    }
    let path = match of_settings.as_slice() {
        ["project", ..] => "project",
        ["issuetype", ..] => "issue_type",
        ["labels", ..] => "labels",
        _ => "fields",
    };
    Setback::All(PluginError::misconfigured(
        path,
        format!(
            "Jira does not take these fields when an issue is created: {}; are they on the project's screen for creating?",
            of_settings.join(", ")
        ),
    ))
}
