//! Building reports of what became of an item in a department's tool.

use crate::{Change, Delivered, StatusUpdate, WorkState};

/// Longest reference, and longest address.
const REFERENCE_BYTES: usize = 2048;
/// Longest note.
const NOTE_BYTES: usize = 64 << 10;

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

    /// Why the hub would refuse this report, whatever it is about; every reason with its field, and nothing of what the report
    /// says. Empty: it is taken, if this instance was handed an item that is called so, and if it is not from the future.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !(1..=REFERENCE_BYTES).contains(&self.external_ref.len()) {
            problems.push(format!("external_ref: must have 1 to {REFERENCE_BYTES} bytes"));
        }
        if !WorkState::is_name(self.state.name()) {
            problems.push("state: is no lower-case slug of at most 64 bytes".into());
        }
        if self.changed_at < 0 {
            problems.push("changed_at: lies before 1970".into());
        }
        let note = self.note.as_deref().unwrap_or_default();
        if note.len() > NOTE_BYTES || note.contains('\0') {
            problems.push(format!("note: must have at most {NOTE_BYTES} bytes, and no NUL"));
        }
        let url = self.url.as_deref().unwrap_or_default();
        if !url.is_empty() && !is_address(url) {
            problems.push("url: is no address that begins with https:// or http://".into());
        }
        problems
    }
}

impl Delivered {
    /// What the other system tells of an item, as far as the hub can keep it: without a reference that has no bytes or more than
    /// 2048, and without an address that is none of https:// or http://, such as one that a browser would run.
    #[must_use]
    pub fn told(external_ref: Option<String>, url: Option<String>) -> Self {
        Self {
            external_ref: external_ref.filter(|reference| (1..=REFERENCE_BYTES).contains(&reference.len())),
            url: url.filter(|url| is_address(url)),
        }
    }
}

fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    url.len() <= REFERENCE_BYTES && rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(is_odd))
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

    #[test]
    fn of_what_is_told_of_an_item_only_what_can_be_kept_is_taken() {
        let told = |reference: &str, url: &str| Delivered::told(Some(reference.into()), Some(url.into()));
        let sound = told("تذكرة-٧", "https://a.example/7");
        assert_eq!(sound.external_ref.as_deref(), Some("تذكرة-٧"));
        assert_eq!(sound.url.as_deref(), Some("https://a.example/7"));
        let long = "ط".repeat(1025);
        for (reference, url) in [("", "javascript:alert(1)"), (long.as_str(), "https://a b"), ("", "")] {
            assert_eq!(told(reference, url), Delivered::told(None, None), "{url}");
        }
    }

    #[test]
    fn every_reason_why_a_report_is_refused_is_named_and_nothing_of_it() {
        let good = StatusUpdate::new("تذكرة-٧", WorkState::Resolved, 0).url("https://a.example/7");
        assert!(good.problems().is_empty());
        let bad = StatusUpdate {
            external_ref: String::new(),
            state: WorkState::Other("On Hold".into()),
            note: Some("\0".into()),
            url: Some("javascript:alert(1)".into()),
            changed_at: -1,
        };
        let problems = bad.problems();
        let fields: Vec<&str> = problems
            .iter()
            .filter_map(|problem| problem.split(':').next())
            .collect();
        assert_eq!(fields, ["external_ref", "state", "changed_at", "note", "url"]);
        let told = problems.concat();
        assert!(!told.contains("On Hold") && !told.contains("alert"), "{told}");
        for url in ["https://", "http://a b", "ftp://a", "https://a\n"] {
            assert_eq!(good.clone().url(url).problems().len(), 1, "{url:?}");
        }
    }
}
