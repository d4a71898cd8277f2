//! Where feedback went, and sending dead letters again.

use axum::Json;
use axum::extract::{Path, State};
use http::Uri;
use mihwar_hub::{DeliveryFilter, DeliveryRecord, DeliveryStory, Exchange, ReplayFilter, ReplaySelection};
use mihwar_model::{DeliveryId, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{PageQuery, ReplayedView};
use crate::feedback::view::EventView;
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

/// One delivery with everything that is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeliveryDetail)]
pub struct DeliveryDetailView {
    /// Where it stands.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// The events of the ledger that tell of it, oldest first.
    pub events: Vec<EventView>,
    /// How often it was sent again after it had become a dead letter.
    pub replays: u64,
    /// Of a dead letter: the last requests that the department's plugin made for it, oldest first. Only those that were made for
    /// it alone.
    pub exchanges: Vec<ExchangeView>,
}

/// One request that a department's plugin made, and what came of it. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Exchange)]
pub struct ExchangeView {
    /// The method.
    #[schema(example = "POST")]
    pub method: String,
    /// Where to, without user, fragment and the values of its query.
    pub url: String,
    /// Names of the headers that the plugin set.
    pub headers: Vec<String>,
    /// Bytes of the body.
    pub bytes: u64,
    /// The answer's status; null when there was none.
    pub status: Option<u16>,
    /// The first 512 letters of the answer, or what kept it from coming.
    pub answer: String,
    /// Milliseconds from sending to answer.
    pub took_ms: u64,
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

/// Which deliveries to send again: `id`, or `"all": true`, or what must hold of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryReplay {
    /// This one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All dead letters there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Those of this department.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Those whose last failure has this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Those that this rule chose a department for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Those that became dead letters at or after (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Those that became dead letters before (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `dead` (usual), or `retrying`: those that wait for their next attempt need not wait any longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
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

impl From<DeliveryStory> for DeliveryDetailView {
    fn from(story: DeliveryStory) -> Self {
        Self {
            delivery: DeliveryView::from(story.record),
            events: story.events.into_iter().map(EventView::from).collect(),
            replays: story.replays,
            exchanges: story.exchanges.into_iter().map(ExchangeView::from).collect(),
        }
    }
}

impl From<Exchange> for ExchangeView {
    fn from(exchange: Exchange) -> Self {
        Self {
            method: exchange.method,
            url: exchange.url,
            headers: exchange.headers,
            bytes: exchange.bytes,
            status: exchange.status,
            answer: exchange.answer,
            took_ms: exchange.took_ms,
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

/// Get one delivery
///
/// With every event of the ledger that tells of it; of a dead letter also what was asked of the other system, and what it
/// answered.
#[utoipa::path(
    get, path = "/api/v1/deliveries/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses(
        (status = OK, body = DeliveryDetailView, description = "The delivery and its story."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_delivery(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryDetailView>, Problem> {
    let unknown = || Problem::not_found("such delivery");
    let id: DeliveryId = id.parse().map_err(|_| unknown())?;
    let story = surface.hub.delivery(id).await?.ok_or_else(unknown)?;
    Ok(Json(DeliveryDetailView::from(story)))
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
    let all = fields.chosen("all").then_some(ReplaySelection::All);
    let filter = replay_filter(fields).map(ReplaySelection::Where);
    let mut given = [id, all, filter].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(selection), None) => Some(selection),
        _ => {
            let message = "give one of id, \"all\": true, or what must hold: department, code, rule, from, to, state";
            fields.fault("id", message);
            None
        }
    }
}

/// What must hold, if anything is given.
fn replay_filter(fields: &mut Fields<'_>) -> Option<ReplayFilter> {
    let says_state = fields.has("state");
    let is_retrying = match fields.text("state").as_deref() {
        None | Some("dead") => false,
        Some("retrying") => true,
        Some(_) => {
            fields.fault("state", "should be dead or retrying");
            false
        }
    };
    let filter = ReplayFilter {
        destination: fields.parsed("department"),
        code: fields.text("code"),
        rule: fields.text("rule"),
        from: fields.time("from"),
        to: fields.time("to"),
        is_retrying,
    };
    if is_retrying && (filter.from.is_some() || filter.to.is_some()) {
        fields.fault(
            "from",
            "from and to are times at which deliveries became dead letters; leave them out here",
        );
    }
    if filter.from.zip(filter.to).is_some_and(|(from, to)| from >= to) {
        fields.fault("to", "is not after from");
    }
    (says_state || filter != ReplayFilter::default()).then_some(filter)
}

#[cfg(test)]
mod tests {
    use mihwar_hub::{ReplayFilter, ReplaySelection};
    use serde_json::{Value, json};

    use super::selection;
    use crate::json::read_object;

    fn read(body: Value) -> Result<ReplaySelection, usize> {
        read_object(body, selection).map_err(|faults| faults.into_told().len())
    }

    #[test]
    fn one_way_of_saying_which_and_no_other_beside_it() {
        assert_eq!(read(json!({ "all": true })), Ok(ReplaySelection::All));
        let filter = ReplayFilter {
            code: Some("http-422".into()),
            rule: Some("شكاوى".into()),
            ..ReplayFilter::default()
        };
        let given = json!({ "code": "http-422", "rule": "شكاوى" });
        assert_eq!(read(given), Ok(ReplaySelection::Where(filter)));
        let dead = ReplaySelection::Where(ReplayFilter::default());
        assert_eq!(read(json!({ "state": "dead" })), Ok(dead));
        for wrong in [
            json!({}),
            json!({ "all": false }),
            json!({ "all": true, "code": "http-422" }),
            json!({ "state": "delivered" }),
            json!({ "state": "retrying", "from": "2026-11-22T09:30:00+03:00" }),
            json!({ "from": "2026-11-22T09:30:00+03:00", "to": "2026-11-22T06:30:00Z" }),
            json!({ "from": "أمس" }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
