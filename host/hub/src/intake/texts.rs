//! The texts of a draft: everything in it that a person may have written, and that is no name by which the hub knows an
//! item or its author again.

use mihwar_model::{Author, Details, Draft, DraftAttachment, Scalar};

use super::payload::Payload;
use super::shown;
use crate::convert::GrantedFields;

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The body as plain text.
    Body,
    /// The same as HTML.
    Html,
    /// What readers see of that; it is kept nowhere.
    Shown,
    /// Anywhere else.
    Other,
}

/// Shows each text of the granted fields, always in the same order, to one who may change it. Left out are the external
/// id, the revision, the thread, what it answers, and the author's identifiers: by them things are known again.
pub(super) fn visit(draft: &mut Draft, granted: GrantedFields, each: &mut dyn FnMut(Place, &mut String)) {
    let other = &mut |text: &mut String| each(Place::Other, text);
    if granted.subject {
        draft.subject.iter_mut().for_each(&mut *other);
    }
    if granted.author_name {
        let name = draft.author.as_mut().and_then(|Author { name, .. }| name.as_mut());
        name.into_iter().for_each(&mut *other);
    }
    if granted.attachments {
        for DraftAttachment { name, media_type, .. } in &mut draft.attachments {
            other(name);
            // Behind the type the name may stand once more.
            if media_type.contains(';') {
                other(media_type);
            }
        }
    }
    if granted.details {
        details(&mut draft.details, other);
    }
    if granted.attributes {
        for attribute in &mut draft.attributes {
            scalar(&mut attribute.value, other);
        }
    }
    if granted.raw {
        draft.raw.iter_mut().for_each(|raw| json(raw, other));
    }
    if granted.body {
        if let Some(html) = &draft.body_html {
            each(Place::Shown, &mut shown::text(html));
        }
        each(Place::Body, &mut draft.body);
        draft.body_html.iter_mut().for_each(|html| each(Place::Html, html));
    }
}

fn details(details: &mut Details, each: &mut dyn FnMut(&mut String)) {
    match details {
        Details::None => {}
        Details::Call(call) => call.transcript.iter_mut().for_each(|said| each(&mut said.text)),
        Details::Survey(survey) => {
            for answer in &mut survey.answers {
                answer.question.iter_mut().for_each(&mut *each);
                scalar(&mut answer.value, each);
            }
        }
        Details::Social(social) => social.permalink.iter_mut().for_each(each),
        Details::Other(text) => json(text, each),
    }
}

/// A number may be that of a telephone. If it is changed it becomes a text.
fn scalar(value: &mut Scalar, each: &mut dyn FnMut(&mut String)) {
    let before = match value {
        Scalar::Text(text) => return each(text),
        Scalar::Integer(number) => number.to_string(),
        // Of a source that knows no other numbers, a whole one comes so.
        Scalar::Decimal(number) => number.to_string(),
        Scalar::Boolean(_) => return,
    };
    let mut text = before.clone();
    each(&mut text);
    if text != before {
        *value = Scalar::Text(text);
    }
}

