//! The whole fault suite, at length, and a table of what was done and found.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::plugins;
use crate::run::build_hub;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, installed, say};
use crate::test::{Count, counted};

/// Kills of the hub in one usual run, as `cargo xtask test` makes them: tests/tests/faults/kill.rs.
const USUAL_KILLS: u64 = 12;
/// Parts of the names of test programs that belong to the suite.
const PROGRAMS: [&str; 3] = ["faults", "durability", "simulation"];
/// Parts of the names of single tests that belong to it, wherever they are.
const TESTS: [&str; 2] = ["faults", "simulation"];

/// Options of `cargo xtask faults`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the hub is killed under load. Every other fault is made as many times more often than in
    /// `cargo xtask test`, which kills it 12 times.
    #[arg(long, default_value_t = 200, value_name = "N")]
    rounds: u64,
    /// Seeds of the simulation.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    simulation_seeds: u64,
    /// Repeats a run: the seed that a failed test has told.
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds what is needed, runs the suite and prints the table.
pub(crate) fn faults(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    let components = [plugins::shipped(workspace)?, plugins::guests(workspace)?].concat();
    plugins::build(workspace, choice, &components)?;
    build_hub(workspace)?;
    let times = options.rounds.div_ceil(USUAL_KILLS).max(1);
    say(format!("every fault {times} times as often as in `cargo xtask test`"));
    let table = Mutex::new(Table::default());
    let (mut count, mut failed) = (Count::default(), false);
    let begun = Instant::now();
    for mut command in commands(workspace)? {
        command
            .env("MIHWAR_FAULT_ROUNDS", times.to_string())
            .env("MIHWAR_SIMULATION_SEEDS", options.simulation_seeds.to_string());
        if let Some(seed) = options.seed {
            command.env("MIHWAR_FAULT_SEED", seed.to_string());
        }
        let hear = |line: &str| table.lock().unwrap_or_else(PoisonError::into_inner).take(line);
        failed |= !counted(&mut command, &mut count, hear)?;
    }
    let table = table.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("\n{}", table.shown());
    let seconds = begun.elapsed().as_secs();
    println!("{} passed, {} failed, in {seconds} s", count.passed, count.failed);
    if failed {
        bail!("the fault suite failed; a failed test has told its seed above");
    }
    if table.is_empty() {
        bail!("no fault was made");
    }
    Ok(())
}

/// The test programs of the suite, by the way they are started.
fn commands(workspace: &Workspace) -> Result<Vec<Command>> {
    let mut command = workspace.cargo();
    if installed("cargo-nextest") {
        let (programs, tests) = (PROGRAMS.join("|"), TESTS.join("|"));
        command
            .args(["nextest", "run", "--workspace", "--no-fail-fast"])
            .args(["--success-output", "immediate", "--failure-output", "immediate"])
            .args(["-E", &format!("binary(/{programs}/) | test(/{tests}/)")]);
        return Ok(with_fuzzing(workspace, vec![command]));
    }
    command.args(["test", "--workspace", "--no-fail-fast"]);
    for program in programs(workspace)? {
        command.args(["--test", &program]);
    }
    command.args(["--", "--nocapture"]);
    let mut single = workspace.cargo();
    single
        .args(["test", "--workspace", "--no-fail-fast", "--lib", "--", "--nocapture"])
        .args(TESTS);
    Ok(with_fuzzing(workspace, vec![command, single]))
}

/// Behind the tests, each parser of foreign bytes is asked for ten seconds.
fn with_fuzzing(workspace: &Workspace, mut commands: Vec<Command>) -> Vec<Command> {
    let mut build = workspace.cargo();
    build.args(["build", "--workspace", "--bin", "fuzz"]);
    commands.extend([build, workspace.command(workspace.target().join("debug/fuzz"))]);
    commands
}

/// Names of the test programs in the rooms and in `tests/` that belong to the suite.
fn programs(workspace: &Workspace) -> Result<Vec<String>> {
    let mut folders = vec![workspace.path("tests/tests")];
    for room in std::fs::read_dir(workspace.path("host"))? {
        folders.push(room?.path().join("tests"));
    }
    let mut found = Vec::new();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if PROGRAMS.iter().any(|part| name.contains(part)) {
                found.push(name);
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// What the tests told, by the name of the fault.
#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// Takes a line such as `faults: kill -9 under load: seed 7, rounds 12, lost 0`, wherever in a line it begins: test
    /// runners indent what a test said, or put its name in front.
    fn take(&mut self, line: &str) {
        let Some((_, told)) = line.split_once("faults: ") else {
            return;
        };
        let Some((name, figures)) = told.trim_end().split_once(": ") else {
            return;
        };
        let figures: Vec<&str> = figures.split(", ").collect();
        if !figures.iter().all(|figure| is_figure(figure)) {
            return;
        }
        let row = self.rows.entry(name.to_owned()).or_default();
        let figures = figures.join(", ");
        // A runner may print what a test said twice: at once, and again at the end.
        if !row.contains(&figures) {
            row.push(figures);
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One line for each time a fault was told of.
    fn shown(&self) -> String {
        let width = self.rows.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        let rows = self.rows.iter().flat_map(|(name, told)| {
            let line = move |figures: &String| format!("{name:width$}  {figures}");
            told.iter().map(line)
        });
        rows.collect::<Vec<_>>().join("\n")
    }
}

/// Words and then a number.
fn is_figure(text: &str) -> bool {
    text.rsplit_once(' ')
        .is_some_and(|(words, number)| !words.is_empty() && number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_tell_becomes_a_table() {
        let mut table = Table::default();
        for line in [
            "    faults: kill -9 under load: seed 7, rounds 12, lost 0",
            "faults: disk full: answered 40, lost 0",
            "    faults: kill -9 under load: seed 7, rounds 12, lost 0",
            "faults: kill -9 under load: seed 8, rounds 12, lost 0",
            "running faults: no figures here",
            "faults: a sentence: and nothing to count",
            "PASS [  12.0s] mihwar-tests::faults kill::killed_at_any_moment",
        ] {
            table.take(line);
        }
        assert_eq!(
            table.shown(),
            "disk full           answered 40, lost 0\n\
             kill -9 under load  seed 7, rounds 12, lost 0\n\
             kill -9 under load  seed 8, rounds 12, lost 0"
        );
    }

    #[test]
    fn a_table_without_a_row_is_empty() {
        let mut table = Table::default();
        table.take("test result: ok. 3 passed; 0 failed");
        assert!(table.is_empty());
    }
}
