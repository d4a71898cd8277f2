//! The trials: everything that can go wrong with every request of every stage, and what came of it.

use super::batch::{Parcel, What, bare_items, new_items, parcel};
use super::bench::Bench;
use super::expect;
use super::fault::{ELSEWHERE, Fault, Plan, Way, plans};
use super::stage::Stage;
use super::verdict::Called;
use super::{Finding, Rule, Setup, System, Trouble};
use crate::PluginError;

/// Requests of a call that are tried one by one. What is wrong with a later one is wrong with an earlier one.
const REQUESTS_MAX: usize = 16;
/// Items of the batch that a slow system gets.
const MANY_ITEMS: usize = 8;
/// How long the hub waits at least before it tries again, and at most, whatever it was told.
const PAUSE_MS: (u64, u64) = (60_000, 86_400_000);
/// How often it tries when the other system works again.
const ATTEMPTS: u32 = 2;

/// Everything that is wrong with how a department delivers.
pub(super) fn deliveries<S: System>(setup: &Setup<S>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stage in Stage::ALL {
        let (ways, found) = healthy(setup, stage);
        let works = found.iter().all(|finding| finding.rule != Rule::Works);
        findings.extend(found);
        if !works && stage == Stage::New {
            // Where nothing works, nothing can be tried.
            return findings;
        }
        for (at, way) in ways.into_iter().enumerate().take(REQUESTS_MAX) {
            for plan in plans(way, at) {
                findings.extend(faulty(setup, stage, plan));
            }
        }
    }
    findings.extend(bare(setup));
    findings.extend(slow(setup));
    findings.extend(odd_references(setup));
    findings
}

/// A stage in which nothing goes wrong: which requests it takes, and what is wrong with it all the same.
fn healthy<S: System>(setup: &Setup<S>, stage: Stage) -> (Vec<Way>, Vec<Finding>) {
    let mut bench = Bench::new(setup, format!("{}, and nothing goes wrong", stage.described()));
    let batch = stage.set(&mut bench);
    let called = bench.call(&batch, None);
    for parcel in batch.iter().filter(|parcel| !called.is_over(parcel)) {
        if let Some(error) = called.error(parcel).filter(|error| !is_excused(parcel, error)) {
            let done = format!("it failed: {}", error.summary());
            bench.find(Rule::Works, &called, Some(parcel), done);
        }
    }
    if stage == Stage::New && !batch.iter().any(|parcel| called.is_delivered(parcel)) {
        let done = "of three sound items none was delivered: nothing can be tried".to_owned();
        bench.find(Rule::Works, &called, None, done);
    }
    is_told_truly(&mut bench, &batch, &called);
    let ways = called.seen.iter().map(|seen| seen.way).collect();
    arrives(&mut bench, batch, &called);
    (ways, bench.findings)
}

/// A stage in which one thing goes wrong.
fn faulty<S: System>(setup: &Setup<S>, stage: Stage, plan: Plan) -> Vec<Finding> {
    let scene = format!("{}, and {}", stage.described(), plan.described());
    let mut bench = Bench::new(setup, scene);
    let batch = stage.set(&mut bench);
    let called = bench.call(&batch, Some(plan));
    expect::judge(&mut bench, stage, plan.fault, &batch, &called);
    // Whoever is told that an item is not there any more may take it for erased.
    if !(stage.is_erasure() && plan.fault == Fault::Trouble(Trouble::Gone)) {
        is_told_truly(&mut bench, &batch, &called);
    }
    arrives(&mut bench, batch, &called);
    bench.findings
}

/// Items of which nothing was granted: there is no text, and nobody who said it.
fn bare<S: System>(setup: &Setup<S>) -> Vec<Finding> {
    let mut bench = Bench::new(
        setup,
        "3 new items are handed over, of which no field was granted".into(),
    );
    bench.call(&bare_items(), None);
    bench.findings
}

/// A system that answers so slowly that there is no time for the whole batch.
fn slow<S: System>(setup: &Setup<S>) -> Vec<Finding> {
    let takes_ms = setup.time_ms / 5;
    let plan = Plan {
        fault: Fault::Slow(takes_ms),
        at: 0,
        is_once: false,
    };
    let scene = format!(
        "{MANY_ITEMS} new items are handed over, and every answer takes {takes_ms} ms of the {} ms that the call has",
        setup.time_ms
    );
    let mut bench = Bench::new(setup, scene);
    let batch = new_items(MANY_ITEMS, 1);
    let called = bench.call(&batch, Some(plan));
    expect::judge(&mut bench, Stage::New, plan.fault, &batch, &called);
    is_told_truly(&mut bench, &batch, &called);
    arrives(&mut bench, batch, &called);
    bench.findings
}

