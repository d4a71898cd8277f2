//! Feeds of departments that ask: pages, waited for or not, streams of events, and how far who asks has come.

mod stream;
mod views;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use mihwar_hub::{FeedRefusal, FeedStart, FeedWanted, MAIN_CURSOR};
use mihwar_model::{FieldProblem, InstanceName};
use mihwar_sandbox::manifest::Span;

use crate::http::body::JsonBody;
use crate::http::events::EVENT_STREAM;
use crate::http::lasting::to_the_end;
use crate::http::overload::Place;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::{Admin, Allowed, Known, Problem, Sort};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

pub use views::{FeedAckInput, FeedCursorListView, FeedCursorView, FeedItemView, FeedPageView, FeedQuery};

/// Most items of one page.
const ITEMS_MAX: usize = 1_000;
/// Items of a page of which the caller does not say how long it should be.
const ITEMS_USUAL: usize = 100;
/// How long a page may be waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Read a feed
///
/// What is for a department that asks (`[[department]]` in the configuration), in the order in which it was routed. Each item has
/// its place (`position`) and the event that a department gets which is called: its `id` stays the same however often it is
/// handed out. Everything behind what the cursor has acknowledged comes again until it is acknowledged.
///
/// With `wait`, an empty page is answered only when the time is over, or at once when something comes. With `Accept:
/// text/event-stream` the answer is a stream of server-sent events that goes on: `id` is the position, `data` the event,
/// `Last-Event-ID` says where to go on, and lines that begin with a colon are signs of life. It ends when the hub stops: come
/// back then.
///
/// The cursor `main` hands out what waits for the department, and what it acknowledges is delivered. Any other only looks on; it
/// is made where `start` says, and its pages also hold what was delivered before.
#[utoipa::path(
    get, path = "/api/v1/departments/{department}/feed", tag = "deliveries",
    params(
        ("department" = String, Path, description = "The department."),
        FeedQuery,
    ),
    responses(
        (status = OK, body = FeedPageView, description = "A page; or a stream of events, each with an item's event as data."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong: no such cursor, or a position that nobody was handed."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department, or it does not ask."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "The feed has as many cursors as it may."),
        (status = TOO_MANY_REQUESTS, body = ProblemView, content_type = "application/problem+json", description = "This caller has as many streams open as one may; come back after Retry-After."),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, content_type = "application/problem+json", description = "As many streams are open as the hub serves at once; come back after Retry-After."),
    ),
    security(("token" = ["feed:{department}"])),
)]
pub(crate) async fn read_feed(
    known: Known,
    State(surface): State<Surface>,
    place: Place,
    Path(department): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let department = named(&department)?;
    known.may_take(&department)?;
    let is_stream = wants_events(&headers);
    let asked = read_query(&uri, |fields| Asked::read(fields, is_stream))?;
    let mut wanted = asked.of(department)?;
    if !is_stream {
        let page = surface.hub.feed(&wanted, surface.ending()).await;
        let page = page.map_err(|refusal| refused(refusal, At::Query))?;
        return Ok(Json(FeedPageView::from(page)).into_response());
    }
    wanted.after = last_event(&headers)?.or(wanted.after);
    // The first is read before the answer begins, so that a refusal has a status of its own.
    let page = surface.hub.feed(&wanted, surface.ending()).await;
    let page = page.map_err(|refusal| refused(refusal, At::Query))?;
    Ok(stream::begin(surface, known, place, wanted, page))
}

/// Acknowledge a feed
///
/// Everything up to a position is kept by the department: by the cursor `main` it is delivered then. A position that was
/// acknowledged before changes nothing, so that this may be sent again; one that was not handed out is refused.
#[utoipa::path(
    post, path = "/api/v1/departments/{department}/feed:ack", tag = "deliveries",
    params(("department" = String, Path, description = "The department.")),
    request_body = FeedAckInput,
    responses(
        (status = OK, body = FeedCursorView, description = "Where the cursor stands."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department, or it does not ask."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "No such cursor, or a position that it was not handed."),
    ),
    security(("token" = ["feed:{department}"])),
)]
pub(crate) async fn acknowledge_feed(
    known: Known,
    State(surface): State<Surface>,
    Path(department): Path<String>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<FeedCursorView>, Problem> {
    let department = named(&department)?;
    known.may_take(&department)?;
    let (cursor, position) = read_object(value, acknowledged).map_err(Problem::fields)?;
    let cursor = cursor.map_or_else(main_cursor, Ok)?;
    // What is much takes several transactions; a caller who gives up waiting finds it done.
    to_the_end(async move {
        let hub = &surface.hub;
        let stands = hub.feed_acknowledge(&known.caller.actor, &department, &cursor, position);
        let stands = stands.await.map_err(|refusal| refused(refusal, At::Body))?;
        Ok(Json(FeedCursorView::from(stands)))
    })
    .await
}

/// List cursors of a feed
///
/// How far each has come, by name.
#[utoipa::path(
    get, path = "/api/v1/departments/{department}/feed/cursors", tag = "deliveries",
    params(("department" = String, Path, description = "The department.")),
    responses(
        (status = OK, body = FeedCursorListView, description = "The cursors."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department, or it does not ask."),
    ),
    security(("token" = ["feed:{department}"])),
)]
pub(crate) async fn list_feed_cursors(
    known: Known,
    State(surface): State<Surface>,
    Path(department): Path<String>,
) -> Result<Json<FeedCursorListView>, Problem> {
    let department = named(&department)?;
    known.may_take(&department)?;
    let cursors = surface.hub.feed_cursors(&department).await;
    let cursors = cursors.map_err(|refusal| refused(refusal, At::Path))?;
    Ok(Json(FeedCursorListView::from(cursors)))
}

