//! What an issue says: summary, description, comments, labels, fields.

use mihwar_sdk::{StoredFeedback, time};
use serde_json::{Map, Value as Json, json};

use crate::settings::{Deployment, Fact, Language, Settings};
use crate::{adf, wiki};

/// Longest summary. Jira takes 255 letters.
const SUMMARY_CHARS: usize = 120;
/// Longest text of a customer in an issue. Jira takes 32 767 letters in all.
const TEXT_CHARS: usize = 12_000;

/// A text in the making, before it is written as Jira takes it.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) intro: Option<String>,
    /// What the customer said.
    pub(crate) quote: Option<String>,
    /// That there is more of it.
    pub(crate) cut: Option<String>,
    pub(crate) facts: Vec<(&'static str, String)>,
    /// By which a comment is known again.
    pub(crate) mark: Option<String>,
}

impl Text {
    /// As the API of this Jira takes it.
    pub(crate) fn written(&self, settings: &Settings) -> Json {
        match settings.deployment {
            Deployment::Cloud => adf::document(self),
            Deployment::DataCenter => wiki::notation(self).into(),
        }
    }
}

/// The hub's own words in an issue.
struct Words {
    feedback: &'static str,
    from: &'static str,
    kind: &'static str,
    channel: &'static str,
    language: &'static str,
    scores: &'static str,
    tags: &'static str,
    received: &'static str,
    version: &'static str,
    cut: &'static str,
    changed: &'static str,
    erased_summary: &'static str,
    erased: &'static str,
}

static ENGLISH: Words = Words {
    feedback: "Feedback",
    from: "From",
    kind: "Kind",
    channel: "Channel",
    language: "Language",
    scores: "Scores",
    tags: "Tags",
    received: "Received",
    version: "Version",
    cut: "The text is longer; all of it is in the hub.",
    changed: "The item was changed at its source:",
    erased_summary: "Erased",
    erased: "The content was erased at the hub, and here. Delete this issue: its history may show earlier versions.",
};

static ARABIC: Words = Words {
    feedback: "ملاحظة",
    from: "من",
    kind: "النوع",
    channel: "القناة",
    language: "اللغة",
    scores: "الدرجات",
    tags: "الوسوم",
    received: "وردت في",
    version: "النسخة",
    cut: "النص أطول من هذا، وهو كامل في المركز.",
    changed: "تغيّرت الملاحظة في مصدرها:",
    erased_summary: "مُحيت",
    erased: "مُحي المحتوى في المركز وهنا. احذف هذه التذكرة، فقد يعرض سجلها نسخًا سابقة.",
};

const fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::Ar => &ARABIC,
    }
}

/// What a comment of the hub ends with: the item and the delivery that made it.
pub(crate) fn comment_mark(id: &str, delivery: &str) -> String {
    format!("{} {delivery}", any_mark(id))
}

/// What every comment about an item holds. In wiki notation hyphens have a backslash before them: see [`holds`].
pub(crate) fn any_mark(id: &str) -> String {
    format!("mihwar:{id}")
}

/// Whether a comment, as Jira hands it back, holds a mark.
pub(crate) fn holds(comment: &Json, mark: &str) -> bool {
    comment.to_string().replace('\\', "").contains(mark)
}

/// The subject, or the first line of what was said, or what it is.
pub(crate) fn summary(settings: &Settings, item: &StoredFeedback) -> String {
    let words = words(settings.language);
    let said = item
        .feedback
        .subject
        .as_deref()
        .into_iter()
        .chain(item.feedback.body.lines());
    let line = said.map(str::trim).find(|line| !line.is_empty());
    let summary = match (line, item.feedback.kind.as_deref()) {
        (Some(line), _) => line.to_owned(),
        (None, Some(kind)) => format!("{}: {kind}", words.feedback),
        (None, None) => format!("{} {}", words.feedback, item.id),
    };
    let mut short: String = summary
        .chars()
        .filter(|letter| !letter.is_control())
        .take(SUMMARY_CHARS)
        .collect();
    if summary.chars().count() > SUMMARY_CHARS {
        short.push('…');
    }
    short
}

