//! The three forms of an export.

use std::io::Write;

use anyhow::Context;
use mihwar_server::wire::FeedbackView;
use serde::Deserialize;

use super::columnar::Columnar;
use super::separated::Separated;
use crate::args::{Format, Separator};

/// Where a form is to go to; boxed, for a file as for the standard output.
pub(super) type Out = Box<dyn Write + Send>;

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) format: Format,
    /// CSV: whether it begins with a byte order mark.
    pub(super) has_bom: bool,
    pub(super) separator: Separator,
}

/// An export that is being written, record by record and in constant memory.
pub(super) enum Form {
    Ndjson(Out),
    Csv(Separated<Out>),
    Parquet(Box<Columnar<Out>>),
}

/// The one thing of a line that is looked at where it is passed on as it is.
#[derive(Deserialize)]
struct Mark {
    #[serde(default)]
    content_unreadable: bool,
}

impl Form {
    /// Writes what comes before the first record.
    pub(super) fn begin(out: Out, wanted: Wanted) -> anyhow::Result<Self> {
        Ok(match wanted.format {
            Format::Ndjson => Self::Ndjson(out),
            Format::Csv => Self::Csv(Separated::begin(out, wanted.separator, wanted.has_bom)?),
            Format::Parquet => Self::Parquet(Box::new(Columnar::begin(out)?)),
        })
    }

    /// Writes the record of a line; answers whether damage keeps the hub from reading its text.
    pub(super) fn write(&mut self, line: &str) -> anyhow::Result<bool> {
        match self {
            Self::Ndjson(out) => {
                writeln!(out, "{line}")?;
                // To read each line would take longer than to pass it on.
                Ok(line.contains("\"content_unreadable\"") && read::<Mark>(line)?.content_unreadable)
            }
            Self::Csv(table) => {
                let record: FeedbackView = read(line)?;
                table.write(&record)?;
                Ok(record.content_unreadable)
            }
            Self::Parquet(table) => {
                let record: FeedbackView = read(line)?;
                table.write(&record)?;
                Ok(record.content_unreadable)
            }
        }
    }

    /// Writes what comes after the last record.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(mut out) => Ok(out.flush()?),
            Self::Csv(table) => Ok(table.end()?),
            Self::Parquet(table) => table.end(),
        }
    }
}

fn read<'l, T: Deserialize<'l>>(line: &'l str) -> anyhow::Result<T> {
    serde_json::from_str(line).context("the hub answered something this version of mihwar does not know")
}
