//! Events: facts that happened. Each is one leaf of the ledger, encoded once as CBOR (RFC 8949) and
//! hashed and stored as those bytes. Released fields never change their number; new ones are optional.

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::{
    AttachmentId, Channel, ContactId, DeliveryId, Direction, FeedbackId, InboundId, InstanceName, Kind, Language,
    Score, Tag, ThreadId, Time, TokenId,
};

/// One fact that happened, as one entry of the ledger.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
pub struct Event {
    /// When the hub learnt of it.
    #[n(0)]
    pub at: Time,
    /// Who or what caused it.
    #[n(1)]
    pub actor: Actor,
    /// What happened.
    #[n(2)]
    #[serde(flatten)]
    pub body: EventBody,
}

impl Event {
    /// The bytes that are hashed and stored.
    ///
    /// # Errors
    /// Cannot fail in practice: writing to memory does not, and every field has an encoding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        minicbor::to_vec(self).map_err(|error| error.to_string())
    }

    /// Reads an entry of the ledger.
    ///
    /// # Errors
    /// Says where the bytes are no event.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        minicbor::decode(bytes).map_err(|error| error.to_string())
    }
}

/// Who or what caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The hub itself.
    #[n(0)]
    Hub,
    /// An instance of a plugin.
    #[n(1)]
    Instance(#[n(0)] InstanceName),
    /// Whoever holds this API token.
    #[n(2)]
    Token(#[n(0)] TokenId),
    /// Someone at the machine itself, through the command line.
    #[n(3)]
    Console,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A person was heard from for the first time.
    #[n(0)]
    ContactCreated(#[n(0)] ContactCreated),
    /// A piece of feedback, or a new revision of one, came in.
    #[n(1)]
    Received(#[n(0)] Received),
    /// An enricher added to it.
    #[n(2)]
    Enriched(#[n(0)] Enriched),
    /// An enricher could not read it; it goes on without.
    #[n(3)]
    EnrichmentFailed(#[n(0)] EnrichmentFailed),
    /// The rules chose who receives it.
    #[n(4)]
    Routed(#[n(0)] Routed),
    /// A department has it.
    #[n(5)]
    Delivered(#[n(0)] Delivered),
    /// An attempt to deliver failed; another one follows.
    #[n(6)]
    DeliveryFailed(#[n(0)] Attempted),
    /// The department's plugin had nothing to do with it, on purpose.
    #[n(7)]
    DeliverySkipped(#[n(0)] Skipped),
    /// A delivery cannot succeed without a person.
    #[n(8)]
    DeliveryDeadLettered(#[n(0)] DeadLettered),
    /// A dead letter was sent on its way again.
    #[n(9)]
    DeliveryReplayed(#[n(0)] Replayed),
    /// The source withdrew it; its content is gone.
    #[n(10)]
    Withdrawn(#[n(0)] Withdrawn),
    /// A raw request could not become feedback.
    #[n(11)]
    InboundDeadLettered(#[n(0)] InboundDeadLettered),
    /// An instance runs with a new plugin version or configuration.
    #[n(12)]
    InstanceConfigured(#[n(0)] InstanceConfigured),
    /// An API token was made.
    #[n(13)]
    TokenCreated(#[n(0)] TokenCreated),
    /// An API token was revoked.
    #[n(14)]
    TokenRevoked(#[n(0)] TokenRevoked),
    /// A raw request that could not become feedback is given to its plugin again.
    #[n(15)]
    InboundReplayed(#[n(0)] InboundReplayed),
}

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

/// A part of the body that was masked before it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Redaction {
    /// First byte of the masked part in the body as it came.
    #[n(0)]
    pub start: u32,
    /// First byte after it.
    #[n(1)]
    pub end: u32,
    /// What was masked, e.g. `card-number`.
    #[n(2)]
    pub label: Tag,
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

/// One receiver that routing chose, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Route {
    /// The delivery that was written with this event.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The department instance.
    #[n(1)]
    pub destination: InstanceName,
    /// Name of the rule that chose it.
    #[n(2)]
    pub rule: String,
}

/// See [`EventBody::Routed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Routed {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// Which revision.
    #[n(1)]
    pub revision: u32,
    /// Who receives it; empty when no rule matched.
    #[n(2)]
    pub routes: Vec<Route>,
    /// First 8 bytes of the SHA-256 of the rule set, so that a decision can be traced to its rules.
    #[n(3)]
    pub rules: u64,
}

/// See [`EventBody::Delivered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Delivered {
    /// The delivery.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The piece of feedback.
    #[n(1)]
    pub feedback: FeedbackId,
    /// The department instance.
    #[n(2)]
    pub destination: InstanceName,
    /// 1 for the first.
    #[n(3)]
    pub attempt: u32,
    /// SHA-256 over salt and the other system's reference, if it gave one.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    #[serde(serialize_with = "as_optional_hex")]
    pub reference: Option<[u8; 32]>,
}

/// See [`EventBody::DeliveryFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Attempted {
    /// The delivery.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The piece of feedback.
    #[n(1)]
    pub feedback: FeedbackId,
    /// The department instance.
    #[n(2)]
    pub destination: InstanceName,
    /// 1 for the first.
    #[n(3)]
    pub attempt: u32,
    /// Short, stable reason.
    #[n(4)]
    pub code: String,
    /// When it is tried again.
    #[n(5)]
    pub retry_at: Time,
}

/// See [`EventBody::DeliverySkipped`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Skipped {
    /// The delivery.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The piece of feedback.
    #[n(1)]
    pub feedback: FeedbackId,
    /// The department instance.
    #[n(2)]
    pub destination: InstanceName,
    /// 1 for the first.
    #[n(3)]
    pub attempt: u32,
}

/// See [`EventBody::DeliveryDeadLettered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct DeadLettered {
    /// The delivery.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The piece of feedback.
    #[n(1)]
    pub feedback: FeedbackId,
    /// The department instance.
    #[n(2)]
    pub destination: InstanceName,
    /// How many attempts were made.
    #[n(3)]
    pub attempts: u32,
    /// Short, stable reason.
    #[n(4)]
    pub code: String,
}

/// See [`EventBody::DeliveryReplayed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Replayed {
    /// The delivery; it keeps its id.
    #[n(0)]
    pub delivery: DeliveryId,
    /// The piece of feedback.
    #[n(1)]
    pub feedback: FeedbackId,
    /// The department instance.
    #[n(2)]
    pub destination: InstanceName,
}

/// See [`EventBody::Withdrawn`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct Withdrawn {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
}

/// See [`EventBody::InboundDeadLettered`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InboundDeadLettered {
    /// The raw request.
    #[n(0)]
    pub inbound: InboundId,
    /// The channel instance.
    #[n(1)]
    pub instance: InstanceName,
    /// Short, stable reason.
    #[n(2)]
    pub code: String,
}

/// See [`EventBody::InboundReplayed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InboundReplayed {
    /// The raw request.
    #[n(0)]
    pub inbound: InboundId,
    /// The channel instance.
    #[n(1)]
    pub instance: InstanceName,
}

/// See [`EventBody::InstanceConfigured`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct InstanceConfigured {
    /// The instance.
    #[n(0)]
    pub instance: InstanceName,
    /// The plugin it runs.
    #[n(1)]
    pub plugin: InstanceName,
    /// The plugin's version.
    #[n(2)]
    pub version: String,
    /// SHA-256 of the plugin file.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    #[serde(serialize_with = "as_hex")]
    pub module: [u8; 32],
}

/// See [`EventBody::TokenCreated`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TokenCreated {
    /// The token's public id.
    #[n(0)]
    pub token: TokenId,
    /// What it may do.
    #[n(1)]
    pub scopes: Vec<String>,
}

/// See [`EventBody::TokenRevoked`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct TokenRevoked {
    /// The token's public id.
    #[n(0)]
    pub token: TokenId,
}

fn as_hex<S: serde::Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn as_optional_hex<S: serde::Serializer>(bytes: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => as_hex(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

struct Hex<'a>(&'a [u8; 32]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Actor, Event, EventBody, Received};
    use crate::{Channel, ContactId, FeedbackId, InstanceName, Kind, Language, Score, Tag, Time};

    fn received() -> Event {
        Event {
            at: Time(1_790_000_000_000),
            actor: Actor::Instance(InstanceName::new("form").unwrap()),
            body: EventBody::Received(Received {
                feedback: FeedbackId::from_bytes([7; 16]),
                revision: 1,
                contact: ContactId::from_bytes([9; 16]),
                instance: InstanceName::new("form").unwrap(),
                channel: Channel::new(Tag::new("form").unwrap()),
                kind: Some(Kind::Complaint),
                occurred_at: Some(Time(1_789_999_999_000)),
                thread: None,
                language: Some(Language::new("ar").unwrap()),
                scores: vec![Score {
                    metric: "nps".into(),
                    value: 3.0,
                    min: 0.0,
                    max: 10.0,
                }],
                tags: vec![Tag::new("شحن").unwrap()],
                attachments: vec![],
                call: None,
                body_chars: 42,
                commitment: [1; 32],
            }),
        }
    }

    #[test]
    fn an_event_is_the_same_after_its_bytes() {
        let event = received();
        let bytes = event.to_bytes().unwrap();
        assert_eq!(Event::from_bytes(&bytes).unwrap(), event);
        assert!(bytes.len() < 220, "{} bytes", bytes.len());
        assert!(Event::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn an_event_reads_well_as_json() {
        let json = serde_json::to_value(received()).unwrap();
        assert_eq!(json["type"], "received");
        assert_eq!(json["kind"], "complaint");
        assert_eq!(json["at"], "2026-09-21T14:13:20.000Z");
        assert_eq!(json["actor"]["instance"], "form");
    }
}
