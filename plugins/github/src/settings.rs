//! Settings: which repository, and how an issue looks.

use std::collections::BTreeMap;

use mihwar_sdk::{ConfigProblem, WorkState};

/// What an admin says about one repository.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The repository, as `owner/name`.
    pub repository: String,
    /// Where the REST API is. GitHub Enterprise Server: `https://HOST/api/v3`.
    #[serde(default = "public_api")]
    pub api: String,
    /// The version of the REST API that is asked for. A GitHub Enterprise Server that does not know this one takes
    /// `2022-11-28`.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// Labels that every issue gets.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Label for a kind of feedback, such as `complaint = "bug"`.
    #[serde(default)]
    pub kind_labels: BTreeMap<String, String>,
    /// Label for a tag.
    #[serde(default)]
    pub tag_labels: BTreeMap<String, String>,
    /// What a new version of an item does: `edit` writes the text anew, `comment` adds a comment.
    #[serde(default)]
    pub on_update: OnUpdate,
    /// Language of the words that the hub adds to an issue: `en` or `ar`.
    #[serde(default)]
    pub language: Language,
    /// Whether the conversation is locked when an item is erased.
    #[serde(default = "yes")]
    pub lock_erased: bool,
    /// State of the work that a label stands for, such as `"in progress" = "in-progress"`.
    #[serde(default)]
    pub label_states: BTreeMap<String, String>,
    /// How long one request may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1000, max = 60000))]
    pub timeout_ms: u32,
}

/// What a new version of an item does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUpdate {
    /// Writes the text anew.
    #[default]
    Edit,
    /// Adds a comment.
    Comment,
}

/// Language of the hub's own words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Arabic.
    Ar,
}

fn public_api() -> String {
    "https://api.github.com".into()
}

fn api_version() -> String {
    "2026-03-10".into()
}

const fn yes() -> bool {
    true
}

const fn default_timeout_ms() -> u32 {
    15_000
}

/// Longest name of a label.
const LABEL_CHARS: usize = 50;

impl Settings {
    /// Everything that the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut wrong = |path: String, message: String| problems.push(ConfigProblem::new(path, message));
        if !is_repository(&self.repository) {
            wrong("repository".into(), "must be `owner/name`, such as `acme/shop`".into());
        }
        if !is_base(&self.api) {
            wrong(
                "api".into(),
                "must be an address such as https://api.github.com or https://github.example.org/api/v3".into(),
            );
        }
        let is_version = |text: &str| {
            let date = |at: usize, byte: u8| {
                if matches!(at, 4 | 7) {
                    byte == b'-'
                } else {
                    byte.is_ascii_digit()
                }
            };
            text.len() == 10 && text.bytes().enumerate().all(|(at, byte)| date(at, byte))
        };
        if !is_version(&self.api_version) {
            wrong("api_version".into(), "must be a date such as 2022-11-28".into());
        }
        let labels = self
            .labels
            .iter()
            .enumerate()
            .map(|(at, label)| (format!("labels[{at}]"), label));
        let of_kinds = self
            .kind_labels
            .iter()
            .map(|(kind, label)| (format!("kind_labels.{kind}"), label));
        let of_tags = self
            .tag_labels
            .iter()
            .map(|(tag, label)| (format!("tag_labels.{tag}"), label));
        for (path, label) in labels.chain(of_kinds).chain(of_tags) {
            if label.trim().is_empty() || label.chars().count() > LABEL_CHARS {
                wrong(path, format!("a label has 1 to {LABEL_CHARS} letters"));
            }
        }
        for kind in self.kind_labels.keys().filter(|kind| !KINDS.contains(&kind.as_str())) {
            wrong(
                format!("kind_labels.{kind}"),
                format!("is no kind: use {}", KINDS.join(", ")),
            );
        }
        for (label, state) in self.label_states.iter().filter(|(_, state)| !WorkState::is_name(state)) {
            wrong(
                format!("label_states.{label}"),
                format!(
                    "`{state}` is no state: use open, in-progress, resolved, rejected, reopened or a lower-case slug of your own"
                ),
            );
        }
        problems
    }
}

const KINDS: [&str; 6] = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];

fn is_base(address: &str) -> bool {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"));
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '@');
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(is_odd) && !rest.ends_with('/')
    })
}

/// Whether a text is `owner/name`, so that it can stand in a path.
pub(crate) fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=100).contains(&name.len()) && name.bytes().all(allowed) && !matches!(name, "." | "..")
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}
