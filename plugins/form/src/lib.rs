//! Mihwar channel: web forms and surveys by webhook.
//!
//! A post holds one submission (JSON object or URL-encoded) or a batch (JSON array). The hub has checked the
//! signature by the manifest's recipe before this code runs.

mod record;
mod settings;
mod submission;

#[cfg(test)]
mod tests;

use mihwar_sdk::{ConfigProblem, Host, InboundRequest, Outcome, Plugin, PluginError, Refusal, Verification, Webhook};
use sha2::{Digest, Sha256};

pub use settings::{Channel, Fields, Settings};
use submission::Posted;

/// The channel.
pub struct FormChannel;

impl Plugin for FormChannel {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }
}

impl Webhook for FormChannel {
    fn handle(host: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        if request.verification == Verification::Unverified {
            return Err(PluginError::permanent(
                "unverified",
                "the request carries no checked signature",
            ));
        }
        let mut outcome = Outcome {
            changes: Vec::new(),
            refusals: Vec::new(),
            reply: None,
        };
        match submission::read(request.header("content-type"), &request.body)? {
            Posted::One(submission) => {
                let feedback = record::record(settings, submission, &fallback_id(&request))?;
                outcome.changes.push(feedback.into());
            }
            Posted::Batch(items) => {
                let post_id = fallback_id(&request);
                for (item, number) in items.into_iter().zip(1..) {
                    let fallback_id = format!("{post_id}/{number}");
                    match item.and_then(|submission| record::record(settings, submission, &fallback_id)) {
                        Ok(feedback) => outcome.changes.push(feedback.into()),
                        Err(problem) => {
                            outcome.refusals.push(Refusal::new(
                                format!("item {number}"),
                                problem.code,
                                problem.message,
                            ));
                        }
                    }
                }
                if !outcome.refusals.is_empty() {
                    host.warn(&format!(
                        "{} submissions of a batch were refused",
                        outcome.refusals.len()
                    ));
                }
            }
        }
        Ok(outcome)
    }
}

/// The identity of a post whose form has no field for one: a hash over what was sent and its time stamp. A sender that
/// repeats a post because it missed the answer makes the same record; the hub's delivery id would be a new one.
fn fallback_id(request: &InboundRequest) -> String {
    let timestamp = request.header("x-form-timestamp").unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(timestamp.trim());
    // No header value holds a line end, so no two pairs of time stamp and body are hashed alike.
    hash.update(b"\n");
    hash.update(&request.body);
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("post-{digest}")
}

mihwar_sdk::export!(FormChannel: Webhook);
