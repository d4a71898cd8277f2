//! The forms in which feedback crosses the wire. They are not the domain's types: those may change.

use mihwar_model::{Scalar, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One piece of feedback as a caller hands it in.
///
/// At least one of `body`, `subject`, `scores`, `details` or `attachments` must say something. Unknown fields are refused, and
/// so are longer lists than those named here. All of it together may have 256 KiB as one request (or what the hub is
/// configured to take), and 1 MiB as a line of a batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeedbackInput {
    /// Identity in the source system, stable over edits. With it, a repeat is answered with the record that is already there.
    #[schema(max_length = 1024, example = "ticket-1042")]
    pub external_id: Option<String>,
    /// Changes when the source edits the item.
    #[schema(max_length = 1024)]
    pub revision: Option<String>,
    /// The sort of channel: a short lower-case name. Left out: `api`.
    #[schema(example = "branch-visit")]
    pub channel: Option<String>,
    /// `complaint`, `suggestion`, `enquiry`, `praise`, `observation` or `defect`.
    #[schema(example = "complaint")]
    pub kind: Option<String>,
    /// When the person said it (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-11-22T09:30:00+03:00")]
    pub occurred_at: Option<Time>,
    /// Who said it.
    pub author: Option<AuthorWire>,
    /// The source's own name of the conversation.
    pub thread: Option<String>,
    /// The source's own id of the item that this one answers.
    pub in_reply_to: Option<String>,
    /// One line.
    #[schema(example = "تأخر التوصيل")]
    pub subject: Option<String>,
    /// Plain text in the person's own words and language; its length is bounded by that of the whole record.
    #[schema(example = "طلبت الجهاز قبل أسبوعين ولم يصل حتى الآن.")]
    pub body: Option<String>,
    /// The same as HTML.
    pub body_html: Option<String>,
    /// BCP 47.
    #[schema(example = "ar")]
    pub language: Option<String>,
    /// Scores given, at most 32, each metric once.
    pub scores: Vec<ScoreWire>,
    /// At most 64 labels: lower-case words of letters in any script, digits, `-`, `_`, `:` and `.`.
    pub tags: Vec<String>,
    /// Files, at most 256.
    pub attachments: Vec<AttachmentWire>,
    /// What is special to a call, a survey or a post.
    pub details: Option<DetailsWire>,
    /// What the source said beyond these fields: at most 128 names and values.
    #[schema(value_type = std::collections::BTreeMap<String, ScalarWire>)]
    pub attributes: std::collections::BTreeMap<String, Scalar>,
    /// The source's own payload, any JSON.
    #[schema(value_type = Option<Object>)]
    pub raw: Option<serde_json::Value>,
}

/// A person as the source knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Author)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorWire {
    /// Name for display.
    #[schema(example = "ليلى حداد")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Handles by which the person is known again, at most 16.
    pub identifiers: Vec<IdentifierWire>,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// A handle in some system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Identifier)]
#[serde(deny_unknown_fields)]
pub struct IdentifierWire {
    /// Names the system.
    #[schema(example = "tel")]
    pub scheme: String,
    /// The handle.
    #[schema(example = "+966500000001")]
    pub id: String,
}

/// A number on a scale.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Score)]
#[serde(deny_unknown_fields)]
pub struct ScoreWire {
    /// `nps`, `csat`, `ces`, `stars`, or a name of the source's own.
    #[schema(example = "nps")]
    pub metric: String,
    /// The number given.
    #[schema(example = 3)]
    pub value: f64,
    /// Lowest number of the scale. May be left out for `nps` (0), `csat` (1), `ces` (1) and `stars` (1).
    #[serde(default)]
    pub min: Option<f64>,
    /// Highest number of the scale. May be left out for `nps` (10), `csat` (5), `ces` (7) and `stars` (5).
    #[serde(default)]
    pub max: Option<f64>,
}

/// A file that comes with feedback: either its bytes or its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Attachment)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentWire {
    /// File name.
    #[schema(example = "فاتورة.pdf")]
    pub name: String,
    /// Media type.
    #[schema(example = "application/pdf")]
    pub media_type: String,
    /// Bytes, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Address at the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The bytes in Base64, on the way in only; at most 256 KiB of them, which only fit a line of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_base64: Option<String>,
    /// The hub's id of the bytes, on the way out only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What is special to a call, a survey or a post: exactly one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Details)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DetailsWire {
    /// A phone call.
    Call(CallWire),
    /// Answers to a survey or form.
    Survey(SurveyWire),
    /// A public post.
    Social(SocialWire),
    /// Anything else.
    #[schema(value_type = Object)]
    Other(serde_json::Value),
}

/// A phone call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Call)]
#[serde(deny_unknown_fields, default)]
pub struct CallWire {
    /// `inbound` or `outbound`.
    #[schema(example = "inbound")]
    pub direction: String,
    /// From ringing to the end, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The queue it came in on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<IdentifierWire>,
    /// What was said, at most 20 000 utterances.
    pub transcript: Vec<UtteranceWire>,
}

/// One utterance of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Utterance)]
#[serde(deny_unknown_fields)]
pub struct UtteranceWire {
    /// `customer`, `agent`, `bot` or `unknown`.
    pub speaker: String,
    /// Begin, from the start of the call, in milliseconds.
    pub start_ms: u64,
    /// End, from the start of the call, in milliseconds.
    pub end_ms: u64,
    /// What was said.
    pub text: String,
}

/// Answers to a survey or form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Survey)]
#[serde(deny_unknown_fields)]
pub struct SurveyWire {
    /// Which survey.
    pub survey_id: String,
    /// In the order in which they were asked, at most 512.
    pub answers: Vec<AnswerWire>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Answer)]
#[serde(deny_unknown_fields)]
pub struct AnswerWire {
    /// The question's stable id.
    pub question_id: String,
    /// The question as it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The answer.
    #[schema(value_type = ScalarWire)]
    pub value: Scalar,
}

/// A public post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Social)]
#[serde(deny_unknown_fields)]
pub struct SocialWire {
    /// Which network.
    pub network: String,
    /// Address of the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permalink: Option<String>,
    /// How many people it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<u64>,
}

/// One value: true or false, a number or text. Only names the form for the API's description.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Scalar)]
#[serde(untagged)]
pub enum ScalarWire {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Text.
    Text(String),
}
