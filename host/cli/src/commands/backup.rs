//! `mihwar backup` and `mihwar restore`: copies that are whole or not there.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::{Buf, Bytes};
use indicatif::{ProgressBar, ProgressStyle};
use mihwar_hub::{BackupReport, MasterKey, RestoreOptions, restore_backup, verify_backup};
use mihwar_server::wire::{BackupQuery, NO_INCREMENT};
use mihwar_store::backup::{self, Received};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{load_config, text_of, trial};
use crate::answer::Pieces;
use crate::args::Global;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::{bytes, counted};

/// Pieces that may wait for a slow disk before the hub waits for it.
pub(super) const PIECES_WAITING_MAX: usize = 4;

/// A backup that was made, for programs.
#[derive(Serialize)]
struct Made {
    file: String,
    /// The state that it holds: an increment goes on from it.
    state: String,
    /// Whether one can.
    increments: bool,
    since: Option<String>,
    rows: u64,
    rows_removed: u64,
    events: u64,
    files: u64,
    file_bytes: u64,
    files_missing: u64,
    bytes: u64,
    seconds: f64,
    master_key: &'static str,
}

/// Fetches a backup from the hub into `file`.
pub(super) async fn make(
    client: &Client,
    file: PathBuf,
    since: Option<&Path>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    // Said before the hub does its part; nothing can take the name from then on without being noticed either.
    anyhow::ensure!(
        std::fs::symlink_metadata(&file).is_err(),
        "{} exists already, and a backup never overwrites anything; give another name",
        file.display()
    );
    let since = since.map(backup::previous).transpose()?;
    let query = BackupQuery {
        since: since.map(|header| header.state.to_string()),
    };
    let started = Instant::now();
    let answer = client.get_with("/api/v1/backup", &query).await?;
    let goes_on = !answer.headers.contains_key(NO_INCREMENT);
    let pieces = answer.pieces();
    let (sender, incoming) = mpsc::channel(PIECES_WAITING_MAX);
    let shown = file.clone();
    let bar = Bar::new(as_json);
    let writing = tokio::task::spawn_blocking(move || {
        let received = backup::receive(Incoming::new(incoming), &file, |came| bar.came(came));
        bar.finish();
        received
    });
    let broke_off = pump(pieces, sender).await.err();
    let received = writing.await.context("writing the backup")?;
    // That the hub went away says more than that the file is cut short.
    let received = match (received, broke_off) {
        (Ok(received), _) => received,
        (Err(_), Some(error)) => return Err(error),
        (Err(error), None) => return Err(error.into()),
    };
    tell_made(&shown, &received, started.elapsed(), goes_on, as_json)?;
    Ok(Outcome::of(received.counts.files_missing == 0))
}