/// References as a system could give them that means no good, or that somebody got at.
fn odd_references<S: System>(setup: &Setup<S>) -> Vec<Finding> {
    let long = "ط".repeat(1024);
    let odd = [
        ELSEWHERE,
        "@elsewhere.example/",
        ".elsewhere.example/",
        "../../..",
        "//elsewhere.example",
        "7\r\nX-Kit: 1",
        "7?a=b#c",
        " ",
        long.as_str(),
    ];
    let mut findings = Vec::new();
    for reference in odd {
        for what in [What::Updated, What::Erased] {
            let shown: String = reference.chars().take(40).collect();
            let scene = format!(
                "a delivered item {}, and the reference that the other system gave is `{}`",
                if what == What::Updated {
                    "has a new version"
                } else {
                    "is erased"
                },
                shown.escape_debug()
            );
            let mut bench = Bench::new(setup, scene);
            bench.call(&new_items(1, 1), None);
            let batch = [parcel(1, what, 1, Some(&reference.to_owned()))];
            bench.call(&batch, None);
            findings.extend(bench.findings);
        }
    }
    findings
}

/// What is told as delivered must be there, once and as it was handed over; what is told as erased must be gone.
fn is_told_truly<S: System>(bench: &mut Bench<'_, S>, batch: &[Parcel], called: &Called) {
    for parcel in batch {
        if parcel.is_erasure {
            let is_erased = bench.stand().system.is_erased(&parcel.handed);
            if called.is_over(parcel) && is_erased == Some(false) {
                let done = "it was told as done, and the other system has the item as it was".to_owned();
                bench.find(Rule::Erased, called, Some(parcel), done);
            }
            continue;
        }
        let (copies, is_current) = {
            let stand = bench.stand();
            (
                stand.system.copies(&parcel.handed),
                stand.system.is_current(&parcel.handed),
            )
        };
        let is_delivered = called.is_delivered(parcel);
        if is_delivered && copies == 0 {
            let done = "it was told as delivered, and the other system has nothing of it".to_owned();
            bench.find(Rule::IsThere, called, Some(parcel), done);
        } else if is_delivered && is_current == Some(false) {
            let done = "it was told as delivered, and what the other system has does not say it".to_owned();
            bench.find(Rule::Current, called, Some(parcel), done);
        }
        if copies == 0 && !is_delivered && called.is_over(parcel) && !parcel.handed.is_update {
            let done = "it was skipped, and the other system has nothing of it".to_owned();
            bench.find(Rule::Arrives, called, Some(parcel), done);
        }
        if copies > 1 {
            bench.find(
                Rule::Once,
                called,
                Some(parcel),
                format!("the other system has {copies} of it"),
            );
        }
    }
}

/// The other system works again, and what waits is handed over again. What was given up comes last, as when a person sends
/// it again.
fn arrives<S: System>(bench: &mut Bench<'_, S>, batch: Vec<Parcel>, called: &Called) {
    let (given_up, waiting): (Vec<Parcel>, Vec<Parcel>) = batch
        .into_iter()
        .filter(|parcel| !called.is_over(parcel))
        .partition(|parcel| called.is_given_up(parcel));
    let mut pause_ms = called.pause_ms();
    for mut round in [waiting, given_up] {
        for attempt in 1..=ATTEMPTS {
            if round.is_empty() {
                break;
            }
            bench.pass(pause_ms.clamp(PAUSE_MS.0, PAUSE_MS.1));
            for parcel in &mut round {
                parcel.delivery.attempt += 1;
            }
            let again = bench.call(&round, None);
            is_told_truly(bench, &round, &again);
            pause_ms = again.pause_ms();
            round.retain(|parcel| !again.is_over(parcel) && !is_dead_erasure(parcel, &again));
            if let Some(late) = round.first()
                && attempt == ATTEMPTS
            {
                let why = again
                    .error(late)
                    .map_or_else(|| "no verdict".to_owned(), PluginError::summary);
                let done = format!("the other system works again, and the item is still not delivered: {why}");
                bench.find(Rule::Arrives, &again, Some(late), done);
            }
        }
    }
}

fn is_dead_erasure(parcel: &Parcel, called: &Called) -> bool {
    called.error(parcel).is_some_and(|error| is_excused(parcel, error))
}

/// What cannot be erased there is a dead letter, so that a person does it.
const fn is_excused(parcel: &Parcel, error: &PluginError) -> bool {
    parcel.is_erasure && matches!(error, PluginError::Permanent(_))
}
