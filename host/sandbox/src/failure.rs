//! What a plugin says about itself, made fit to be kept: secrets masked, control characters replaced, cut.

use crate::contract::types::{ConfigProblem, Failure, PluginError};
use crate::limits::FAILURE_BYTES;
use crate::secrets::Masker;

/// Stands where a text was cut.
const CUT: char = '…';

/// Cuts at a character boundary so that at most `bytes` remain. The cut is marked where the mark fits.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let beside_mark = bytes.checked_sub(CUT.len_utf8());
        text.truncate(text.floor_char_boundary(beside_mark.unwrap_or(bytes)));
        if beside_mark.is_some() {
            text.push(CUT);
        }
    }
    text
}

/// A plugin's text as it is kept: secrets masked, on one line, at most `bytes` long.
///
/// On one line, because these texts end up in the hub's log, where a line break would let a plugin write
/// lines that look like the hub's own.
pub(crate) fn kept(text: String, masker: &Masker, bytes: usize) -> String {
    cut(without_controls(&masker.text(text), ' '), bytes)
}

/// A plugin's text of several lines as it is kept: secrets masked, nothing in it that steers a terminal.
pub(crate) fn kept_lines(text: String, masker: &Masker) -> String {
    without_controls(&masker.text(text), '\n')
}

fn without_controls(text: &str, line_break: char) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' => line_break,
            '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
            letter => letter,
        })
        .collect()
}

/// A plugin's error with secrets masked, on one line, and texts cut to 2 KiB.
pub(crate) fn cleaned(error: PluginError, masker: &Masker) -> PluginError {
    let text = |text: String| kept(text, masker, FAILURE_BYTES);
    let failure = |failure: Failure| Failure {
        code: kept(failure.code, masker, 64),
        message: text(failure.message),
    };
    match error {
        PluginError::Transient(mut retry) => {
            retry.failure = failure(retry.failure);
            PluginError::Transient(retry)
        }
        PluginError::RateLimited(mut retry) => {
            retry.failure = failure(retry.failure);
            PluginError::RateLimited(retry)
        }
        PluginError::Permanent(inner) => PluginError::Permanent(failure(inner)),
        PluginError::Unauthorized(inner) => PluginError::Unauthorized(failure(inner)),
        PluginError::Misconfigured(problems) => PluginError::Misconfigured(
            problems
                .into_iter()
                .take(100)
                .map(|problem| ConfigProblem {
                    path: kept(problem.path, masker, 256),
                    message: text(problem.message),
                })
                .collect(),
        ),
        PluginError::Unsupported(what) => PluginError::Unsupported(text(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker() -> Masker {
        Masker::new(std::iter::empty(), std::iter::once("s3cret-value".to_owned()))
    }

    #[test]
    fn a_cut_never_splits_a_letter_or_goes_over_its_budget() {
        let arabic = "شكوى".repeat(10);
        for bytes in 0..arabic.len() {
            let short = cut(arabic.clone(), bytes);
            assert!(short.len() <= bytes, "{bytes}: {short}");
            assert_eq!(short.ends_with('…'), bytes >= 3, "{bytes}: {short}");
        }
        assert_eq!(cut("ab".to_owned(), 1), "a");
        assert_eq!(cut("قصير".to_owned(), 100), "قصير");
    }

    #[test]
    fn a_text_cannot_look_like_a_line_of_the_hub() {
        let forged = "تم\r\n2026-11-01 ERROR مزوّر\u{1b}[2J\u{2028}x\0 s3cret-value";
        assert_eq!(
            kept(forged.to_owned(), &masker(), 1000),
            "تم  2026-11-01 ERROR مزوّر\u{fffd}[2J x\u{fffd} •••"
        );
        let error = PluginError::Misconfigured(vec![ConfigProblem {
            path: "a\nb".to_owned(),
            message: "سطر\nآخر".to_owned(),
        }]);
        let PluginError::Misconfigured(problems) = cleaned(error, &masker()) else {
            panic!("another kind")
        };
        assert_eq!(
            (problems[0].path.as_str(), problems[0].message.as_str()),
            ("a b", "سطر آخر")
        );
    }

    #[test]
    fn several_lines_stay_several_lines() {
        let text = "سطر\n\u{1b}[31ms3cret-value\n".to_owned();
        assert_eq!(kept_lines(text, &masker()), "سطر\n\u{fffd}[31m•••\n");
    }
}
