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
                outcome
                    .changes
                    .push(record::record(settings, submission, &request.delivery_id)?.into());
            }
            Posted::Batch(items) => {
                for (item, number) in items.into_iter().zip(1..) {
                    let fallback_id = format!("{}/{number}", request.delivery_id);
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

mihwar_sdk::export!(FormChannel: Webhook);
