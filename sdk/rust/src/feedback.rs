//! Building records.

use crate::{
    Answer, Attachment, AttachmentSource, Attribute, Change, ChannelKind, Details, Feedback, Identifier, Person, Score,
    Value,
};

impl Feedback {
    /// An empty record. `external_id` is the item's identity in the source system: 1 to 1024 bytes, the same each
    /// time the same item is read.
    pub fn new(external_id: impl Into<String>, channel: ChannelKind) -> Self {
        Self {
            external_id: external_id.into(),
            revision: None,
            channel,
            kind: None,
            occurred_at: None,
            author: None,
            thread_id: None,
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

    /// What the person said, as plain text.
    #[must_use]
    pub fn body(mut self, text: impl Into<String>) -> Self {
        self.body = text.into();
        self
    }

    /// The same as HTML, for display only.
    #[must_use]
    pub fn body_html(mut self, html: impl Into<String>) -> Self {
        self.body_html = Some(html.into());
        self
    }

    /// The subject line.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Who speaks.
    #[must_use]
    pub fn author(mut self, author: Person) -> Self {
        self.author = Some(author);
        self
    }

    /// When it was said, in milliseconds since 1970 (UTC). Must be the same on every read of the same item.
    #[must_use]
    pub fn occurred_at(mut self, unix_millis: i64) -> Self {
        self.occurred_at = Some(unix_millis);
        self
    }

    /// The source's own version of the item; changes when it is edited there.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// `complaint`, `suggestion`, `enquiry`, `praise`, `observation` or `defect`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The language as a BCP 47 tag, such as `ar` or `en-GB`.
    #[must_use]
    pub fn language(mut self, tag: impl Into<String>) -> Self {
        self.language = Some(tag.into());
        self
    }

    /// Adds a score on the scale `min` to `max`.
    #[must_use]
    pub fn score(mut self, metric: impl Into<String>, value: f64, min: f64, max: f64) -> Self {
        self.scores.push(Score {
            metric: metric.into(),
            value,
            min,
            max,
        });
        self
    }

    /// Adds a tag: a lower-case slug of at most 64 bytes, never personal.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds an attribute; `name` is lower-kebab.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push(Attribute {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// The conversation that the item belongs to.
    #[must_use]
    pub fn thread(mut self, thread_id: impl Into<String>) -> Self {
        self.thread_id = Some(thread_id.into());
        self
    }

    /// The source's own id of the item that this one answers. The hub may never have seen that item, and the id need
    /// not be an external id of this channel.
    #[must_use]
    pub fn in_reply_to(mut self, source_id: impl Into<String>) -> Self {
        self.in_reply_to = Some(source_id.into());
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attachment(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// What only this sort of channel knows.
    #[must_use]
    pub fn details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// The source's own payload as JSON text, kept for audit and for normalising again after an update.
    #[must_use]
    pub fn raw(mut self, json: impl Into<String>) -> Self {
        self.raw = Some(json.into());
        self
    }
}

impl From<Feedback> for Change {
    fn from(feedback: Feedback) -> Self {
        Self::Upsert(feedback)
    }
}

impl Person {
    /// Somebody of whom nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            display_name: None,
            identifiers: Vec::new(),
            locale: None,
        }
    }

    /// The name as written by the person.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Adds a handle, such as scheme `email`, or `tel` with a number in E.164.
    #[must_use]
    pub fn identifier(mut self, scheme: impl Into<String>, id: impl Into<String>) -> Self {
        self.identifiers.push(Identifier {
            scheme: scheme.into(),
            id: id.into(),
        });
        self
    }

    /// The language and region that the person prefers, as a BCP 47 tag.
    #[must_use]
    pub fn locale(mut self, tag: impl Into<String>) -> Self {
        self.locale = Some(tag.into());
        self
    }
}

impl Default for Person {
    fn default() -> Self {
        Self::new()
    }
}

impl Attachment {
    /// A small attachment (up to 256 KiB) that travels inside the record.
    pub fn inline(name: impl Into<String>, media_type: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            size: Some(bytes.len() as u64),
            source: AttachmentSource::Inline(bytes),
        }
    }

    /// An attachment whose bytes the host already keeps.
    pub fn blob(name: impl Into<String>, media_type: impl Into<String>, size: u64, blob: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            size: Some(size),
            source: AttachmentSource::Blob(blob.into()),
        }
    }
}

impl Answer {
    /// The answer to one survey question.
    pub fn new(question_id: impl Into<String>, question: Option<String>, value: impl Into<Value>) -> Self {
        Self {
            question_id: question_id.into(),
            question,
            value: value.into(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Decimal(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_built_in_one_expression() {
        let feedback = Feedback::new("7", ChannelKind::Form)
            .body("الخدمة ممتازة")
            .author(Person::new().named("سارة").identifier("email", "sara@example.com"))
            .score("nps", 9.0, 0.0, 10.0)
            .attribute("branch", "riyadh-3");
        assert_eq!(feedback.body, "الخدمة ممتازة");
        assert_eq!(feedback.scores[0].max, 10.0);
        assert_eq!(feedback.attributes[0].value, Value::Text("riyadh-3".into()));
        assert_eq!(Change::from(feedback.clone()), Change::Upsert(feedback));
    }
}
