//! What lies in the store's rows, encoded as CBOR. Authoritative rows first, read models after.

use std::collections::BTreeMap;

use mihwar_model::{
    Actor, CallFacts, Channel, ContactId, DeliveryId, Draft, FactValue, FeedbackId, InstanceName, Kind, Language,
    Masked, Received, Score, Tag, ThreadId, Time,
};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::fault::Fault;
use crate::head_row::Entries;

/// Bytes that most rows have at most: memory for them is taken once.
const USUAL_BYTES: usize = 128;

/// Encodes a row.
pub(crate) fn encode<T: Encode<()>>(row: &T) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    minicbor::encode(row, &mut bytes).map_err(|error| Fault::Encoding(error.to_string()))?;
    Ok(bytes)
}

/// Decodes a row.
pub(crate) fn decode<'b, T: Decode<'b, ()>>(what: &'static str, bytes: &'b [u8]) -> Result<T, Fault> {
    minicbor::decode(bytes).map_err(|error| Fault::Damaged {
        what,
        detail: error.to_string(),
    })
}

/// An item of a source that was seen: the de-duplication row.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct SeenRow {
    #[n(0)]
    pub(crate) feedback: FeedbackId,
    #[n(1)]
    pub(crate) contact: ContactId,
    /// Keyed hashes of the marks of the revisions that were taken in, oldest first; 0 for one without a mark.
    #[n(2)]
    pub(crate) revisions: Vec<u64>,
}

/// Feedback that waits for enrichment and routing, as older versions wrote it: with its event a second time. Since then such
/// a row is the sequence number of that event's entry and nothing else ([`mihwar_store::Edit::PutSequence`]).
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct QueueRow {
    /// Bytes of its `received` event.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) event: Vec<u8>,
}

/// A delivery that is still to be made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OutboxRow {
    #[n(0)]
    pub(crate) feedback: FeedbackId,
    #[n(1)]
    pub(crate) revision: u32,
    #[n(2)]
    pub(crate) contact: ContactId,
    #[n(3)]
    pub(crate) attempts: u32,
    #[n(4)]
    pub(crate) due: Time,
    #[n(5)]
    pub(crate) rule: String,
    /// Attempts that do not count towards the schedule: those before the last replay, and those at which the other
    /// side only asked for a pause.
    #[n(6)]
    pub(crate) attempts_before_replay: u32,
    /// For one that tells a department to destroy its copy.
    #[n(7)]
    pub(crate) erased: Option<ErasureNotice>,
}

/// What a department is told of an item that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ErasureNotice {
    /// What the department calls its copy, sealed by the hub's own key until it has heard; empty if it gave no name.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) reference: Vec<u8>,
}

/// That a contact is to be erased: who wants it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ErasingRow {
    #[n(0)]
    pub(crate) by: Actor,
    #[n(1)]
    pub(crate) reason: Tag,
}

/// That a contact was erased: what a second time is refused with.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ErasedRow {
    #[n(0)]
    pub(crate) at: Time,
    #[n(1)]
    pub(crate) by: Actor,
    #[n(2)]
    pub(crate) reason: Tag,
    #[n(3)]
    pub(crate) records: u64,
}

/// A delivery that cannot succeed without a person.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct DeadRow {
    #[n(0)]
    pub(crate) entry: OutboxRow,
    #[n(1)]
    pub(crate) code: String,
    /// What the department's plugin said, sealed for the contact.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) reason: Vec<u8>,
    #[n(3)]
    pub(crate) at: Time,
}

/// A raw request that waits for its plugin; sealed as a whole.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct InboxRow {
    #[n(0)]
    pub(crate) instance: InstanceName,
    #[n(1)]
    pub(crate) endpoint: String,
    #[n(2)]
    pub(crate) method: String,
    #[n(3)]
    pub(crate) path: String,
    #[n(4)]
    pub(crate) query: Vec<(String, String)>,
    #[n(5)]
    pub(crate) headers: Vec<(String, String)>,
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
    #[n(7)]
    pub(crate) verified: Option<String>,
    #[n(8)]
    pub(crate) received_at: Time,
    /// In place of a request: something that its channel was asked for, and that goes into intake as it is.
    #[n(9)]
    pub(crate) item: Option<Item>,
}

