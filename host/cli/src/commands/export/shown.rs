//! How far an export is. Nobody knows beforehand how many records match.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::words::counted;

/// How often a line of progress is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Records between two looks at the clock.
const STRIDE: u64 = 500;

/// Progress: a counter on a terminal, now and then a line elsewhere, nothing for programs and where the records themselves
/// are printed.
pub(super) enum Shown {
    Bar(ProgressBar),
    Lines(Instant),
    Nothing,
}

impl Shown {
    pub(super) fn new(as_json: bool) -> Self {
        if as_json {
            return Self::Nothing;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Instant::now());
        }
        let style = ProgressStyle::with_template("{spinner} {human_pos} records  {per_sec}  {elapsed}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self::Bar(ProgressBar::new_spinner().with_style(style))
    }

    /// So many records are written.
    pub(super) fn reached(&mut self, records: u64) {
        if !records.is_multiple_of(STRIDE) {
            return;
        }
        match self {
            Self::Bar(bar) => bar.set_position(records),
            Self::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{}", counted(records, "record", "records"));
            }
            Self::Lines(_) | Self::Nothing => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Shown {
    // Also where the export broke off: what is said then stands on a line of its own.
    fn drop(&mut self) {
        self.finish();
    }
}
