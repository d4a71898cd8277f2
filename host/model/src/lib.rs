//! Records, events, ids and errors of Mihwar: plain types. No I/O, no async, nothing that asks the world
//! except the three doors [`Clock`], [`Randomness`] and, built on both, [`Ids`].
//!
//! The split that everything else rests on: [`Event`]s hold *facts* and are hashed into the ledger for
//! ever; [`Content`] holds whatever can name a person, is encrypted under a key of its contact, and can
//! be destroyed without touching a hash.

mod channel;
mod clock;
mod content;
mod draft;
mod event;
mod ids;
mod limits;
mod names;
mod number;
mod problem;
mod random;
mod score;

pub use channel::Channel;
pub use clock::{Clock, ManualClock, SystemClock, Time};
pub use content::{
    Answer, AttachmentContent, Attribute, Author, CallContent, Content, Details, Direction, Identifier, Scalar,
    SocialContent, Speaker, SurveyContent, Utterance,
};
pub use draft::{AttachmentBytes, Draft, DraftAttachment};
pub use event::{
    Actor, AttachmentFacts, Attempted, CallFacts, ContactCreated, ContactErased, DeadLettered, Delivered,
    DestinationPaused, DestinationResumed, Enriched, EnrichmentFailed, Event, EventBody, FactValue,
    InboundDeadLettered, InboundReplayed, InstanceConfigured, Masked, Received, RecordErased, Replayed, Route, Routed,
    RuleFailure, Skipped, StatusReported, TokenCreated, TokenRevoked, Withdrawn,
};
pub use ids::{AttachmentId, ContactId, DeliveryId, FeedbackId, Ids, InboundId, OrgId, ThreadId, TokenId};
pub use limits::{
    ANSWERS_MAX, ATTACHMENTS_MAX, ATTRIBUTES_MAX, AUTHOR_NAME_BYTES_MAX, BODY_BYTES_MAX, EXTERNAL_ID_BYTES_MAX,
    IDENTIFIERS_MAX, INLINE_ATTACHMENT_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, SCORES_MAX, TAGS_MAX, TEXT_BYTES_MAX,
    UTTERANCES_MAX,
};
pub use names::{InstanceName, InvalidName, Kind, Language, Tag};
pub use problem::FieldProblem;
pub use random::{OsRandomness, Randomness, SeededRandomness, SplitMix64};
pub use score::Score;
