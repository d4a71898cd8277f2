//! The forms in which a person crosses the wire.

use std::path::PathBuf;

use mihwar_hub::{ContactFacts, ContactRecord, ErasureReport};
use mihwar_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::feedback::statuses::statuses;
use crate::feedback::view::{ContentView, EventView, FeedbackDetailView, FeedbackView, actor, deliveries};
use crate::http::problem::ProblemView;

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactQuestion {
    /// What the person is known by: the scheme, a colon and the handle, as they stand in a record.
    #[schema(example = "tel:+966501234567")]
    pub identifier: String,
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactFound {
    /// The hub's id of the contact.
    pub contact: String,
}

/// What is known of a contact beside its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Contact)]
pub struct ContactView {
    /// The hub's id of it.
    pub contact: String,
    /// When the hub first heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Time,
    /// When it was erased: nothing personal is left then.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub erased_at: Option<Time>,
    /// Why nothing of it is erased: a legal hold.
    pub hold: Option<String>,
    /// Instances as they are configured now, with the personal fields that each may read of what reaches it.
    pub readers: Vec<ReaderView>,
    /// Stored requests of other systems that are no records yet: nobody can tell whose they are without reading them.
    pub requests_unread: u64,
}

/// An instance that may see personal fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Reader)]
pub struct ReaderView {
    /// Its name.
    pub instance: String,
    /// The plugin that it runs.
    pub plugin: String,
    /// Personal fields that it was granted.
    pub fields: Vec<String>,
}

/// A record of a contact, with everything that is held about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContactRecordView {
    /// The record with its story.
    #[serde(flatten)]
    pub detail: FeedbackDetailView,
    /// What every revision said, from the first.
    pub revisions: Vec<RevisionView>,
}

/// What one revision said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Revision)]
pub struct RevisionView {
    /// 1 for the first.
    pub revision: u32,
    /// The personal part; null where it is gone.
    pub content: Option<ContentView>,
}

/// One line of an export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContactLine {
    /// The first line.
    #[schema(value_type = Object)]
    Contact(ContactView),
    /// A record, newest first.
    #[schema(value_type = Object)]
    Record(Box<ContactRecordView>),
    /// The last line of a whole export: how many records there were.
    End(u64),
    /// The last line of one that could not go on.
    Problem(ProblemView),
}

/// Whose records are exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContactQuery {
    /// The hub's id of the contact.
    pub contact: String,
}

/// Who is erased, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseInput {
    /// The hub's id of the contact.
    pub contact: String,
    /// A slug: it stands in the ledger for ever, so it names nobody.
    #[schema(example = "subject-request")]
    pub reason: String,
}

/// An erasure that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    /// Who is erased.
    pub contact: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Who had it done: `console` or `token:ID`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Pieces of feedback that the ledger tells of as theirs.
    pub records: u64,
    /// Contents destroyed now, one for each revision.
    pub contents: u64,
    /// Stored files destroyed now.
    pub files: u64,
    /// Deliveries that are not made any more.
    pub withheld: u64,
    /// Deliveries that tell departments to destroy their copies.
    pub told: u64,
    /// Where the ledger has the certificate.
    pub sequence: u64,
    /// Copies of the store that upgrades left in the data folder, and damaged logs that were set aside there: the person can
    /// still be read in them by whoever has the master key. Delete them.
    #[serde(default)]
    pub copies: Vec<String>,
}

impl From<ContactFacts> for ContactView {
    fn from(facts: ContactFacts) -> Self {
        let readers = facts.readers.into_iter().map(|reader| ReaderView {
            instance: reader.instance.to_string(),
            plugin: reader.plugin.to_string(),
            fields: reader.fields,
        });
        Self {
            contact: facts.contact.to_string(),
            since: facts.since,
            erased_at: facts.erased_at,
            hold: facts.hold,
            readers: readers.collect(),
            requests_unread: facts.requests_unread,
        }
    }
}

impl From<ContactRecord> for ContactRecordView {
    fn from(record: ContactRecord) -> Self {
        let revisions = record.revisions.into_iter().map(|(revision, content)| RevisionView {
            revision,
            content: content.map(ContentView::from),
        });
        Self {
            revisions: revisions.collect(),
            detail: FeedbackDetailView {
                feedback: FeedbackView::from(record.record),
                events: record.events.into_iter().map(EventView::from).collect(),
                deliveries: deliveries(record.deliveries),
                statuses: statuses(record.statuses),
            },
        }
    }
}

impl ErasureView {
    /// What was done, and where it could not reach.
    pub(super) fn new(report: &ErasureReport, copies: &[PathBuf]) -> Self {
        Self {
            contact: report.contact.to_string(),
            at: report.at,
            by: actor(&report.by),
            reason: report.reason.to_string(),
            records: report.records,
            contents: report.contents,
            files: report.files,
            withheld: report.withheld,
            told: report.told,
            sequence: report.sequence,
            copies: copies.iter().map(|copy| copy.display().to_string()).collect(),
        }
    }
}
