//! Scores: numbers on a known scale.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::FieldProblem;

/// A number on a scale. `nps`, `csat` and `ces` have fixed scales; other metrics bring their own.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// `nps`, `csat`, `ces`, `stars`, or a name of the source's own.
    #[n(0)]
    pub metric: String,
    /// The number given.
    #[n(1)]
    #[cbor(with = "crate::number")]
    pub value: f64,
    /// Lowest number of the scale.
    #[n(2)]
    #[cbor(with = "crate::number")]
    pub min: f64,
    /// Highest number of the scale.
    #[n(3)]
    #[cbor(with = "crate::number")]
    pub max: f64,
}

impl Score {
    /// What is wrong with this score, as problems of the field `path`.
    #[must_use]
    pub fn problems(&self, path: &str) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if crate::Tag::new(self.metric.clone()).is_err() {
            problems.push(FieldProblem::new(
                format!("{path}.metric"),
                "use a short lower-case name such as nps, csat or ces",
            ));
        }
        if !(self.value.is_finite() && self.min.is_finite() && self.max.is_finite()) {
            problems.push(FieldProblem::new(path, "value, min and max must be finite numbers"));
            return problems;
        }
        if let Some((min, max)) = fixed_scale(&self.metric)
            && (self.min, self.max) != (min, max)
        {
            let metric = &self.metric;
            problems.push(FieldProblem::new(
                path,
                format!("{metric} is asked on the scale {min} to {max}"),
            ));
        }
        if self.min >= self.max {
            problems.push(FieldProblem::new(format!("{path}.min"), "min must be below max"));
        } else if !(self.min..=self.max).contains(&self.value) {
            let message = format!("{} is outside the scale {} to {}", self.value, self.min, self.max);
            problems.push(FieldProblem::new(format!("{path}.value"), message));
        }
        problems
    }
}

/// NPS is 0 to 10 (Reichheld), CSAT here 1 to 5, CES 2.0 1 to 7 (CEB).
fn fixed_scale(metric: &str) -> Option<(f64, f64)> {
    match metric {
        "nps" => Some((0.0, 10.0)),
        "csat" => Some((1.0, 5.0)),
        "ces" => Some((1.0, 7.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Score;

    fn problems(metric: &str, value: f64, min: f64, max: f64) -> Vec<String> {
        let score = Score {
            metric: metric.into(),
            value,
            min,
            max,
        };
        score.problems("scores[0]").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scores_stay_on_their_scale() {
        assert!(problems("nps", 10.0, 0.0, 10.0).is_empty());
        assert_eq!(
            problems("nps", 11.0, 0.0, 10.0),
            ["scores[0].value: 11 is outside the scale 0 to 10"]
        );
        assert_eq!(
            problems("csat", 3.0, 0.0, 10.0),
            ["scores[0]: csat is asked on the scale 1 to 5"]
        );
        assert_eq!(problems("رضا", 3.0, 5.0, 1.0), ["scores[0].min: min must be below max"]);
        assert_eq!(problems("stars", f64::NAN, 1.0, 5.0).len(), 1);
    }
}
