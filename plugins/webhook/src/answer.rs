//! What an endpoint's answer means for a delivery.

use mihwar_sdk::{AckState, Delivered, PluginError, Response, Setback};

/// What a receiver may say about the item in the body of its answer.
#[derive(Default, serde::Deserialize)]
struct Told {
    #[serde(rename = "ref")]
    reference: Option<String>,
    url: Option<String>,
}

/// Judges an answer. Only the endpoint as a whole stops the batch: a key that is not accepted, an endpoint that is gone or asks
/// for a pause. A single item that fails does not.
pub(crate) fn judged(response: &Response, now: i64) -> Result<AckState, Setback> {
    let status = response.status;
    let code = format!("http-{status}");
    let after_ms = response.retry_after_ms(now);
    Err(match status {
        200..=299 => {
            let told: Told = response.json().unwrap_or_default();
            return Ok(AckState::Delivered(Delivered::told(told.reference, told.url)));
        }
        401 | 403 => Setback::All(PluginError::unauthorized(
            code,
            "the endpoint refuses the signature: check the signing key",
        )),
        410 => Setback::All(PluginError::unauthorized(
            code,
            "the endpoint is gone: set a new url or remove the instance",
        )),
        429 => Setback::All(PluginError::rate_limited(
            code,
            "the endpoint asks for a pause",
            after_ms,
        )),
        408 | 425 => Setback::Item(PluginError::transient_after(
            code,
            "the endpoint asks to repeat",
            after_ms,
        )),
        500..=599 if after_ms.is_some() => Setback::failed(code, "the endpoint asks for a pause", after_ms),
        500..=599 => Setback::failed(code, "the endpoint failed", None),
        300..=399 => Setback::Item(PluginError::permanent(
            code,
            "the endpoint redirects: set its final address as url",
        )),
        _ => Setback::Item(PluginError::permanent(code, "the endpoint refuses this item")),
    })
}
