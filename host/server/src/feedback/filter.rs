//! Which feedback is wanted.

use mihwar_hub::{FeedbackFilter, ScoreFilter};
use mihwar_model::Channel;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::json::Fields;

/// Which feedback is wanted; everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct FeedbackQuery {
    /// The sort of channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The channel instance that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `complaint`, `suggestion`, `enquiry`, `praise`, `observation` or `defect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A department instance that receives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// The person who said it: the hub's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The conversation: the hub's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Received at or after (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_from: Option<String>,
    /// Received before (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_to: Option<String>,
    /// Said at or after (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_from: Option<String>,
    /// Said before (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_to: Option<String>,
    /// Has a score of this metric, e.g. `nps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// … of at least this value; needs `score`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_min: Option<String>,
    /// … of at most this value; needs `score`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_max: Option<String>,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Has this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Subject or body hold this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Reads the keys of [`FeedbackQuery`].
pub(crate) fn read_filter(fields: &mut Fields<'_>) -> FeedbackFilter {
    FeedbackFilter {
        channel: fields.parsed("channel").map(Channel::new),
        instance: fields.parsed("instance"),
        kind: fields.parsed("kind"),
        destination: fields.parsed("department"),
        contact: fields.parsed("contact"),
        thread: fields.parsed("thread"),
        from: fields.time("received_from"),
        to: fields.time("received_to"),
        occurred_from: fields.time("occurred_from"),
        occurred_to: fields.time("occurred_to"),
        score: score(fields),
        language: fields.parsed("language"),
        tag: fields.parsed("tag"),
        text: fields.text("text").filter(|text| !text.trim().is_empty()),
    }
}

fn score(fields: &mut Fields<'_>) -> Option<ScoreFilter> {
    let metric = fields.text("score");
    let (min, max) = (bound(fields, "score_min"), bound(fields, "score_max"));
    if metric.is_none() && (min.is_some() || max.is_some()) {
        fields.fault(
            "score",
            "is needed with score_min and score_max: say which metric is meant",
        );
    }
    metric.map(|metric| ScoreFilter { metric, min, max })
}

fn bound(fields: &mut Fields<'_>, key: &'static str) -> Option<f64> {
    let number = fields.parsed::<f64>(key)?;
    if !number.is_finite() {
        fields.fault(key, "should be a finite number");
        return None;
    }
    Some(number)
}
