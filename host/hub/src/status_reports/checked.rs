//! What is wrong with a report by itself, before anybody looks what it is about.

use mihwar_model::{FieldProblem, TEXT_BYTES_MAX, Tag, Time};
use mihwar_sandbox::contract::types::{StatusUpdate, WorkState};

use crate::rows::ReportContent;

/// Longest name of an item, and longest address: no longer one is kept of what departments call an item.
const REFERENCE_BYTES_MAX: usize = 2048;
/// How far a department's clock may be ahead of the hub's. A time beyond would be the newest for ever.
const AHEAD_MS: i64 = 24 * 3600 * 1000;

/// A report that can be kept, if there is such an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// What the department calls the item.
    pub(super) reference: String,
    pub(super) state: Tag,
    pub(super) changed_at: Time,
    /// What was said beside that.
    pub(super) content: Option<ReportContent>,
}

impl Report {
    /// Reads what a plugin handed over. On an error, everything that is wrong with it.
    pub(super) fn read(update: &StatusUpdate, now: Time) -> Result<Self, Vec<FieldProblem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| problems.push(FieldProblem::new(field, message));
        if update.external_ref.is_empty() || update.external_ref.len() > REFERENCE_BYTES_MAX {
            wrong("external_ref", format!("must have 1 to {REFERENCE_BYTES_MAX} bytes"));
        }
        let state = Tag::new(word(&update.state));
        if let Err(error) = &state {
            wrong("state", error.to_string());
        }
        if update.changed_at < 0 || update.changed_at > now.plus_millis(AHEAD_MS).0 {
            wrong(
                "changed_at",
                format!("must lie between 1970 and a day after the hub's clock, which says {now}"),
            );
        }
        let note = update.note.clone().filter(|note| !note.trim().is_empty());
        if let Some(note) = &note {
            if note.len() > TEXT_BYTES_MAX {
                wrong(
                    "note",
                    format!("has {} bytes; at most {TEXT_BYTES_MAX} are kept", note.len()),
                );
            }
            if note.contains('\0') {
                wrong("note", "holds a NUL character".to_owned());
            }
        }
        let url = update.url.clone().filter(|url| !url.is_empty());
        if let Some(url) = &url
            && !is_address(url)
        {
            wrong(
                "url",
                format!(
                    "must begin with https:// or http:// and have at most {REFERENCE_BYTES_MAX} bytes, without spaces"
                ),
            );
        }
        let state = match state {
            Ok(state) if problems.is_empty() => state,
            _ => return Err(problems),
        };
        Ok(Self {
            reference: update.external_ref.clone(),
            state,
            changed_at: Time(update.changed_at),
            content: (note.is_some() || url.is_some()).then_some(ReportContent { note, url }),
        })
    }
}

/// The state as it stands in the ledger.
fn word(state: &WorkState) -> &str {
    match state {
        WorkState::Open => "open",
        WorkState::InProgress => "in-progress",
        WorkState::Resolved => "resolved",
        WorkState::Rejected => "rejected",
        WorkState::Reopened => "reopened",
        WorkState::Other(word) => word,
    }
}

/// Whether it can be shown as a link: nothing that a browser would run.
fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    url.len() <= REFERENCE_BYTES_MAX
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()))
}

#[cfg(test)]
mod tests {
    use mihwar_model::Time;
    use mihwar_sandbox::contract::types::{StatusUpdate, WorkState};

    use super::Report;

    const NOW: Time = Time(1_790_000_000_000);

    fn update() -> StatusUpdate {
        StatusUpdate {
            external_ref: "تذكرة-٧".to_owned(),
            state: WorkState::Resolved,
            note: Some("أُعيد المبلغ".to_owned()),
            url: Some("https://tickets.example/7".to_owned()),
            changed_at: NOW.0,
        }
    }

    #[test]
    fn words_are_kept_apart_from_facts_and_a_report_without_words_has_none() {
        let report = Report::read(&update(), NOW).unwrap();
        assert_eq!((report.state.as_str(), report.changed_at), ("resolved", NOW));
        assert_eq!(report.content.unwrap().note.as_deref(), Some("أُعيد المبلغ"));
        let silent = StatusUpdate {
            note: Some(" ".to_owned()),
            url: None,
            state: WorkState::Other("بانتظار-العميل".to_owned()),
            ..update()
        };
        let report = Report::read(&silent, NOW).unwrap();
        assert_eq!((report.state.as_str(), report.content), ("بانتظار-العميل", None));
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let wrong = StatusUpdate {
            external_ref: String::new(),
            state: WorkState::Other("Waiting for Huda".to_owned()),
            note: Some("\0".to_owned()),
            url: Some("javascript:alert(1)".to_owned()),
            changed_at: NOW.0 + 25 * 3_600_000,
        };
        let problems = Report::read(&wrong, NOW).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["external_ref", "state", "changed_at", "note", "url"]);
        for url in ["https://", "http://a b", "ftp://a", "https://a\n"] {
            let odd = StatusUpdate {
                url: Some(url.to_owned()),
                ..update()
            };
            assert!(Report::read(&odd, NOW).is_err(), "{url:?}");
        }
        for changed_at in [-1, i64::MAX, i64::MIN] {
            assert!(Report::read(&StatusUpdate { changed_at, ..update() }, NOW).is_err());
        }
    }
}
