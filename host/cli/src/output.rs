//! What is printed, and how a command ends.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

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

/// Prints one line.
pub(crate) fn line(text: impl Display) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
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

/// The beginning of a stranger's text, on one line.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = plain(&joined).chars().take(chars_max).collect();
    if joined.chars().count() > chars_max {
        short.push('…');
    }
    short
}

/// Whether a command ended because nobody reads its output any more.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::{excerpt, plain};

    #[test]
    fn text_of_strangers_gives_the_terminal_no_orders() {
        assert_eq!(plain("شكرًا\u{1b}]0;title\u{7}!\n"), "شكرًا\u{FFFD}]0;title\u{FFFD}!\n");
        assert_eq!(plain("خدمة ممتازة"), "خدمة ممتازة");
        assert_eq!(excerpt("  الخدمة\n ممتازة جدًا ", 9), "الخدمة مم…");
    }
}