/// What happened to one item at a source that was asked and does not tell it again.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum Item {
    /// It is new, or changed; with the files that were handed over, by their handles, and what was masked in it.
    #[n(0)]
    Draft(#[n(0)] Box<Draft>, #[n(1)] Vec<(String, ByteVec)>, #[n(2)] Vec<Masked>),
    /// It was taken back: the source's own id of it.
    #[n(1)]
    Withdrawal(#[n(0)] String),
}

/// A raw request that could not become feedback, beside the sealed request.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct InboxDeadRow {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) request: Vec<u8>,
    #[n(1)]
    pub(crate) instance: InstanceName,
    #[n(2)]
    pub(crate) endpoint: String,
    #[n(3)]
    pub(crate) code: String,
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) reason: Vec<u8>,
    #[n(5)]
    pub(crate) received_at: Time,
}

/// How far an import came in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ImportRow {
    #[n(0)]
    pub(crate) cursor: Option<String>,
    #[n(1)]
    pub(crate) done: bool,
    #[n(2)]
    pub(crate) new: u64,
    #[n(3)]
    pub(crate) revised: u64,
    #[n(4)]
    pub(crate) duplicates: u64,
    /// Place, code and reason of each refusal, sealed: reasons may quote the file.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) refusals: Vec<u8>,
    /// Bytes of the file behind the cursor, as its plugin says; an interrupted import shows its progress from there.
    #[n(6)]
    pub(crate) position: u64,
    /// The cursor as it lies in the store; in memory it is in `cursor`, where older versions left it.
    #[n(7)]
    pub(crate) sealed_cursor: Option<ByteVec>,
}

/// The reference another system gave, sealed for the contact.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct ReferenceContent {
    #[n(0)]
    pub(crate) reference: String,
    #[n(1)]
    pub(crate) url: Option<String>,
}

/// A report of a department about an item. That it is there says that it is known.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReportRow {
    /// Who said the item: under this key the words are sealed.
    #[n(0)]
    pub(crate) contact: ContactId,
    /// Salt and [`ReportContent`], sealed for the contact; empty for a report without words.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) words: Vec<u8>,
}

/// What a department says with a report beside the facts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReportContent {
    #[n(0)]
    pub(crate) note: Option<String>,
    #[n(1)]
    pub(crate) url: Option<String>,
}

/// The facts of a piece of feedback as they stand now: a fold over its events.
// Its row is made and read by `head_row`.
#[derive(Debug, Clone, PartialEq, Encode, Decode, Serialize)]
pub struct Head {
    /// Its id.
    #[n(0)]
    #[cbor(with = "crate::head_row::id")]
    pub feedback: FeedbackId,
    /// The newest revision.
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
    /// What sort of feedback it is.
    #[n(5)]
    pub kind: Option<Kind>,
    /// When the person said it, if known.
    #[n(6)]
    pub occurred_at: Option<Time>,
    /// When the hub received its first revision.
    #[n(7)]
    pub received_at: Time,
    /// The conversation.
    #[n(8)]
    pub thread: Option<ThreadId>,
    /// Language.
    #[n(9)]
    pub language: Option<Language>,
    /// -1 to 1.
    #[n(10)]
    pub sentiment: Option<f64>,
    /// Scores given.
    #[n(11)]
    pub scores: Vec<Score>,
    /// Labels.
    #[n(12)]
    pub tags: Vec<Tag>,
    /// What enrichers found.
    #[n(13)]
    pub attributes: Vec<(String, FactValue)>,
    /// If it was a call.
    #[n(14)]
    pub call: Option<CallFacts>,
    /// How many files came with it.
    #[n(15)]
    pub attachments: u32,
    /// Letters in the body.
    #[n(16)]
    pub body_chars: u32,
    /// Departments that receive it.
    #[n(17)]
    pub destinations: Vec<InstanceName>,
    /// Why it is kept but not delivered.
    #[n(18)]
    pub quarantine: Option<Tag>,
    /// Whether the source withdrew it.
    #[n(19)]
    pub withdrawn: bool,
    /// Where the ledger tells of it, as far as no row of its own says so.
    #[n(20)]
    #[serde(skip)]
    pub(crate) entries: Entries,
    /// When its content was destroyed, with its contact or because its time was over.
    #[n(21)]
    pub erased_at: Option<Time>,
    /// How long its row is at least, in bytes: see [`crate::head_row::leave_room`].
    #[n(22)]
    #[cbor(default)]
    #[serde(skip)]
    pub(crate) row_bytes: u32,
}

