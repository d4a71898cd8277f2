//! What an admin may say about a form.

use std::collections::BTreeMap;

use mihwar_sdk::{ChannelKind, ConfigProblem};

/// The kinds that a record may have.
pub(crate) const KINDS: [&str; 6] = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];

/// Settings of one form.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the records are: a form, a survey, or feedback from inside an application.
    pub channel: Channel,
    /// Which field of the form holds what.
    pub fields: Fields,
    /// Identity of the survey that other fields answer. Default: `form`.
    pub survey: Option<String>,
    /// Text of the question behind a field, by the field's name.
    pub questions: BTreeMap<String, String>,
    /// What the form calls a kind, such as `شكوى = "complaint"`.
    pub kinds: BTreeMap<String, String>,
    /// Fields that are no feedback and are dropped, such as a token of the form.
    pub ignore: Vec<String>,
    /// Country calling code for telephone numbers without one, such as `966`.
    pub country_code: Option<String>,
}

/// What the records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A web form.
    #[default]
    Form,
    /// A survey.
    Survey,
    /// Feedback from inside an application.
    InApp,
}

impl From<Channel> for ChannelKind {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Form => Self::Form,
            Channel::Survey => Self::Survey,
            Channel::InApp => Self::InApp,
        }
    }
}

/// Names of the form's fields. Each is optional in a submission.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fields {
    /// Identity of the submission; without it, a hash of what was posted and of its time stamp.
    pub id: Option<String>,
    /// The person's name.
    pub name: String,
    /// The person's e-mail address.
    pub email: String,
    /// The person's telephone number.
    pub phone: String,
    /// What the person says.
    pub message: String,
    /// A line above the message.
    pub subject: String,
    /// Complaint, suggestion, enquiry, praise, observation or defect.
    pub kind: String,
    /// Likelihood to recommend, 0 to 10.
    pub nps: String,
    /// Satisfaction, 1 to 5.
    pub csat: String,
    /// Ease, 1 to 7.
    pub ces: String,
    /// Language tag, such as `ar`.
    pub language: String,
    /// When it was said: RFC 3339, or milliseconds since 1970 (from 1990 to 2100).
    pub submitted_at: String,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            id: None,
            name: "name".into(),
            email: "email".into(),
            phone: "phone".into(),
            message: "message".into(),
            subject: "subject".into(),
            kind: "kind".into(),
            nps: "nps".into(),
            csat: "csat".into(),
            ces: "ces".into(),
            language: "language".into(),
            submitted_at: "submitted-at".into(),
        }
    }
}

impl Settings {
    /// What the schema cannot tell.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        for (word, kind) in &self.kinds {
            if !KINDS.contains(&kind.as_str()) {
                let path = format!("kinds.{word}");
                problems.push(ConfigProblem::new(
                    path,
                    format!("`{kind}` is none of {}", KINDS.join(", ")),
                ));
            }
        }
        let f = &self.fields;
        let named = [
            ("name", &f.name),
            ("email", &f.email),
            ("phone", &f.phone),
            ("message", &f.message),
            ("subject", &f.subject),
            ("kind", &f.kind),
            ("nps", &f.nps),
            ("csat", &f.csat),
            ("ces", &f.ces),
            ("language", &f.language),
            ("submitted_at", &f.submitted_at),
        ];
        for (i, (role, field)) in named.iter().enumerate() {
            if let Some((other, _)) = named.iter().take(i).find(|(_, earlier)| earlier == field) {
                let message = format!("the field `{field}` is already taken as `{other}`");
                problems.push(ConfigProblem::new(format!("fields.{role}"), message));
            }
        }
        let digits = |code: &String| (1..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        if self.country_code.as_ref().is_some_and(|code| !digits(code)) {
            problems.push(ConfigProblem::new(
                "country_code",
                "must be one to three digits, such as `966`",
            ));
        }
        problems
    }
}
