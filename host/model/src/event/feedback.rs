//! What happens to a piece of feedback itself.

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::as_hex;
use crate::{
    AttachmentId, Channel, ContactId, Direction, FeedbackId, InstanceName, Kind, Language, Score, Tag, ThreadId, Time,
};

/// See [`EventBody::ContactCreated`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ContactCreated {
    /// The person.
    #[n(0)]
    pub contact: ContactId,
    /// By how many identifiers they are known; 0 for someone who gave none.
    #[n(1)]
    pub identifiers: u32,
}

/// See [`EventBody::Received`].
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
pub struct Received {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// 1 for the first; counts up when the source edits the item.
    #[n(1)]
    pub revision: u32,
    /// Who said it.
    #[n(2)]
    pub contact: ContactId,
    /// The channel instance that brought it.
    #[n(3)]
    pub instance: InstanceName,
    /// The sort of channel.
    #[n(4)]
    pub channel: Channel,
    /// What sort of feedback it is, if the source says so.
    #[n(5)]
    pub kind: Option<Kind>,
    /// When the person said it, if the source says so.
    #[n(6)]
    pub occurred_at: Option<Time>,
    /// The conversation: a keyed hash of the source's own name of it.
    #[n(7)]
    pub thread: Option<ThreadId>,
    /// Language, if the source says so.
    #[n(8)]
    pub language: Option<Language>,
    /// Scores given.
    #[n(9)]
    pub scores: Vec<Score>,
    /// Labels.
    #[n(10)]
    pub tags: Vec<Tag>,
    /// Files that came with it.
    #[n(11)]
    pub attachments: Vec<AttachmentFacts>,
    /// If it was a call.
    #[n(12)]
    pub call: Option<CallFacts>,
    /// Letters in the body.
    #[n(13)]
    pub body_chars: u32,
    /// SHA-256 over the salt and the content: proves the content while it exists, says nothing after.
    #[n(14)]
    #[cbor(with = "minicbor::bytes")]
    #[serde(serialize_with = "as_hex")]
    pub commitment: [u8; 32],
    /// What was masked in the content before it was stored; `None` when nothing was.
    #[n(15)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked: Option<Vec<Masked>>,
}

/// How often something was masked in the texts of a revision before they were stored. What it was is known to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Masked {
    /// The instance that found it.
    #[n(0)]
    pub instance: InstanceName,
    /// The label that stands in its place: a slug of letters a-z, digits and hyphens.
    #[n(1)]
    pub label: Tag,
    /// In how many places.
    #[n(2)]
    pub count: u32,
}

/// The facts of a file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct AttachmentFacts {
    /// Where the bytes lie, if they were taken over.
    #[n(0)]
    pub id: Option<AttachmentId>,
    /// Media type, cut to what a media type is.
    #[n(1)]
    pub media_type: String,
    /// Bytes, if known.
    #[n(2)]
    pub size: Option<u64>,
}

/// The facts of a call.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct CallFacts {
    /// Who called whom.
    #[n(0)]
    pub direction: Direction,
    /// From ringing to the end.
    #[n(1)]
    pub duration_ms: Option<u64>,
}

/// A value that is a fact: a number, a yes or no, or a short code. Never free text.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
#[serde(untagged)]
pub enum FactValue {
    /// Yes or no.
    #[n(0)]
    Boolean(#[n(0)] bool),
    /// A whole number.
    #[n(1)]
    Integer(#[n(0)] i64),
    /// A number with a fraction.
    #[n(2)]
    Decimal(#[n(0)] f64),
    /// A code of at most 64 letters, digits and `.`, `_`, `:`, `-`.
    #[n(3)]
    Code(#[n(0)] String),
}

/// See [`EventBody::Enriched`].
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
pub struct Enriched {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// Which revision was read.
    #[n(1)]
    pub revision: u32,
    /// The enricher.
    #[n(2)]
    pub instance: InstanceName,
    /// Language it found.
    #[n(3)]
    pub language: Option<Language>,
    /// Kind it found.
    #[n(4)]
    pub kind: Option<Kind>,
    /// -1 to 1.
    #[n(5)]
    pub sentiment: Option<f64>,
    /// Tags it added.
    #[n(6)]
    pub tags_added: Vec<Tag>,
    /// Tags it took away.
    #[n(7)]
    pub tags_removed: Vec<Tag>,
    /// Attributes it set.
    #[n(8)]
    pub attributes: Vec<(String, FactValue)>,
    /// Departments it added as receivers.
    #[n(9)]
    pub routes: Vec<InstanceName>,
    /// Why the item is kept but not delivered.
    #[n(10)]
    pub quarantine: Option<Tag>,
}

/// See [`EventBody::EnrichmentFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct EnrichmentFailed {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// Which revision.
    #[n(1)]
    pub revision: u32,
    /// The enricher.
    #[n(2)]
    pub instance: InstanceName,
    /// Short, stable reason.
    #[n(3)]
    pub code: String,
}

/// See [`EventBody::Withdrawn`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Withdrawn {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
}
