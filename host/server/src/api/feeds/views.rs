//! Feeds as they cross the wire.

use mihwar_hub::{FeedCursor, FeedCursors, FeedItem, FeedPage};
use mihwar_model::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// What is wanted of a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct FeedQuery {
    /// By which cursor; left out: `main`, by which the department takes what is for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Where a cursor other than `main` begins that is not there yet: `earliest`, `latest`, or a time (RFC 3339). One that is
    /// there goes on where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Behind which position; left out: behind what the cursor has acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Items on the page: 1 to 1000, usually 100. A page also ends with 16 MB of contents.
    #[param(minimum = 1, maximum = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// How long to wait for something to come, such as `30s`: up to `60s`; left out: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
}

/// One item of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedItem)]
pub struct FeedItemView {
    /// Its place in the feed: the number of the entry of the ledger that put it there.
    pub position: u64,
    /// The CloudEvent: `mihwar.feedback.created`, `….updated` or `….erased`.
    #[schema(value_type = Object)]
    pub event: Value,
}

impl From<FeedItem> for FeedItemView {
    fn from(item: FeedItem) -> Self {
        Self {
            position: item.position,
            event: item.event,
        }
    }
}

/// A page of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedPage)]
pub struct FeedPageView {
    /// The items, in the order of the feed.
    pub items: Vec<FeedItemView>,
    /// What to acknowledge when all items are kept; and as `after` where to go on.
    pub next: u64,
    /// What the cursor has acknowledged.
    pub acknowledged: u64,
    /// Whether there is more at this moment; also behind a page without items.
    pub more: bool,
}

impl From<FeedPage> for FeedPageView {
    fn from(page: FeedPage) -> Self {
        Self {
            items: page.items.into_iter().map(FeedItemView::from).collect(),
            next: page.next,
            acknowledged: page.acknowledged,
            more: page.is_more,
        }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedAckInput {
    /// By which cursor; left out: `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Everything up to here.
    #[schema(example = 1042)]
    pub position: u64,
}

/// How far a cursor has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedCursor)]
pub struct FeedCursorView {
    /// Its name.
    pub name: String,
    /// Whether what it acknowledges is delivered; false for one that looks on.
    pub settles: bool,
    /// Everything up to here is done with.
    pub acknowledged: u64,
    /// Everything up to here was handed out.
    pub handed: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Time,
    /// When it was last handed something new.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub handed_at: Option<Time>,
    /// When it last acknowledged something new.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Time>,
}

impl From<FeedCursor> for FeedCursorView {
    fn from(cursor: FeedCursor) -> Self {
        Self {
            name: cursor.name.to_string(),
            settles: cursor.settles,
            acknowledged: cursor.acknowledged,
            handed: cursor.handed,
            made_at: cursor.made_at,
            handed_at: cursor.handed_at,
            acknowledged_at: cursor.acknowledged_at,
        }
    }
}

/// The cursors of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedCursorListView {
    /// The last position of the feed; 0 in an empty one.
    pub end: u64,
    /// The cursors, by name: 32 at most.
    pub items: Vec<FeedCursorView>,
}

impl From<FeedCursors> for FeedCursorListView {
    fn from(cursors: FeedCursors) -> Self {
        Self {
            end: cursors.end,
            items: cursors.items.into_iter().map(FeedCursorView::from).collect(),
        }
    }
}
