//! The whole fault suite, at length, and a table of what was done and found.

use std::collections::{BTreeMap, BTreeSet};
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

/// Kills of the hub under load in one usual run, as `cargo xtask test` makes them: tests/tests/faults/kill.rs.
const USUAL_KILLS: u64 = 12;
/// Parts of the names of test programs that belong to the suite.
const PROGRAMS: [&str; 7] = [
    "faults",
    "durability",
    "simulation",
    "compaction",
    "backup",
    "upgrades",
    "overload",
];
/// Parts of the names of single tests that belong to it, wherever they are.
const TESTS: [&str; 3] = ["faults", "simulation", "rebuild"];
/// What every run must tell of: a test that has fallen silent fails the run, whatever else passes.
const ROWS: [&str; 29] = [
    "a clock in 1970",
    "a disk that lies",
    "a read-only folder",
    "a store of another engine format",
    "disk below its floor",
    "disk full",
    "flipped bytes in compiled code",
    "flipped bytes in stored files",
    "flipped bytes in the store",
    "kill -9 in a backup",
    "kill -9 in a restore",
    "kill -9 in an upgrade",
    UNDER_LOAD,
    SIMULATION,
    "steps of the clock",
    "two hubs on one folder",
    "store, compacted while serving",
    "store, damaged files",
    "store, disk dead from the Nth operation",
    "store, disk full from the Nth write and room again later",
    "store, opening and closing, disk dead from the Nth operation",
    "store, power cut after each change of stored files",
    "store, power cut after each change while it is compacted",
    "store, power cuts with writes lost, torn and reordered",
    "store, process dead at each step of a compaction",
    "store, process killed during a compaction",
    "store, random histories against a plain map, memory",
    "store, random histories against a plain map, redb",
    "store, the Nth operation failing, or a write cut short",
];
/// The row of the simulation: it must have run as many seeds as were asked for.
const SIMULATION: &str = "simulation";
/// The row of the kills under load: they must be as many as were asked for.
const UNDER_LOAD: &str = "kill -9 under load";
/// The figure of a fault that this machine does not let be made.
const SKIPPED: &str = "skipped";
/// Targets of the fuzzer; each must tell in a row `fuzz TARGET`.
const FUZZED: [&str; 25] = [
    "address",
    "answer",
    "api",
    "backup",
    "bundle",
    "calls",
    "calls-mapped",
    "component",
    "config",
    "event",
    "form",
    "format-note",
    "key",
    "language",
    "mail",
    "mail-server",
    "mailbox",
    "manifest",
    "mark",
    "names",
    "note",
    "proof",
    "report",
    "rules",
    "ticket",
];

/// Options of `cargo xtask faults`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the hub is killed under load; `cargo xtask test` kills it 12 times. Whatever else is drawn by chance
    /// (docs/faults.md lists it) is done as many times more often.
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
    say(format!(
        "what is drawn by chance {times} times as often as in `cargo xtask test`"
    ));
    let table = Mutex::new(Table::default());
    let (mut count, mut failed) = (Count::default(), false);
    let begun = Instant::now();
    for mut command in commands(workspace)? {
        command
            .env("MIHWAR_FAULT_ROUNDS", times.to_string())
            // A number alone would be that one seed.
            .env("MIHWAR_SIMULATION_SEEDS", format!("{}x", options.simulation_seeds));
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
    let gaps = table.gaps(options.simulation_seeds, options.rounds);
    if !gaps.is_empty() {
        bail!("every test passed, but not everything was done:\n{}", gaps.join("\n"));
    }
    Ok(())
}

