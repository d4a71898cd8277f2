//! What the hub refuses of what a plugin returns.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{KINDS, is_code, is_instance_name, is_language, is_tag};
use super::record::record_problems;
use crate::{AttachmentSource, Change, Edit, Feedback, ImportPage, Span, Value, Verdict};

/// Most items in one returned value.
const RETURNED_ITEMS: usize = 10_000;

/// Why the hub would refuse an enricher's edit: what enrichers set are facts, never words of a person.
#[must_use]
pub fn edit_problem(edit: &Edit) -> Option<String> {
    match edit {
        Edit::SetAttribute(attribute) => {
            if !is_code(&attribute.name) {
                return Some(format!("set-attribute: the name `{}` {CODE}", attribute.name));
            }
            value_problem(&attribute.value).map(|reason| format!("set-attribute `{}`: {reason}", attribute.name))
        }
        Edit::AddTag(tag) => (!is_tag(tag)).then(|| format!("add-tag: `{tag}` is no lower-case slug")),
        Edit::RemoveTag(tag) => (!is_tag(tag)).then(|| format!("remove-tag: `{tag}` is no lower-case slug")),
        Edit::SetLanguage(tag) => (!is_language(tag)).then(|| format!("set-language: `{tag}` is no tag of BCP 47")),
        Edit::SetKind(kind) => {
            (!KINDS.contains(&kind.as_str())).then(|| format!("set-kind: `{kind}` is none of {}", KINDS.join(", ")))
        }
        Edit::SetSentiment(value) => {
            (!(-1.0..=1.0).contains(value)).then(|| format!("set-sentiment: {value} is outside -1 to 1"))
        }
        Edit::Redact(span) => span_problem(span),
        Edit::Route(name) => (!is_instance_name(name)).then(|| format!("route: `{name}` is no name of a department")),
        Edit::Quarantine(reason) => {
            (!is_tag(reason)).then(|| format!("quarantine: the reason `{reason}` is no lower-case slug"))
        }
    }
}

/// Why the hub would refuse a span, whatever text it is for.
fn span_problem(span: &Span) -> Option<String> {
    let Span { start, end, label } = span;
    if start >= end {
        return Some(format!("redact: {start} to {end} covers nothing"));
    }
    // What is masked is counted as the fact `masked-LABEL`.
    let problem = format!("redact: the label `{label}` is no lower-case slug of at most 48 letters");
    (!is_instance_name(label)).then_some(problem)
}

/// Fails the test with the first span that does not lie between two letters of the text that it is for.
pub(super) fn assert_spans(verdicts: &[Verdict], bodies: &BTreeMap<String, String>) {
    for verdict in verdicts {
        let Verdict::Edited(edits) = verdict else { continue };
        let body = bodies.get(&edits.id).map(String::as_str).unwrap_or_default();
        for edit in &edits.edits {
            let Edit::Redact(span) = edit else { continue };
            let covered = body.get(span.start as usize..span.end as usize);
            assert!(
                covered.is_some(),
                "redact: {} to {} does not lie between letters of the body of `{}`",
                span.start,
                span.end,
                edits.id
            );
        }
    }
}

const CODE: &str = "is no code of at most 64 ASCII letters, digits and `.`, `_`, `:`, `-`";

fn value_problem(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => (!is_code(text)).then(|| format!("`{text}` {CODE}")),
        Value::Decimal(number) => (!number.is_finite()).then(|| "must be a finite number".into()),
        Value::Json(_) => Some("an enricher sets numbers, yes/no and codes, not JSON".into()),
        Value::Integer(_) | Value::Boolean(_) | Value::Timestamp(_) => None,
    }
}

/// Fails the test with the problems of the first change that the hub would refuse. `blobs` are those that the call
/// stored.
pub(super) fn assert_sound(changes: &[Change], blobs: &BTreeSet<String>) {
    assert_items(changes.len());
    for change in changes {
        match change {
            Change::Upsert(feedback) => {
                let mut problems = record_problems(feedback);
                problems.extend(blob_problems(feedback, blobs));
                assert!(
                    problems.is_empty(),
                    "the hub would refuse `{}`: {}",
                    feedback.external_id,
                    problems.join("; ")
                );
            }
            Change::Erase(_) => {}
            Change::Status(update) => {
                let problems = update.problems();
                assert!(
                    problems.is_empty(),
                    "the hub would refuse the status of `{}`: {}",
                    update.external_ref,
                    problems.join("; ")
                );
            }
        }
    }
}

fn blob_problems(feedback: &Feedback, blobs: &BTreeSet<String>) -> Vec<String> {
    let attachments = feedback.attachments.iter().enumerate();
    attachments
        .filter_map(|(at, attachment)| match &attachment.source {
            AttachmentSource::Blob(id) if !blobs.contains(id) => Some(format!(
                "attachments[{at}]: the blob `{id}` was not stored in this call"
            )),
            _ => None,
        })
        .collect()
}

/// Fails the test when a page has more than was asked for.
pub(super) fn assert_page(page: &ImportPage, max_items: u32, blobs: &BTreeSet<String>) {
    assert_sound(&page.changes, blobs);
    let items = page.changes.len() + page.refusals.len();
    assert_items(items);
    assert!(
        items <= max_items as usize,
        "{items} items on a page of at most {max_items}"
    );
}

