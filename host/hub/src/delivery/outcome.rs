//! What a plugin's answer means for each delivery, and for the department as a whole: the error variant drives the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mihwar_model::DeliveryId;
use mihwar_sandbox::contract::destination::{Ack, AckState};
use mihwar_sandbox::contract::types::PluginError;
use mihwar_sandbox::{CallError, CallFailure};

/// Shortest time for which a department that asks for a pause is let alone.
const HOLD_MIN: Duration = Duration::from_secs(1);

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered {
        reference: Option<String>,
        url: Option<String>,
    },
    Skipped,
    Retry {
        code: String,
        after: Option<Duration>,
        counts: Counts,
        reason: String,
    },
    Dead {
        code: String,
        reason: String,
    },
    /// Its content was withdrawn or erased meanwhile.
    Gone,
}

/// Whether an attempt is one of those that a delivery has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Always,
    /// Not while the department is left alone: an outage uses up no attempts.
    UnlessDown,
    Never,
}

/// What a call says of the department itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// Nothing.
    #[default]
    Silent,
    /// It came to nothing.
    Failed,
    /// The department answered, whatever it said.
    Worked,
}

/// Why a department pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) reason: String,
}

/// What a call said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) outcomes: BTreeMap<DeliveryId, Outcome>,
    pub(super) answer: Answer,
    /// For how long the department wants to be let alone.
    pub(super) hold: Option<Duration>,
    pub(super) refusal: Option<Refusal>,
    /// The first one about which nothing was said although something was about others. Whether that is its own fault shows when it
    /// goes by itself.
    pub(super) passed_over: Option<DeliveryId>,
}

impl Said {
    /// Takes what a further call said of other deliveries.
    pub(super) fn join(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.answer = self.answer.max(other.answer);
        self.hold = self.hold.max(other.hold);
        self.refusal = self.refusal.take().or(other.refusal);
    }

    /// All of them share this.
    fn of_all(handed: &[DeliveryId], outcome: &Outcome, answer: Answer) -> Self {
        Self {
            outcomes: handed.iter().map(|id| (*id, outcome.clone())).collect(),
            answer,
            ..Self::default()
        }
    }

    fn failed(&mut self, id: DeliveryId, error: PluginError, first: Duration) {
        let (code, reason, error) = said_by(error);
        let millis = |after: Option<u64>| after.map(Duration::from_millis);
        let outcome = match error {
            PluginError::Transient(retry) => Outcome::Retry {
                code,
                after: millis(retry.after_ms),
                counts: Counts::Always,
                reason,
            },
            PluginError::RateLimited(retry) => {
                let after = millis(retry.after_ms).unwrap_or(first).max(HOLD_MIN);
                self.answer = Answer::Worked;
                self.hold = self.hold.max(Some(after));
                Outcome::Retry {
                    code,
                    after: Some(after),
                    counts: Counts::Never,
                    reason,
                }
            }
            PluginError::Permanent(_) | PluginError::Unsupported(_) => {
                self.answer = Answer::Worked;
                Outcome::Dead { code, reason }
            }
            PluginError::Unauthorized(_) | PluginError::Misconfigured(_) => {
                self.refusal.get_or_insert_with(|| Refusal {
                    code: code.clone(),
                    reason: reason.clone(),
                });
                Outcome::Retry {
                    code,
                    after: None,
                    counts: Counts::Never,
                    reason,
                }
            }
        };
        self.outcomes.insert(id, outcome);
    }
}

/// What a plugin's error says.
fn said_by(error: PluginError) -> (String, String, PluginError) {
    // The texts are those of the call's error.
    let failure = CallFailure::Plugin(error.clone());
    (failure.code().to_owned(), failure.to_string(), error)
}

/// Whether a call that ended so may have been ended by one of its deliveries: then its halves are tried.
pub(super) const fn breaks_off(failure: &CallFailure) -> bool {
    matches!(
        failure,
        CallFailure::Trap { .. }
            | CallFailure::MemoryLimit { .. }
            | CallFailure::TableLimit { .. }
            | CallFailure::OutputTooLarge { .. }
    )
}

/// What a call's end means for the deliveries that were handed over. `first` is the first pause of the schedule.
pub(super) fn judge(result: Result<Vec<Ack>, CallError>, handed: &[DeliveryId], first: Duration) -> Said {
    match result {
        Ok(acks) => of_acks(acks, handed, first),
        Err(error) => of_failure(*error.failure, handed, first),
    }
}

