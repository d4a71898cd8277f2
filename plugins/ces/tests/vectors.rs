//! The share and the mean, Wilson's interval, and the older score kept out.

use mihwar_sdk::figure::Outcome;
use mihwar_sdk::testing::{Given, measure};
use plugin_ces::Ces;

fn figure(answers: &[f64]) -> Outcome {
    let given: Vec<Given> = answers
        .iter()
        .map(|value| Given::score("ces", *value, 1.0, 7.0))
        .collect();
    measure::<Ces>(&given)
}

fn part(outcome: &Outcome, name: &str) -> Option<String> {
    let part = outcome.parts.iter().find(|part| part.name == name);
    part.map(|part| part.value.clone())
}

#[test]
fn share_interval_and_mean() {
    // The shares of the vectors for Wilson's interval: 9 of 10, 0 of 10, 1 of 1.
    let nine = [5.0, 6.0, 7.0, 7.0, 7.0, 6.0, 5.0, 7.0, 7.0, 2.0];
    for (answers, value, low, high, mean) in [
        (&nine[..], "90.00", "59.58", "98.21", "5.900"),
        (&[4.0; 10][..], "0.00", "0.00", "27.75", "4.000"),
        (&[7.0][..], "100.00", "20.65", "100.00", "7.000"),
        (
            &[1.0, 2.0, 2.0, 4.0, 5.0, 6.0, 7.0][..],
            "42.86",
            "15.82",
            "74.95",
            "3.857",
        ),
    ] {
        let found = figure(answers);
        let interval = found.interval.as_ref().unwrap();
        assert_eq!(found.value.as_deref(), Some(value), "{answers:?}");
        assert_eq!((interval.low.as_str(), interval.high.as_str()), (low, high));
        assert_eq!(
            (found.n, part(&found, "mean").as_deref()),
            (answers.len() as u64, Some(mean))
        );
    }
}

#[test]
fn the_older_score_never_mixes_in() {
    let given = [
        Given::score("ces", 7.0, 1.0, 7.0),
        Given::score("ces", 1.0, 1.0, 5.0),
        Given::score("ces", 5.5, 1.0, 7.0),
        Given::score("جهد", 2.0, 1.0, 7.0),
    ];
    let found = measure::<Ces>(&given);
    assert_eq!((found.n, found.value.as_deref()), (1, Some("100.00")));
    assert_eq!(part(&found, "off-scale").as_deref(), Some("2"));
    assert_eq!(part(&found, "answers-7").as_deref(), Some("1"));
}

#[test]
fn without_answers_there_is_neither_value_nor_mean() {
    let found = figure(&[]);
    assert_eq!((found.n, &found.value, &found.interval), (0, &None, &None));
    assert_eq!(part(&found, "mean"), None);
}
