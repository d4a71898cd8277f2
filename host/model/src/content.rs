//! Personal content: whatever can name a person. It lies encrypted under a key of its contact; events
//! hold only a salted hash of it.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::AttachmentId;

/// The personal part of one piece of feedback.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub struct Content {
    /// Identity in the source system.
    #[n(0)]
    pub external_id: Option<String>,
    /// The source's own mark of this version of the item.
    #[n(1)]
    pub revision: Option<String>,
    /// Who said it.
    #[n(2)]
    pub author: Option<Author>,
    /// The source's own name of the conversation.
    #[n(3)]
    pub thread: Option<String>,
    /// The source's own id of the item that this one answers.
    #[n(4)]
    pub in_reply_to: Option<String>,
    /// One line.
    #[n(5)]
    pub subject: Option<String>,
    /// Plain text, in the person's own words and language.
    #[n(6)]
    pub body: String,
    /// The same as HTML, for display after sanitising only.
    #[n(7)]
    pub body_html: Option<String>,
    /// Files that came with it; the bytes lie in the blob folder.
    #[n(8)]
    pub attachments: Vec<AttachmentContent>,
    /// What is special to a call, a survey or a post.
    #[n(9)]
    pub details: Details,
    /// What the source said beyond the common fields.
    #[n(10)]
    pub attributes: Vec<Attribute>,
    /// The source's own payload, as JSON text, for re-normalising later.
    #[n(11)]
    pub raw: Option<String>,
}

impl Content {
    /// What a person reads in it, as JSON for people: `author`, `identifiers` (each `scheme:handle`), `subject` and `body`.
    /// What is not there is left out.
    #[must_use]
    pub fn says(&self) -> Value {
        let mut says = Map::new();
        if let Some(author) = &self.author {
            if let Some(name) = &author.name {
                says.insert("author".to_owned(), Value::from(name.as_str()));
            }
            let handles = author.identifiers.iter();
            let handles: Vec<String> = handles.map(|one| format!("{}:{}", one.scheme, one.id)).collect();
            if !handles.is_empty() {
                says.insert("identifiers".to_owned(), Value::from(handles));
            }
        }
        if let Some(subject) = &self.subject {
            says.insert("subject".to_owned(), Value::from(subject.as_str()));
        }
        says.insert("body".to_owned(), Value::from(self.body.as_str()));
        Value::Object(says)
    }

    /// The bytes that an event commits to.
    ///
    /// # Errors
    /// Cannot fail in practice: writing to memory does not, and every field has an encoding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        minicbor::to_vec(self).map_err(|error| error.to_string())
    }

    /// Reads the bytes that an event commits to.
    ///
    /// # Errors
    /// Says where the bytes are no content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        minicbor::decode(bytes).map_err(|error| error.to_string())
    }
}

/// The person as the source knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Author {
    /// Name for display.
    #[n(0)]
    pub name: Option<String>,
    /// Handles by which the person is known again.
    #[n(1)]
    pub identifiers: Vec<Identifier>,
    /// BCP 47.
    #[n(2)]
    pub locale: Option<String>,
}

/// A handle in some system, e.g. scheme `tel` with an E.164 number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Identifier {
    /// Names the system; a lower-case slug.
    #[n(0)]
    pub scheme: String,
    /// The handle, as the plugin normalised it.
    #[n(1)]
    pub id: String,
}

/// A file that came with feedback.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AttachmentContent {
    /// Where the bytes lie; `None` when the source gave an address only.
    #[n(0)]
    pub id: Option<AttachmentId>,
    /// File name as the sender gave it.
    #[n(1)]
    pub name: String,
    /// Media type as the sender gave it.
    #[n(2)]
    pub media_type: String,
    /// Bytes, if known.
    #[n(3)]
    pub size: Option<u64>,
    /// Address at the source, when the bytes were not taken over.
    #[n(4)]
    pub url: Option<String>,
}

