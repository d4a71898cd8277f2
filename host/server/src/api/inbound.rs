//! Raw requests that could not become feedback.

use axum::Json;
use axum::extract::State;
use http::Uri;
use mihwar_hub::InboundRecord;
use mihwar_model::{InboundId, Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PageQuery, ReplayedView};
use crate::http::body::JsonBody;
use crate::http::lasting::to_the_end;
use crate::http::problem::ProblemView;
use crate::http::query::{PageWanted, read_query};
use crate::http::{Admin, Allowed, Problem, Sort};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// A raw request that its plugin could not make feedback of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InboundDeadLetter)]
pub struct InboundView {
    /// The id that its sender was answered with.
    pub id: String,
    /// The channel instance.
    pub instance: String,
    /// The endpoint of the instance.
    pub endpoint: String,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Time,
    /// Short reason.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// One page of them, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboundPageView {
    /// The requests of this page.
    pub items: Vec<InboundView>,
    /// Hand it back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// Which requests to try again: exactly one of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InboundReplay {
    /// This one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

impl From<InboundRecord> for InboundView {
    fn from(record: InboundRecord) -> Self {
        Self {
            id: record.inbound.to_string(),
            instance: record.instance.to_string(),
            endpoint: record.endpoint,
            received_at: record.received_at,
            code: record.code,
            reason: record.reason,
        }
    }
}

/// List inbound dead letters
///
/// Raw requests that were kept, but that their plugin could not make feedback of. Newest first.
#[utoipa::path(
    get, path = "/api/v1/inbound-dead-letters", tag = "inbound",
    params(PageQuery),
    responses((status = OK, body = InboundPageView, description = "A page.")),
    security(("token" = ["admin"])),
)]
pub(crate) async fn list_inbound_dead_letters(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Json<InboundPageView>, Problem> {
    let page = read_query(&uri, PageWanted::read)?;
    let after = page.cursor.as_deref().map(str::parse).transpose();
    let after =
        after.map_err(|_| Problem::new(Sort::InvalidCursor, "the cursor is not one that this list handed out"))?;
    let found = surface.hub.inbound_dead_page(after, page.limit).await?;
    let is_full = found.len() == usize::from(page.limit);
    let next = found.last().filter(|_| is_full).map(|last| last.inbound.to_string());
    Ok(Json(InboundPageView {
        items: found.into_iter().map(InboundView::from).collect(),
        next,
    }))
}

/// Try inbound dead letters again
///
/// For when the plugin or its settings were put right. All of many take their time; that goes on when its caller goes away.
#[utoipa::path(
    post, path = "/api/v1/inbound-dead-letters:replay", tag = "inbound",
    request_body = InboundReplay,
    responses(
        (status = OK, body = ReplayedView, description = "How many are tried again."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The body says not which."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn replay_inbound_dead_letters(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<ReplayedView>, Problem> {
    let selection = read_object(value, selection).map_err(Problem::fields)?;
    to_the_end(async move {
        let replayed = surface.hub.inbound_replay(&caller.actor, selection).await?;
        Ok(Json(ReplayedView { replayed }))
    })
    .await
}

/// One, or `Some(None)` for all.
fn selection(fields: &mut Fields<'_>) -> Option<Option<InboundId>> {
    match (fields.parsed("id"), fields.chosen("all")) {
        (Some(id), false) => Some(Some(id)),
        (None, true) => Some(None),
        _ => {
            fields.fault("id", "give exactly one of id and \"all\": true");
            None
        }
    }
}
