//! Making a figure as the hub does: a fresh value, batch after batch, then the result.

use std::collections::BTreeMap;

use crate::Score;
use crate::bindings::figure::exports::mihwar::plugin::figure as wit;
use crate::figure::{Batch, Metric, Outcome, feed};

/// A record that a metric is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
    /// The sort of channel.
    pub channel: String,
    /// What sort of feedback it is, if anybody knows.
    pub kind: Option<String>,
    /// The scores that were given.
    pub scores: Vec<Score>,
}

impl Given {
    /// A record with one score.
    #[must_use]
    pub fn score(metric: &str, value: f64, min: f64, max: f64) -> Self {
        Self {
            at: 1_767_225_600_000,
            channel: "survey".into(),
            kind: None,
            scores: vec![Score {
                metric: metric.into(),
                value,
                min,
                max,
            }],
        }
    }
}

/// The figure of these records.
///
/// # Panics
/// When the figure depends on how the records are cut into batches, or the hub would refuse it.
#[must_use]
pub fn measure<M: Metric>(records: &[Given]) -> Outcome {
    let whole = run::<M>(records, usize::MAX);
    assert_eq!(
        whole,
        run::<M>(records, 3),
        "the figure depends on how the records are cut into batches"
    );
    let problems = figure_problems(&M::definition(), &whole);
    assert!(problems.is_empty(), "the hub would refuse this figure: {problems:#?}");
    whole
}

fn run<M: Metric>(records: &[Given], size: usize) -> Outcome {
    let mut metric = M::default();
    for records in records.chunks(size.max(1)) {
        feed(&mut metric, &batch(records));
    }
    metric.finish()
}

fn batch(records: &[Given]) -> Batch {
    let mut names = Names::default();
    let mut batch = Batch {
        names: Vec::new(),
        facts: Vec::new(),
        scores: Vec::new(),
    };
    for record in records {
        batch.facts.push(wit::Fact {
            at: record.at,
            channel: names.place(&record.channel),
            kind: record.kind.as_ref().map(|kind| names.place(kind)),
            scores: u32::try_from(record.scores.len()).unwrap(),
        });
        batch.scores.extend(record.scores.iter().map(|score| wit::ScoreFact {
            metric: names.place(&score.metric),
            value: score.value,
            min: score.min,
            max: score.max,
        }));
    }
    batch.names = names.list;
    batch
}

#[derive(Default)]
struct Names {
    list: Vec<String>,
    places: BTreeMap<String, u32>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap();
        *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.list.push(name.to_owned());
            next
        })
    }
}

/// Why the hub would refuse a figure.
#[must_use]
pub fn figure_problems(definition: &wit::Definition, outcome: &Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    let mut slug = |what: &str, text: &str| {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(good) {
            problems.push(format!("{what} `{text}` is no slug of a-z, digits, `-` and `.`"));
        }
    };
    slug("the definition's id", &definition.id);
    slug("the definition's version", &definition.version);
    outcome.parts.iter().for_each(|part| slug("a part's name", &part.name));
    if let Some(interval) = &outcome.interval {
        slug("the interval's method", &interval.method);
    }
    let parts = outcome.parts.iter().map(|part| ("a part", &part.value));
    let interval = outcome.interval.iter();
    let interval =
        interval.flat_map(|found| [&found.low, &found.high, &found.level].map(|text| ("the interval", text)));
    let value = outcome.value.iter().map(|value| ("the value", value));
    for (what, text) in value.chain(interval).chain(parts) {
        if !is_decimal(text) {
            problems.push(format!("{what} is `{text}`, which is no decimal number"));
        }
    }
    if outcome.parts.len() > 64 {
        problems.push(format!("{} parts, but a figure has at most 64", outcome.parts.len()));
    }
    for (what, text, most) in [
        ("statement", &definition.statement, 500),
        ("unit", &definition.unit, 32),
    ] {
        let letters = text.chars().count();
        if letters == 0 || letters > most || text.chars().any(char::is_control) {
            problems.push(format!("the {what} must have 1 to {most} letters on one line"));
        }
    }
    problems
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(a, b)| (a, Some(b)));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 40 && all_digits(whole) && rest.is_none_or(all_digits)
}

#[cfg(test)]
mod tests {
    use super::{Given, figure_problems, is_decimal, measure};
    use crate::figure::{Definition, Fact, Metric, Outcome, Part, ratio};

    /// Counts records by nothing.
    #[derive(Default)]
    struct Mean(u64, i128);

    impl Metric for Mean {
        fn definition() -> Definition {
            Definition {
                id: "mean".into(),
                version: "1".into(),
                statement: "متوسط النجوم".into(),
                unit: "stars".into(),
            }
        }
        fn add(&mut self, fact: &Fact<'_>) {
            if let Some(stars) = fact.score("stars").and_then(|score| score.step(1, 5)) {
                assert_eq!((fact.channel, fact.kind), ("survey", None));
                self.0 += 1;
                self.1 += i128::from(stars);
            }
        }
        fn finish(&self) -> Outcome {
            Outcome {
                n: self.0,
                value: ratio(self.1, self.0, 2),
                interval: None,
                parts: vec![Part::count("answers", self.0)],
            }
        }
    }

    #[test]
    fn a_figure_is_made_of_what_was_given() {
        let mut given: Vec<Given> = [5.0, 4.0, 4.0, 1.0, 2.5]
            .map(|stars| Given::score("stars", stars, 1.0, 5.0))
            .to_vec();
        given.insert(2, Given::score("أخرى", 3.0, 1.0, 5.0));
        let other = given[2].scores[0].clone();
        given[0].scores.insert(0, other);
        let outcome = measure::<Mean>(&given);
        assert_eq!((outcome.n, outcome.value.as_deref()), (4, Some("3.50")));
        assert_eq!(measure::<Mean>(&[]).value, None);
    }

    #[test]
    fn what_the_hub_refuses_is_named() {
        for (text, good) in [
            ("0", true),
            ("-12.50", true),
            ("1e3", false),
            ("", false),
            (".5", false),
            ("٣", false),
        ] {
            assert_eq!(is_decimal(text), good, "{text}");
        }
        let outcome = Outcome {
            n: 1,
            value: Some("NaN".into()),
            interval: None,
            parts: vec![Part::count("جزء", 1)],
        };
        let problems = figure_problems(&Mean::definition(), &outcome);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
