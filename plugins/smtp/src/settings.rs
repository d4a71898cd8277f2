//! What an admin can set for one department that gets mail.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use mihwar_sdk::ConfigProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::{Mailbox, is_domain};

/// Most addresses of one list.
const ADDRESSES: usize = 50;

/// How the mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// TLS from the first byte on, usually at port 465.
    Tls,
    /// TLS after STARTTLS, usually at port 587. A server that does not offer it gets no mail.
    #[default]
    StartTls,
    /// No TLS: for a server on the same machine. The grant must say `plain = true`.
    Plain,
}

impl From<Security> for mihwar_sdk::Security {
    fn from(security: Security) -> Self {
        match security {
            Security::Tls => Self::Tls,
            Security::StartTls => Self::StartTls,
            Security::Plain => Self::Plain,
        }
    }
}

/// The language of what is written around the feedback.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
pub enum Language {
    /// Arabic.
    #[serde(rename = "ar")]
    Arabic,
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
}

/// Settings of one department.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The mail server that takes mail for everybody (a relay or a submission server).
    pub host: String,
    /// Its port.
    #[serde(default = "submission")]
    pub port: u16,
    /// How it is spoken to.
    #[serde(default)]
    pub security: Security,
    /// The account's name; the secret `password` belongs to it. Left out: no login.
    #[serde(default)]
    pub user: Option<String>,
    /// Who it is from: `feedback@example.org` or `Feedback <feedback@example.org>`.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// Who gets items in a language instead: `{ ar = ["…"] }`.
    #[serde(default)]
    pub to_by_language: BTreeMap<String, Vec<String>>,
    /// The language of what is written around the feedback.
    #[serde(default)]
    pub language: Language,
    /// The time zone of times in mails, such as `Asia/Riyadh`. Default: the instance's.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Where an item can be read; `{id}` stands for its id.
    #[serde(default)]
    pub link: Option<String>,
    /// How this hub calls itself to the server. Default: the domain of `from`.
    #[serde(default)]
    pub ehlo: Option<String>,
    /// How long one answer of the server may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1000, max = 60000))]
    pub timeout_ms: u32,
}

const fn submission() -> u16 {
    587
}

const fn default_timeout_ms() -> u32 {
    30_000
}

impl Settings {
    /// What the schema cannot say, each at its key.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut add = |path: String, message: String| problems.push(ConfigProblem::new(path, message));
        if self.host.trim().is_empty() || self.host.contains(char::is_whitespace) {
            add("host".into(), "must be the name of a mail server".into());
        }
        if let Err(message) = Mailbox::read(&self.from) {
            add("from".into(), message);
        }
        if self.to.is_empty() {
            add("to".into(), "names nobody: give one address at least".into());
        }
        let lists = self
            .to_by_language
            .iter()
            .map(|(tag, list)| (format!("to_by_language.{tag}"), list));
        for (path, list) in std::iter::once(("to".to_owned(), &self.to)).chain(lists) {
            if list.len() > ADDRESSES {
                add(
                    path.clone(),
                    format!("has more than {ADDRESSES} addresses: use a mailing list"),
                );
            }
            for (at, address) in list.iter().enumerate() {
                if let Err(message) = Mailbox::read(address) {
                    add(format!("{path}[{at}]"), message);
                }
            }
        }
        for (tag, list) in &self.to_by_language {
            if primary(tag) != *tag || list.is_empty() {
                let message = "the key is a language such as ar, and it has one address at least";
                add(format!("to_by_language.{tag}"), message.into());
            }
        }
        if self
            .time_zone
            .as_deref()
            .is_some_and(|name| TimeZone::get(name).is_err())
        {
            add("time_zone".into(), "is no time zone; write it like Asia/Riyadh".into());
        }
        if self
            .ehlo
            .as_deref()
            .is_some_and(|name| !is_domain(name) || !name.is_ascii())
        {
            add("ehlo".into(), "must be a host name such as hub.example.org".into());
        }
        if self
            .user
            .as_deref()
            .is_some_and(|user| user.is_empty() || user.contains('\0'))
        {
            add(
                "user".into(),
                "must not be empty: leave it out if there is no login".into(),
            );
        }
        if self.link.as_deref().is_some_and(|link| !is_link(link)) {
            add(
                "link".into(),
                "must be an address with {id} in it, such as https://hub.example.org/feedback/{id}".into(),
            );
        }
        problems
    }
}

/// Whether it is an address with a place for an item's id.
fn is_link(link: &str) -> bool {
    let is_address = link.starts_with("https://") || link.starts_with("http://");
    is_address && link.contains("{id}") && !link.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// The language of a tag, without region and script, in lower case.
pub(crate) fn primary(tag: &str) -> String {
    tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
}
