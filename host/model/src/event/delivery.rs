//! What happens on its way to departments.

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::as_optional_hex;
use crate::{DeliveryId, FeedbackId, InstanceName, Tag, Time};

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

/// A rule that failed on a record instead of answering, and so chose nobody for it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct RuleFailure {
    /// The rule's name.
    #[n(0)]
    pub rule: String,
    /// Short, stable reason.
    #[n(1)]
    pub code: String,
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
    /// Rules that failed, the first sixteen; `None` when none did.
    #[n(4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Vec<RuleFailure>>,
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
    /// 1 for the first. For one that an erasure withheld: how many were made.
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

/// See [`EventBody::StatusReported`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct StatusReported {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// The department instance that reports.
    #[n(1)]
    pub destination: InstanceName,
    /// What became of it there: `open`, `in-progress`, `resolved`, `rejected`, `reopened`, or a word of the department's own.
    #[n(2)]
    pub state: Tag,
    /// Since when, by the department's clock.
    #[n(3)]
    pub changed_at: Time,
    /// SHA-256 over salt and the note and address that came with the report, if any did.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    #[serde(serialize_with = "as_optional_hex")]
    pub commitment: Option<[u8; 32]>,
}

/// See [`EventBody::DestinationPaused`](super::EventBody::DestinationPaused).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct DestinationPaused {
    /// The department instance.
    #[n(0)]
    pub destination: InstanceName,
    /// Short, stable reason.
    #[n(1)]
    pub code: String,
}

/// See [`EventBody::DestinationResumed`](super::EventBody::DestinationResumed).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct DestinationResumed {
    /// The department instance.
    #[n(0)]
    pub destination: InstanceName,
}
