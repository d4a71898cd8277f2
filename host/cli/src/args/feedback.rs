//! `mihwar feedback`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use mihwar_server::wire::FeedbackQuery;

/// `mihwar feedback`
#[derive(Debug, Subcommand)]
pub(crate) enum Feedback {
    /// List feedback, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many to show.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Show one piece of feedback with its whole story.
    Show {
        /// Its id.
        id: String,
    },
    /// Write everything that matches: NDJSON, CSV for spreadsheets, or Parquet.
    Export(Export),
}

/// Write everything that matches: NDJSON, CSV for spreadsheets, or Parquet.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Write to this file instead of the standard output. It is there once it is whole, and for you alone.
    #[arg(long, short, visible_alias = "output", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Left out: what the file's ending says (.ndjson, .jsonl, .csv, .parquet); NDJSON on the standard output.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Put it in the place of a file that is there already.
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    /// CSV: begin with the mark by which Excel knows UTF-8, so that it shows Arabic. Left out: with it in a file, without it
    /// on the standard output.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) bom: Option<bool>,
    /// CSV: what stands between cells. Excel expects the list separator of the computer's regional settings.
    #[arg(long, value_enum)]
    pub(crate) separator: Option<Separator>,
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line: everything that the hub tells.
    Ndjson,
    /// A table for spreadsheets, in which no cell is a formula.
    Csv,
    /// A table with typed columns, for DuckDB, pandas, Polars and their like.
    Parquet,
}

/// What stands between the cells of a CSV file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Separator {
    /// `,` as in RFC 4180.
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
}

/// Which feedback is wanted.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Filter {
    /// The sort of channel.
    #[arg(long)]
    channel: Option<String>,
    /// The channel instance that brought it.
    #[arg(long)]
    instance: Option<String>,
    /// complaint, suggestion, enquiry, praise, observation or defect.
    #[arg(long)]
    kind: Option<String>,
    /// A department that receives it.
    #[arg(long)]
    department: Option<String>,
    /// The person who said it: the hub's id.
    #[arg(long)]
    contact: Option<String>,
    /// The conversation: the hub's id.
    #[arg(long)]
    thread: Option<String>,
    /// Received at or after (RFC 3339).
    #[arg(long, value_name = "TIME")]
    received_from: Option<String>,
    /// Received before (RFC 3339).
    #[arg(long, value_name = "TIME")]
    received_to: Option<String>,
    /// Said at or after (RFC 3339).
    #[arg(long, value_name = "TIME")]
    occurred_from: Option<String>,
    /// Said before (RFC 3339).
    #[arg(long, value_name = "TIME")]
    occurred_to: Option<String>,
    /// Has a score of this metric.
    #[arg(long, value_name = "METRIC")]
    score: Option<String>,
    /// … of at least this value.
    #[arg(long, value_name = "NUMBER", requires = "score", allow_negative_numbers = true)]
    score_min: Option<String>,
    /// … of at most this value.
    #[arg(long, value_name = "NUMBER", requires = "score", allow_negative_numbers = true)]
    score_max: Option<String>,
    /// The language, e.g. ar.
    #[arg(long)]
    language: Option<String>,
    /// Has this label.
    #[arg(long)]
    tag: Option<String>,
    /// Subject or body hold this text.
    #[arg(long)]
    text: Option<String>,
}

impl From<Filter> for FeedbackQuery {
    fn from(filter: Filter) -> Self {
        Self {
            channel: filter.channel,
            instance: filter.instance,
            kind: filter.kind,
            department: filter.department,
            contact: filter.contact,
            thread: filter.thread,
            received_from: filter.received_from,
            received_to: filter.received_to,
            occurred_from: filter.occurred_from,
            occurred_to: filter.occurred_to,
            score: filter.score,
            score_min: filter.score_min,
            score_max: filter.score_max,
            language: filter.language,
            tag: filter.tag,
            text: filter.text,
        }
    }
}
