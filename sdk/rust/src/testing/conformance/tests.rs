//! Departments that break one rule each, and the finding that says so.

mod clerk;
mod desk;
mod pager;

use std::collections::BTreeSet;

use serde_json::json;

use super::finding::told;
use super::{Department, Finding, Rule};
use clerk::{Clerk, Sin};
use desk::{Desk, KEY, SITE};

fn clerk(sin: Sin) -> Department<Clerk, Desk> {
    Department::<Clerk, _>::new(json!({ "sin": sin }), Desk::default)
        .origin(SITE)
        .secret("signing", KEY)
        .reports()
}

/// The rules that a department breaks.
fn broken(sin: Sin) -> BTreeSet<Rule> {
    clerk(sin).findings().iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_department_that_does_everything_right_passes() {
    clerk(Sin::None).must_pass();
}

#[test]
fn each_sin_is_found_and_told_as_the_rule_that_it_breaks() {
    for (sin, rule) in [
        (Sin::NeverWorks, Rule::Works),
        (Sin::Panics, Rule::NoPanic),
        (Sin::ForgetsTheTime, Rule::InTime),
        (Sin::AnswersTwice, Rule::OneVerdict),
        (Sin::AnswersForOthers, Rule::OneVerdict),
        (Sin::SaysNothing, Rule::OneVerdict),
        (Sin::LinksToScripts, Rule::Reference),
        (Sin::GivesUp, Rule::Retryable),
        (Sin::GivesUpOnSilence, Rule::Retryable),
        (Sin::ComesBackAtOnce, Rule::Pause),
        (Sin::TakesSecondsForMilliseconds, Rule::Pause),
        (Sin::CountsLimitsAsFailures, Rule::Pause),
        (Sin::TriesRevokedKeys, Rule::Credential),
        (Sin::DeadLettersAll, Rule::Gone),
        (Sin::OneForAll, Rule::OneItem),
        (Sin::BelievesEverything, Rule::IsThere),
        (Sin::CreatesAgain, Rule::Once),
        (Sin::TrustsItsState, Rule::Once),
        (Sin::ReadsNothingAsNothingThere, Rule::Once),
        (Sin::RemembersTooEarly, Rule::Arrives),
        (Sin::KeepsTheOld, Rule::Current),
        (Sin::ErasesWhatItKnows, Rule::Erased),
        (Sin::Follows, Rule::Granted),
        (Sin::JoinsReferences, Rule::Granted),
        (Sin::Quotes, Rule::Secret),
        (Sin::Quotes, Rule::Quoted),
        (Sin::LogsEverything, Rule::Quoted),
        (Sin::MixesUpStates, Rule::Report),
        (Sin::TakesTheClock, Rule::ReportedOnce),
        (Sin::HasNoTime, Rule::Newest),
        (Sin::BelievesAnybody, Rule::Forged),
        (Sin::ReportsOfStrangers, Rule::Foreign),
        (Sin::ReadsAgain, Rule::Unreadable),
    ] {
        let rules = broken(sin);
        assert!(
            rules.contains(&rule),
            "{sin:?} breaks {rule:?}, and {rules:?} were found"
        );
    }
}

#[test]
fn a_small_sin_is_not_told_as_many() {
    for (sin, rule) in [
        (Sin::AnswersTwice, Rule::OneVerdict),
        (Sin::LinksToScripts, Rule::Reference),
        (Sin::TriesRevokedKeys, Rule::Credential),
        (Sin::DeadLettersAll, Rule::Gone),
        (Sin::CountsLimitsAsFailures, Rule::Pause),
        (Sin::KeepsTheOld, Rule::Current),
        (Sin::MixesUpStates, Rule::Report),
        (Sin::BelievesAnybody, Rule::Forged),
        (Sin::ReportsOfStrangers, Rule::Foreign),
        (Sin::ReadsAgain, Rule::Unreadable),
    ] {
        let mut rules = broken(sin);
        // Who mixes up states has a newest one that is wrong, too.
        if sin == Sin::MixesUpStates {
            rules.remove(&Rule::Newest);
        }
        assert_eq!(rules, BTreeSet::from([rule]), "{sin:?}");
    }
}

#[test]
fn a_finding_says_what_was_done_what_was_expected_in_which_call_and_where() {
    let findings = clerk(Sin::CreatesAgain).findings();
    let lost = findings
        .iter()
        .find(|finding| finding.scene.contains("request 1 of the call is done, and no answer"));
    let finding: &Finding = lost.expect("an answer that is lost makes a second ticket");
    assert_eq!(finding.rule, Rule::Once);
    assert_eq!(finding.done, "the other system has 2 of it");
    assert!(
        finding.scene.starts_with("3 new items are handed over"),
        "{}",
        finding.scene
    );
    assert!(
        finding
            .call
            .starts_with("call 2 of `deliver`, delivery 0199a1b3-0001-7000-8000-000000000001 (attempt 2)"),
        "{}",
        finding.call
    );
    assert_eq!(finding.passed, ["POST https://desk.example/tickets: answered 201"]);
    let text = told(&findings);
    for part in [
        "breaks one rule of the contract:",
        "once: the other system has 2 of it\n",
        "  expected: one thing, however often the same delivery comes",
        "  played:   3 ",
        "  in:       call ",
        "  passed:   1. POST https://desk.example/tickets",
        " times more\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
#[should_panic(expected = "credential: it was told as `transient`")]
fn who_breaks_a_rule_does_not_pass() {
    clerk(Sin::TriesRevokedKeys).must_pass();
}

#[test]
fn a_model_that_tells_nothing_back_cannot_be_tried_for_reports() {
    let mute = Department::<Clerk, _>::new(json!({ "sin": "none" }), desk::Mute::default)
        .origin(SITE)
        .reports();
    let findings = mute.findings();
    assert_eq!(findings.len(), 1, "{}", told(&findings));
    assert!(findings[0].done.contains("`System::tells`"), "{}", findings[0].done);
}

#[test]
fn what_is_not_granted_and_settings_that_do_not_fit_are_told_at_once() {
    let lost = Department::<Clerk, _>::new(json!({ "sin": "none" }), Desk::default).findings();
    let rules: BTreeSet<Rule> = lost.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, BTreeSet::from([Rule::Works, Rule::Arrives, Rule::Granted]));
    let odd = Department::<Clerk, _>::new(json!({ "sin": "كسل" }), Desk::default).origin(SITE);
    let findings = odd.findings();
    assert!(
        findings
            .iter()
            .all(|finding| [Rule::Works, Rule::Arrives].contains(&finding.rule)),
        "{}",
        told(&findings)
    );
    assert!(findings[0].done.contains("sin"), "{}", findings[0].done);
}

#[test]
fn departments_that_speak_over_a_connection_are_tried_as_well() {
    pager::department(false).must_pass();
    let rules: BTreeSet<Rule> = pager::department(true)
        .findings()
        .iter()
        .map(|finding| finding.rule)
        .collect();
    assert!(rules.contains(&Rule::IsThere), "{rules:?}");
}
