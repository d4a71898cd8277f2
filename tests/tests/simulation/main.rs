//! A whole hub in a simulated world. Time, ids, randomness, disk and network come from a seed; sources, departments, kills,
//! power cuts, faults of the disk and steps of the clock are drawn from it. When all is quiet, auditors compare what
//! sources were told, what departments hold and what the hub says.
//!
//! `MIHWAR_SIMULATION_SEEDS` chooses the seeds: `17` is that one, `100..200` are those, `5000x` are the first five
//! thousand. A single seed tells its whole story on stderr.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod auditor;
mod clients;
mod disk;
mod life;
mod luck;
mod network;
mod run;
mod script;
mod world;

use std::ops::Range;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use mihwar_tests::report_faults;
use run::{Run, run};
use world::Counts;

/// Seeds of a usual run.
const SEEDS: u64 = 1_000;
/// Failing seeds that are told in full.
const TOLD_MAX: usize = 3;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MIHWAR_SIMULATION_SEEDS") else {
        return 0..SEEDS;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match text.split_once("..") {
        Some((first, end)) => number(first).zip(number(end)).map(|(first, end)| first..end),
        None => match text.strip_suffix('x') {
            Some(count) => number(count).map(|count| 0..count),
            None => number(&text).map(|seed| seed..seed + 1),
        },
    };
    range.unwrap_or_else(|| panic!("MIHWAR_SIMULATION_SEEDS is a seed, FIRST..END or COUNTx, not {text:?}"))
}

#[test]
fn whatever_happens_nothing_that_was_acknowledged_is_lost_or_doubled() {
    let seeds = seeds();
    let (next, failures, total) = (
        AtomicU64::new(seeds.start),
        Mutex::new(Vec::new()),
        Mutex::new(Counts::default()),
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sandbox = run::sandbox();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = run(seed, &sandbox.engine);
                    total.lock().unwrap().add(&run.counts);
                    if !run.violations.is_empty() || seeds.end - seeds.start == 1 {
                        failures.lock().unwrap().push(run);
                    }
                }
            });
        }
    });
    let count = seeds.end - seeds.start;
    let figures = total.into_inner().unwrap().figures();
    report_faults("simulation", &[&[("seeds", count)][..], &figures].concat());
    let mut runs = failures.into_inner().unwrap();
    runs.sort_by_key(|run| run.seed);
    runs.iter().take(TOLD_MAX).for_each(Run::tell);
    let failed: Vec<u64> = runs
        .iter()
        .filter(|run| !run.violations.is_empty())
        .map(|run| run.seed)
        .collect();
    assert!(
        failed.is_empty(),
        "{} seeds fail: {failed:?}; repeat one with MIHWAR_SIMULATION_SEEDS={}",
        failed.len(),
        failed[0]
    );
    // A script that strikes no more would pass everything.
    let never: Vec<_> = figures.iter().filter(|(_, times)| *times == 0).collect();
    assert!(
        count < SEEDS || never.is_empty(),
        "over {count} seeds none of: {never:?}"
    );
}

#[test]
fn the_same_seed_twice_gives_the_same_trace() {
    let sandbox = run::sandbox();
    for seed in 0..12 {
        let first = run(seed, &sandbox.engine);
        // On another thread, where hash maps of the standard library are seeded anew.
        let second = std::thread::scope(|scope| scope.spawn(|| run(seed, &sandbox.engine)).join().unwrap());
        for (number, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
            assert_eq!(one, other, "seed {seed} goes another way at line {number}");
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        assert!(first.trace.len() > 20, "seed {seed}: nothing happens");
    }
}

/// Seeds that are run on a disk that lies.
const LYING_SEEDS: u64 = 24;

/// What the engine makes of such a disk can end the process: run by the test below, in one of its own.
#[test]
#[ignore = "part of the test below"]
fn seeds_on_a_disk_that_lies() {
    let first: u64 = std::env::var("MIHWAR_LYING_SEED").unwrap().parse().unwrap();
    let sandbox = run::sandbox();
    for seed in first..LYING_SEEDS {
        let run = run::run_with_lies(seed, &sandbox.engine);
        let signs = ["acknowledged", "does not open", "panicked"];
        let lost = |violation: &String| signs.iter().any(|sign| violation.contains(sign));
        let found = run.violations.iter().any(lost);
        println!("\nlying seed {seed}: {}", if found { "found out" } else { "nothing" });
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let (mut next, mut found, mut aborted) = (0, 0, 0);
    // A child that is ended removes nothing.
    let folder = run::folder();
    while next < LYING_SEEDS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seeds_on_a_disk_that_lies", "--ignored", "--nocapture"])
            .env("MIHWAR_LYING_SEED", next.to_string())
            .env(run::FOLDER, folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        let told = said.lines().filter(|line| line.starts_with("lying seed "));
        let told: Vec<bool> = told.map(|line| line.ends_with("found out")).collect();
        next += told.len() as u64;
        found += told.into_iter().filter(|found| *found).count() as u64;
        if next < LYING_SEEDS {
            // The engine ends the process over pages that make no sense, which nobody can overlook either: by a panic while
            // it unwinds, or for lengths that no memory holds. Nothing else may have ended it.
            let errors = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.signal(), Some(6), "{said}\n{errors}");
            let by_engine = ["/redb-", "memory allocation of "];
            assert!(
                by_engine.iter().any(|sign| errors.contains(sign)),
                "something else ended the process: {said}\n{errors}"
            );
            next += 1;
            aborted += 1;
        }
    }
    report_faults(
        "a disk that lies",
        &[
            ("seeds", LYING_SEEDS),
            ("found out", found),
            ("ended by the engine", aborted),
        ],
    );
    found += aborted;
    // Not each power cut hits something: what matters is that the auditors would see it.
    assert!(found > 3, "only {found} runs find out");
}