/// Hands the hub's answer over to whoever writes it; ends early when nobody does any more.
pub(super) async fn pump(mut pieces: Pieces, sender: mpsc::Sender<Bytes>) -> anyhow::Result<()> {
    while let Some(piece) = pieces.next().await? {
        if sender.send(piece).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The hub's answer as something that is read from, on a thread that may wait.
pub(super) struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Incoming {
    pub(super) fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        let Some(into) = into.get_mut(..length) else {
            return Ok(0);
        };
        self.current.copy_to_slice(into);
        Ok(length)
    }
}

fn tell_made(file: &Path, received: &Received, took: Duration, goes_on: bool, as_json: bool) -> anyhow::Result<()> {
    let Received {
        header,
        counts,
        bytes: size,
    } = received;
    let since = header.since.map(|since| since.to_string());
    if as_json {
        return json(&Made {
            file: text_of(file)?,
            state: header.state.to_string(),
            increments: goes_on,
            since,
            rows: counts.rows,
            rows_removed: counts.removed,
            events: counts.entries,
            files: counts.files,
            file_bytes: counts.file_bytes,
            files_missing: counts.files_missing,
            bytes: *size,
            seconds: took.as_secs_f64(),
            master_key: "not included",
        });
    }
    let sort = if since.is_some() { "increment" } else { "full backup" };
    line(one_line(&format!(
        "{}: {sort}, {} in {:.1} s",
        file.display(),
        bytes(*size),
        took.as_secs_f64()
    )))?;
    let mut held = vec![
        counted(counts.rows, "row", "rows"),
        counted(counts.entries, "event", "events"),
        format!(
            "{} ({})",
            counted(counts.files, "file", "files"),
            bytes(counts.file_bytes)
        ),
    ];
    if since.is_some() {
        held.push(counted(counts.removed, "deletion", "deletions"));
    }
    line(held.join(", "))?;
    if counts.files_missing > 0 {
        line(format_args!(
            "{} NOT in it: the hub lacks them; run: mihwar ledger verify",
            counted(counts.files_missing, "file is", "files are")
        ))?;
    }
    if !goes_on {
        line(
            "No increment can be made since this backup: the hub has no room to note that it was made. Make room, and make \
             the next one a full one.",
        )?;
    }
    line("The master key is not in it. Keep a copy apart: without it nobody can read what people said.")
}

/// Checks a full backup and its increments.
pub(super) async fn verify(
    global: &Global,
    files: Vec<PathBuf>,
    deep: bool,
    master_key: Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    if deep {
        return trial::verify(global, files, master_key).await;
    }
    let as_json = global.json;
    let report = work_through(as_json, move |progress| Ok(verify_backup(&files, progress)?)).await?;
    if as_json {
        json(&report)?;
    } else {
        tell_report(&report)?;
        line(if report.ok {
            "Everything in it is as it was written, and as the ledger was signed."
        } else {
            "NOT everything in it is as it should be."
        })?;
    }
    Ok(Outcome::of(report.ok))
}

/// Makes a data folder from backups.
pub(super) async fn restore(
    global: &Global,
    files: Vec<PathBuf>,
    master_key: Option<PathBuf>,
    without_tokens: bool,
) -> anyhow::Result<Outcome> {
    let folder = match &global.data {
        // A new machine may have no configuration yet.
        Some(folder) => folder.clone(),
        None => load_config(global, &[])?.data,
    };
    let key = master_key.as_deref().map(MasterKey::read).transpose()?;
    let (place, has_key, as_json) = (folder.clone(), key.is_some(), global.json);
    let restoring = work_through(as_json, move |progress| {
        let options = RestoreOptions {
            master_key: key.as_ref(),
            keep_key: true,
            without_tokens,
        };
        Ok(restore_backup(&files, &place, options, progress)?)
    });
    let report = restoring.await?;
    if as_json {
        json(&report)?;
        return Ok(Outcome::of(report.ok));
    }
    tell_report(&report)?;
    line(one_line(&format!("restored to {}", folder.display())))?;
    if !has_key {
        line(one_line(&format!(
            "Now put the master key there: {}, mode 0600; or set {}.",
            folder.join("master.key").display(),
            mihwar_hub::MASTER_KEY_VARIABLE
        )))?;
    }
    tell_tokens(report.tokens, without_tokens)?;
    line(one_line(&format!(
        "Then bring back the configuration, and check it: mihwar --data {} ledger verify",
        folder.display()
    )))?;
    Ok(Outcome::of(report.ok))
}

/// What of the older state lets people in.
fn tell_tokens(tokens: u64, without_tokens: bool) -> anyhow::Result<()> {
    match (tokens, without_tokens) {
        (0, _) => Ok(()),
        (_, true) => line(format_args!(
            "{} of that state: revoked; make new ones with: mihwar token create",
            counted(tokens, "API token", "API tokens")
        )),
        (_, false) => line(format_args!(
            "{} of that state: good again, also if revoked since; look at them with: mihwar token list",
            counted(tokens, "API token", "API tokens")
        )),
    }
}

/// Does work that blocks, with a bar while it lasts.
pub(super) async fn work_through<T: Send + 'static>(
    as_json: bool,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let bar = Bar::new(as_json);
    let working = tokio::task::spawn_blocking(move || {
        let done = work(&mut |done, total| bar.step(done, total));
        bar.finish();
        done
    });
    working.await.map_err(|error| anyhow!("the work broke off: {error}"))?
}

pub(super) fn tell_report(report: &BackupReport) -> anyhow::Result<()> {
    line(one_line(&format!("{}, as of {}", report.origin, report.made_at)))?;
    line(format_args!(
        "{}, {} with root {}, {}, {} ({})",
        counted(report.rows, "row", "rows"),
        counted(report.events, "event", "events"),
        report.root,
        counted(report.checkpoints, "checkpoint", "checkpoints"),
        counted(report.files, "file", "files"),
        bytes(report.file_bytes)
    ))?;
    line(one_line(&format!("checkpoints verify with {}", report.verifier_key)))?;
    for finding in &report.findings {
        line(format_args!("  {}", one_line(finding)))?;
    }
    if report.findings_untold > 0 {
        line(format_args!("  … and {} more", report.findings_untold))?;
    }
    Ok(())
}

/// How far it is: on a terminal only.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(as_json: bool) -> Self {
        let shown = !as_json && io::stderr().is_terminal();
        Self(shown.then(ProgressBar::new_spinner))
    }

    /// So many bytes came; nobody knows of how many.
    fn came(&self, count: u64) {
        if let Some(bar) = &self.0 {
            bar.set_message(bytes(count));
            bar.tick();
        }
    }

    fn step(&self, done: u64, total: u64) {
        let Some(bar) = &self.0 else { return };
        if bar.length() != Some(total) {
            let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {elapsed}, {eta} to go");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_length(total);
        }
        bar.set_position(done);
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
