//! Rules that fail instead of answering: why, in a word that may stand in the ledger, and told without a flood.

use std::sync::atomic::{AtomicI64, Ordering};

use cel::ExecutionError;
use mihwar_model::{RuleFailure, Time};

use super::source::RouteSource;

/// A rule that goes on failing is logged once in so long.
const LOGGED_EVERY_MS: i64 = 3_600_000;
/// Failures that are kept with one decision. All of them are counted.
const KEPT_MAX: usize = 16;
const NEVER: i64 = i64::MIN;

/// Why a rule has no answer for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It asks for what the record does not have: a score that was not given, say.
    Missing,
    DivisionByZero,
    Overflow,
    OutOfRange,
    /// A value is of another type than it expects.
    Type,
    /// A function cannot do it with this value.
    Function,
    /// It answers something else than true or false.
    NotBoolean,
    Other,
}

impl Failure {
    /// The interpreter's error, without what it quotes of the record.
    pub(super) const fn of(error: &ExecutionError) -> Self {
        match error {
            ExecutionError::NoSuchKey(_) => Self::Missing,
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => Self::DivisionByZero,
            ExecutionError::Overflow(..) => Self::Overflow,
            ExecutionError::IndexOutOfBounds(_) => Self::OutOfRange,
            ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedIndex(..) => Self::Type,
            ExecutionError::FunctionError { .. } => Self::Function,
            _ => Self::Other,
        }
    }

    /// Stands in the ledger and in the API.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::DivisionByZero => "division-by-zero",
            Self::Overflow => "overflow",
            Self::OutOfRange => "out-of-range",
            Self::Type => "type",
            Self::Function => "function",
            Self::NotBoolean => "not-boolean",
            Self::Other => "failed",
        }
    }

    /// The same for people.
    pub(crate) fn words(self) -> &'static str {
        words(self.code())
    }
}

/// What a code means; of one that a later version wrote, the code itself has to do.
pub(crate) fn words(code: &str) -> &str {
    match code {
        "missing" => "it asks for something that the record does not have; ask has(…) first",
        "division-by-zero" => "division by zero",
        "overflow" => "a number became too large",
        "out-of-range" => "a list has no element at that place",
        "type" => "a value is of another type than the rule expects",
        "function" => "a function cannot do that with this value",
        "not-boolean" => "its answer is neither true nor false",
        "failed" => "it could not be carried out",
        other => other,
    }
}

/// When each rule of a set was last logged as failing.
#[derive(Debug, Default)]
pub(super) struct Logged(Vec<AtomicI64>);

impl Logged {
    pub(super) fn of(rules: usize) -> Self {
        Self((0..rules).map(|_| AtomicI64::new(NEVER)).collect())
    }

    /// Whether this failure is to be logged: the rule's first, and again after an hour. A clock that went back does not
    /// silence it for longer.
    fn is_due(&self, rule: usize, now: Time) -> bool {
        let Some(last) = self.0.get(rule) else {
            return false;
        };
        let before = last.load(Ordering::Relaxed);
        let is_recent = before != NEVER && (0..LOGGED_EVERY_MS).contains(&now.0.saturating_sub(before));
        // Of two that fail at once, one is told.
        !is_recent
            && last
                .compare_exchange(before, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Counts failures by rule, and logs each rule's now and then.
    pub(super) fn note(&self, routes: &[RouteSource], failed: &[(usize, Failure)], now: Time) {
        for (index, failure) in failed {
            let Some(route) = routes.get(*index) else {
                continue;
            };
            metrics::counter!("mihwar_routing_rule_errors_total", "rule" => route.name.clone()).increment(1);
            if self.is_due(*index, now) {
                tracing::warn!(
                    rule = route.name,
                    code = failure.code(),
                    "a rule failed on a record, and chooses nobody for it: {}; told once an hour",
                    failure.words()
                );
            }
        }
    }
}

/// Failures as they stand beside a decision; `None` when there are none.
pub(super) fn kept(routes: &[RouteSource], failed: &[(usize, Failure)]) -> Option<Vec<RuleFailure>> {
    let kept = failed.iter().take(KEPT_MAX).filter_map(|(index, failure)| {
        Some(RuleFailure {
            rule: routes.get(*index)?.name.clone(),
            code: failure.code().to_owned(),
        })
    });
    Some(kept.collect::<Vec<_>>()).filter(|kept| !kept.is_empty())
}

#[cfg(test)]
mod tests {
    use mihwar_model::Time;

    use super::{Failure, KEPT_MAX, LOGGED_EVERY_MS, Logged, RouteSource, kept};

    #[test]
    fn a_rule_that_goes_on_failing_is_logged_once_an_hour() {
        let logged = Logged::of(2);
        let start = Time(1_790_000_000_000);
        assert!(logged.is_due(0, start));
        assert!(!logged.is_due(0, start) && !logged.is_due(0, start.plus_millis(LOGGED_EVERY_MS - 1)));
        assert!(logged.is_due(1, start), "another rule is told by itself");
        assert!(logged.is_due(0, start.plus_millis(LOGGED_EVERY_MS)));
        assert!(logged.is_due(0, start), "a clock that went back silences nothing");
        assert!(!logged.is_due(9, start));
    }

    #[test]
    fn so_many_failures_are_kept_with_a_decision_and_no_more() {
        let route = |number: usize| RouteSource {
            name: format!("قاعدة {number}"),
            when: String::new(),
            to: Vec::new(),
        };
        let routes: Vec<_> = (0..40).map(route).collect();
        let failed: Vec<_> = (0..40).map(|index| (index, Failure::DivisionByZero)).collect();
        let told = kept(&routes, &failed).unwrap();
        assert_eq!(told.len(), KEPT_MAX);
        assert_eq!(
            (told[1].rule.as_str(), told[1].code.as_str()),
            ("قاعدة 1", "division-by-zero")
        );
        assert_eq!(kept(&routes, &[]), None);
    }
}
