//! What is destroyed because a person, or the time that something may be kept, asks for it.

use minicbor::{Decode, Encode};
use serde::Serialize;

use super::Route;
use crate::{ContactId, FeedbackId, Tag};

/// See [`EventBody::ContactErased`](super::EventBody::ContactErased).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct ContactErased {
    /// The person.
    #[n(0)]
    pub contact: ContactId,
    /// How many pieces of feedback the ledger told of as theirs until then.
    #[n(1)]
    pub records: u64,
    /// Why: a slug, since it stands here for ever.
    #[n(2)]
    pub reason: Tag,
}

/// See [`EventBody::RecordErased`](super::EventBody::RecordErased).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub struct RecordErased {
    /// The piece of feedback.
    #[n(0)]
    pub feedback: FeedbackId,
    /// Why: that of its contact's erasure, or the name of the retention rule.
    #[n(1)]
    pub reason: Tag,
    /// Departments that may have it and are told to destroy their copy, by a delivery each.
    #[n(2)]
    pub routes: Vec<Route>,
}
