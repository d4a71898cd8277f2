//! Building reports of what became of an item in a department's tool.

use crate::{Change, StatusUpdate, WorkState};

impl StatusUpdate {
    /// A report about the item that an earlier delivery of this instance gave the reference `external_ref`, since
    /// `changed_at` (milliseconds since 1970, by the other system's clock). The hub keeps one report for each state and
    /// time, and the newest counts: the same report made again is no second one.
    pub fn new(external_ref: impl Into<String>, state: WorkState, changed_at: i64) -> Self {
        Self {
            external_ref: external_ref.into(),
            state,
            note: None,
            url: None,
            changed_at,
        }
    }

    /// What the department says to it. Kept as personal content.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Where the item is in the department's tool; with `https://` or `http://`.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

impl From<StatusUpdate> for Change {
    fn from(update: StatusUpdate) -> Self {
        Self::Status(update)
    }
}

impl WorkState {
    /// The state of that name, as it stands in the hub: `open`, `in-progress`, `resolved`, `rejected`, `reopened`; any other
    /// is a state of the department's own, which must be a lower-case slug of at most 64 bytes.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "in-progress" => Self::InProgress,
            "resolved" => Self::Resolved,
            "rejected" => Self::Rejected,
            "reopened" => Self::Reopened,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The name, as above.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in-progress",
            Self::Resolved => "resolved",
            Self::Rejected => "rejected",
            Self::Reopened => "reopened",
            Self::Other(name) => name,
        }
    }

    /// Whether a name can be a state: a lower-case slug of at most 64 bytes, in any script. For checking settings.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_' | ':' | '.');
        (1..=64).contains(&name.len()) && name.chars().all(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_built_in_one_expression_and_states_have_their_names() {
        let update = StatusUpdate::new("تذكرة-٧", WorkState::Resolved, 7)
            .note("أُعيد المبلغ")
            .url("https://a.example/7");
        assert_eq!(update.note.as_deref(), Some("أُعيد المبلغ"));
        assert_eq!(Change::from(update.clone()), Change::Status(update));
        for name in [
            "open",
            "in-progress",
            "resolved",
            "rejected",
            "reopened",
            "بانتظار-العميل",
        ] {
            assert_eq!(WorkState::named(name).name(), name);
            assert!(WorkState::is_name(name));
        }
        assert_eq!(WorkState::named("rejected"), WorkState::Rejected);
        assert!(!WorkState::is_name("Waiting for Huda") && !WorkState::is_name(""));
    }
}
