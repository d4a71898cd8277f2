//! Every test, and one plain line at the end.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::setup::{Package, WasmChoice, apt};
use crate::shell::{Workspace, installed, output, run, say};
use crate::{corpus, plugins};

/// Servers of others that tests run, and that no registry for Rust has.
const SERVERS: [Package; 1] = [Package {
    name: "python3-aiosmtpd",
    file: "/usr/lib/python3/dist-packages/aiosmtpd/__init__.py",
}];

/// Options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only tests whose name, or whose program's name, contains this.
    filter: Option<String>,
    /// Use `cargo test` even where nextest is installed.
    #[arg(long)]
    no_nextest: bool,
}

/// Installs what tests need, builds the plugins and runs every test.
pub(crate) fn test(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    let components = [plugins::shipped(workspace)?, plugins::guests(workspace)?].concat();
    plugins::build(workspace, choice, &components)?;
    corpus::install(workspace)?;
    apt(workspace, &SERVERS, "the tests with a mail server")?;
    say("building the hub and its tests");
    // Tests that start the real binary find it beside themselves. Together, because by itself the end of the hub's way,
    // room after room, keeps one core only.
    run(workspace
        .cargo()
        .args(["build", "--workspace", "--bin", "mihwar", "--tests"]))?;
    let mut count = Count::default();
    let mut failed_runs = Vec::new();
    for mut command in commands(workspace, options)? {
        if !counted(&mut command, &mut count, |_| {})? {
            failed_runs.push(format!("{:?}", command.get_args().collect::<Vec<_>>()));
        }
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if !failed_runs.is_empty() {
        bail!("tests failed");
    }
    if count.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn commands(workspace: &Workspace, options: &Options) -> Result<Vec<Command>> {
    let nextest = !options.no_nextest && installed("cargo-nextest");
    let filter = options.filter.as_deref();
    let runs = if nextest {
        say("testing with cargo nextest");
        with_nextest(filter)
    } else {
        say("testing with cargo test");
        let mut metadata = workspace.cargo();
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let described = output(&mut metadata)?;
        with_cargo(filter, &programs(&serde_json::from_str(&described)?))
    };
    let command = |arguments: Vec<String>| {
        let mut command = workspace.cargo();
        command.args(arguments);
        command
    };
    Ok(runs.into_iter().map(command).collect())
}

/// What cargo is told, run after run, where nextest is there.
fn with_nextest(filter: Option<&str>) -> Vec<Vec<String>> {
    let mut tests = words(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    // A name alone would be looked for among the tests' names, and not among those of their programs.
    tests.extend(filter.into_iter().flat_map(|name| ["-E".to_owned(), named(name)]));
    vec![tests, docs(filter)]
}

/// What cargo is told, run after run, where it starts the tests itself. Of `programs`, those that are named run whole.
fn with_cargo(filter: Option<&str>, programs: &BTreeSet<String>) -> Vec<Vec<String>> {
    let tests = words(&["test", "--workspace", "--no-fail-fast"]);
    let Some(filter) = filter else {
        return vec![[tests, words(&["--lib", "--bins", "--tests"])].concat(), docs(None)];
    };
    let of = |program: &String| ["--test".to_owned(), program.clone()];
    let (whole, rest): (Vec<_>, Vec<_>) = programs.iter().partition(|program| program.contains(filter));
    let mut runs: Vec<Vec<String>> = Vec::new();
    if !whole.is_empty() {
        runs.push(tests.iter().cloned().chain(whole.into_iter().flat_map(of)).collect());
    }
    let mut single = [tests, words(&["--lib", "--bins"])].concat();
    single.extend(rest.into_iter().flat_map(of));
    single.push(filter.to_owned());
    runs.extend([single, docs(Some(filter))]);
    runs
}

fn docs(filter: Option<&str>) -> Vec<String> {
    let mut docs = words(&["test", "--workspace", "--doc", "--no-fail-fast"]);
    docs.extend(filter.map(str::to_owned));
    docs
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// In nextest's language: a test that has this in its name, or whose program has.
fn named(part: &str) -> String {
    let mut escaped = String::new();
    for letter in part.chars() {
        if matches!(letter, '\\' | ')' | ',') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    format!("test(~{escaped}) | binary(~{escaped})")
}

/// The names of all test programs, by cargo's description of the workspace.
fn programs(metadata: &Value) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "test")
        .filter_map(|target| target["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// What the runs said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Count {
    /// Takes a line such as `test result: ok. 3 passed; 0 failed; …` or
    /// `Summary [   1.2s] 3 tests run: 3 passed (1 slow), 0 skipped`.
    fn take(&mut self, line: &str) {
        let line = without_colour(line);
        let line = line.trim();
        let figures = if let Some(rest) = line.strip_prefix("test result: ") {
            rest
        } else if let Some((_, rest)) = line
            .strip_prefix("Summary [")
            .and_then(|rest| rest.split_once(" run: "))
        {
            rest
        } else {
            return;
        };
        self.passed += figure(figures, "passed");
        self.failed += figure(figures, "failed") + figure(figures, "timed out");
    }
}

/// The number before `word`.
fn figure(text: &str, word: &str) -> u64 {
    text.split([',', ';', '.'])
        .filter_map(|part| part.split_once(word))
        .filter_map(|(number, _)| number.trim().parse::<u64>().ok())
        .sum()
}

fn without_colour(line: &str) -> String {
    let mut plain = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// Runs a command, shows what it prints, counts the results in it and lets `hear` hear each line. False when it failed.
pub(crate) fn counted(command: &mut Command, count: &mut Count, hear: impl Fn(&str) + Sync) -> Result<bool> {
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let shared = Arc::new(Mutex::new(*count));
    let out = child.stdout.take().context("no output")?;
    let errors = child.stderr.take().context("no output")?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            follow(out, &shared, |line| {
                println!("{line}");
                hear(line);
            });
        });
        scope.spawn(|| {
            follow(errors, &shared, |line| {
                eprintln!("{line}");
                hear(line);
            });
        });
    });
    *count = *shared.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(child.wait()?.success())
}

fn follow(from: impl Read, count: &Mutex<Count>, show: impl Fn(&str)) {
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        show(line);
        count.lock().unwrap_or_else(PoisonError::into_inner).take(line);
        bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> (u64, u64) {
        let mut count = Count::default();
        text.lines().for_each(|line| count.take(line));
        (count.passed, count.failed)
    }

    #[test]
    fn a_name_selects_tests_and_whole_programs_alike() {
        let [tests, docs]: [Vec<String>; 2] = with_nextest(Some("faults")).try_into().unwrap();
        assert_eq!(tests[4..], ["-E", "test(~faults) | binary(~faults)"]);
        assert_eq!(docs.last().unwrap(), "faults");
        assert_eq!(named("a\\(ب),c"), "test(~a\\\\(ب\\)\\,c) | binary(~a\\\\(ب\\)\\,c)");
        assert_eq!(with_nextest(None)[0].len(), 4);

        let described = serde_json::json!({"packages": [
            {"targets": [{"name": "mihwar_store", "kind": ["lib"]}, {"name": "faults", "kind": ["test"]}]},
            {"targets": [{"name": "tidy", "kind": ["test"]}, {"name": "faults", "kind": ["test"]}]},
        ]});
        let programs = programs(&described);
        let [whole, single, _]: [Vec<String>; 3] = with_cargo(Some("fault"), &programs).try_into().unwrap();
        assert_eq!(whole[3..], ["--test", "faults"]);
        assert_eq!(single[3..], ["--lib", "--bins", "--test", "tidy", "fault"]);
        let [single, _]: [Vec<String>; 2] = with_cargo(Some("شكوى"), &programs).try_into().unwrap();
        assert_eq!(single[5..], ["--test", "faults", "--test", "tidy", "شكوى"]);
        assert_eq!(with_cargo(None, &programs)[0][3..], ["--lib", "--bins", "--tests"]);
    }

    #[test]
    fn the_results_of_both_runners_are_counted() {
        assert_eq!(
            count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"),
            (3, 0)
        );
        assert_eq!(
            count("test result: FAILED. 2 passed; 5 failed; 0 ignored\nnoise 7 passed"),
            (2, 5)
        );
        assert_eq!(
            count("     Summary [   1.234s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped"),
            (9, 3)
        );
        assert_eq!(
            count(
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped"
            ),
            (3, 0)
        );
    }
}