fn of_acks(acks: Vec<Ack>, handed: &[DeliveryId], first: Duration) -> Said {
    let wanted: BTreeSet<DeliveryId> = handed.iter().copied().collect();
    let mut acked = BTreeMap::new();
    for ack in acks {
        // Whoever tells of what it was not handed, or of the same twice, changes nothing by it.
        let id = ack.id.parse::<DeliveryId>().ok();
        if let Some(id) = id.filter(|id| wanted.contains(id)) {
            acked.entry(id).or_insert(ack.state);
        }
    }
    let nothing_said = acked.is_empty();
    let mut said = Said::default();
    for id in handed {
        match acked.remove(id) {
            Some(AckState::Delivered(done)) => {
                said.answer = Answer::Worked;
                let outcome = Outcome::Delivered {
                    reference: done.external_ref,
                    url: done.url,
                };
                said.outcomes.insert(*id, outcome);
            }
            Some(AckState::Skipped(_)) => {
                said.answer = Answer::Worked;
                said.outcomes.insert(*id, Outcome::Skipped);
            }
            Some(AckState::Failed(error)) => said.failed(*id, error, first),
            // A plugin that ran out of time leaves the rest without an ack; that is no failure of theirs.
            None => {
                if !nothing_said {
                    said.passed_over.get_or_insert(*id);
                }
                let outcome = Outcome::Retry {
                    code: "no-ack".into(),
                    after: None,
                    counts: if nothing_said { Counts::Always } else { Counts::Never },
                    reason: "the plugin said nothing about this delivery".into(),
                };
                said.outcomes.insert(*id, outcome);
            }
        }
    }
    if said.answer != Answer::Worked && said.refusal.is_none() {
        came_to_nothing(&mut said);
    }
    said
}

/// None of them arrived, and nothing else was said: it is the department that does not work.
fn came_to_nothing(said: &mut Said) {
    said.answer = Answer::Failed;
    for outcome in said.outcomes.values_mut() {
        if let Outcome::Retry { counts, after, .. } = outcome
            && *counts == Counts::Always
        {
            *counts = Counts::UnlessDown;
            said.hold = said.hold.max(*after);
        }
    }
}

