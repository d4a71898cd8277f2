//! Events: facts that happened. Each is one leaf of the ledger, encoded once as CBOR (RFC 8949) and
//! hashed and stored as those bytes. Released fields never change their number; new ones are optional.

mod delivery;
mod erasure;
mod feedback;
mod operation;
#[cfg(test)]
mod pinned;

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::{FeedbackId, InstanceName, Time, TokenId};

pub use delivery::{
    Attempted, DeadLettered, Delivered, DestinationPaused, DestinationResumed, Replayed, Route, Routed, RuleFailure,
    Skipped, StatusReported,
};
pub use erasure::{ContactErased, RecordErased};
pub use feedback::{
    AttachmentFacts, CallFacts, ContactCreated, Enriched, EnrichmentFailed, FactValue, Masked, Received, Withdrawn,
};
pub use operation::{InboundDeadLettered, InboundReplayed, InstanceConfigured, TokenCreated, TokenRevoked};

/// Bytes that most events have at most: memory for them is taken once.
const USUAL_BYTES: usize = 256;

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
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        minicbor::encode(self, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Reads an entry of the ledger, all of it.
    ///
    /// # Errors
    /// Says where the bytes are no event, or how many follow one: they would be signed and proved, and nobody would see them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let event: Self = decoder
            .decode()
            .map_err(|error: minicbor::decode::Error| error.to_string())?;
        match bytes.len().saturating_sub(decoder.position()) {
            0 => Ok(event),
            rest => Err(format!("{rest} bytes follow the event")),
        }
    }

    /// Reads an entry if it tells of the facts of feedback: received, enriched, withdrawn or erased. Any other is passed over
    /// unread, which costs a tenth, and is `None`.
    ///
    /// # Errors
    /// As [`Event::from_bytes`].
    pub fn feedback_facts(bytes: &[u8]) -> Result<Option<Self>, String> {
        match variant(bytes) {
            Ok(RECEIVED | ENRICHED | WITHDRAWN | RECORD_ERASED) => Self::from_bytes(bytes).map(Some),
            Ok(_) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Numbers of variants of [`EventBody`], which never change.
const RECEIVED: u32 = 1;
const ENRICHED: u32 = 2;
const WITHDRAWN: u32 = 10;
const RECORD_ERASED: u32 = 17;

/// Which variant of [`EventBody`] an entry is: the event is a list of time, actor and body, the body one of number and
/// fields.
fn variant(bytes: &[u8]) -> Result<u32, minicbor::decode::Error> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.array()?;
    decoder.skip()?;
    decoder.skip()?;
    decoder.array()?;
    decoder.u32()
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
    /// The department's plugin had nothing to do with it, on purpose; or it was withdrawn or erased meanwhile.
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
    /// A person was erased: the certificate. Their key is destroyed, and with it everything that they said; events of their
    /// records follow.
    #[n(16)]
    ContactErased(#[n(0)] ContactErased),
    /// The content of a record was destroyed, and what departments call it; those who may have it are told.
    #[n(17)]
    RecordErased(#[n(0)] RecordErased),
    /// A department says what became of it in its own tool.
    #[n(18)]
    StatusReported(#[n(0)] StatusReported),
    /// A department was given what the rules would have chosen for it before: routes that come on top of those that were
    /// chosen when the piece of feedback came in.
    #[n(19)]
    BackFilled(#[n(0)] Routed),
    /// A department refuses what it is handed as a whole: nothing more is handed over until somebody acts.
    #[n(20)]
    DestinationPaused(#[n(0)] DestinationPaused),
    /// A department that was paused is handed deliveries again.
    #[n(21)]
    DestinationResumed(#[n(0)] DestinationResumed),
}

impl EventBody {
    /// What sort of event it is: the `type` in its JSON form.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ContactCreated(_) => "contact_created",
            Self::Received(_) => "received",
            Self::Enriched(_) => "enriched",
            Self::EnrichmentFailed(_) => "enrichment_failed",
            Self::Routed(_) => "routed",
            Self::Delivered(_) => "delivered",
            Self::DeliveryFailed(_) => "delivery_failed",
            Self::DeliverySkipped(_) => "delivery_skipped",
            Self::DeliveryDeadLettered(_) => "delivery_dead_lettered",
            Self::DeliveryReplayed(_) => "delivery_replayed",
            Self::Withdrawn(_) => "withdrawn",
            Self::InboundDeadLettered(_) => "inbound_dead_lettered",
            Self::InstanceConfigured(_) => "instance_configured",
            Self::TokenCreated(_) => "token_created",
            Self::TokenRevoked(_) => "token_revoked",
            Self::InboundReplayed(_) => "inbound_replayed",
            Self::ContactErased(_) => "contact_erased",
            Self::RecordErased(_) => "record_erased",
            Self::StatusReported(_) => "status_reported",
            Self::BackFilled(_) => "back_filled",
            Self::DestinationPaused(_) => "destination_paused",
            Self::DestinationResumed(_) => "destination_resumed",
        }
    }

    /// The piece of feedback that it tells of, if it tells of one.
    #[must_use]
    pub const fn feedback(&self) -> Option<FeedbackId> {
        match self {
            Self::Received(event) => Some(event.feedback),
            Self::Enriched(event) => Some(event.feedback),
            Self::EnrichmentFailed(event) => Some(event.feedback),
            Self::Routed(event) | Self::BackFilled(event) => Some(event.feedback),
            Self::Delivered(event) => Some(event.feedback),
            Self::DeliveryFailed(event) => Some(event.feedback),
            Self::DeliverySkipped(event) => Some(event.feedback),
            Self::DeliveryDeadLettered(event) => Some(event.feedback),
            Self::DeliveryReplayed(event) => Some(event.feedback),
            Self::Withdrawn(event) => Some(event.feedback),
            Self::RecordErased(event) => Some(event.feedback),
            Self::StatusReported(event) => Some(event.feedback),
            Self::ContactCreated(_)
            | Self::ContactErased(_)
            | Self::InboundDeadLettered(_)
            | Self::InstanceConfigured(_)
            | Self::TokenCreated(_)
            | Self::TokenRevoked(_)
            | Self::InboundReplayed(_)
            | Self::DestinationPaused(_)
            | Self::DestinationResumed(_) => None,
        }
    }
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
    use super::{Actor, ContactErased, Event, EventBody, Masked, Received, RecordErased};
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
                masked: None,
            }),
        }
    }

    #[test]
    fn an_event_is_the_same_after_its_bytes() {
        let event = received();
        assert_eq!(event.body.feedback(), Some(FeedbackId::from_bytes([7; 16])));
        let bytes = event.to_bytes().unwrap();
        assert_eq!(Event::from_bytes(&bytes).unwrap(), event);
        assert!(bytes.len() < 220, "{} bytes", bytes.len());
        assert!(Event::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        let hidden = [bytes.as_slice(), "هدى".as_bytes()].concat();
        assert_eq!(Event::from_bytes(&hidden).unwrap_err(), "6 bytes follow the event");
    }

    #[test]
    fn what_was_masked_is_told_and_costs_nothing_where_nothing_was() {
        let plain = received();
        let mut told = plain.clone();
        let EventBody::Received(body) = &mut told.body else {
            panic!("another event")
        };
        body.masked = Some(vec![Masked {
            instance: InstanceName::new("redact").unwrap(),
            label: Tag::new("card-number").unwrap(),
            count: 2,
        }]);
        let bytes = told.to_bytes().unwrap();
        assert_eq!(Event::from_bytes(&bytes).unwrap(), told);
        // Instance, label, count, and what holds them together.
        assert_eq!(bytes.len(), plain.to_bytes().unwrap().len() + 7 + 12 + 1 + 2);
        let json = serde_json::to_value(&told).unwrap();
        assert_eq!(json["masked"][0]["label"], "card-number");
        assert!(serde_json::to_value(&plain).unwrap().get("masked").is_none());
    }

    #[test]
    fn what_is_erased_is_told_of_its_record_and_the_certificate_of_nobodys() {
        let (feedback, reason) = (FeedbackId::from_bytes([7; 16]), Tag::new("طلب").unwrap());
        let record = EventBody::RecordErased(RecordErased {
            feedback,
            reason: reason.clone(),
            routes: Vec::new(),
        });
        let certificate = EventBody::ContactErased(ContactErased {
            contact: ContactId::from_bytes([9; 16]),
            records: 1,
            reason,
        });
        assert_eq!((record.feedback(), certificate.feedback()), (Some(feedback), None));
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
