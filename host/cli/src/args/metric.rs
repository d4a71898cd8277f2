//! `mihwar metric`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mihwar_model::Time;

/// `mihwar metric`
#[derive(Debug, Subcommand)]
pub(crate) enum Metric {
    /// Make a figure of what the ledger tells of a period, with a receipt from which others get the same digits.
    Run(FigureWanted),
    /// Make the figure of a receipt again, from a bundle of the ledger and the module, and compare every digit. Needs neither the
    /// hub nor its data or configuration.
    Verify(FigureEvidence),
}

/// Which figure is wanted.
#[derive(Debug, Args)]
pub(crate) struct FigureWanted {
    /// The instance of a metric plugin.
    pub(crate) metric: String,
    /// Records of this day (in UTC) or moment (RFC 3339) and later.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(crate) from: Time,
    /// … and of before this day or moment.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(crate) to: Time,
    /// One figure for each of these, instead of one over all.
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    /// Write the receipt to this file. One that is there already is not touched.
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
}

/// What a figure is made of again.
#[derive(Debug, Args)]
pub(crate) struct FigureEvidence {
    /// The receipt.
    pub(crate) receipt: PathBuf,
    /// The ledger, as `mihwar ledger export` wrote it then or later.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: PathBuf,
    /// The plugin file that made the figure; left out: PLUGIN.wasm beside the receipt.
    #[arg(long, value_name = "FILE")]
    pub(crate) module: Option<PathBuf>,
    /// The ledger's verifier key, or a file that holds it, from a source that you trust. Left out, the receipt's own word is
    /// taken for it.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// By what figures are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The sort of channel.
    Channel,
    /// The kind of feedback.
    Kind,
}

impl By {
    /// As it stands in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Kind => "kind",
        }
    }
}

/// A day, which is its beginning in UTC, or a moment.
pub(super) fn moment(text: &str) -> Result<Time, String> {
    let is_day = text.len() == 10 && !text.contains('T');
    let whole = if is_day {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    Time::parse_rfc3339(&whole)
        .map_err(|_| "use a day such as 2026-01-31, or a moment such as 2026-01-31T00:00:00+03:00".to_owned())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(moment("2026-02-01").unwrap().to_rfc3339(), "2026-02-01T00:00:00.000Z");
        let riyadh = moment("2026-02-01T00:00:00+03:00").unwrap();
        assert_eq!(riyadh.to_rfc3339(), "2026-01-31T21:00:00.000Z");
        for wrong in ["2026-02-30", "أمس", "2026-2-1", "2026-02-01T00:00:00", "", "٢٠٢٦-٠٢-٠١"] {
            assert!(moment(wrong).unwrap_err().contains("2026-01-31"), "{wrong}");
        }
    }
}
