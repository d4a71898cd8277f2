//! What an answer of GitHub means for a delivery.

use mihwar_sdk::{PluginError, Response, Setback};

/// Pause after a limit that names none, as GitHub asks.
const LIMIT_PAUSE_MS: u64 = 60_000;
/// No pause is shorter, whatever clocks say.
const PAUSE_MS_MIN: u64 = 1_000;

/// The body of an answer that refuses.
#[derive(Default, serde::Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

/// Judges an answer that is not 2xx. `now` is the hub's clock.
pub(crate) fn judged(response: &Response, now: i64) -> Setback {
    let status = response.status;
    let code = format!("http-{status}");
    let refusal: Refusal = response.json().unwrap_or_default();
    if let Some(pause) = asked_pause(response, &refusal.message, now) {
        return Setback::All(PluginError::rate_limited(code, "GitHub asks for a pause", pause));
    }
    match status {
        300..=399 => Setback::All(PluginError::misconfigured(
            "repository",
            "the repository has another name now, or the API another address: set it",
        )),
        400 => Setback::All(PluginError::misconfigured(
            "api_version",
            "GitHub does not take the request: it may not know this version of its API",
        )),
        401 => Setback::All(PluginError::unauthorized(
            code,
            "GitHub refuses the token: it is wrong, expired or revoked",
        )),
        403 => Setback::All(PluginError::unauthorized(
            code,
            "the token may not do this: it needs read and write access to the issues of the repository",
        )),
        404 | 410 => Setback::Missing(status),
        422 => Setback::Item(PluginError::permanent(
            code,
            format!("GitHub refuses the issue: {}", fields(&refusal.errors)),
        )),
        408 => Setback::Item(PluginError::transient(code, "GitHub asks to repeat")),
        500..=599 => Setback::failed(code, "GitHub failed", response.retry_after_ms(now)),
        _ => Setback::Item(PluginError::permanent(code, "GitHub refuses this")),
    }
}

/// For how long GitHub wants to be left alone, if an answer says that a limit was reached. Both sorts of limits are told
/// by 403 or 429; the first sort has a time at which it ends, the second may have `Retry-After`.
fn asked_pause(response: &Response, message: &str, now: i64) -> Option<u64> {
    if !matches!(response.status, 403 | 429) {
        return None;
    }
    if let Some(pause) = response.retry_after_ms(now) {
        return Some(pause.max(PAUSE_MS_MIN));
    }
    let number = |name: &str| response.header(name).and_then(|text| text.trim().parse::<i64>().ok());
    if number("x-ratelimit-remaining") == Some(0)
        && let Some(reset) = number("x-ratelimit-reset")
    {
        let left = reset.saturating_mul(1000).saturating_sub(now);
        return Some(u64::try_from(left).unwrap_or(0).max(PAUSE_MS_MIN));
    }
    let is_limit = response.status == 429 || message.to_ascii_lowercase().contains("rate limit");
    is_limit.then_some(LIMIT_PAUSE_MS)
}

/// Which fields were refused, and in which way: never what was in them.
fn fields(errors: &[serde_json::Value]) -> String {
    let word =
        |error: &serde_json::Value, name: &str| error.get(name).and_then(|text| text.as_str().map(str::to_owned));
    let told: Vec<String> = errors
        .iter()
        .filter_map(|error| Some(format!("{} {}", word(error, "field")?, word(error, "code")?)))
        .collect();
    if told.is_empty() {
        return "it does not say why".into();
    }
    told.join(", ")
}
