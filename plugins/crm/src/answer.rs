//! What an answer of the other system means for a delivery.

use mihwar_sdk::{PluginError, Response, Setback, json_fault};
use serde_json::Value as Json;

use crate::settings::{Meaning, Settings};

/// Pause after a limit that names none.
const LIMIT_PAUSE_MS: u64 = 60_000;
/// No pause is shorter.
const PAUSE_MS_MIN: u64 = 1_000;

/// What a status means here: as the settings say, or as usual.
pub(crate) fn meaning(settings: &Settings, status: u16) -> Meaning {
    if let Some(meaning) = settings.statuses.get(&status.to_string()) {
        return *meaning;
    }
    match status {
        200..=299 => Meaning::Done,
        300..=399 => Meaning::Misconfigured,
        401 | 403 => Meaning::Unauthorized,
        404 | 410 => Meaning::Missing,
        429 => Meaning::Pause,
        408 | 425 | 500..=599 => Meaning::Retry,
        _ => Meaning::Refused,
    }
}

/// Judges the answer to the request of that name. `now` is the hub's clock.
pub(crate) fn judged(settings: &Settings, name: &str, response: &Response, now: i64) -> Result<(), Setback> {
    let status = response.status;
    let code = format!("http-{status}");
    let asked = response.retry_after_ms(now).map(|pause| pause.max(PAUSE_MS_MIN));
    Err(match meaning(settings, status) {
        Meaning::Done => return told_failure(settings, name, response),
        Meaning::Missing => Setback::Missing(status),
        Meaning::Refused => Setback::Item(PluginError::permanent(
            code,
            format!("the other system refuses `{name}`: what it was sent may not fit it"),
        )),
        Meaning::Retry => Setback::failed(code, "the other system failed", asked),
        Meaning::Pause => {
            let pause = asked.unwrap_or(LIMIT_PAUSE_MS);
            Setback::All(PluginError::rate_limited(
                code,
                "the other system asks for a pause",
                pause,
            ))
        }
        Meaning::Unauthorized => Setback::All(PluginError::unauthorized(
            code,
            format!("the other system refuses the secret, or does not let it do `{name}`"),
        )),
        Meaning::Misconfigured => Setback::All(PluginError::misconfigured(
            format!("{name}.path"),
            format!("the other system answers {status}: the address may be another one"),
        )),
    })
}

/// Some systems say 200 and tell of the failure inside.
fn told_failure(settings: &Settings, name: &str, response: &Response) -> Result<(), Setback> {
    let Some(pointer) = &settings.error_at else {
        return Ok(());
    };
    let answer: Json = response.json().unwrap_or_default();
    match answer.pointer(pointer) {
        None | Some(Json::Null | Json::Bool(false)) => Ok(()),
        Some(_) => Err(Setback::Item(PluginError::permanent(
            "told-failure",
            format!("the answer to `{name}` tells of a failure at {pointer}"),
        ))),
    }
}

/// The reference in the answer to `lookup`. Whoever took an answer that cannot be read for "there is none" would create a second
/// item.
pub(crate) fn found(response: &Response, pointer: &str) -> Result<Option<String>, Setback> {
    const NO_CONTENT: u16 = 204;
    if response.status == NO_CONTENT {
        return Ok(None);
    }
    let unexpected = |why: String| Setback::Item(PluginError::transient("unexpected-answer", why));
    let answer: Json = response.json().map_err(|error| {
        unexpected(format!(
            "the answer to `lookup` is not to be read: {}",
            json_fault(&error)
        ))
    })?;
    let list = list_of(pointer).filter(|list| !answer.pointer(list).is_some_and(Json::is_array));
    match (text_at(&answer, pointer), list) {
        (None, Some(list)) => Err(unexpected(format!(
            "the answer to `lookup` has no list at `{list}`: see `lookup.reference`"
        ))),
        (found, _) => Ok(found),
    }
}

/// The place of the list of which a pointer takes one.
fn list_of(pointer: &str) -> Option<&str> {
    let mut end = 0;
    for step in pointer.split('/').skip(1) {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            return pointer.get(..end);
        }
        end += step.len() + 1;
    }
    None
}

/// A text, number or truth at a place of an answer or a report; nothing for an empty one.
pub(crate) fn text_at(answer: &Json, pointer: &str) -> Option<String> {
    match answer.pointer(pointer)? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::list_of;

    #[test]
    fn the_list_is_what_stands_before_the_first_number() {
        for (pointer, list) in [
            ("/0", Some("")),
            ("/results/0/id", Some("/results")),
            ("/a/قضايا/12/3", Some("/a/قضايا")),
            ("/case/number", None),
            ("", None),
            ("/a//b", None),
        ] {
            assert_eq!(list_of(pointer), list, "{pointer}");
        }
    }
}