fn of_failure(failure: CallFailure, handed: &[DeliveryId], first: Duration) -> Said {
    let (code, reason) = (failure.code().to_owned(), failure.to_string());
    let retry = |after, counts| Outcome::Retry {
        code: code.clone(),
        after,
        counts,
        reason: reason.clone(),
    };
    match failure {
        // The plugin's own error counts for all of them.
        CallFailure::Plugin(error) => {
            let mut said = Said::default();
            for id in handed {
                said.failed(*id, error.clone(), first);
            }
            if said.answer != Answer::Worked && said.refusal.is_none() {
                came_to_nothing(&mut said);
            }
            said
        }
        CallFailure::Busy { waited, .. } => Said::of_all(handed, &retry(Some(waited), Counts::Never), Answer::Silent),
        // Which of several used up the time is not known yet: fewer are handed over next.
        CallFailure::TimeLimit { .. } if handed.len() > 1 => {
            Said::of_all(handed, &retry(None, Counts::Never), Answer::Failed)
        }
        CallFailure::Host(_) => Said::of_all(handed, &retry(Some(first), Counts::Never), Answer::Failed),
        CallFailure::TimeLimit { .. } | CallFailure::NotOffered(_) => {
            Said::of_all(handed, &retry(None, Counts::UnlessDown), Answer::Failed)
        }
        // One delivery that ends the call by itself is at fault, whether the department is there or not.
        CallFailure::Trap { .. }
        | CallFailure::MemoryLimit { .. }
        | CallFailure::TableLimit { .. }
        | CallFailure::OutputTooLarge { .. } => Said::of_all(handed, &retry(None, Counts::Always), Answer::Failed),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mihwar_model::DeliveryId;
    use mihwar_sandbox::contract::destination::{Ack, AckState, Delivered};
    use mihwar_sandbox::contract::types::{Failure, PluginError, Retry};
    use mihwar_sandbox::{CallError, CallFailure, Cost};

    use super::{Answer, Counts, Outcome, Said, judge};

    const FIRST: Duration = Duration::from_secs(5);

    fn id(number: u8) -> DeliveryId {
        DeliveryId::from_bytes([number; 16])
    }

    fn ack(number: u8, state: AckState) -> Ack {
        Ack {
            id: id(number).to_string(),
            state,
        }
    }

    fn delivered() -> AckState {
        AckState::Delivered(Delivered {
            external_ref: Some("تذكرة-٧".into()),
            url: None,
        })
    }

    fn retry(after_ms: Option<u64>) -> Retry {
        Retry {
            failure: failure("http-503"),
            after_ms,
        }
    }

    fn failure(code: &str) -> Failure {
        Failure {
            code: code.into(),
            message: "النظام متوقف".into(),
        }
    }

    fn failed(error: PluginError) -> AckState {
        AckState::Failed(error)
    }

    fn of(acks: Vec<Ack>) -> Said {
        judge(Ok(acks), &[id(1), id(2), id(3)], FIRST)
    }

    fn counts(said: &Said) -> Vec<Option<Counts>> {
        let of = |outcome: &Outcome| match outcome {
            Outcome::Retry { counts, .. } => Some(*counts),
            _ => None,
        };
        said.outcomes.values().map(of).collect()
    }

    fn of_call(failure: CallFailure, handed: &[DeliveryId]) -> Said {
        let error = CallError {
            failure: Box::new(failure),
            log: Vec::new(),
            stderr: String::new(),
            cost: Cost::default(),
            told: Box::default(),
        };
        judge(Err(error), handed, FIRST)
    }

    #[test]
    fn one_item_that_fails_is_its_own_fault_and_all_of_them_the_departments() {
        let some = of(vec![
            ack(1, delivered()),
            ack(2, failed(PluginError::Transient(retry(Some(9_000))))),
        ]);
        assert_eq!((some.answer, some.hold), (Answer::Worked, None));
        assert_eq!(counts(&some), [None, Some(Counts::Always), Some(Counts::Never)]);
        let transient = || failed(PluginError::Transient(retry(Some(9_000))));
        let all = of(vec![ack(1, transient()), ack(2, transient()), ack(3, transient())]);
        assert_eq!((all.answer, all.hold), (Answer::Failed, Some(Duration::from_secs(9))));
        assert_eq!(counts(&all), [Some(Counts::UnlessDown); 3]);
        let nothing = of(Vec::new());
        assert_eq!(
            (nothing.answer, counts(&nothing)),
            (Answer::Failed, vec![Some(Counts::UnlessDown); 3])
        );
        let refused = of(vec![ack(1, failed(PluginError::Permanent(failure("http-422"))))]);
        assert_eq!(refused.answer, Answer::Worked, "it answered");
    }

    #[test]
    fn a_pause_that_is_asked_for_is_for_all_and_never_for_nothing() {
        for (asked, held) in [(None, 5_000), (Some(0), 1_000), (Some(u64::MAX), u64::MAX)] {
            let said = of(vec![ack(1, failed(PluginError::RateLimited(retry(asked))))]);
            assert_eq!(said.hold, Some(Duration::from_millis(held)), "{asked:?}");
            assert_eq!(said.answer, Answer::Worked);
            assert_eq!(counts(&said)[0], Some(Counts::Never));
        }
    }

    #[test]
    fn who_refuses_the_key_pauses_and_uses_nothing_up() {
        let said = of(vec![
            ack(1, delivered()),
            ack(2, failed(PluginError::Unauthorized(failure("http-410")))),
            ack(3, failed(PluginError::Unauthorized(failure("http-410")))),
        ]);
        assert_eq!(said.refusal.as_ref().unwrap().code, "http-410");
        assert_eq!(counts(&said), [None, Some(Counts::Never), Some(Counts::Never)]);
    }

    #[test]
    fn what_was_not_handed_over_and_what_is_told_twice_changes_nothing() {
        let said = judge(
            Ok(vec![
                ack(1, delivered()),
                ack(1, failed(PluginError::Permanent(failure("http-404")))),
                ack(9, delivered()),
                Ack {
                    id: "شكوى".into(),
                    state: delivered(),
                },
            ]),
            &[id(1)],
            FIRST,
        );
        assert_eq!(said.outcomes.len(), 1);
        assert!(matches!(said.outcomes[&id(1)], Outcome::Delivered { .. }));
    }

    #[test]
    fn a_call_that_breaks_off_counts_for_a_single_item_alone() {
        let trap = || CallFailure::Trap {
            during: "destination.deliver",
            message: "خطأ".into(),
            place: None,
            frames: Vec::new(),
        };
        assert_eq!(counts(&of_call(trap(), &[id(1)])), [Some(Counts::Always)]);
        let time = || CallFailure::TimeLimit {
            limit: Duration::from_secs(60),
            setting: "instance.limits.time",
        };
        assert_eq!(counts(&of_call(time(), &[id(1)])), [Some(Counts::UnlessDown)]);
        let several = of_call(time(), &[id(1), id(2)]);
        assert_eq!(
            (several.answer, counts(&several)),
            (Answer::Failed, vec![Some(Counts::Never); 2])
        );
        let busy = CallFailure::Busy {
            slots: 1,
            waited: FIRST,
        };
        assert_eq!(
            of_call(busy, &[id(1)]).answer,
            Answer::Silent,
            "it is the hub that is busy"
        );
        let whole = of_call(
            CallFailure::Plugin(PluginError::Permanent(failure("no-project"))),
            &[id(1), id(2)],
        );
        assert!(
            whole
                .outcomes
                .values()
                .all(|outcome| matches!(outcome, Outcome::Dead { .. }))
        );
    }
}
