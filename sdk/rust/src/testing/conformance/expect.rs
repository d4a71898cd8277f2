//! What each thing that goes wrong must be told as.

use super::batch::Parcel;
use super::bench::Bench;
use super::fault::Fault;
use super::pause::{self, class};
use super::stage::Stage;
use super::verdict::Called;
use super::{Rule, System, Trouble};
use crate::PluginError;

/// Looks at the verdicts of a call in which this went wrong.
pub(super) fn judge<S: System>(
    bench: &mut Bench<'_, S>,
    stage: Stage,
    fault: Fault,
    batch: &[Parcel],
    called: &Called,
) {
    for parcel in batch {
        let Some(error) = called.error(parcel) else { continue };
        if let Some((rule, done)) = broken(stage, fault, error) {
            bench.find(rule, called, Some(parcel), done);
        }
    }
    let given_up = batch.iter().filter(|parcel| called.is_given_up(parcel)).count();
    if fault == Fault::Trouble(Trouble::Refused) && given_up > 1 {
        let done = format!("one request was refused, and {given_up} items were given up for good");
        bench.find(Rule::OneItem, called, None, done);
    }
}

/// Against which rule an error is, and what was told.
fn broken(stage: Stage, fault: Fault, error: &PluginError) -> Option<(Rule, String)> {
    let told = || format!("it was told as `{}`: {}", class(error), error.summary());
    let is_retryable = matches!(error, PluginError::Transient(_) | PluginError::RateLimited(_));
    let is_pausing = matches!(error, PluginError::Unauthorized(_) | PluginError::Misconfigured(_));
    let unless = |is_right: bool, rule: Rule| (!is_right).then(|| (rule, told()));
    match fault {
        Fault::Trouble(Trouble::Failed)
        | Fault::DoneThenFailed
        | Fault::DoneThenSilent
        | Fault::NoConnection
        | Fault::Garbled(_)
        | Fault::Slow(_) => unless(is_retryable, Rule::Retryable),
        // Another name in the settings may be what is missing.
        Fault::NoTls => unless(
            is_retryable || matches!(error, PluginError::Misconfigured(_)),
            Rule::Retryable,
        ),
        Fault::Trouble(Trouble::Busy) => unless(matches!(error, PluginError::RateLimited(_)), Rule::Pause),
        Fault::Pause(status, asked) => {
            let why = pause::fault(asked, status == 429, error)?;
            Some((Rule::Pause, format!("asked for a pause {}: {why}", asked.described())))
        }
        Fault::Trouble(Trouble::Revoked) => unless(matches!(error, PluginError::Unauthorized(_)), Rule::Credential),
        // An item that is not there any more may be just that.
        Fault::Trouble(Trouble::Gone) => unless(is_pausing || stage.is_about_known_items(), Rule::Gone),
        Fault::Trouble(Trouble::Refused) => unless(!is_pausing, Rule::OneItem),
        Fault::Redirect => None,
    }
}