/// The text of an issue.
pub(crate) fn description(settings: &Settings, item: &StoredFeedback) -> Text {
    let words = words(settings.language);
    let said = item.feedback.body.trim();
    let short: String = said.chars().take(TEXT_CHARS).collect();
    Text {
        cut: (short.len() < said.len()).then(|| words.cut.to_owned()),
        quote: Some(short).filter(|short| !short.is_empty()),
        facts: facts(words, item),
        ..Text::default()
    }
}

/// The text of a comment that a new version makes.
pub(crate) fn comment(settings: &Settings, item: &StoredFeedback, delivery: &str) -> Text {
    Text {
        intro: Some(words(settings.language).changed.to_owned()),
        mark: Some(comment_mark(&item.id, delivery)),
        ..description(settings, item)
    }
}

/// Summary and text of an issue whose item is gone.
pub(crate) fn erased(settings: &Settings) -> (String, Text) {
    let words = words(settings.language);
    let text = Text {
        intro: Some(words.erased.to_owned()),
        ..Text::default()
    };
    (words.erased_summary.to_owned(), text)
}

/// What is known of an item beside its text, as far as it was granted.
fn facts(words: &Words, item: &StoredFeedback) -> Vec<(&'static str, String)> {
    let feedback = &item.feedback;
    let mut facts = Vec::new();
    if let Some(author) = &feedback.author {
        let known_by = author
            .identifiers
            .iter()
            .map(|known| format!("{}:{}", known.scheme, known.id));
        let who: Vec<String> = author.display_name.clone().into_iter().chain(known_by).collect();
        facts.push((words.from, who.join(", ")));
    }
    facts.push((words.kind, feedback.kind.clone().unwrap_or_default()));
    facts.push((
        words.channel,
        format!("{} ({})", feedback.channel.name(), item.connector),
    ));
    facts.push((words.language, feedback.language.clone().unwrap_or_default()));
    let scores = feedback
        .scores
        .iter()
        .map(|score| format!("{} {} / {}", score.metric, score.value, score.max));
    facts.push((words.scores, scores.collect::<Vec<_>>().join(", ")));
    facts.push((words.tags, feedback.tags.join(", ")));
    facts.push((words.received, time::to_rfc3339(item.received_at)));
    if item.version > 1 {
        facts.push((words.version, item.version.to_string()));
    }
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// Everything that a new issue is made of.
pub(crate) fn fields(settings: &Settings, item: &StoredFeedback) -> Json {
    let kind = item.feedback.kind.as_deref().unwrap_or_default();
    let issue_type = settings.kind_types.get(kind).unwrap_or(&settings.issue_type);
    let mut fields: Map<String, Json> = settings.fields.clone().into_iter().collect();
    for (name, fact) in &settings.fact_fields {
        if let Some(value) = Fact::named(fact).and_then(|fact| value(&fact, item)) {
            fields.insert(name.clone(), value);
        }
    }
    fields.insert("project".into(), json!({ "key": settings.project }));
    fields.insert("issuetype".into(), json!({ "name": issue_type }));
    fields.insert("summary".into(), json!(summary(settings, item)));
    fields.insert("description".into(), description(settings, item).written(settings));
    fields.insert("labels".into(), json!(labels(settings, item)));
    Json::Object(fields)
}

/// The labels of an item, each once; the one that names it comes first.
fn labels(settings: &Settings, item: &StoredFeedback) -> Vec<String> {
    let of_kind = item
        .feedback
        .kind
        .as_ref()
        .and_then(|kind| settings.kind_labels.get(kind));
    let of_tags = item.feedback.tags.iter().filter_map(|tag| settings.tag_labels.get(tag));
    let mut labels = vec![settings.label_of(&item.id)];
    for label in settings.labels.iter().chain(of_kind).chain(of_tags) {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    labels
}

/// A fact as the value of a field; nothing where the item does not have it.
fn value(fact: &Fact, item: &StoredFeedback) -> Option<Json> {
    let feedback = &item.feedback;
    Some(match fact {
        Fact::Id => json!(item.id),
        Fact::Instance => json!(item.connector),
        Fact::Channel => json!(feedback.channel.name()),
        Fact::Kind => json!(feedback.kind.as_ref()?),
        Fact::Language => json!(feedback.language.as_ref()?),
        // Jira's own form of a time.
        Fact::ReceivedAt => json!(time::to_rfc3339(item.received_at).replacen('Z', "+0000", 1)),
        Fact::Score(metric) => json!(feedback.scores.iter().find(|score| score.metric == *metric)?.value),
    })
}