/// What is in a JSON text, unescaped. The text is written anew only if something in it was changed; one that is no JSON
/// is taken as it stands.
fn json(text: &mut String, each: &mut dyn FnMut(&mut String)) {
    let Ok(mut payload) = serde_json::from_str::<Payload>(text) else {
        return each(text);
    };
    let before = payload.clone();
    payload.visit(each);
    if payload != before {
        // It cannot fail. If it did, nothing would be better than what should have been masked.
        *text = serde_json::to_string(&payload).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{
        Answer, AttachmentBytes, Attribute, CallContent, Channel, Direction, Identifier, Speaker, SurveyContent, Tag,
        Utterance,
    };

    use super::*;
    use crate::convert::FIELD_NAMES;

    fn granted(names: &[&str]) -> GrantedFields {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        GrantedFields::read(&names).unwrap()
    }

    fn full() -> Draft {
        Draft {
            external_id: Some("١".to_owned()),
            author: Some(Author {
                name: Some("هدى".to_owned()),
                identifiers: vec![Identifier {
                    scheme: "tel".to_owned(),
                    id: "+966500000001".to_owned(),
                }],
                locale: None,
            }),
            subject: Some("موضوع".to_owned()),
            body: "نص".to_owned(),
            body_html: Some("<p>نص</p>".to_owned()),
            attachments: vec![DraftAttachment {
                name: "صورة.png".to_owned(),
                media_type: "image/png; name=صورة.png".to_owned(),
                size: None,
                bytes: AttachmentBytes::Inline(Vec::new()),
            }],
            details: Details::Survey(SurveyContent {
                survey_id: "s".to_owned(),
                answers: vec![
                    Answer {
                        question_id: "q".to_owned(),
                        question: Some("سؤال".to_owned()),
                        value: Scalar::Integer(500_000_001),
                    },
                    Answer {
                        question_id: "card".to_owned(),
                        question: None,
                        value: Scalar::Decimal(4_111_111_111_111_111.0),
                    },
                ],
            }),
            attributes: vec![Attribute {
                name: "branch".to_owned(),
                value: Scalar::Text("العليا".to_owned()),
            }],
            raw: Some(r#"{"a": [1, "\u0646\u0635", null], "b":  2.5}"#.to_owned()),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        }
    }

    fn seen(draft: &mut Draft, granted: GrantedFields) -> Vec<String> {
        let mut seen = Vec::new();
        visit(draft, granted, &mut |_, text| seen.push(text.clone()));
        seen
    }

    #[test]
    fn every_text_is_shown_and_no_name_by_which_things_are_known_again() {
        let mut draft = full();
        let all = seen(&mut draft, granted(&FIELD_NAMES));
        assert_eq!(
            all,
            [
                "موضوع",
                "هدى",
                "صورة.png",
                "image/png; name=صورة.png",
                "سؤال",
                "500000001",
                "4111111111111111",
                "العليا",
                "a",
                "1",
                "نص",
                "b",
                "2.5",
                "\nنص\n",
                "نص",
                "<p>نص</p>"
            ]
        );
        assert_eq!(draft, full(), "looking changes nothing, not even how JSON is written");
        assert!(seen(&mut draft, granted(&["author.identifiers"])).is_empty());
        assert_eq!(seen(&mut draft, granted(&["subject"])), ["موضوع"]);
    }

    #[test]
    fn each_can_be_changed_and_a_number_becomes_a_text() {
        let mut draft = full();
        visit(&mut draft, granted(&FIELD_NAMES), &mut |_, text| {
            if text.contains(['1', 'ص']) {
                *text = "[x]".to_owned();
            }
        });
        assert_eq!(draft.body, "[x]");
        assert_eq!(draft.raw.as_deref(), Some(r#"{"a":["[x]","[x]",null],"b":2.5}"#));
        let Details::Survey(survey) = &draft.details else {
            panic!("{:?}", draft.details)
        };
        assert_eq!(survey.answers[0].value, Scalar::Text("[x]".to_owned()));
        assert_eq!(survey.answers[1].value, Scalar::Text("[x]".to_owned()));
        assert_eq!(draft.author, full().author);
    }

    #[test]
    fn what_is_no_json_is_a_text_and_a_call_is_what_was_said() {
        let mut draft = Draft {
            raw: Some("{رقم".to_owned()),
            details: Details::Call(CallContent {
                direction: Direction::Inbound,
                duration_ms: None,
                queue: None,
                agent: None,
                transcript: vec![Utterance {
                    speaker: Speaker::Customer,
                    start_ms: 0,
                    end_ms: 1,
                    text: "مرحبا".to_owned(),
                }],
            }),
            ..Draft::new(Channel::new(Tag::new("voice").unwrap()))
        };
        assert_eq!(seen(&mut draft, granted(&["details", "raw"])), ["مرحبا", "{رقم"]);
    }
}
