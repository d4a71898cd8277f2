//! Settings: which project, how an issue looks, and what its states mean.

use std::collections::BTreeMap;

use mihwar_sdk::{ConfigProblem, WorkState};
use serde_json::Value as Json;

/// What an admin says about one project.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address of Jira, such as `https://acme.atlassian.net`, or `https://jira.example.org/jira` with its path.
    pub url: String,
    /// `cloud` or `data-center`.
    #[serde(default)]
    pub deployment: Deployment,
    /// Cloud: the address of the account whose API token is used.
    #[serde(default)]
    pub email: Option<String>,
    /// Key of the project, such as `SHOP`.
    pub project: String,
    /// Name of the issue type.
    #[serde(default = "task")]
    pub issue_type: String,
    /// Issue type for a kind of feedback, such as `defect = "Bug"`.
    #[serde(default)]
    pub kind_types: BTreeMap<String, String>,
    /// Labels that every issue gets.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Label for a kind of feedback.
    #[serde(default)]
    pub kind_labels: BTreeMap<String, String>,
    /// Label for a tag.
    #[serde(default)]
    pub tag_labels: BTreeMap<String, String>,
    /// What the hub's own labels begin with: `mihwar` gives `mihwar-ID`. Two hubs with one project need two.
    #[serde(default = "own_label")]
    pub own_label: String,
    /// Other fields as Jira's API takes them, such as `priority = { name = "High" }` or `customfield_10010 = "web"`.
    #[serde(default)]
    pub fields: BTreeMap<String, Json>,
    /// Fields that get a fact of the item, such as `customfield_10020 = "id"` or `customfield_10021 = "score:nps"`.
    #[serde(default)]
    pub fact_fields: BTreeMap<String, String>,
    /// What a new version of an item does: `comment` adds a comment, `edit` writes the issue's text anew.
    #[serde(default)]
    pub on_update: OnUpdate,
    /// Name of a transition that a new version takes where the issue is done: it is opened again.
    #[serde(default)]
    pub reopen_transition: Option<String>,
    /// What becomes of the issue of an erased item: `delete`, or `empty`, which leaves what was there in Jira's history.
    #[serde(default)]
    pub on_erase: OnErase,
    /// Language of the words that the hub adds to an issue: `en` or `ar`.
    #[serde(default)]
    pub language: Language,
    /// State of the work that a status stands for, by the status's name. Others go by their category and resolution.
    #[serde(default)]
    pub states: BTreeMap<String, String>,
    /// State that a resolution stands for, by its name.
    #[serde(default = "resolutions")]
    pub resolutions: BTreeMap<String, String>,
    /// How long one request may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1000, max = 60000))]
    pub timeout_ms: u32,
}

/// Which Jira.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// Atlassian's own.
    #[default]
    Cloud,
    /// One that an organisation runs itself.
    DataCenter,
}

/// What a new version of an item does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUpdate {
    /// Adds a comment.
    #[default]
    Comment,
    /// Writes the issue's text anew.
    Edit,
}

/// What becomes of the issue of an erased item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnErase {
    /// It is deleted, with its history.
    #[default]
    Delete,
    /// Its text is taken out. Its history still shows it.
    Empty,
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

/// A fact of an item that can stand in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The hub's id.
    Id,
    /// The channel instance.
    Instance,
    /// The sort of channel.
    Channel,
    /// What sort of feedback it is.
    Kind,
    /// Its language.
    Language,
    /// When the hub received it.
    ReceivedAt,
    /// A score, by its metric.
    Score(String),
}

impl Fact {
    /// Reads `id`, `instance`, `channel`, `kind`, `language`, `received-at` or `score:METRIC`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "instance" => Self::Instance,
            "channel" => Self::Channel,
            "kind" => Self::Kind,
            "language" => Self::Language,
            "received-at" => Self::ReceivedAt,
            other => Self::Score(
                other
                    .strip_prefix("score:")
                    .filter(|metric| !metric.is_empty())?
                    .to_owned(),
            ),
        })
    }
}

fn task() -> String {
    "Task".into()
}

fn own_label() -> String {
    "mihwar".into()
}

fn resolutions() -> BTreeMap<String, String> {
    let rejected = [
        "Won't Do",
        "Won't Fix",
        "Declined",
        "Duplicate",
        "Cannot Reproduce",
        "Incomplete",
    ];
    rejected.map(|name| (name.to_owned(), "rejected".to_owned())).into()
}

const fn default_timeout_ms() -> u32 {
    15_000
}

const KINDS: [&str; 6] = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];
/// Fields that this department writes itself.
const OWN_FIELDS: [&str; 5] = ["project", "issuetype", "summary", "description", "labels"];

