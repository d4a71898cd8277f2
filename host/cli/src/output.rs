//! What is printed, and how a command ends.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// How a command ended that could be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All was done.
    Done,
    /// Something was refused, or does not verify.
    Refused,
}

impl Outcome {
    /// [`Outcome::Done`] if all is well.
    pub(crate) const fn of(good: bool) -> Self {
        if good { Self::Done } else { Self::Refused }
    }
}

/// The standard output. When nobody reads it any more its errors say that it was this stream and no other: a pipe to
/// the hub may break too, and that is no quiet end.
pub(crate) struct Output(io::Stdout);

impl Output {
    /// The process's own.
    pub(crate) fn standard() -> Self {
        Self(io::stdout())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark_closed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark_closed)
    }
}

/// Whether a line found nobody who reads it. There is one standard output, and so one of these.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Nobody reads the standard output any more.
#[derive(Debug)]
struct OutputClosed;

impl Display for OutputClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for OutputClosed {}

fn mark_closed(error: io::Error) -> io::Error {
    match error.kind() {
        kind @ io::ErrorKind::BrokenPipe => io::Error::new(kind, OutputClosed),
        _ => error,
    }
}

fn is_marked(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<OutputClosed>())
}

/// Whether a command ended because nobody reads its output any more.
pub(crate) fn is_closed_output(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_marked))
}

/// Whether a line was printed that nobody reads any more. A list need not go on then.
pub(crate) fn is_unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// Prints one line. That nobody reads it any more is no error: the work goes on, and the exit status still says how it ended
/// (`mihwar backup verify FILE | head -1`).
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(Output::standard(), "{text}") {
        Err(error) if is_marked(&error) => {
            UNREAD.store(true, Ordering::Relaxed);
            Ok(())
        }
        printed => Ok(printed?),
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string(value)?)
}

/// Prints a value as JSON for people.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// A stranger's text, safe for a terminal: control characters could move the cursor or change colours and titles.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_command = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(is_command) {
        text.replace(is_command, "\u{FFFD}").into()
    } else {
        text.into()
    }
}

/// A stranger's text within a line of ours: as [`plain`], and neither can it begin a line of its own nor turn round what
/// stands after it (as embeddings and overrides of the writing direction would; marks and letters keep theirs).
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => Some('\u{FFFD}'),
        c => Some(c),
    };
    text.chars().filter_map(shown).collect()
}

/// The beginning of a stranger's text, on one line.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let joined = one_line(&joined);
    let mut short: String = joined.chars().take(chars_max).collect();
    if joined.chars().count() > chars_max {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{excerpt, is_closed_output, mark_closed, one_line, plain};
    use anyhow::Context;
    use std::io;

    #[test]
    fn text_of_strangers_gives_the_terminal_no_orders() {
        assert_eq!(plain("شكرًا\u{1b}]0;title\u{7}!\n"), "شكرًا\u{FFFD}]0;title\u{FFFD}!\n");
        assert_eq!(plain("خدمة ممتازة"), "خدمة ممتازة");
        assert_eq!(excerpt("  الخدمة\n ممتازة جدًا ", 9), "الخدمة مم…");
    }

    #[test]
    fn a_name_stays_within_its_line_and_turns_nothing_round() {
        assert_eq!(one_line("ليلى\ngood  clock: fine"), "ليلى good  clock: fine");
        assert_eq!(one_line("a\r\nb\u{2028}c\td"), "a  b c d");
        assert_eq!(one_line("\u{202E}gnp.exe\u{202C} \u{2067}هدى\u{2069}"), "gnp.exe هدى");
        assert_eq!(one_line("\u{1b}[2J"), "\u{FFFD}[2J");
        // What Arabic text needs stays: joiners and the marks that only give a neighbour its side.
        assert_eq!(one_line("می\u{200C}خواهم\u{200F}"), "می\u{200C}خواهم\u{200F}");
        assert_eq!(excerpt("\u{202E}مرحبا", 10), "مرحبا");
    }

    #[test]
    fn only_a_closed_output_is_a_quiet_end() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let of_output = Err::<(), _>(mark_closed(broken())).context("export").unwrap_err();
        assert!(is_closed_output(&of_output));
        let of_socket = Err::<(), _>(broken()).context("the hub went away").unwrap_err();
        assert!(!is_closed_output(&of_socket));
        let other = anyhow::Error::new(mark_closed(io::Error::from(io::ErrorKind::NotFound)));
        assert!(!is_closed_output(&other));
    }
}
