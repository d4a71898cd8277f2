//! The contract's records and variants, re-exported flat.

pub use crate::bindings::host::mihwar::plugin::{
    blobs::BlobError,
    config::InstanceInfo,
    http::{Body, DownloadResult, HttpError, Request, Response, TransportFailure},
    log::Level,
    net::{Chunk, NetError, SaslPart, Security},
    secrets::{Mac, SecretError},
    state::{Entry as StateEntry, Page as StatePage, StateError},
    types::{
        Answer, Attachment, AttachmentSource, Attribute, CallDetails, Change, ChannelKind, ConfigProblem, Details,
        Direction, Failure, Feedback, Header, Identifier, Person, PluginError, Refusal, Retry, Score, SocialDetails,
        Speaker, StatusUpdate, StoredFeedback, SurveyDetails, Utterance, Value, WorkState,
    },
};

pub use crate::bindings::destination::exports::mihwar::plugin::destination::{
    Ack, AckState, Delivered, Delivery, Event,
};
pub use crate::bindings::importer::exports::mihwar::plugin::importer::{ImportPage, ImportRequest, SourceFile};
pub use crate::bindings::lifecycle::exports::mihwar::plugin::lifecycle::Health;
pub use crate::bindings::processor::exports::mihwar::plugin::processor::{Edit, Edits, Span, Verdict};
pub use crate::bindings::puller::exports::mihwar::plugin::puller::{PullMode, PullPage, PullRequest, Window};
pub use crate::bindings::webhook::exports::mihwar::plugin::webhook::{InboundRequest, Outcome, Reply, Verification};
