//! What the plugin said of each delivery.

use std::collections::BTreeMap;

use super::batch::Parcel;
use super::bench::Trap;
use super::stand::Seen;
use crate::{Ack, AckState, Delivered, PluginError};

/// What became of a delivery, as the hub would take it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing was said.
    Silent,
    Done(Delivered),
    Skipped,
    Failed(PluginError),
    /// The call ended in a panic.
    Trapped,
}

/// One call of the plugin.
pub(super) struct Called {
    /// For people.
    pub(super) name: String,
    /// By the id of the delivery.
    pub(super) verdicts: BTreeMap<String, Verdict>,
    pub(super) seen: Vec<Seen>,
}

impl Called {
    pub(super) fn verdict(&self, parcel: &Parcel) -> Option<&Verdict> {
        self.verdicts.get(&parcel.delivery.id)
    }

    pub(super) fn is_silent(&self, parcel: &Parcel) -> bool {
        matches!(self.verdict(parcel), None | Some(Verdict::Silent))
    }

    pub(super) fn is_delivered(&self, parcel: &Parcel) -> bool {
        matches!(self.verdict(parcel), Some(Verdict::Done(_)))
    }

    /// Whether the hub is through with it.
    pub(super) fn is_over(&self, parcel: &Parcel) -> bool {
        matches!(self.verdict(parcel), Some(Verdict::Done(_) | Verdict::Skipped))
    }

    pub(super) fn error(&self, parcel: &Parcel) -> Option<&PluginError> {
        match self.verdict(parcel) {
            Some(Verdict::Failed(error)) => Some(error),
            _ => None,
        }
    }

    pub(super) fn is_given_up(&self, parcel: &Parcel) -> bool {
        matches!(
            self.error(parcel),
            Some(PluginError::Permanent(_) | PluginError::Unsupported(_))
        )
    }

    /// The longest pause that was told, in milliseconds.
    pub(super) fn pause_ms(&self) -> u64 {
        let told = self.verdicts.values().filter_map(|verdict| match verdict {
            Verdict::Failed(PluginError::Transient(retry) | PluginError::RateLimited(retry)) => retry.after_ms,
            _ => None,
        });
        told.max().unwrap_or(0)
    }
}

/// The verdict on each delivery of a batch, and what is odd about them.
pub(super) fn verdicts(batch: &[Parcel], result: &Result<Vec<Ack>, Trap>) -> (BTreeMap<String, Verdict>, Vec<String>) {
    let of_all = match result {
        Ok(_) => Verdict::Silent,
        Err(Trap::Error(error)) => Verdict::Failed(error.clone()),
        Err(Trap::Panic(_)) => Verdict::Trapped,
    };
    let ids = batch.iter().map(|parcel| parcel.delivery.id.clone());
    let mut verdicts: BTreeMap<String, Verdict> = ids.map(|id| (id, of_all.clone())).collect();
    let mut odd = Vec::new();
    for ack in result.iter().flatten() {
        let verdict = match &ack.state {
            AckState::Delivered(done) => Verdict::Done(done.clone()),
            AckState::Skipped(_) => Verdict::Skipped,
            AckState::Failed(error) => Verdict::Failed(error.clone()),
        };
        let Some(first) = verdicts.get_mut(&ack.id) else {
            odd.push(format!("it gave a verdict for `{}`, which is not in the batch", ack.id));
            continue;
        };
        // The hub takes the first of them.
        if *first == Verdict::Silent {
            *first = verdict;
        } else {
            odd.push(format!("it gave two verdicts for {}", ack.id));
        }
    }
    (verdicts, odd)
}

/// Why the hub would not keep what a delivered item is called, or where it is.
pub(super) fn reference_fault(done: &Delivered) -> Option<&'static str> {
    let kept = Delivered::told(done.external_ref.clone(), done.url.clone());
    if kept.external_ref != done.external_ref {
        return Some("its reference has no bytes, or more than 2048");
    }
    (kept.url != done.url).then_some("its address does not begin with https:// or http://, or has a blank in it")
}
