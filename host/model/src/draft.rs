//! Feedback on its way in: complete, but not yet checked, split or stored.

use minicbor::{Decode, Encode};

use crate::limits::{
    ANSWERS_MAX, ATTACHMENTS_MAX, ATTRIBUTES_MAX, AUTHOR_NAME_BYTES_MAX, BODY_BYTES_MAX, EXTERNAL_ID_BYTES_MAX,
    IDENTIFIERS_MAX, INLINE_ATTACHMENT_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, SCORES_MAX, TAGS_MAX, TEXT_BYTES_MAX,
    UTTERANCES_MAX,
};
use crate::{Attribute, Author, Channel, Details, FieldProblem, Kind, Language, Score, Tag, Time};

/// One piece of feedback as a channel or caller hands it over.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Draft {
    /// Identity in the source system, stable over edits; `None` only where the caller has none.
    #[n(0)]
    pub external_id: Option<String>,
    /// Changes when the source edits the item.
    #[n(1)]
    pub revision: Option<String>,
    /// The sort of channel.
    #[n(2)]
    pub channel: Channel,
    /// What sort of feedback it is, if the source says so.
    #[n(3)]
    pub kind: Option<Kind>,
    /// When the person said it, if the source says so.
    #[n(4)]
    pub occurred_at: Option<Time>,
    /// Who said it.
    #[n(5)]
    pub author: Option<Author>,
    /// The source's own name of the conversation.
    #[n(6)]
    pub thread: Option<String>,
    /// The source's own id of the item that this one answers.
    #[n(7)]
    pub in_reply_to: Option<String>,
    /// One line.
    #[n(8)]
    pub subject: Option<String>,
    /// Plain text. May be empty when there are scores, answers, a call or attachments.
    #[n(9)]
    pub body: String,
    /// The same as HTML.
    #[n(10)]
    pub body_html: Option<String>,
    /// Language, if the source says so.
    #[n(11)]
    pub language: Option<Language>,
    /// Scores given.
    #[n(12)]
    pub scores: Vec<Score>,
    /// Labels.
    #[n(13)]
    pub tags: Vec<Tag>,
    /// Files.
    #[n(14)]
    pub attachments: Vec<DraftAttachment>,
    /// What is special to a call, a survey or a post.
    #[n(15)]
    pub details: Details,
    /// What the source said beyond the common fields.
    #[n(16)]
    pub attributes: Vec<Attribute>,
    /// The source's own payload, as JSON text.
    #[n(17)]
    pub raw: Option<String>,
}

/// A file on its way in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DraftAttachment {
    /// File name.
    #[n(0)]
    pub name: String,
    /// Media type.
    #[n(1)]
    pub media_type: String,
    /// Bytes, if known.
    #[n(2)]
    pub size: Option<u64>,
    /// Where the bytes are.
    #[n(3)]
    pub bytes: AttachmentBytes,
}

