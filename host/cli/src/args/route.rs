//! `mihwar route`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mihwar_model::Time;

use super::metric::moment;

/// `mihwar route`
#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// Say where records would go by the rules of a configuration, and what each rule says to them. Needs no hub, and stores
    /// nothing. Enrichers are not asked.
    Test(RouteTest),
    /// Say why a piece of feedback went where it went, what each rule of today says to it, and whether the rules have changed.
    Explain {
        /// The feedback's id.
        feedback: String,
    },
    /// Try changed rules on what is stored: what would have gone elsewhere, and which rules match nothing. Nothing is written.
    Try(RouteTrial),
}

/// Which records are routed, by which rules.
#[derive(Debug, Args)]
pub(crate) struct RouteTest {
    /// The records: one JSON object a line, as the API takes them.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// A file with [routing] and [[route]], instead of those of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// The instance that brings them: what rules see as record.instance.
    #[arg(long, value_name = "NAME", default_value = "api")]
    pub(crate) instance: String,
    /// Only where each goes, and not what the rules say.
    #[arg(long)]
    pub(crate) short: bool,
}

/// Which rules are tried, on what.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("begin"))]
pub(crate) struct RouteTrial {
    /// A file with the changed [routing] and [[route]]. Left out: those of --config, which may be a changed copy of the
    /// configuration that names the same data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// What was received in so many days, hours or minutes until now: 30d, 12h, 90m.
    #[arg(long, value_name = "SPAN", value_parser = span, group = "begin")]
    pub(crate) since: Option<i64>,
    /// What was received on this day (in UTC) or at this moment (RFC 3339) and later.
    #[arg(long, value_name = "DATE", value_parser = moment, group = "begin")]
    pub(crate) from: Option<Time>,
    /// … and before this day or moment.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    pub(crate) to: Option<Time>,
}

/// A length of time in milliseconds.
fn span(text: &str) -> Result<i64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let millis = match text.get(digits.len()..) {
        Some("d") => 86_400_000,
        Some("h") => 3_600_000,
        Some("m") => 60_000,
        _ => 0_i64,
    };
    let span = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(millis));
    let span = span.filter(|span| *span > 0);
    span.ok_or_else(|| "use a number of days, hours or minutes, such as 30d, 12h or 90m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_is_a_number_and_its_unit() {
        assert_eq!(span("30d"), Ok(30 * 86_400_000));
        assert_eq!(span("12h"), Ok(12 * 3_600_000));
        assert_eq!(span("90m"), Ok(90 * 60_000));
        for wrong in [
            "",
            "30",
            "d",
            "0d",
            "-1d",
            "3w",
            "٣d",
            "30 d",
            "999999999999999999d",
            "1d2h",
        ] {
            assert!(span(wrong).unwrap_err().contains("30d"), "{wrong}");
        }
    }
}
