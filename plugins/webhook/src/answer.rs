//! What an endpoint's answer means for a delivery.

use mihwar_sdk::{AckState, Delivered, HttpError, PluginError, Response};

/// The state of one delivery, and whether the rest of the batch should still be sent. If not, the same holds for the
/// rest: it costs those items no attempt of their own.
pub(crate) struct Judged {
    pub(crate) state: AckState,
    pub(crate) go_on: bool,
}

/// What a receiver may say about the item in the body of its answer.
#[derive(Default, serde::Deserialize)]
struct Told {
    #[serde(rename = "ref")]
    reference: Option<String>,
    url: Option<String>,
}

/// Judges one answer. Only the endpoint as a whole stops the batch: a key that is not accepted, an endpoint that is
/// gone or asks for a pause, no connection. A single item that fails does not.
pub(crate) fn judge(result: Result<Response, HttpError>, now: i64) -> Judged {
    match result {
        Ok(response) => judge_status(&response, now),
        Err(error) => {
            let go_on = matches!(
                error,
                HttpError::Timeout(_)
                    | HttpError::Protocol(_)
                    | HttpError::RequestTooLarge(_)
                    | HttpError::ResponseTooLarge(_)
                    | HttpError::InvalidRequest(_)
            );
            Judged {
                state: AckState::Failed(error.into()),
                go_on,
            }
        }
    }
}

fn judge_status(response: &Response, now: i64) -> Judged {
    let status = response.status;
    let code = format!("http-{status}");
    let after_ms = response.retry_after_ms(now);
    let (error, go_on) = match status {
        200..=299 => {
            let told: Told = response.json().unwrap_or_default();
            let state = AckState::Delivered(Delivered {
                external_ref: told.reference,
                url: told.url,
            });
            return Judged { state, go_on: true };
        }
        401 | 403 => (
            PluginError::unauthorized(code, "the endpoint refuses the signature: check the signing key"),
            false,
        ),
        410 => (
            PluginError::unauthorized(code, "the endpoint is gone: set a new url or remove the instance"),
            false,
        ),
        429 => (
            PluginError::rate_limited(code, "the endpoint asks for a pause", after_ms),
            false,
        ),
        408 | 425 => (
            PluginError::transient_after(code, "the endpoint asks to repeat", after_ms),
            true,
        ),
        500..=599 if after_ms.is_some() => (
            PluginError::transient_after(code, "the endpoint asks for a pause", after_ms),
            false,
        ),
        500..=599 => (PluginError::transient(code, "the endpoint failed"), true),
        300..=399 => (
            PluginError::permanent(code, "the endpoint redirects: set its final address as url"),
            true,
        ),
        _ => (PluginError::permanent(code, "the endpoint refuses this item"), true),
    };
    Judged {
        state: AckState::Failed(error),
        go_on,
    }
}
