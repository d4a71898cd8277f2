//! What a plugin's answer means for each delivery: the error variant drives the hub.

use std::collections::HashMap;
use std::time::Duration;

use mihwar_model::DeliveryId;
use mihwar_sandbox::contract::destination::{Ack, AckState};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallError, CallFailure};

use super::outbox::Due;
use crate::instances::Running;

/// What became of one delivery.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Delivered {
        reference: Option<String>,
        url: Option<String>,
    },
    Skipped,
    Retry {
        code: String,
        after: Option<Duration>,
        counts: bool,
        reason: String,
    },
    Dead {
        code: String,
        reason: String,
    },
    /// Its content was withdrawn or erased meanwhile.
    Gone,
}

pub(super) fn judge(
    department: &Running,
    result: Result<Vec<Ack>, CallError>,
    due: &[Due],
    outcomes: &mut HashMap<DeliveryId, Outcome>,
) {
    match result {
        Ok(acks) => {
            for ack in acks {
                let Ok(id) = ack.id.parse::<DeliveryId>() else {
                    continue;
                };
                let outcome = match ack.state {
                    AckState::Delivered(done) => Outcome::Delivered {
                        reference: done.external_ref,
                        url: done.url,
                    },
                    AckState::Skipped(_) => Outcome::Skipped,
                    AckState::Failed(error) => plugin_error(department, error),
                };
                outcomes.entry(id).or_insert(outcome);
            }
            // A plugin that ran out of time leaves the rest without an ack; that is no failure of theirs.
            let some_acked = !outcomes.is_empty();
            for due in due {
                outcomes.entry(due.delivery).or_insert_with(|| Outcome::Retry {
                    code: "no-ack".into(),
                    after: None,
                    counts: !some_acked,
                    reason: "the plugin said nothing about this delivery".into(),
                });
            }
        }
        Err(error) => {
            let whole = |error: CallError| match *error.failure {
                CallFailure::Plugin(error) => plugin_error(department, error),
                CallFailure::Busy { waited, .. } => Outcome::Retry {
                    code: "busy".into(),
                    after: Some(waited),
                    counts: false,
                    reason: String::new(),
                },
                failure => Outcome::Retry {
                    code: failure.code().into(),
                    after: None,
                    counts: true,
                    reason: failure.to_string(),
                },
            };
            let outcome = whole(error);
            for due in due {
                outcomes.entry(due.delivery).or_insert_with(|| outcome.clone());
            }
        }
    }
}

/// The error variant drives the hub: wait, pause, or set aside.
fn plugin_error(department: &Running, error: PluginError) -> Outcome {
    let failure = CallFailure::Plugin(error);
    let (code, reason) = (failure.code().to_owned(), failure.to_string());
    let CallFailure::Plugin(error) = failure else {
        return Outcome::Dead { code, reason };
    };
    let after = |millis: Option<u64>| millis.map(Duration::from_millis);
    match error {
        PluginError::Transient(retry) => Outcome::Retry {
            code,
            after: after(retry.after_ms),
            counts: true,
            reason,
        },
        PluginError::RateLimited(retry) => Outcome::Retry {
            code,
            after: after(retry.after_ms),
            counts: false,
            reason,
        },
        PluginError::Permanent(_) | PluginError::Unsupported(_) => Outcome::Dead { code, reason },
        PluginError::Unauthorized(_) | PluginError::Misconfigured(_) => {
            tracing::error!(instance = %department.name, code, "paused until its configuration changes: {reason}");
            department.record.pause(Some(reason.clone()));
            Outcome::Retry {
                code,
                after: None,
                counts: false,
                reason,
            }
        }
    }
}