/// The test programs of the suite, by the way they are started.
fn commands(workspace: &Workspace) -> Result<Vec<Command>> {
    let mut command = workspace.cargo();
    if installed("cargo-nextest") {
        let (programs, tests) = (PROGRAMS.join("|"), TESTS.join("|"));
        command
            // With more time for each test: .config/nextest.toml.
            .args(["nextest", "run", "--workspace", "--profile", "faults", "--no-fail-fast"])
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
    /// Lines that should have been rows and are none.
    unreadable: BTreeSet<String>,
}

impl Table {
    /// Takes a line such as `faults: kill -9 under load: seed 7, rounds 12, lost 0`, wherever in a line it begins: test
    /// runners indent what a test said, or put its name in front. A line that begins so and cannot be read is kept, too:
    /// what nobody reads nobody misses.
    fn take(&mut self, line: &str) {
        let line = line.trim();
        let Some((before, told)) = line.split_once("faults: ") else {
            return;
        };
        let Some((name, figures)) = read(told) else {
            if before.is_empty() {
                self.unreadable.insert(line.to_owned());
            }
            return;
        };
        let row = self.rows.entry(name.to_owned()).or_default();
        // A runner may print what a test said twice: at once, and again at the end.
        if !row.iter().any(|told| told == figures) {
            row.push(figures.to_owned());
        }
    }

    /// What should be in the table and is not, in words.
    fn gaps(&self, seeds_asked: u64, rounds_asked: u64) -> Vec<String> {
        let unreadable = self
            .unreadable
            .iter()
            .map(|line| format!("unreadable, should be `faults: NAME: key number, key number`: {line}"));
        let fuzzed = FUZZED.iter().map(|target| format!("fuzz {target}"));
        let expected = ROWS.iter().map(|name| (*name).to_owned()).chain(fuzzed);
        let missing = expected
            .filter(|name| !self.rows.contains_key(name))
            .map(|name| format!("no test told of: {name}"));
        let skipped = self
            .rows
            .iter()
            .filter(|(_, told)| told.iter().all(|figures| is_skipped(figures)))
            .map(|(name, _)| format!("this machine did not let it be done: {name}"));
        let too_few = [(SIMULATION, "seeds", seeds_asked), (UNDER_LOAD, "rounds", rounds_asked)]
            .into_iter()
            .filter_map(|(name, of, asked)| {
                let made = most(self.rows.get(name)?, of).unwrap_or_default();
                (made < asked).then(|| format!("{name}: {made} {of}, and {asked} were asked for"))
            });
        unreadable.chain(missing).chain(skipped).chain(too_few).collect()
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

/// Name and figures of what follows `faults: `; `None` unless each figure is words and then a number.
fn read(told: &str) -> Option<(&str, &str)> {
    let (name, figures) = told.split_once(": ")?;
    figures
        .split(", ")
        .all(|text| figure(text).is_some())
        .then_some((name, figures))
}

/// Words and then a number. Brackets would be a second figure within the first.
fn figure(text: &str) -> Option<(&str, u64)> {
    let (words, number) = text.rsplit_once(' ')?;
    let number = number.parse().ok()?;
    (!words.trim().is_empty() && !words.contains(['(', ')'])).then_some((words, number))
}

/// Whether nothing was done.
fn is_skipped(figures: &str) -> bool {
    let mut figures = figures.split(", ").filter_map(figure);
    figures.all(|(words, _)| words == SKIPPED)
}

/// The highest figure of this name, among the times that a fault was told of.
fn most(told: &[String], name: &str) -> Option<u64> {
    let figures = told.iter().flat_map(|figures| figures.split(", ")).filter_map(figure);
    figures
        .filter(|(words, _)| *words == name)
        .map(|(_, number)| number)
        .max()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

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
        assert!(table.unreadable.is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_of() {
        for line in [
            "faults: a sentence: and nothing to count",
            "faults: simulation: seeds 1000, power cuts 7 (in the middle of a disk operation 545)",
            "  faults: store, damaged files: 240 files damaged, 0 unnoticed",
            "faults: fuzz mail: executions 7, findings 0 (corpus 3, slowest 3 ms)",
            "faults: بلا أرقام",
        ] {
            let mut table = Table::default();
            table.take(line);
            assert!(table.rows.is_empty(), "{line}");
            let gaps = table.gaps(1, 1);
            assert!(gaps.iter().any(|gap| gap.contains(line.trim())), "{line}: {gaps:?}");
        }
    }

    /// A table with every row; each fault was made so many times, and the simulation ran as many seeds.
    fn full(times: u64) -> Table {
        let mut table = Table::default();
        let fuzzed = FUZZED.map(|target| format!("fuzz {target}"));
        for name in ROWS.iter().map(|name| (*name).to_owned()).chain(fuzzed) {
            table.take(&format!("faults: {name}: seeds {times}, rounds {times}, lost 0"));
        }
        table
    }

    #[test]
    fn a_row_that_is_missing_or_skipped_and_too_few_seeds_or_kills_are_gaps() {
        assert_eq!(full(1000).gaps(1000, 200), Vec::<String>::new());
        // One seed where a thousand were meant, and 12 kills where 200 were.
        let gaps = full(12).gaps(1000, 12);
        assert!(gaps.len() == 1 && gaps[0].contains("12 seeds"), "{gaps:?}");
        let gaps = full(12).gaps(12, 200);
        assert!(gaps.len() == 1 && gaps[0].contains("12 rounds"), "{gaps:?}");
        let mut silent = full(1000);
        silent.rows.remove("kill -9 in a restore");
        let gaps = silent.gaps(1000, 200);
        assert!(gaps.len() == 1 && gaps[0].contains("kill -9 in a restore"), "{gaps:?}");
        // A test that could not be carried out says so, and nothing was done all the same.
        silent.take("    faults: kill -9 in a restore: skipped 1");
        let gaps = silent.gaps(1000, 200);
        assert!(
            gaps.len() == 1 && gaps[0].contains("did not let it be done"),
            "{gaps:?}"
        );
        silent.take("    faults: kill -9 in a restore: kills 12, cut off 3");
        assert_eq!(silent.gaps(1000, 200), Vec::<String>::new());
        assert_eq!(Table::default().gaps(1000, 200).len(), ROWS.len() + FUZZED.len());
    }

    fn sources(folder: &Path) -> Vec<String> {
        let (mut open, mut texts) = (vec![folder.to_owned()], Vec::new());
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    texts.push(fs::read_to_string(path).unwrap());
                }
            }
        }
        texts
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// Texts in quotes that follow these words.
    fn quoted_after(text: &str, words: &str) -> Vec<String> {
        let rest = text.split(words).skip(1);
        let quoted = rest.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        quoted.map(str::to_owned).collect()
    }

    #[test]
    fn the_rows_are_those_that_tests_tell_of() {
        let mut texts = sources(&root().join("tests/tests"));
        texts.extend(sources(&root().join("host/store/tests")));
        for row in ROWS {
            let quoted = format!("\"{row}\"");
            assert!(
                texts.iter().any(|text| text.contains(&quoted)),
                "no test tells of: {row}"
            );
        }
        for text in &texts {
            let told = ["report_faults(", " summary("].map(|call| quoted_after(text, call));
            for name in told.concat() {
                assert!(ROWS.contains(&name.as_str()), "add to ROWS: {name}");
            }
        }
    }

    #[test]
    fn every_target_of_the_fuzzer_is_expected() {
        let texts = sources(&root().join("tests/fuzz/src/targets"));
        let mut names: Vec<_> = texts
            .iter()
            .flat_map(|text| quoted_after(text, "= Target {\n    name:"))
            .collect();
        names.sort();
        assert_eq!(names, FUZZED);
    }
}
