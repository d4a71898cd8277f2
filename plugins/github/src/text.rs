//! What an issue says: title, text, labels.

use mihwar_sdk::{StoredFeedback, time};

use crate::markdown::{escaped, quoted};
use crate::settings::{Language, Settings};

/// Longest title. GitHub takes 256 letters.
const TITLE_CHARS: usize = 120;

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
    erased_title: &'static str,
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
    erased_title: "Erased",
    erased: "The content was erased at the hub, and here. Earlier versions of this text may still be seen in its history: \
             delete the issue to remove them.",
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
    erased_title: "مُحيت",
    erased: "مُحي المحتوى في المركز وهنا. قد تبقى النسخ السابقة من هذا النص ظاهرة في سجل تعديلاته: احذف التذكرة لإزالتها.",
};

const fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &ENGLISH,
        Language::Ar => &ARABIC,
    }
}

/// The hidden line that names the item of an issue.
pub(crate) fn marker(id: &str) -> String {
    format!("<!-- mihwar:{id} -->")
}

/// The hidden line of a comment: the item, and the delivery that made it.
pub(crate) fn comment_marker(id: &str, delivery: &str) -> String {
    format!("<!-- mihwar:{id} delivery:{delivery} -->")
}

/// What every hidden line about an item begins with.
pub(crate) fn any_marker(id: &str) -> String {
    format!("<!-- mihwar:{id} ")
}

/// The hidden line of an issue whose item was erased.
pub(crate) fn erased_marker(id: &str) -> String {
    format!("<!-- mihwar-erased:{id} -->")
}

/// Whether an issue is about an item of the hub that was not erased.
pub(crate) fn is_ours(body: &str) -> bool {
    body.contains("<!-- mihwar:")
}

/// The subject, or the first line of what was said, or what it is.
pub(crate) fn title(settings: &Settings, item: &StoredFeedback) -> String {
    let words = words(settings.language);
    let said = item
        .feedback
        .subject
        .as_deref()
        .into_iter()
        .chain(item.feedback.body.lines());
    let line = said.map(str::trim).find(|line| !line.is_empty());
    let title = match (line, item.feedback.kind.as_deref()) {
        (Some(line), _) => line.to_owned(),
        (None, Some(kind)) => format!("{}: {kind}", words.feedback),
        (None, None) => format!("{} {}", words.feedback, item.id),
    };
    let mut short: String = title
        .chars()
        .filter(|letter| !letter.is_control())
        .take(TITLE_CHARS)
        .collect();
    if title.chars().count() > TITLE_CHARS {
        short.push('…');
    }
    short
}

/// The text of an issue, with its mark.
pub(crate) fn body(settings: &Settings, item: &StoredFeedback) -> String {
    format!("{}\n{}", marker(&item.id), content(settings, item))
}

/// The text of a comment that a new version makes, with its mark.
pub(crate) fn comment(settings: &Settings, item: &StoredFeedback, delivery: &str) -> String {
    let changed = words(settings.language).changed;
    format!(
        "{}\n{changed}\n\n{}",
        comment_marker(&item.id, delivery),
        content(settings, item)
    )
}

/// Title and text of an issue whose item is gone.
pub(crate) fn erased(settings: &Settings, id: &str) -> (String, String) {
    let words = words(settings.language);
    (
        words.erased_title.to_owned(),
        format!("{}\n{}", erased_marker(id), words.erased),
    )
}

fn content(settings: &Settings, item: &StoredFeedback) -> String {
    let words = words(settings.language);
    let mut text = String::new();
    if !item.feedback.body.trim().is_empty() {
        text.push_str(&quoted(item.feedback.body.trim(), words.cut));
        text.push('\n');
    }
    for (name, value) in facts(words, item) {
        text.push_str(&format!("- **{name}:** {}\n", escaped(&value)));
    }
    text
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

/// The labels of an item, each once.
pub(crate) fn labels(settings: &Settings, item: &StoredFeedback) -> Vec<String> {
    let of_kind = item
        .feedback
        .kind
        .as_ref()
        .and_then(|kind| settings.kind_labels.get(kind));
    let of_tags = item.feedback.tags.iter().filter_map(|tag| settings.tag_labels.get(tag));
    let mut labels: Vec<String> = Vec::new();
    for label in settings.labels.iter().chain(of_kind).chain(of_tags) {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    labels
}