/// One value of an attribute or answer.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    #[n(0)]
    Boolean(#[n(0)] bool),
    /// A whole number.
    #[n(1)]
    Integer(#[n(0)] i64),
    /// A number with a fraction.
    #[n(2)]
    Decimal(#[n(0)] f64),
    /// Text.
    #[n(3)]
    Text(#[n(0)] String),
}

/// Something the source said beyond the common fields.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Attribute {
    /// Lower-kebab name.
    #[n(0)]
    pub name: String,
    /// Its value.
    #[n(1)]
    pub value: Scalar,
}

/// What is special to the sort of feedback.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
pub enum Details {
    /// Nothing.
    #[default]
    #[n(0)]
    None,
    /// A phone call.
    #[n(1)]
    Call(#[n(0)] CallContent),
    /// Answers to a survey or form.
    #[n(2)]
    Survey(#[n(0)] SurveyContent),
    /// A public post.
    #[n(3)]
    Social(#[n(0)] SocialContent),
    /// Anything else, as JSON text.
    #[n(4)]
    Other(#[n(0)] String),
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Direction {
    /// The person called.
    #[n(0)]
    Inbound,
    /// The organisation called.
    #[n(1)]
    Outbound,
}

/// A phone call.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct CallContent {
    /// Who called whom.
    #[n(0)]
    pub direction: Direction,
    /// From ringing to the end.
    #[n(1)]
    pub duration_ms: Option<u64>,
    /// The queue it came in on.
    #[n(2)]
    pub queue: Option<String>,
    /// Who took it.
    #[n(3)]
    pub agent: Option<Identifier>,
    /// What was said.
    #[n(4)]
    pub transcript: Vec<Utterance>,
}

/// Who speaks in a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Speaker {
    /// The person.
    #[n(0)]
    Customer,
    /// The organisation's agent.
    #[n(1)]
    Agent,
    /// A machine.
    #[n(2)]
    Bot,
    /// Not known.
    #[n(3)]
    Unknown,
}

/// One utterance of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Utterance {
    /// Who speaks.
    #[n(0)]
    pub speaker: Speaker,
    /// Begin, from the start of the call.
    #[n(1)]
    pub start_ms: u64,
    /// End, from the start of the call.
    #[n(2)]
    pub end_ms: u64,
    /// What was said.
    #[n(3)]
    pub text: String,
}

/// Answers to a survey or form.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct SurveyContent {
    /// Which survey.
    #[n(0)]
    pub survey_id: String,
    /// In the order in which they were asked.
    #[n(1)]
    pub answers: Vec<Answer>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Answer {
    /// The question's stable id.
    #[n(0)]
    pub question_id: String,
    /// The question as it was put.
    #[n(1)]
    pub question: Option<String>,
    /// The answer.
    #[n(2)]
    pub value: Scalar,
}

/// A public post.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SocialContent {
    /// Which network.
    #[n(0)]
    pub network: String,
    /// Address of the post.
    #[n(1)]
    pub permalink: Option<String>,
    /// How many people it reached.
    #[n(2)]
    pub audience: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::{Author, Content, Identifier};
    use serde_json::json;

    #[test]
    fn people_read_who_said_what_and_nothing_that_is_not_there() {
        let content = Content {
            author: Some(Author {
                name: Some("هدى".into()),
                identifiers: vec![Identifier {
                    scheme: "tel".into(),
                    id: "+966501234567".into(),
                }],
                locale: None,
            }),
            body: "فاتورتي خاطئة".into(),
            ..Content::default()
        };
        let said = json!({"author": "هدى", "identifiers": ["tel:+966501234567"], "body": "فاتورتي خاطئة"});
        assert_eq!(content.says(), said);
        let bytes = content.to_bytes().unwrap();
        assert_eq!(Content::from_bytes(&bytes), Ok(content));
        assert!(Content::from_bytes(&bytes[..9]).is_err());
        assert_eq!(Content::default().says(), json!({"body": ""}));
    }
}
