//! The texts of a draft: everything in it that a person may have written, and that is no name by which the hub knows an
//! item or its author again.

use mihwar_model::{
    AUTHOR_NAME_BYTES_MAX, Author, BODY_BYTES_MAX, Details, Draft, DraftAttachment, EXTERNAL_ID_BYTES_MAX,
    MEDIA_TYPE_BYTES_MAX, Scalar, TEXT_BYTES_MAX, Tag,
};

use super::payload::Payload;
use crate::convert::GrantedFields;

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The body as plain text.
    Body,
    /// The same as HTML.
    Html,
    /// Anywhere else.
    Other,
}

/// A text field of a draft.
#[derive(Debug, Clone, Copy)]
struct Field {
    place: Place,
    /// Whether texts stand in it, as JSON, instead of it being one.
    is_json: bool,
    /// Most bytes that it may have.
    bytes_max: usize,
}

impl Field {
    const fn text(bytes_max: usize) -> Self {
        Self {
            place: Place::Other,
            is_json: false,
            bytes_max,
        }
    }

    const fn body(place: Place) -> Self {
        Self {
            place,
            is_json: false,
            bytes_max: BODY_BYTES_MAX,
        }
    }

    const fn json() -> Self {
        Self {
            place: Place::Other,
            is_json: true,
            bytes_max: BODY_BYTES_MAX,
        }
    }
}

/// Shows each text of the granted fields, always in the same order, to one who may change it. Left out are the external
/// id, the revision, the thread, what it answers, and the author's identifiers: by them things are known again.
pub(super) fn visit(draft: &mut Draft, granted: GrantedFields, each: &mut dyn FnMut(Place, &mut String)) {
    fields(draft, granted, &mut |field, text| {
        if field.is_json {
            json(text, &mut |text| each(field.place, text));
        } else {
            each(field.place, text);
        }
    });
}

/// Writes masks with these labels shorter in every field that has more bytes than it may have: `[…]`, or a star where even
/// that is more than what it stands for. So nothing that was within the limits goes over them by being masked.
pub(super) fn shorten(draft: &mut Draft, granted: GrantedFields, labels: &[&Tag]) {
    fields(draft, granted, &mut |field, text| {
        if text.len() <= field.bytes_max {
            return;
        }
        let with = |mask: &str| {
            let masks = labels.iter().map(|label| format!("[{label}]"));
            masks.fold(text.clone(), |text, long| text.replace(&long, mask))
        };
        let fitting = ["[…]", "*"]
            .map(with)
            .into_iter()
            .find(|shorter| shorter.len() <= field.bytes_max);
        if let Some(fitting) = fitting {
            *text = fitting;
        }
    });
}

fn fields(draft: &mut Draft, granted: GrantedFields, each: &mut dyn FnMut(Field, &mut String)) {
    if granted.subject {
        let subject = draft.subject.iter_mut();
        subject.for_each(|subject| each(Field::text(TEXT_BYTES_MAX), subject));
    }
    if granted.author_name {
        let name = draft.author.as_mut().and_then(|Author { name, .. }| name.as_mut());
        name.into_iter()
            .for_each(|name| each(Field::text(AUTHOR_NAME_BYTES_MAX), name));
    }
    if granted.attachments {
        for DraftAttachment { name, media_type, .. } in &mut draft.attachments {
            each(Field::text(EXTERNAL_ID_BYTES_MAX), name);
            // Behind the type the name may stand once more.
            if media_type.contains(';') {
                each(Field::text(MEDIA_TYPE_BYTES_MAX), media_type);
            }
        }
    }
    if granted.details {
        details(&mut draft.details, each);
    }
    if granted.attributes {
        for attribute in &mut draft.attributes {
            scalar(&mut attribute.value, each);
        }
    }
    if granted.raw {
        draft.raw.iter_mut().for_each(|raw| each(Field::json(), raw));
    }
    if granted.body {
        each(Field::body(Place::Body), &mut draft.body);
        let html = draft.body_html.iter_mut();
        html.for_each(|html| each(Field::body(Place::Html), html));
    }
}

fn details(details: &mut Details, each: &mut dyn FnMut(Field, &mut String)) {
    let field = Field::text(TEXT_BYTES_MAX);
    match details {
        Details::None => {}
        Details::Call(call) => call.transcript.iter_mut().for_each(|said| each(field, &mut said.text)),
        Details::Survey(survey) => {
            for answer in &mut survey.answers {
                answer.question.iter_mut().for_each(|question| each(field, question));
                scalar(&mut answer.value, each);
            }
        }
        Details::Social(social) => social.permalink.iter_mut().for_each(|link| each(field, link)),
        Details::Other(text) => each(Field::json(), text),
    }
}

/// A number may be that of a telephone. If it is changed it becomes a text.
fn scalar(value: &mut Scalar, each: &mut dyn FnMut(Field, &mut String)) {
    let field = Field::text(TEXT_BYTES_MAX);
    let before = match value {
        Scalar::Text(text) => return each(field, text),
        Scalar::Integer(number) => number.to_string(),
        // Of a source that knows no other numbers, a whole one comes so.
        Scalar::Decimal(number) => number.to_string(),
        Scalar::Boolean(_) => return,
    };
    let mut text = before.clone();
    each(field, &mut text);
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
        Answer, AttachmentBytes, Attribute, CallContent, Channel, Direction, Identifier, Speaker, SurveyContent,
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
    fn masks_are_shorter_where_a_text_would_go_over_its_limit() {
        let labels = [Tag::new("phone").unwrap(), Tag::new("x").unwrap()];
        let shortened = |subject: &str| {
            let mut draft = full();
            // To its limit and no further, with what stands before it.
            let room = TEXT_BYTES_MAX - subject.replace('|', "").len();
            let rest = "ط".repeat(room / 2) + &" ".repeat(room % 2);
            let masked = subject.replace('|', "") + &rest;
            draft.subject = Some(masked.clone());
            shorten(&mut draft, granted(&FIELD_NAMES), &labels.each_ref());
            assert_eq!(draft.subject, Some(masked.clone()), "one that fits stays as it is");
            // As many letters more as there are strokes.
            draft.subject = Some(masked + &"!".repeat(subject.matches('|').count()));
            shorten(&mut draft, granted(&FIELD_NAMES), &labels.each_ref());
            draft.subject.unwrap().trim_end_matches(['ط', ' ', '!']).to_owned()
        };
        assert_eq!(shortened("رقمي [phone] و [phone]||"), "رقمي […] و […]");
        assert_eq!(shortened("رقمي [x]، [phone]|||"), "رقمي *، *");
        assert_eq!(shortened("رقمي [id]|"), "رقمي [id]", "that is none of these");
    }

    #[test]
    fn json_is_as_long_as_all_of_it() {
        let label = Tag::new("secret").unwrap();
        let mut draft = full();
        let rest = "ط".repeat((BODY_BYTES_MAX - 20) / 2);
        draft.raw = Some(format!(r#"{{"a":"[secret]","b":"{rest}"}}"#));
        draft.details = Details::Other(r#"{"a":"[secret]"}"#.to_owned());
        assert!(draft.raw.as_ref().is_some_and(|raw| raw.len() > BODY_BYTES_MAX));
        shorten(&mut draft, granted(&FIELD_NAMES), &[&label]);
        assert!(
            draft
                .raw
                .is_some_and(|raw| raw.starts_with(r#"{"a":"[…]","b":"ط"#) && raw.len() <= BODY_BYTES_MAX)
        );
        assert_eq!(draft.details, Details::Other(r#"{"a":"[secret]"}"#.to_owned()));
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
