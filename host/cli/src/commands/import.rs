//! `mihwar import`: files and folders, through a channel instance.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{ImportProgress, ImportReport};
use mihwar_server::wire::{ImportInput, ImportLine};

use super::text_of;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::{bytes, counted};

/// Refusals that are shown; the rest stand in the report file.
const REFUSALS_SHOWN: usize = 20;
/// How often a line of progress is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Imports `paths` through `instance`.
pub(super) async fn run(
    client: &Client,
    instance: String,
    paths: &[PathBuf],
    report_file: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let input = ImportInput {
        instance,
        paths: paths.iter().map(|path| absolute(path)).collect::<Result<_, _>>()?,
    };
    let mut lines = client.post("/api/v1/imports", &input).await?.lines();
    let mut shown = Shown::new(as_json);
    let report = loop {
        match lines.next().await? {
            Some(ImportLine::Progress(progress)) => shown.step(&progress),
            Some(ImportLine::Report(report)) => break report,
            Some(ImportLine::Problem(problem)) => anyhow::bail!("{}", problem.detail),
            None => {
                anyhow::bail!("the import broke off; start it again and it goes on where it was")
            }
        }
    };
    shown.finish();
    if let Some(file) = report_file {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    }
    if as_json {
        json(&report)?;
    } else {
        tell(&report, report_file)?;
    }
    Ok(Outcome::of(report.refused == 0))
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).with_context(|| format!("{}", path.display()))?;
    anyhow::ensure!(absolute.exists(), "{} does not exist", absolute.display());
    text_of(&absolute)
}

fn tell(report: &ImportReport, report_file: Option<&Path>) -> anyhow::Result<()> {
    let ImportReport {
        files,
        resumed_files,
        new,
        revised,
        duplicates,
        refused,
        refusals,
    } = report;
    line(format_args!(
        "{}: {new} new, {revised} revised, {duplicates} known already, {refused} refused",
        counted(*files, "file", "files")
    ))?;
    if *resumed_files > 0 {
        line(format_args!(
            "{} went on where an earlier import had stopped",
            counted(*resumed_files, "file", "files")
        ))?;
    }
    for refusal in refusals.iter().take(REFUSALS_SHOWN) {
        let text = format!(
            "{}: {}: {} ({})",
            refusal.file, refusal.place, refusal.reason, refusal.code
        );
        line(format_args!("  {}", one_line(&text)))?;
    }
    if refusals.len() > REFUSALS_SHOWN {
        let more = refusals.len() - REFUSALS_SHOWN;
        match report_file {
            Some(file) => line(format_args!("  … and {more} more, all in {}", file.display()))?,
            None => line(format_args!("  … and {more} more; --report FILE writes them all"))?,
        }
    }
    Ok(())
}

/// Progress: a bar on a terminal, now and then a line elsewhere, nothing for programs.
enum Shown {
    Bar(ProgressBar),
    Lines(Instant),
    Nothing,
}

impl Shown {
    fn new(as_json: bool) -> Self {
        if as_json {
            return Self::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Instant::now());
        }
        let template = "{bar:30} {bytes}/{total_bytes}  {msg}  {elapsed}, {eta} to go";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    fn step(&mut self, progress: &ImportProgress) {
        let ImportProgress {
            files_total,
            files_done,
            bytes_total,
            bytes_done,
            new,
            duplicates,
            refused,
            ..
        } = progress;
        match self {
            Self::Bar(bar) => {
                bar.set_length(*bytes_total);
                bar.set_position(*bytes_done);
                bar.set_message(format!(
                    "{files_done}/{files_total} files, {new} new, {duplicates} known, {refused} refused"
                ));
            }
            Self::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let (done, total) = (bytes(*bytes_done), bytes(*bytes_total));
                eprintln!(
                    "{files_done}/{files_total} files, {done}/{total}: {new} new, {duplicates} known, {refused} refused"
                );
            }
            Self::Lines(_) | Self::Nothing => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
