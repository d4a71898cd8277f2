//! The definition's own vectors, and its edges.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use mihwar_sdk::figure::Outcome;
use mihwar_sdk::testing::{Given, measure};
use plugin_csat::Csat;

/// `satisfied` of `n` answers are 4 or 5.
fn figure(satisfied: usize, n: usize) -> Outcome {
    let value = |place: usize| match (place < satisfied, place % 3) {
        (true, 0) => 4.0,
        (true, _) => 5.0,
        (false, 0) => 1.0,
        (false, 1) => 2.0,
        (false, _) => 3.0,
    };
    let given: Vec<Given> = (0..n)
        .map(|place| Given::score("csat", value(place), 1.0, 5.0))
        .collect();
    measure::<Csat>(&given)
}

fn part(outcome: &Outcome, name: &str) -> String {
    let part = outcome.parts.iter().find(|part| part.name == name);
    part.unwrap().value.clone()
}

#[test]
fn the_figure_is_that_of_the_vectors() {
    for (satisfied, n, value, low, high) in [
        (0, 10, "0.00", "0.00", "27.75"),
        (9, 10, "90.00", "59.58", "98.21"),
        (45, 50, "90.00", "78.64", "95.65"),
        (430, 500, "86.00", "82.68", "88.77"),
        (1, 1, "100.00", "20.65", "100.00"),
        (2, 3, "66.67", "20.77", "93.85"),
    ] {
        let found = figure(satisfied, n);
        let interval = found.interval.as_ref().unwrap();
        assert_eq!(found.value.as_deref(), Some(value), "{satisfied}/{n}");
        assert_eq!((interval.low.as_str(), interval.high.as_str()), (low, high));
        assert_eq!((interval.method.as_str(), interval.level.as_str()), ("wilson", "95"));
        assert_eq!((found.n, part(&found, "satisfied")), (n as u64, satisfied.to_string()));
    }
}

#[test]
fn each_answer_is_counted_and_what_is_none_is_told() {
    let mut given: Vec<Given> = [1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 5.0, 4.5]
        .map(|value| Given::score("csat", value, 1.0, 5.0))
        .to_vec();
    given.push(Given::score("csat", 9.0, 0.0, 10.0));
    given.push(Given::score("نجوم", 5.0, 1.0, 5.0));
    let found = measure::<Csat>(&given);
    let counts = [1, 2, 3, 4, 5].map(|step| part(&found, &format!("answers-{step}")));
    assert_eq!(counts, ["1", "2", "1", "1", "2"]);
    assert_eq!((found.n, part(&found, "off-scale").as_str()), (7, "2"));
}

#[test]
fn without_answers_there_is_no_value() {
    let found = measure::<Csat>(&[]);
    assert_eq!((found.n, found.value, found.interval), (0, None, None));
}
