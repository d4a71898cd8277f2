//! The definition's own vectors, and its edges.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use mihwar_sdk::Metric;
use mihwar_sdk::figure::{Outcome, fixed};
use mihwar_sdk::testing::{Given, measure};
use plugin_nps::Nps;

fn answers(promoters: usize, passives: usize, detractors: usize) -> Vec<Given> {
    let of = |values: &'static [f64], count: usize| {
        let values = values.iter().cycle().take(count);
        values.map(|value| Given::score("nps", *value, 0.0, 10.0))
    };
    of(&[9.0, 10.0], promoters)
        .chain(of(&[7.0, 8.0], passives))
        .chain(of(&[0.0, 3.0, 6.0], detractors))
        .collect()
}

fn figure(promoters: usize, passives: usize, detractors: usize) -> Outcome {
    measure::<Nps>(&answers(promoters, passives, detractors))
}

fn part(outcome: &Outcome, name: &str) -> String {
    let part = outcome.parts.iter().find(|part| part.name == name);
    part.unwrap().value.clone()
}

#[test]
fn the_closed_form_gives_the_vectors() {
    for (counts, value, half) in [
        ((50, 30, 20), "30.0", "15.308"),
        ((500, 300, 200), "30.0", "4.841"),
        ((120, 50, 30), "45.0", "10.255"),
        ((9, 1, 0), "90.0", "18.594"),
    ] {
        let (found, margin) = Nps::counted(counts.0, counts.1, counts.2).closed_form().unwrap();
        assert_eq!((fixed(found, 1).as_str(), fixed(margin, 3).as_str()), (value, half));
    }
}

#[test]
fn the_figure_has_the_vectors_interval_and_says_how_it_was_computed() {
    for (counts, value, low, high) in [
        ((50, 30, 20), "30.000", "14.692", "45.308"),
        ((500, 300, 200), "30.000", "25.159", "34.841"),
        ((120, 50, 30), "45.000", "34.745", "55.255"),
    ] {
        let found = figure(counts.0, counts.1, counts.2);
        let interval = found.interval.as_ref().unwrap();
        assert_eq!(found.value.as_deref(), Some(value));
        assert_eq!((interval.low.as_str(), interval.high.as_str()), (low, high));
        assert_eq!(interval.method, "closed-form-z-1.96");
        assert_eq!(part(&found, "promoters"), counts.0.to_string());
        assert_eq!(part(&found, "passives"), counts.1.to_string());
        assert_eq!(part(&found, "detractors"), counts.2.to_string());
    }
}

#[test]
fn an_interval_that_would_leave_the_scale_is_adjusted_and_cut() {
    let found = figure(9, 1, 0);
    let interval = found.interval.as_ref().unwrap();
    assert_eq!((found.n, found.value.as_deref()), (10, Some("90.000")));
    assert_eq!(interval.method, "adjusted-plus-1-z-1.96");
    // (10, 2, 1): 69.231 ± 32.926, cut at 100.
    assert_eq!((interval.low.as_str(), interval.high.as_str()), ("36.305", "100.000"));
    // Many answers, but nobody is against: the closed form would know too much.
    let sure = figure(0, 40, 0).interval.unwrap();
    assert_eq!(sure.method, "adjusted-plus-1-z-1.96");
    // Many answers of all sorts, close to the end of the scale.
    let near = figure(98, 0, 2).interval.unwrap();
    assert_eq!(near.method, "adjusted-plus-1-z-1.96");
}

#[test]
fn without_answers_there_is_no_value() {
    let found = measure::<Nps>(&[]);
    assert_eq!((found.n, found.value, found.interval), (0, None, None));
}

#[test]
fn what_is_no_answer_to_this_question_does_not_count_and_is_told() {
    let mut given = answers(1, 0, 0);
    given.push(Given::score("nps", 7.5, 0.0, 10.0));
    given.push(Given::score("nps", 5.0, 1.0, 5.0));
    given.push(Given::score("رضا", 9.0, 0.0, 10.0));
    let found = measure::<Nps>(&given);
    assert_eq!((found.n, found.value.as_deref()), (1, Some("100.000")));
    assert_eq!(part(&found, "off-scale"), "2");
}

#[test]
fn the_definition_is_named() {
    let definition = Nps::definition();
    assert_eq!((definition.id.as_str(), definition.version.as_str()), ("nps", "1"));
}