/// Remove a cursor of a feed
///
/// What it had not acknowledged waits as before. `main` is made again when the department asks next.
#[utoipa::path(
    delete, path = "/api/v1/departments/{department}/feed/cursors/{cursor}", tag = "deliveries",
    params(
        ("department" = String, Path, description = "The department."),
        ("cursor" = String, Path, description = "The cursor."),
    ),
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department or cursor."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn remove_feed_cursor(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    Path((department, cursor)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let department = named(&department)?;
    let cursor: InstanceName = cursor.parse().map_err(|_| Problem::not_found("such cursor"))?;
    let removed = surface.hub.feed_cursor_remove(&department, &cursor).await;
    removed.map_err(|refusal| refused(refusal, At::Path))?;
    Ok(StatusCode::NO_CONTENT)
}

fn named(department: &str) -> Result<InstanceName, Problem> {
    department.parse().map_err(|_| Problem::not_found("such department"))
}

fn main_cursor() -> Result<InstanceName, Problem> {
    InstanceName::new(MAIN_CURSOR).map_err(Problem::internal)
}

/// Whether the answer is to be a stream of events.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut accepted = accepted.flat_map(|value| value.split(','));
    accepted.any(|media_type| {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// Behind which event a stream goes on that was cut off.
fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(given) = headers.get("last-event-id").filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    let position = given.to_str().ok().and_then(|text| text.parse().ok());
    let message = "should be the id of an event of this stream: a whole number";
    position
        .map(Some)
        .ok_or_else(|| Problem::query(FieldProblem::new("Last-Event-ID", message).into()))
}

/// What is asked for, as it stands in the address.
struct Asked {
    cursor: Option<InstanceName>,
    start: Option<FeedStart>,
    after: Option<u64>,
    limit: usize,
    wait: Duration,
}

impl Asked {
    fn read(fields: &mut Fields<'_>, is_stream: bool) -> Self {
        let asked = Self {
            cursor: fields.parsed("cursor"),
            start: fields.parsed("start"),
            after: number(fields, "after", 0..=u64::MAX),
            limit: number(fields, "limit", 1..=ITEMS_MAX as u64)
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(ITEMS_USUAL),
            wait: wait(fields),
        };
        if is_stream && !asked.wait.is_zero() {
            fields.fault("wait", "is for pages; a stream of events goes on by itself");
        }
        asked
    }

    fn of(self, department: InstanceName) -> Result<FeedWanted, Problem> {
        Ok(FeedWanted {
            department,
            cursor: self.cursor.map_or_else(main_cursor, Ok)?,
            start: self.start,
            after: self.after,
            limit: self.limit,
            wait: self.wait,
        })
    }
}

fn number(fields: &mut Fields<'_>, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let text = fields.text(key)?;
    let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
    if number.is_none() {
        let (from, to) = range.into_inner();
        fields.fault(key, format!("should be a whole number from {from} to {to}"));
    }
    number
}

fn wait(fields: &mut Fields<'_>) -> Duration {
    let Some(text) = fields.text("wait") else {
        return Duration::ZERO;
    };
    match Span::parse(&text) {
        Ok(Span(wait)) if wait <= WAIT_MAX => return wait,
        Ok(_) => fields.fault("wait", "should be no longer than 60s"),
        Err(message) => fields.fault("wait", message),
    }
    Duration::ZERO
}

fn acknowledged(fields: &mut Fields<'_>) -> Option<(Option<InstanceName>, u64)> {
    let cursor = fields.parsed("cursor");
    if !fields.has("position") {
        fields.fault(
            "position",
            "is needed: up to where everything is kept, as \"next\" of a page or the id of an event",
        );
    }
    let position = fields.natural("position");
    Some((cursor, position?))
}

/// Where it stood what is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Path,
    Query,
    Body,
}

/// What is wrong with what was asked, told of the field in which it stands.
fn refused(refusal: FeedRefusal, at: At) -> Problem {
    let field = match (&refusal, at) {
        (FeedRefusal::Cursor { .. }, At::Query | At::Body) => "cursor",
        (FeedRefusal::Start, _) => "start",
        (FeedRefusal::Beyond { .. }, At::Body) => "position",
        (FeedRefusal::Beyond { .. }, _) => "after",
        (FeedRefusal::Department { .. } | FeedRefusal::Cursor { .. }, _) => {
            return Problem::new(Sort::NotFound, refusal.to_string());
        }
        (FeedRefusal::Cursors { .. }, _) => return Problem::new(Sort::Conflict, refusal.to_string()),
        (FeedRefusal::Fault(_), _) => "",
    };
    match refusal {
        FeedRefusal::Fault(fault) => fault.into(),
        refusal => {
            let fault = FieldProblem::new(field, refusal.to_string());
            match at {
                At::Body => Problem::fields(fault),
                At::Path | At::Query => Problem::query(fault.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
