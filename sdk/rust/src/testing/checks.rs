//! What the hub checks on every record that a channel returns.

use crate::{AttachmentSource, Change, Details, Feedback, Score};

const EXTERNAL_ID_MAX: usize = 1024;
const BODY_MAX: usize = 4 << 20;
const TEXT_MAX: usize = 64 << 10;
const INLINE_MAX: usize = 256 << 10;
const KINDS: [&str; 6] = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"];

/// Everything for which the hub would refuse the record, field by field; empty when it is sound.
#[must_use]
pub fn record_problems(feedback: &Feedback) -> Vec<String> {
    let mut problems = Vec::new();
    let mut text = |field: &str, text: Option<&str>, max: usize| {
        if text.is_some_and(|text| text.len() > max) {
            problems.push(format!("{field}: more than {max} bytes"));
        }
        if text.is_some_and(|text| text.contains('\0')) {
            problems.push(format!("{field}: holds a NUL character"));
        }
    };
    text("external_id", Some(&feedback.external_id), EXTERNAL_ID_MAX);
    text("revision", feedback.revision.as_deref(), EXTERNAL_ID_MAX);
    text("thread_id", feedback.thread_id.as_deref(), EXTERNAL_ID_MAX);
    text("in_reply_to", feedback.in_reply_to.as_deref(), EXTERNAL_ID_MAX);
    text("subject", feedback.subject.as_deref(), TEXT_MAX);
    text("body", Some(&feedback.body), BODY_MAX);
    text("body_html", feedback.body_html.as_deref(), BODY_MAX);
    text("raw", feedback.raw.as_deref(), BODY_MAX);
    if feedback.external_id.trim().is_empty() {
        problems.push("external_id: must not be empty".into());
    }
    if let Some(kind) = feedback.kind.as_deref().filter(|kind| !KINDS.contains(kind)) {
        problems.push(format!("kind: `{kind}` is none of {}", KINDS.join(", ")));
    }
    for tag in feedback.tags.iter().filter(|tag| !is_slug(tag)) {
        problems.push(format!(
            "tags: `{tag}` is no slug of a-z, 0-9, `-`, `_`, `:` within 64 bytes"
        ));
    }
    problems.extend(feedback.scores.iter().filter_map(score_problem));
    for attachment in &feedback.attachments {
        if matches!(&attachment.source, AttachmentSource::Inline(bytes) if bytes.len() > INLINE_MAX) {
            problems.push(format!(
                "attachments: `{}` is too large to be inline, use a blob",
                attachment.name
            ));
        }
    }
    let silent = feedback.body.trim().is_empty() && feedback.subject.as_deref().is_none_or(|s| s.trim().is_empty());
    let bare = feedback.scores.is_empty() && feedback.attachments.is_empty() && feedback.details == Details::None;
    if silent && bare && feedback.body_html.is_none() {
        problems.push("body: nothing is said and nothing else is there".into());
    }
    problems
}

fn is_slug(tag: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b':');
    (1..=64).contains(&tag.len()) && tag.bytes().all(allowed)
}

fn score_problem(score: &Score) -> Option<String> {
    let scale = match score.metric.as_str() {
        "nps" => (0.0, 10.0),
        "csat" => (1.0, 5.0),
        "ces" => (1.0, 7.0),
        _ => (score.min, score.max),
    };
    let sound =
        (score.min, score.max) == scale && score.min < score.max && (score.min..=score.max).contains(&score.value);
    (!sound).then(|| {
        format!(
            "scores: `{}` = {} on {} to {}",
            score.metric, score.value, score.min, score.max
        )
    })
}

/// Fails the test with the problems of the first unsound record.
pub(super) fn assert_sound(changes: &[Change]) {
    for change in changes {
        if let Change::Upsert(feedback) = change {
            let problems = record_problems(feedback);
            assert!(
                problems.is_empty(),
                "the hub would refuse `{}`: {}",
                feedback.external_id,
                problems.join("; ")
            );
        }
    }
}
