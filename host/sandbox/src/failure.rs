//! Cutting and masking what a plugin says about its failures.

use crate::contract::types::{ConfigProblem, Failure, PluginError};
use crate::limits::FAILURE_BYTES;
use crate::secrets::Masker;

/// Cuts at a character boundary so that at most `bytes` remain, and marks the cut.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut end = bytes.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A plugin's error with secrets masked and texts cut to 2 KiB.
pub(crate) fn cleaned(error: PluginError, masker: &Masker) -> PluginError {
    let text = |text: String| cut(masker.text(text), FAILURE_BYTES);
    let failure = |failure: Failure| Failure {
        code: cut(masker.text(failure.code), 64),
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
                    path: cut(problem.path, 256),
                    message: text(problem.message),
                })
                .collect(),
        ),
        PluginError::Unsupported(what) => PluginError::Unsupported(text(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_cut_never_splits_a_letter() {
        let arabic = "شكوى".repeat(10);
        for bytes in 3..arabic.len() {
            let short = cut(arabic.clone(), bytes);
            assert!(short.len() <= bytes && short.ends_with('…'), "{bytes}");
        }
        assert_eq!(cut("قصير".to_owned(), 100), "قصير");
    }
}
