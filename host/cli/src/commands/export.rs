//! `mihwar feedback export`: everything that matches, as NDJSON, CSV or Parquet.
//!
//! The hub has one form, the stream of NDJSON that every client can ask for; tables are made of it here. So the hub pays
//! for a table neither memory nor processor time, and nobody has to tell a table that broke off from a whole one: over HTTP
//! a CSV could only end early, and a Parquet file begins to mean something with its last bytes. Whoever has the API alone
//! reads NDJSON, which DuckDB, pandas and Polars do without a detour.
//!
//! A file appears under its name once it is whole. What breaks off, or is told to stop, ends with status 1 and leaves nothing;
//! only a kill that cannot be heard leaves `.mihwar-export-….part`. On the standard output only the status, and in Parquet the
//! missing end, can tell.

mod columnar;
mod columns;
mod file;
mod form;
mod separated;
mod shown;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use mihwar_server::wire::{FeedbackQuery, LeftOut};
use serde::Serialize;

use super::text_of;
use super::trial::stopped;
use crate::answer::Incomplete;
use crate::args::{Export, Format};
use crate::client::Client;
use crate::output::{Outcome, Output, json, line, one_line};
use crate::words::{bytes, counted};

use file::Coming;
use form::{Form, Wanted};
use shown::Shown;

/// What was written, for programs.
#[derive(Serialize)]
struct Exported {
    file: String,
    format: &'static str,
    records: u64,
    /// Of which the personal part is damaged, and so left out.
    unreadable: u64,
    /// Records that are missing because they are damaged in the hub's lists: how many, and the first of them by name.
    left_out: LeftOut,
    bytes: u64,
}

/// Damaged records that are named one by one.
const NAMED_MAX: usize = 20;

/// Writes everything that matches, to a file or the standard output. It ends with status 1, and a file that is whole but for
/// that, when damage kept the hub from reading the text of a record, or a record at all.
pub(super) async fn run(client: &Client, options: Export, as_json: bool) -> anyhow::Result<Outcome> {
    let format = format_of(&options)?;
    let Export {
        filter,
        out,
        force,
        bom,
        separator,
        ..
    } = options;
    let wanted = Wanted {
        format,
        has_bom: bom.unwrap_or(out.is_some()),
        separator: separator.unwrap_or_default(),
    };
    let query = FeedbackQuery::from(filter);
    match out {
        Some(path) => to_file(client, &query, wanted, &path, force, as_json, stopped()?).await,
        None => to_output(client, &query, wanted).await,
    }
}

async fn to_output(client: &Client, query: &FeedbackQuery, wanted: Wanted) -> anyhow::Result<Outcome> {
    ensure!(
        wanted.format != Format::Parquet || !std::io::stdout().is_terminal(),
        "Parquet is nothing for a terminal; name a file with --out"
    );
    let out: Box<dyn Write + Send> = Box::new(BufWriter::new(Output::standard()));
    let written = stream(client, query, wanted, out, Shown::Nothing).await?;
    Ok(told(&written))
}

async fn to_file(
    client: &Client,
    query: &FeedbackQuery,
    wanted: Wanted,
    path: &Path,
    force: bool,
    as_json: bool,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<Outcome> {
    let coming = Coming::new(path, force)?;
    let out: Box<dyn Write + Send> = Box::new(BufWriter::with_capacity(1 << 18, coming.writer()?));
    let written = tokio::select! {
        biased;
        () = stopped => Err(anyhow!("it was told to stop before all was there")),
        written = stream(client, query, wanted, out, Shown::new(as_json)) => written,
    };
    let written = written.with_context(|| format!("{} was not written", path.display()))?;
    let exported = Exported {
        file: text_of(path)?,
        format: name(wanted.format),
        records: written.records,
        unreadable: written.unreadable,
        left_out: written.left_out.clone(),
        bytes: coming.keep()?,
    };
    if as_json {
        json(&exported)?;
    } else {
        let count = counted(exported.records, "record", "records");
        let text = format!("{}: {count}, {}", exported.file, bytes(exported.bytes));
        line(one_line(&text))?;
    }
    Ok(told(&written))
}

/// How many records were written.
#[derive(Default)]
struct Written {
    records: u64,
    unreadable: u64,
    left_out: LeftOut,
}

/// Asks the hub, and writes what it tells into `out` until that is whole.
async fn stream(
    client: &Client,
    query: &FeedbackQuery,
    wanted: Wanted,
    out: Box<dyn Write + Send>,
    mut shown: Shown,
) -> anyhow::Result<Written> {
    let mut lines = client.get_with("/api/v1/feedback:export", query).await?.lines();
    let mut form = Form::begin(out, wanted)?;
    let mut written = Written::default();
    loop {
        let text = match lines.next_text().await {
            Ok(Some(text)) => text,
            Ok(None) => break,
            Err(error) => {
                // What is damaged costs itself only, in every form.
                written.left_out = error.downcast::<Incomplete>()?.left_out;
                break;
            }
        };
        written.unreadable += u64::from(form.write(&text)?);
        written.records += 1;
        shown.reached(written.records);
    }
    form.end()?;
    shown.finish();
    Ok(written)
}

/// What is wanted, or what the ending of the file's name says.
fn format_of(options: &Export) -> anyhow::Result<Format> {
    let format = match (options.format, &options.out) {
        (Some(format), _) => format,
        (None, Some(path)) => by_ending(path)?,
        (None, None) => Format::Ndjson,
    };
    ensure!(
        format == Format::Csv || (options.bom.is_none() && options.separator.is_none()),
        "--bom and --separator say how CSV is written, and this is to be {}; leave them out, or ask for --format csv",
        name(format)
    );
    Ok(format)
}

fn by_ending(path: &Path) -> anyhow::Result<Format> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(match ending.as_str() {
        "ndjson" | "jsonl" | "json" => Format::Ndjson,
        "csv" => Format::Csv,
        "parquet" => Format::Parquet,
        _ => bail!(
            "{} ends in none of .ndjson, .csv and .parquet; say what to write with --format ndjson, csv or parquet",
            path.display()
        ),
    })
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    }
}

/// Says, where it cannot be overlooked, what is missing that nobody took away.
fn told(written: &Written) -> Outcome {
    let Written {
        unreadable, left_out, ..
    } = written;
    if *unreadable > 0 {
        eprintln!(
            "{} came without the text, which is damaged; all else is in the export. `mihwar ledger verify` names what is damaged",
            counted(*unreadable, "record", "records")
        );
    }
    if left_out.records > 0 {
        eprintln!("{}", missing(left_out));
    }
    Outcome::of(*unreadable == 0 && left_out.records == 0)
}

/// Which records are missing, and what to do.
fn missing(left_out: &LeftOut) -> String {
    let mut text = format!(
        "{} not in the export, being damaged in the hub's lists; all others are in it:",
        match left_out.records {
            1 => "1 record is".to_owned(),
            more => format!("{more} records are"),
        }
    );
    let named = left_out.ids.iter().take(NAMED_MAX);
    let untold = left_out.records.saturating_sub(named.len() as u64);
    for id in named {
        text.push_str(&format!("\n  {}", one_line(id)));
    }
    if untold > 0 {
        text.push_str(&format!("\n  … and {untold} more"));
    }
    text.push_str("\nStop the hub, run `mihwar doctor --rebuild`, and export again");
    text
}
