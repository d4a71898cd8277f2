//! Figures: metric plugins make them of facts, and anybody who has the facts gets the same digits.
//!
//! A metric has no settings, no clock, no randomness, no network, no state and no log, and its component must import
//! none of these: the hub refuses it otherwise. In Rust that means: no `HashMap` or `HashSet` (they ask for randomness,
//! and their order differs; take a `BTreeMap`), no `Instant` or `SystemTime`. Digits are the same everywhere if they
//! come of whole numbers ([`ratio`]) or of `+ - * /` and `sqrt` over `f64`, rounded once at the end ([`fixed`]): these are
//! exact to the last bit on every machine. Sines, logarithms and powers are so, too, within one component, but may change
//! with the version of the compiler that built it.

mod decimal;
mod interval;

pub use crate::bindings::figure::exports::mihwar::plugin::figure::{Batch, Definition, Interval, Outcome, Part};
pub use decimal::{fixed, ratio};
pub use interval::{Z_95, wilson};

use crate::bindings::figure::exports::mihwar::plugin::figure::ScoreFact;

/// A metric plugin. One value of it counts one figure: it is made with `default()`, sees every fact once, in the order of
/// the ledger, and then says what came out.
pub trait Metric: Default + 'static {
    /// What is computed. The version goes up whenever the same facts would give other digits.
    fn definition() -> Definition;

    /// Takes one record.
    fn add(&mut self, fact: &Fact<'_>);

    /// The figure over all that was taken.
    fn finish(&self) -> Outcome;
}

/// What is known of one record, as it stands at the end of the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// When it was said, or else received: milliseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// The sort of channel.
    pub channel: &'a str,
    /// What sort of feedback it is, if anybody knows.
    pub kind: Option<&'a str>,
    scores: &'a [ScoreFact],
    names: &'a [String],
}

impl<'a> Fact<'a> {
    /// The scores that were given, in their order.
    pub fn scores(&self) -> impl Iterator<Item = GivenScore<'a>> + use<'a> {
        let names = self.names;
        self.scores.iter().map(move |score| GivenScore {
            metric: name(names, score.metric),
            value: score.value,
            min: score.min,
            max: score.max,
        })
    }

    /// The first score of this metric: a record answers a question once.
    #[must_use]
    pub fn score(&self, metric: &str) -> Option<GivenScore<'a>> {
        self.scores().find(|score| score.metric == metric)
    }
}

/// A score that was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GivenScore<'a> {
    /// What was asked, e.g. `stars`.
    pub metric: &'a str,
    /// The answer.
    pub value: f64,
    /// Lowest number of the scale.
    pub min: f64,
    /// Highest number of the scale.
    pub max: f64,
}

impl GivenScore<'_> {
    /// The answer, if it was asked on exactly this scale and is one of its whole numbers.
    #[must_use]
    pub fn step(&self, min: i32, max: i32) -> Option<i32> {
        if (self.min, self.max) != (f64::from(min), f64::from(max)) {
            return None;
        }
        (min..=max).find(|step| f64::from(*step) == self.value)
    }
}

impl Part {
    /// A part that is a count.
    pub fn count(name: impl Into<String>, count: u64) -> Self {
        Self {
            name: name.into(),
            value: count.to_string(),
        }
    }
}

/// The name at a place of a batch. The host writes none that is not there.
fn name(names: &[String], place: u32) -> &str {
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    names.get(place).map_or("", String::as_str)
}

/// Hands the records of a batch to a metric.
pub(crate) fn feed<M: Metric>(metric: &mut M, batch: &Batch) {
    let mut scores = batch.scores.as_slice();
    for fact in &batch.facts {
        let count = usize::try_from(fact.scores).unwrap_or(usize::MAX).min(scores.len());
        let (own, others) = scores.split_at(count);
        scores = others;
        metric.add(&Fact {
            at: fact.at,
            channel: name(&batch.names, fact.channel),
            kind: fact.kind.map(|kind| name(&batch.names, kind)),
            scores: own,
            names: &batch.names,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::GivenScore;

    #[test]
    fn an_answer_counts_on_its_own_scale_only() {
        let score = |value, min, max| GivenScore {
            metric: "رضا",
            value,
            min,
            max,
        };
        assert_eq!(score(5.0, 1.0, 5.0).step(1, 5), Some(5));
        assert_eq!(score(1.0, 1.0, 5.0).step(1, 5), Some(1));
        for other in [
            score(5.0, 1.0, 7.0),
            score(4.5, 1.0, 5.0),
            score(6.0, 1.0, 5.0),
            score(f64::NAN, 1.0, 5.0),
        ] {
            assert_eq!(other.step(1, 5), None, "{other:?}");
        }
    }
}