/// Where the bytes of an attachment are.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum AttachmentBytes {
    /// Here.
    #[n(0)]
    Inline(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    /// Handed over during the call under this handle.
    #[n(1)]
    Blob(#[n(0)] String),
    /// At the source; not taken over.
    #[n(2)]
    Url(#[n(0)] String),
}

impl Draft {
    /// A draft that says only which channel it came by.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            external_id: None,
            revision: None,
            channel,
            kind: None,
            occurred_at: None,
            author: None,
            thread: None,
            in_reply_to: None,
            subject: None,
            body: String::new(),
            body_html: None,
            language: None,
            scores: Vec::new(),
            tags: Vec::new(),
            attachments: Vec::new(),
            details: Details::None,
            attributes: Vec::new(),
            raw: None,
        }
    }

    /// Everything that is wrong with it; empty means that it can be stored.
    #[must_use]
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut check = Check::default();
        check.id("external_id", self.external_id.as_deref());
        check.id("revision", self.revision.as_deref());
        check.id("thread", self.thread.as_deref());
        check.id("in_reply_to", self.in_reply_to.as_deref());
        check.text("subject", self.subject.as_deref(), TEXT_BYTES_MAX);
        check.text("body", Some(&self.body), BODY_BYTES_MAX);
        check.text("body_html", self.body_html.as_deref(), BODY_BYTES_MAX);
        check.text("raw", self.raw.as_deref(), BODY_BYTES_MAX);
        check.count("tags", self.tags.len(), TAGS_MAX);
        check.count("scores", self.scores.len(), SCORES_MAX);
        for (i, score) in self.scores.iter().enumerate() {
            check.problems.extend(score.problems(&format!("scores[{i}]")));
            if self.scores[..i].iter().any(|earlier| earlier.metric == score.metric) {
                check.add(
                    format!("scores[{i}].metric"),
                    format!("{} is given twice", score.metric),
                );
            }
        }
        self.check_author(&mut check);
        self.check_attachments(&mut check);
        self.check_details(&mut check);
        check.count("attributes", self.attributes.len(), ATTRIBUTES_MAX);
        for (i, attribute) in self.attributes.iter().enumerate() {
            check.text(&format!("attributes[{i}].name"), Some(&attribute.name), 128);
            check.scalar(&format!("attributes[{i}].value"), &attribute.value);
        }
        if self.says_nothing() {
            check.add(
                "body",
                "there is nothing here: give a body, a subject, a score, an answer, a call or an attachment",
            );
        }
        check.problems
    }

    fn says_nothing(&self) -> bool {
        self.body.trim().is_empty()
            && self.subject.as_deref().is_none_or(|subject| subject.trim().is_empty())
            && self.body_html.as_deref().is_none_or(str::is_empty)
            && self.scores.is_empty()
            && self.attachments.is_empty()
            && matches!(self.details, Details::None)
    }

    fn check_author(&self, check: &mut Check) {
        let Some(author) = &self.author else { return };
        check.text("author.name", author.name.as_deref(), AUTHOR_NAME_BYTES_MAX);
        check.text("author.locale", author.locale.as_deref(), 64);
        check.count("author.identifiers", author.identifiers.len(), IDENTIFIERS_MAX);
        for (i, identifier) in author.identifiers.iter().enumerate() {
            let path = format!("author.identifiers[{i}]");
            if Tag::new(identifier.scheme.clone()).is_err() {
                check.add(
                    format!("{path}.scheme"),
                    "use a short lower-case name of the system the handle belongs to",
                );
            }
            if identifier.id.trim().is_empty() {
                check.add(format!("{path}.id"), "an identifier may not be empty");
            }
            check.text(&format!("{path}.id"), Some(&identifier.id), EXTERNAL_ID_BYTES_MAX);
        }
    }

    fn check_attachments(&self, check: &mut Check) {
        check.count("attachments", self.attachments.len(), ATTACHMENTS_MAX);
        for (i, attachment) in self.attachments.iter().enumerate() {
            check.text(
                &format!("attachments[{i}].name"),
                Some(&attachment.name),
                EXTERNAL_ID_BYTES_MAX,
            );
            check.text(
                &format!("attachments[{i}].media_type"),
                Some(&attachment.media_type),
                MEDIA_TYPE_BYTES_MAX,
            );
            if let AttachmentBytes::Inline(bytes) = &attachment.bytes
                && bytes.len() > INLINE_ATTACHMENT_BYTES_MAX
            {
                let message =
                    format!("inline attachments may have {INLINE_ATTACHMENT_BYTES_MAX} bytes; hand it over as a blob");
                check.add(format!("attachments[{i}]"), message);
            }
        }
    }

    fn check_details(&self, check: &mut Check) {
        match &self.details {
            Details::None => {}
            Details::Call(call) => {
                check.text("details.queue", call.queue.as_deref(), TEXT_BYTES_MAX);
                check.count("details.transcript", call.transcript.len(), UTTERANCES_MAX);
                for (i, utterance) in call.transcript.iter().enumerate() {
                    check.text(
                        &format!("details.transcript[{i}].text"),
                        Some(&utterance.text),
                        TEXT_BYTES_MAX,
                    );
                }
            }
            Details::Survey(survey) => {
                check.text("details.survey_id", Some(&survey.survey_id), EXTERNAL_ID_BYTES_MAX);
                check.count("details.answers", survey.answers.len(), ANSWERS_MAX);
                for (i, answer) in survey.answers.iter().enumerate() {
                    check.text(
                        &format!("details.answers[{i}].question_id"),
                        Some(&answer.question_id),
                        256,
                    );
                    check.text(
                        &format!("details.answers[{i}].question"),
                        answer.question.as_deref(),
                        TEXT_BYTES_MAX,
                    );
                    check.scalar(&format!("details.answers[{i}].value"), &answer.value);
                }
            }
            Details::Social(social) => {
                check.text("details.network", Some(&social.network), 256);
                check.text("details.permalink", social.permalink.as_deref(), TEXT_BYTES_MAX);
            }
            Details::Other(json) => check.text("details", Some(json), BODY_BYTES_MAX),
        }
    }
}

