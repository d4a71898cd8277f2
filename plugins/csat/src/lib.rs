//! Mihwar metric: customer satisfaction, top-2 box.
//!
//! Of the answers on the scale 1 to 5, those who are satisfied gave 4 or 5. The value is `100 * satisfied / n`, the interval
//! Wilson's of 95 %. What is on another scale, or between two of its numbers, does not count and is told. How many were
//! asked is not in the ledger, so there is no response rate.

use mihwar_sdk::Metric;
use mihwar_sdk::figure::{Definition, Fact, Interval, Outcome, Part, Z_95, fixed, ratio, wilson};

/// The score that is asked for.
const METRIC: &str = "csat";

/// Answers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Csat {
    /// How often 1 to 5 were given.
    given: [u64; 5],
    off_scale: u64,
}

impl Metric for Csat {
    fn definition() -> Definition {
        Definition {
            id: "csat".into(),
            version: "1".into(),
            statement: "100 * satisfied / n, of answers 1 to 5: satisfied are 4 and 5".into(),
            unit: "percent".into(),
        }
    }

    fn add(&mut self, fact: &Fact<'_>) {
        let Some(score) = fact.score(METRIC) else {
            return;
        };
        let step = score.step(1, 5).and_then(|step| usize::try_from(step - 1).ok());
        match step.and_then(|step| self.given.get_mut(step)) {
            Some(count) => *count += 1,
            None => self.off_scale += 1,
        }
    }

    fn finish(&self) -> Outcome {
        let n = self.given.iter().sum();
        let satisfied = self.given.iter().skip(3).sum();
        let mut parts = vec![Part::count("satisfied", satisfied)];
        parts.extend(
            (1..)
                .zip(self.given)
                .map(|(step, count)| Part::count(format!("answers-{step}"), count)),
        );
        parts.push(Part::count("off-scale", self.off_scale));
        Outcome {
            n,
            value: ratio(100 * i128::from(satisfied), n, 2),
            interval: wilson(satisfied, n, Z_95).map(|(low, high)| Interval {
                low: fixed(low * 100.0, 2),
                high: fixed(high * 100.0, 2),
                level: "95".into(),
                method: "wilson".into(),
            }),
            parts,
        }
    }
}

mihwar_sdk::export!(Csat: Metric);