/// Fails the test with the first verdict that the hub would refuse or could not place.
pub(super) fn assert_verdicts(verdicts: &[Verdict], ids: &BTreeSet<String>) {
    let edits = |verdict: &Verdict| match verdict {
        Verdict::Edited(edits) => edits.edits.len(),
        Verdict::Failed(_) => 0,
    };
    assert_items(verdicts.len() + verdicts.iter().map(edits).sum::<usize>());
    for verdict in verdicts {
        let (id, edits) = match verdict {
            Verdict::Edited(edits) => (&edits.id, edits.edits.as_slice()),
            Verdict::Failed((id, _)) => (id, [].as_slice()),
        };
        assert!(ids.contains(id), "a verdict for `{id}`, which is not in the batch");
        let problems: Vec<String> = edits.iter().filter_map(edit_problem).collect();
        assert!(
            problems.is_empty(),
            "the hub would refuse the edits of `{id}`: {}",
            problems.join("; ")
        );
    }
}

/// Fails the test when a call returns more than the hub takes by default.
pub(super) fn assert_items(items: usize) {
    assert!(
        items <= RETURNED_ITEMS,
        "{items} items in one returned value; the hub takes {RETURNED_ITEMS}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attachment, Attribute, ChannelKind, Edits, StatusUpdate, WorkState};

    fn attribute(name: &str, value: impl Into<Value>) -> Edit {
        Edit::SetAttribute(Attribute {
            name: name.into(),
            value: value.into(),
        })
    }

    #[test]
    fn edits_are_facts_or_refused_by_name() {
        for sound in [
            attribute("script", "Arab"),
            attribute("confidence", 0.9),
            attribute("seen", Value::Timestamp(1)),
            Edit::AddTag("لهجة-خليجية".into()),
            Edit::SetLanguage("ar-EG".into()),
            Edit::SetKind("praise".into()),
            Edit::SetSentiment(-1.0),
            Edit::Route("support-2".into()),
            Edit::Quarantine("spam".into()),
        ] {
            assert_eq!(edit_problem(&sound), None, "{sound:?}");
        }
        let span = |start, end, label: &str| {
            Edit::Redact(Span {
                start,
                end,
                label: label.into(),
            })
        };
        assert_eq!(edit_problem(&span(0, 1, "card-number")), None);
        for (refused, name) in [
            (attribute("name", "محمد علي"), "set-attribute"),
            (attribute("the name", true), "set-attribute"),
            (attribute("x", ""), "set-attribute"),
            (attribute("x", f64::NAN), "set-attribute"),
            (attribute("x", Value::Json("1".into())), "set-attribute"),
            (Edit::AddTag("Two Words".into()), "add-tag"),
            (Edit::RemoveTag(String::new()), "remove-tag"),
            (Edit::SetLanguage("العربية".into()), "set-language"),
            (Edit::SetKind("شكوى".into()), "set-kind"),
            (Edit::SetSentiment(f64::NAN), "set-sentiment"),
            (span(1, 1, "card-number"), "redact"),
            (span(0, 1, "رقم البطاقة"), "redact"),
            (Edit::Route("الدعم".into()), "route"),
            (Edit::Quarantine("because I say so".into()), "quarantine"),
        ] {
            let problem = edit_problem(&refused).unwrap_or_default();
            assert!(problem.starts_with(name), "{refused:?}: {problem}");
        }
    }

    #[test]
    #[should_panic(expected = "attachments[0]: the blob `b-7` was not stored in this call")]
    fn a_blob_that_was_never_put_is_refused() {
        let record = Feedback::new("1", ChannelKind::Form).attachment(Attachment::blob("صورة", "image/png", 1, "b-7"));
        assert_sound(&[record.into()], &BTreeSet::from(["b-6".to_owned()]));
    }

    #[test]
    #[should_panic(expected = "the status of `تذكرة-٧`: state: is no")]
    fn a_report_that_the_hub_would_refuse_fails_the_test() {
        let bad = StatusUpdate::new("تذكرة-٧", WorkState::Other("On Hold".into()), 0);
        assert_sound(&[bad.into()], &BTreeSet::new());
    }

    #[test]
    #[should_panic(expected = "redact: 1 to 3 does not lie between letters")]
    fn a_span_never_splits_a_letter() {
        let span = Span {
            start: 1,
            end: 3,
            label: "phone".into(),
        };
        let verdict = Verdict::Edited(Edits {
            id: "1".into(),
            edits: vec![Edit::Redact(span)],
        });
        assert_spans(&[verdict], &BTreeMap::from([("1".to_owned(), "شكوى".to_owned())]));
    }

    #[test]
    #[should_panic(expected = "a verdict for `2`, which is not in the batch")]
    fn a_verdict_belongs_to_an_item_of_the_batch() {
        let verdict = Verdict::Edited(Edits {
            id: "2".into(),
            edits: Vec::new(),
        });
        assert_verdicts(&[verdict], &BTreeSet::from(["1".to_owned()]));
    }
}
