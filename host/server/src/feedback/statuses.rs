//! What departments report, on the wire.

use mihwar_hub::StatusRecord;
use mihwar_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a department says became of a piece of feedback in its own tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusView {
    /// The department instance.
    pub department: String,
    /// `open`, `in-progress`, `resolved`, `rejected`, `reopened`, or a word of the department's own.
    #[schema(example = "resolved")]
    pub state: String,
    /// Whether it is where the piece of feedback stands there: the newest report of this department by its own clock.
    pub current: bool,
    /// Since when, by the department's clock.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Time,
    /// When the hub heard of it.
    #[schema(value_type = String, format = DateTime)]
    pub reported_at: Time,
    /// Where it is in the department's tool; null once the personal part is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the department says to it; as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<StatusRecord> for StatusView {
    fn from(record: StatusRecord) -> Self {
        Self {
            department: record.destination.to_string(),
            state: record.state.to_string(),
            current: record.is_current,
            changed_at: record.changed_at,
            reported_at: record.reported_at,
            url: record.url,
            note: record.note,
        }
    }
}

/// Reports, for an answer.
pub(crate) fn statuses(records: Vec<StatusRecord>) -> Vec<StatusView> {
    records.into_iter().map(StatusView::from).collect()
}
