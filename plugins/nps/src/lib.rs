//! Mihwar metric: Net Promoter Score.
//!
//! Of the answers to the Net Promoter question, whole numbers from 0 to 10: promoters gave 9 or 10, passives 7 or 8,
//! detractors 0 to 6. The value is `100 * (promoters - detractors) / n`. What is on another scale, or between two of its
//! numbers, does not count and is told.

use mihwar_sdk::Metric;
use mihwar_sdk::figure::{Definition, Fact, Interval, Outcome, Part, fixed, ratio};

/// The score that is asked for.
const METRIC: &str = "nps";
/// Digits after the point.
const PLACES: u32 = 3;
/// The quantile that the definition names.
const Z: f64 = 1.96;
/// With fewer answers the interval is the adjusted one.
const SMALL: u64 = 30;

/// Answers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nps {
    promoters: u64,
    passives: u64,
    detractors: u64,
    off_scale: u64,
}

impl Metric for Nps {
    fn definition() -> Definition {
        Definition {
            id: "nps".into(),
            version: "1".into(),
            statement: "100 * (promoters - detractors) / n, of answers 0 to 10: promoters 9 and 10, passives 7 and 8, detractors 0 \
                        to 6"
                .into(),
            unit: "points".into(),
        }
    }

    fn add(&mut self, fact: &Fact<'_>) {
        let Some(score) = fact.score(METRIC) else {
            return;
        };
        match score.step(0, 10) {
            Some(9..) => self.promoters += 1,
            Some(7..) => self.passives += 1,
            Some(_) => self.detractors += 1,
            None => self.off_scale += 1,
        }
    }

    fn finish(&self) -> Outcome {
        Outcome {
            n: self.n(),
            value: ratio(100 * self.balance(), self.n(), PLACES),
            interval: (self.n() > 0).then(|| self.interval()),
            parts: vec![
                Part::count("promoters", self.promoters),
                Part::count("passives", self.passives),
                Part::count("detractors", self.detractors),
                Part::count("off-scale", self.off_scale),
            ],
        }
    }
}

impl Nps {
    /// So many answers of each class.
    #[must_use]
    pub const fn counted(promoters: u64, passives: u64, detractors: u64) -> Self {
        Self {
            promoters,
            passives,
            detractors,
            off_scale: 0,
        }
    }

    const fn n(&self) -> u64 {
        self.promoters + self.passives + self.detractors
    }

    fn balance(&self) -> i128 {
        i128::from(self.promoters) - i128::from(self.detractors)
    }

    /// The value and half of the interval around it, by the closed form: `1.96 * 100 * sqrt((p + d - (p - d)^2) / n)`. `None`
    /// without answers.
    #[must_use]
    pub fn closed_form(&self) -> Option<(f64, f64)> {
        if self.n() == 0 {
            return None;
        }
        let n = self.n() as f64;
        let (p, d) = (self.promoters as f64 / n, self.detractors as f64 / n);
        let variance = p + d - (p - d) * (p - d);
        Some((100.0 * (p - d), Z * 100.0 * (variance.max(0.0) / n).sqrt()))
    }

    /// The closed form's interval, where that fits. It does not for few answers, where nobody or everybody is a promoter or a
    /// detractor, and where it leaves the scale: there one answer more is counted in each class, and what still leaves
    /// the scale is cut off at its end.
    fn interval(&self) -> Interval {
        let extreme = |count| count == 0 || count == self.n();
        let plain = self.closed_form().filter(|(value, half)| {
            self.n() >= SMALL
                && !extreme(self.promoters)
                && !extreme(self.detractors)
                && value - half >= -100.0
                && value + half <= 100.0
        });
        let adjusted = Self::counted(self.promoters + 1, self.passives + 1, self.detractors + 1);
        let (method, found) = match plain {
            Some(found) => ("closed-form-z-1.96", Some(found)),
            None => ("adjusted-plus-1-z-1.96", adjusted.closed_form()),
        };
        let (value, half) = found.unwrap_or_default();
        let places = usize::try_from(PLACES).unwrap_or_default();
        Interval {
            low: fixed((value - half).max(-100.0), places),
            high: fixed((value + half).min(100.0), places),
            level: "95".into(),
            method: method.into(),
        }
    }
}

mihwar_sdk::export!(Nps: Metric);
