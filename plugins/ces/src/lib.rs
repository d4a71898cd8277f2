//! Mihwar metric: Customer Effort Score 2.0.
//!
//! Of the answers to "… made it easy for me to handle my issue", from 1 (strongly disagree) to 7 (strongly agree): the value
//! is the share of 5 to 7 with Wilson's interval of 95 %, and the mean stands beside it. The older score, which is asked on
//! another scale and the other way round, never mixes in: what is not on 1 to 7 does not count and is told.

use mihwar_sdk::Metric;
use mihwar_sdk::figure::{Definition, Fact, Interval, Outcome, Part, Z_95, fixed, ratio, wilson};

/// The score that is asked for.
const METRIC: &str = "ces";

/// Answers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ces {
    /// How often 1 to 7 were given.
    given: [u64; 7],
    off_scale: u64,
}

impl Metric for Ces {
    fn definition() -> Definition {
        Definition {
            id: "ces-2.0".into(),
            version: "1".into(),
            statement: "100 * easy / n, of answers 1 to 7: easy are 5, 6 and 7; besides their mean".into(),
            unit: "percent".into(),
        }
    }

    fn add(&mut self, fact: &Fact<'_>) {
        let Some(score) = fact.score(METRIC) else {
            return;
        };
        let step = score.step(1, 7).and_then(|step| usize::try_from(step - 1).ok());
        match step.and_then(|step| self.given.get_mut(step)) {
            Some(count) => *count += 1,
            None => self.off_scale += 1,
        }
    }

    fn finish(&self) -> Outcome {
        let n = self.given.iter().sum();
        let easy = self.given.iter().skip(4).sum();
        let steps = (1_i128..).zip(self.given);
        let total: i128 = steps.clone().map(|(step, count)| step * i128::from(count)).sum();
        let mut parts = vec![Part::count("easy", easy)];
        parts.extend(ratio(total, n, 3).map(|value| Part {
            name: "mean".into(),
            value,
        }));
        parts.extend(steps.map(|(step, count)| Part::count(format!("answers-{step}"), count)));
        parts.push(Part::count("off-scale", self.off_scale));
        Outcome {
            n,
            value: ratio(100 * i128::from(easy), n, 2),
            interval: wilson(easy, n, Z_95).map(|(low, high)| Interval {
                low: fixed(low * 100.0, 2),
                high: fixed(high * 100.0, 2),
                level: "95".into(),
                method: "wilson".into(),
            }),
            parts,
        }
    }
}

mihwar_sdk::export!(Ces: Metric);
