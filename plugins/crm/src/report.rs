//! Reports of what became of items, read where the settings say.

use mihwar_sdk::{
    Change, InboundRequest, Outcome, PluginError, Refusal, StatusUpdate, Verification, WorkState, json_fault, time,
};
use serde_json::Value as Json;

use crate::answer::text_at;
use crate::settings::{Settings, StatusMapping};

/// Numbers above it are milliseconds since 1970: as seconds it is the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;

/// The reports in one request. One that cannot be read does not cost the others.
pub(crate) fn read(settings: &Settings, request: &InboundRequest) -> Result<Outcome, PluginError> {
    if request.verification == Verification::Unverified {
        return Err(PluginError::permanent(
            "unverified",
            "the request carries neither a checked signature nor a token",
        ));
    }
    let Some(mapping) = &settings.status else {
        return Err(PluginError::permanent(
            "no-mapping",
            "the settings do not say how a report is read: add `status`",
        ));
    };
    let told: Json = serde_json::from_slice(&request.body).map_err(|error| {
        PluginError::permanent("json", format!("the report is not to be read: {}", json_fault(&error)))
    })?;
    let items = told.pointer(&mapping.items).ok_or_else(|| {
        PluginError::permanent(
            "items",
            format!("there is nothing at {}: see `status.items`", mapping.items),
        )
    })?;
    let items = match items {
        Json::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut changes = Vec::new();
    let mut refusals = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match report(mapping, item, request.received_at) {
            Ok(Some(update)) => changes.push(Change::from(update)),
            Ok(None) => {}
            Err((code, reason)) => refusals.push(Refusal::new(format!("item {}", at + 1), code, reason)),
        }
    }
    Ok(Outcome {
        changes,
        refusals,
        reply: None,
    })
}

/// A report, or nothing where it is not to be heard, or what is wrong with it: code and reason.
fn report(
    mapping: &StatusMapping,
    item: &Json,
    received_at: i64,
) -> Result<Option<StatusUpdate>, (&'static str, String)> {
    let is_there = |(pointer, wanted): (&String, &String)| match wanted.as_str() {
        "*" => item.pointer(pointer).is_some_and(|value| !value.is_null()),
        text => text_at(item, pointer).unwrap_or_default() == text,
    };
    if !mapping.when.iter().all(is_there) {
        return Ok(None);
    }
    let needed = |setting: &'static str, pointer: &str| {
        text_at(item, pointer).ok_or_else(|| {
            (
                setting,
                format!("there is no text at {pointer}: see `status.{setting}`"),
            )
        })
    };
    let said = needed("state", &mapping.state)?;
    let Some(state) = state(mapping, &said)? else {
        return Ok(None);
    };
    let reference = needed("reference", &mapping.reference)?;
    let changed_at = match &mapping.changed_at {
        None => received_at,
        Some(pointer) => moment(&needed("changed_at", pointer)?).ok_or_else(|| {
            (
                "time",
                format!("what is at {pointer} is no time: see `status.changed_at`"),
            )
        })?,
    };
    let mut update = StatusUpdate::new(reference, state, changed_at);
    let optional = |pointer: &Option<String>| text_at(item, pointer.as_deref()?);
    update.note = optional(&mapping.note);
    update.url = optional(&mapping.page);
    match update.problems().into_iter().next() {
        None => Ok(Some(update)),
        Some(problem) => Err(("report", problem)),
    }
}

/// The hub's state for one of the other system; nothing for one that is passed over. What it is called there is not told: a
/// person may have typed it.
fn state(mapping: &StatusMapping, said: &str) -> Result<Option<WorkState>, (&'static str, String)> {
    if mapping.states.is_empty() {
        if !WorkState::is_name(said) {
            return Err(("state", "the state is none of the hub's: add `status.states`".into()));
        }
        return Ok(Some(WorkState::named(said)));
    }
    match mapping.states.get(said).or_else(|| mapping.states.get("*")) {
        Some(ours) if ours.is_empty() => Ok(None),
        Some(ours) => Ok(Some(WorkState::named(ours))),
        None => Err(("state", "the state is not in `status.states`".into())),
    }
}

/// A time, however it is written.
fn moment(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        let is_seconds = number < SECONDS_MAX;
        return if is_seconds {
            number.checked_mul(1000)
        } else {
            Some(number)
        };
    }
    time::parse_rfc3339(text).or_else(|| time::parse_rfc3339(&format!("{text}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_however_they_are_written() {
        let noon = Some(1_767_427_200_000);
        for text in [
            "2026-01-03T08:00:00Z",
            "2026-01-03T11:00:00+03:00",
            "2026-01-03 08:00:00",
            "1767427200",
            "1767427200000",
        ] {
            assert_eq!(moment(text), noon, "{text}");
        }
        for text in ["أمس", "", "2026-01-03", "99999999999999999999"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
