//! Every test, and one plain line at the end.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::run::build_hub;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, installed, say};
use crate::{corpus, plugins};

/// Options of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this.
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
    // Tests that start the real binary find it beside themselves.
    build_hub(workspace)?;
    let mut count = Count::default();
    let mut failed_runs = Vec::new();
    for mut command in commands(workspace, options) {
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

fn commands(workspace: &Workspace, options: &Options) -> Vec<Command> {
    let nextest = !options.no_nextest && installed("cargo-nextest");
    let mut all = workspace.cargo();
    match nextest {
        true => all.args(["nextest", "run", "--workspace", "--no-fail-fast"]),
        false => all.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]),
    };
    let mut docs = workspace.cargo();
    docs.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    for command in [&mut all, &mut docs] {
        command.args(&options.filter);
    }
    say(if nextest {
        "testing with cargo nextest"
    } else {
        "testing with cargo test"
    });
    vec![all, docs]
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