impl Settings {
    /// Everything that the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.problems_of_the_account();
        problems.extend(self.problems_of_labels());
        problems.extend(self.problems_of_fields());
        for kind in self.kind_types.keys().filter(|kind| !KINDS.contains(&kind.as_str())) {
            problems.push(no_kind("kind_types", kind));
        }
        let states = self
            .states
            .iter()
            .map(|(name, state)| (format!("states.{name}"), state));
        let resolutions = self.resolutions.iter();
        let resolutions = resolutions.map(|(name, state)| (format!("resolutions.{name}"), state));
        for (path, state) in states
            .chain(resolutions)
            .filter(|(_, state)| !WorkState::is_name(state))
        {
            let message = format!(
                "`{state}` is no state: use open, in-progress, resolved, rejected, reopened or a lower-case slug of your own"
            );
            problems.push(ConfigProblem::new(path, message));
        }
        problems
    }

    fn problems_of_the_account(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let rest = self
            .url
            .strip_prefix("https://")
            .or_else(|| self.url.strip_prefix("http://"));
        let is_odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '@');
        if rest
            .is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(is_odd) || rest.ends_with('/'))
        {
            problems.push(ConfigProblem::new(
                "url",
                "must be an address such as https://acme.atlassian.net, without a slash at its end",
            ));
        }
        let is_key = |key: &str| {
            key.starts_with(|c: char| c.is_ascii_uppercase())
                && key
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        if !is_key(&self.project) {
            problems.push(ConfigProblem::new(
                "project",
                "must be the key of a project, such as SHOP",
            ));
        }
        let email = self.email.as_deref().unwrap_or_default();
        match self.deployment {
            Deployment::Cloud if !email.contains('@') => problems.push(ConfigProblem::new(
                "email",
                "is needed for Jira Cloud: the address of the account whose API token is used",
            )),
            Deployment::DataCenter if !email.is_empty() => {
                problems.push(ConfigProblem::new("email", "is not used by Data Center: take it out"));
            }
            Deployment::Cloud | Deployment::DataCenter => {}
        }
        problems
    }

    fn problems_of_labels(&self) -> Vec<ConfigProblem> {
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
        let own = [("own_label".to_owned(), &self.own_label)];
        let is_label = |label: &str| (1..=200).contains(&label.len()) && !label.contains(char::is_whitespace);
        let unfit = labels
            .chain(of_kinds)
            .chain(of_tags)
            .chain(own)
            .filter(|(_, label)| !is_label(label));
        let mut problems: Vec<ConfigProblem> = unfit
            .map(|(path, _)| ConfigProblem::new(path, "a label of Jira has 1 to 200 bytes and no blank"))
            .collect();
        let unknown = self.kind_labels.keys().filter(|kind| !KINDS.contains(&kind.as_str()));
        problems.extend(unknown.map(|kind| no_kind("kind_labels", kind)));
        problems
    }

    fn problems_of_fields(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for name in self.fields.keys().filter(|name| OWN_FIELDS.contains(&name.as_str())) {
            let message = "is written by the hub: use the setting of its own";
            problems.push(ConfigProblem::new(format!("fields.{name}"), message));
        }
        for (name, fact) in &self.fact_fields {
            let path = format!("fact_fields.{name}");
            if OWN_FIELDS.contains(&name.as_str()) || self.fields.contains_key(name) {
                problems.push(ConfigProblem::new(path, "is written otherwise already"));
            } else if Fact::named(fact).is_none() {
                let message = format!(
                    "`{fact}` is no fact: use id, instance, channel, kind, language, received-at or score:METRIC, such as score:nps"
                );
                problems.push(ConfigProblem::new(path, message));
            }
        }
        problems
    }

    /// The label that names an item.
    pub(crate) fn label_of(&self, id: &str) -> String {
        format!("{}-{id}", self.own_label)
    }

    /// The label of an issue whose item is gone: by it the issue is found again if erasing it came only half the way.
    pub(crate) fn erased_label_of(&self, id: &str) -> String {
        format!("{}-erased-{id}", self.own_label)
    }

    /// Whether a label names an item that is not gone.
    pub(crate) fn is_own(&self, label: &str) -> bool {
        let named = label
            .strip_prefix(self.own_label.as_str())
            .and_then(|rest| rest.strip_prefix('-'));
        named.is_some_and(|id| !id.is_empty() && id != "erased" && !id.starts_with("erased-"))
    }
}

fn no_kind(table: &str, kind: &str) -> ConfigProblem {
    ConfigProblem::new(
        format!("{table}.{kind}"),
        format!("is no kind: use {}", KINDS.join(", ")),
    )
}
