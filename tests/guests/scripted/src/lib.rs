//! A channel that brings what a test's server tells it to: pages of notes, new, changed and taken back. It also
//! takes notes by webhook, and refuses a word until its settings allow it; and it reads files of notes, one to a line,
//! and breaks on lines that say so. For tests of the hub only.

use mihwar_sdk::{
    Change, ChannelKind, Feedback, Host, ImportPage, ImportRequest, Importer, InboundRequest, Outcome, Person, Plugin,
    PluginError, PullPage, PullRequest, Puller, Request, Webhook,
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

impl Importer for Scripted {
    fn read(host: &Host, _settings: &Settings, request: ImportRequest) -> Result<ImportPage, PluginError> {
        let bytes = host.read_blob_to_end(&request.file.content, 1 << 20)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let from: usize = request
            .cursor
            .as_deref()
            .and_then(|cursor| cursor.parse().ok())
            .unwrap_or(0);
        let from = from + request.skip as usize;
        let wanted = if request.skip > 0 {
            0
        } else {
            request.max_items as usize
        };
        let page = lines.get(from..).unwrap_or_default();
        let page = page.get(..wanted).unwrap_or(page);
        let next = from + page.len();
        Ok(ImportPage {
            changes: page
                .iter()
                .zip(from..)
                .map(|(line, number)| read_line(line, number))
                .collect(),
            refusals: Vec::new(),
            cursor: Some(next.to_string()),
            more: next < lines.len(),
            position: next as u64,
        })
    }
}

/// A note; or what a plugin's own fault would be.
fn read_line(line: &str, number: usize) -> Change {
    assert!(!line.contains("[trap]"), "told to break");
    let mut kept = Vec::new();
    while line.contains("[loop]") || line.contains("[leak]") {
        if line.contains("[leak]") {
            kept.push(vec![1_u8; 1 << 20]);
        }
    }
    let note = Note {
        id: format!("line-{number}"),
        body: line.to_owned(),
        author: None,
        revision: None,
    };
    note.into()
}

mihwar_sdk::export!(Scripted: Importer, Puller, Webhook);
