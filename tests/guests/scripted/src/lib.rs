//! A channel that brings what a test's server tells it to: pages of notes, new, changed and taken back. It also
//! takes notes by webhook, and refuses a word until its settings allow it. For tests of the hub only.

use mihwar_sdk::{
    Change, ChannelKind, Feedback, Host, InboundRequest, Outcome, Person, Plugin, PluginError, PullPage, PullRequest,
    Puller, Request, Webhook,
};
use serde::Deserialize;

/// Where the script is, and what is not taken.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Answers pages as JSON.
    url: String,
    /// A note that holds this word is refused for good.
    #[serde(default)]
    refused_word: Option<String>,
}

/// A page of the script.
#[derive(Deserialize)]
struct Page {
    changes: Vec<Step>,
    cursor: Option<String>,
    #[serde(default)]
    more: bool,
}

/// One thing that happens at the source.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Erase { erase: String },
    Note(Note),
}

#[derive(Deserialize)]
struct Note {
    id: String,
    body: String,
    author: Option<String>,
    revision: Option<String>,
}

impl From<Note> for Change {
    fn from(note: Note) -> Self {
        let mut feedback = Feedback::new(note.id, ChannelKind::Other("note".to_owned())).body(note.body);
        if let Some(author) = note.author {
            feedback = feedback.author(Person::new().identifier("note-author", author));
        }
        if let Some(revision) = note.revision {
            feedback = feedback.revision(revision);
        }
        feedback.into()
    }
}

/// The guest.
pub struct Scripted;

impl Plugin for Scripted {
    type Settings = Settings;
}

impl Puller for Scripted {
    fn pull(host: &Host, settings: &Settings, request: PullRequest) -> Result<PullPage, PluginError> {
        let after = request.cursor.unwrap_or_default();
        let answer = host.http(&Request::get(format!("{}?after={after}", settings.url)))?;
        if !answer.is_success() {
            return Err(PluginError::transient("script", format!("HTTP {}", answer.status)));
        }
        let page: Page = answer
            .json()
            .map_err(|error| PluginError::permanent("script", error.to_string()))?;
        let changes = page.changes.into_iter().map(|step| match step {
            Step::Erase { erase } => Change::Erase(erase),
            Step::Note(note) => note.into(),
        });
        Ok(PullPage {
            changes: changes.collect(),
            cursor: page.cursor,
            more: page.more,
            next_after_ms: Some(200),
        })
    }
}

impl Webhook for Scripted {
    fn handle(_host: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        let text = String::from_utf8_lossy(&request.body);
        if let Some(word) = &settings.refused_word
            && text.contains(word.as_str())
        {
            return Err(PluginError::permanent(
                "refused-word",
                format!("holds the word \"{word}\""),
            ));
        }
        let note = Note {
            id: request.delivery_id,
            body: text.into_owned(),
            author: None,
            revision: None,
        };
        Ok(Outcome {
            changes: vec![note.into()],
            refusals: Vec::new(),
            reply: None,
        })
    }
}

mihwar_sdk::export!(Scripted: Puller, Webhook);
