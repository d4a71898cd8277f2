//! Where feedback went, and sending dead letters again.

use axum::Json;
use axum::extract::State;
use http::Uri;
use mihwar_hub::{DeliveryFilter, DeliveryRecord, ReplaySelection};
use mihwar_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{PageQuery, ReplayedView};
use crate::http::body::JsonBody;
use crate::http::lasting::to_the_end;
use crate::http::problem::ProblemView;
use crate::http::query::{PageWanted, read_query};
use crate::http::{Admin, Allowed, Problem, Read};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// One piece of feedback on its way to one department.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// Stable over retries: the idempotency key that the department sees.
    pub id: String,
    /// The piece of feedback.
    pub feedback: String,
    /// The department instance.
    pub destination: String,
    /// `waiting`, `retrying`, `delivered`, `skipped` or `dead`.
    #[schema(example = "delivered")]
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// Short reason of the last failure.
    pub last_code: Option<String>,
    /// What the last failure said, for people.
    pub reason: Option<String>,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt: Option<Time>,
    /// When routing chose this department.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it came to an end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Time>,
    /// The rule that chose it.
    pub rule: String,
    /// The department's own reference of it.
    pub reference: Option<String>,
}

/// One page of deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryPageView {
    /// The deliveries of this page.
    pub items: Vec<DeliveryView>,
    /// Hand it back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// Which deliveries are wanted; everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct DeliveryQuery {
    /// The department instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// `waiting`, `retrying`, `delivered`, `skipped` or `dead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The piece of feedback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<String>,
}

/// Which dead letters to send again: exactly one of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryReplay {
    /// This one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All of this department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// All there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.delivery.to_string(),
            feedback: record.feedback.to_string(),
            destination: record.destination.to_string(),
            state: record.state.as_str().to_owned(),
            attempts: record.attempts,
            last_code: record.last_code,
            reason: record.reason,
            next_attempt: record.next_attempt,
            created_at: record.created_at,
            finished_at: record.finished_at,
            rule: record.rule,
            reference: record.reference,
        }
    }
}

fn read_filter(fields: &mut Fields<'_>) -> DeliveryFilter {
    let destination = fields.parsed("department");
    let feedback = fields.parsed("feedback");
    let state = fields.parsed("state");
    DeliveryFilter {
        destination,
        state,
        feedback,
    }
}

/// List deliveries
///
/// Newest first.
#[utoipa::path(
    get, path = "/api/v1/deliveries", tag = "deliveries",
    params(DeliveryQuery, PageQuery),
    responses(
        (status = OK, body = DeliveryPageView, description = "A page."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn list_deliveries(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Json<DeliveryPageView>, Problem> {
    let (filter, page) = read_query(&uri, |fields| (read_filter(fields), PageWanted::read(fields)))?;
    let found = surface
        .hub
        .delivery_page(&filter, page.cursor.as_deref(), page.limit)
        .await?;
    Ok(Json(DeliveryPageView {
        items: found.items.into_iter().map(DeliveryView::from).collect(),
        next: found.next,
    }))
}

/// Send dead letters again
///
/// Each keeps its id, so that a department that had it after all can tell. All of many take their time; that goes on when
/// its caller goes away.
#[utoipa::path(
    post, path = "/api/v1/deliveries:replay", tag = "deliveries",
    request_body = DeliveryReplay,
    responses(
        (status = OK, body = ReplayedView, description = "How many go out again."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The body says not which."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn replay_deliveries(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<ReplayedView>, Problem> {
    let selection = read_object(value, selection).map_err(Problem::fields)?;
    to_the_end(async move {
        let replayed = surface.hub.delivery_replay(&caller.actor, &selection).await?;
        Ok(Json(ReplayedView { replayed }))
    })
    .await
}

fn selection(fields: &mut Fields<'_>) -> Option<ReplaySelection> {
    let id = fields.parsed("id").map(ReplaySelection::Id);
    let department = fields.parsed("department").map(ReplaySelection::Destination);
    let all = fields.chosen("all").then_some(ReplaySelection::All);
    let mut given = [id, department, all].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(selection), None) => Some(selection),
        _ => {
            fields.fault("id", "give exactly one of id, department and \"all\": true");
            None
        }
    }
}
