//! What a bundle lacks of what people said, because the hub could not read it: how that is told.

use mihwar_ledger::MissingContent;
use serde::Serialize;

use crate::output::{line, one_line};

/// So many are told one by one; the bundle itself names them all.
const TOLD_MAX: usize = 20;

/// Contents that should be in a bundle and are not.
#[derive(Default, Serialize)]
pub(super) struct Missing {
    /// How many.
    contents_missing: u64,
    /// The first of them.
    missing: Vec<MissingContent>,
}

impl Missing {
    pub(super) fn add(&mut self, content: MissingContent) {
        self.contents_missing += 1;
        if self.missing.len() < TOLD_MAX {
            self.missing.push(content);
        }
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.contents_missing == 0
    }

    /// Names them, if there are any.
    pub(super) fn tell(&self) -> anyhow::Result<()> {
        if self.is_nothing() {
            return Ok(());
        }
        line(format_args!(
            "What the hub could not read is not in it (contents: {}):",
            self.contents_missing
        ))?;
        for content in &self.missing {
            let MissingContent {
                entry,
                feedback,
                revision,
                why,
            } = content;
            let text = format!("  feedback {feedback}, revision {revision} (entry {entry}): {why}");
            line(one_line(&text))?;
        }
        let untold = self.contents_missing - self.missing.len() as u64;
        if untold > 0 {
            line(format_args!(
                "  and {untold} more: content/*/missing.ndjson in it names all"
            ))?;
        }
        Ok(())
    }
}