impl Head {
    /// The facts of a revision as it came in, before anyone enriched it.
    pub(crate) fn of(at: Time, received: Received) -> Self {
        Self {
            feedback: received.feedback,
            revision: received.revision,
            contact: received.contact,
            instance: received.instance,
            channel: received.channel,
            kind: received.kind,
            occurred_at: received.occurred_at,
            received_at: at,
            thread: received.thread,
            language: received.language,
            sentiment: None,
            scores: received.scores,
            tags: received.tags,
            attributes: masked(received.masked.unwrap_or_default()),
            call: received.call,
            attachments: u32::try_from(received.attachments.len()).unwrap_or(u32::MAX),
            body_chars: received.body_chars,
            destinations: Vec::new(),
            quarantine: None,
            withdrawn: false,
            entries: Entries::default(),
            erased_at: None,
            row_bytes: 0,
        }
    }
}

/// What was masked, as facts that rules and departments can ask for: `masked-LABEL` and in how many places.
fn masked(masked: Vec<Masked>) -> Vec<(String, FactValue)> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for Masked { label, count, .. } in masked {
        *counts.entry(format!("masked-{label}")).or_default() += i64::from(count);
    }
    counts
        .into_iter()
        .map(|(name, count)| (name, FactValue::Integer(count)))
        .collect()
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum DeliveryState {
    /// Not yet attempted.
    #[n(0)]
    Waiting,
    /// Attempted without success; another attempt follows.
    #[n(1)]
    Retrying,
    /// The department has it.
    #[n(2)]
    Delivered,
    /// The department's plugin had nothing to do with it, on purpose; or it was withdrawn or erased meanwhile.
    #[n(3)]
    Skipped,
    /// Cannot succeed without a person.
    #[n(4)]
    Dead,
}

impl DeliveryState {
    /// The name in the API and in filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [
            Self::Waiting,
            Self::Retrying,
            Self::Delivered,
            Self::Skipped,
            Self::Dead,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| "use waiting, retrying, delivered, skipped or dead".to_owned())
    }
}

/// A delivery as it stands now: a fold over its events.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
pub(crate) struct DeliveryRow {
    #[n(0)]
    pub(crate) feedback: FeedbackId,
    #[n(1)]
    pub(crate) destination: InstanceName,
    #[n(2)]
    pub(crate) rule: String,
    #[n(3)]
    pub(crate) state: DeliveryState,
    #[n(4)]
    pub(crate) attempts: u32,
    #[n(5)]
    pub(crate) last_code: Option<String>,
    #[n(6)]
    pub(crate) next_attempt: Option<Time>,
    #[n(7)]
    pub(crate) created_at: Time,
    #[n(8)]
    pub(crate) finished_at: Option<Time>,
    /// The entry of the ledger by which it last began to wait: its place in the feed of its department.
    #[n(9)]
    #[cbor(default)]
    pub(crate) position: u64,
}

/// A delivery, for readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryRecord {
    /// Its id: the idempotency key that the department sees.
    pub delivery: DeliveryId,
    /// What is delivered.
    pub feedback: FeedbackId,
    /// To whom.
    pub destination: InstanceName,
    /// Why: the rule that chose this department.
    pub rule: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made.
    pub attempts: u32,
    /// Short reason of the last failure.
    pub last_code: Option<String>,
    /// When it is tried again.
    pub next_attempt: Option<Time>,
    /// When routing wrote it.
    pub created_at: Time,
    /// When it came to its end.
    pub finished_at: Option<Time>,
    /// What the other system calls it.
    pub reference: Option<String>,
    /// What the department's plugin said when it became a dead letter.
    pub reason: Option<String>,
}