/// Collects problems field by field.
#[derive(Default)]
struct Check {
    problems: Vec<FieldProblem>,
}

impl Check {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(FieldProblem::new(field, message));
    }

    fn text(&mut self, field: &str, text: Option<&str>, bytes_max: usize) {
        let Some(text) = text else { return };
        if text.len() > bytes_max {
            self.add(field, format!("{} bytes; at most {bytes_max} are kept", text.len()));
        }
        if text.contains('\0') {
            self.add(field, "holds a NUL character, which no text may");
        }
    }

    fn id(&mut self, field: &str, text: Option<&str>) {
        self.text(field, text, EXTERNAL_ID_BYTES_MAX);
        if text.is_some_and(|text| text.trim().is_empty()) {
            self.add(field, "may be left out but not be empty");
        }
    }

    fn count(&mut self, field: &str, count: usize, max: usize) {
        if count > max {
            self.add(field, format!("{count} entries; at most {max} are kept"));
        }
    }

    fn scalar(&mut self, field: &str, value: &crate::Scalar) {
        match value {
            crate::Scalar::Text(text) => self.text(field, Some(text), TEXT_BYTES_MAX),
            crate::Scalar::Decimal(number) if !number.is_finite() => self.add(field, "must be a finite number"),
            crate::Scalar::Decimal(_) | crate::Scalar::Integer(_) | crate::Scalar::Boolean(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use crate::{Author, Channel, Identifier, Score, Tag};

    fn draft() -> Draft {
        Draft::new(Channel::new(Tag::new("form").unwrap()))
    }

    fn fields(draft: &Draft) -> Vec<String> {
        draft.problems().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn every_bad_field_is_named() {
        let mut bad = draft();
        bad.external_id = Some(" ".into());
        bad.subject = Some("موضوع\0".into());
        bad.scores = vec![
            Score {
                metric: "nps".into(),
                value: 12.0,
                min: 0.0,
                max: 10.0,
            },
            Score {
                metric: "nps".into(),
                value: 1.0,
                min: 0.0,
                max: 10.0,
            },
        ];
        bad.author = Some(Author {
            name: None,
            identifiers: vec![Identifier {
                scheme: "E Mail".into(),
                id: String::new(),
            }],
            locale: None,
        });
        assert_eq!(
            fields(&bad),
            [
                "external_id",
                "subject",
                "scores[0].value",
                "scores[1].metric",
                "author.identifiers[0].scheme",
                "author.identifiers[0].id"
            ]
        );
    }

    #[test]
    fn saying_nothing_is_refused_and_a_score_alone_is_not() {
        assert_eq!(fields(&draft()), ["body"]);
        let mut scored = draft();
        scored.scores = vec![Score {
            metric: "ces".into(),
            value: 7.0,
            min: 1.0,
            max: 7.0,
        }];
        assert!(fields(&scored).is_empty());
        let mut arabic = draft();
        arabic.body = "الخدمة ممتازة".into();
        assert!(fields(&arabic).is_empty());
    }
}
