//! A stream of feedback in, and line by line what became of it.

mod lines;
mod run;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use mihwar_model::InstanceName;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accept::own_instance;
use super::wire::FeedbackInput;
use crate::http::overload::Place;
use crate::http::own::refuse_own;
use crate::http::problem::ProblemView;
use crate::http::query::read_query;
use crate::http::stream::ndjson;
use crate::http::{Allowed, Problem, Sort, Write};
use crate::json::Fields;
use crate::surface::Surface;
use run::Run;

/// What became of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineResult {
    /// Number of the line, from 1; empty lines count.
    pub line: u64,
    /// `new`, `revised`, `duplicate` or `refused`.
    #[schema(example = "new")]
    pub result: String,
    /// The hub's id of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemView>,
}

/// The last line: how it went altogether.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchSummary {
    /// Counts of all lines.
    pub summary: BatchCounts,
}

/// How many lines became what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchCounts {
    /// Lines that held something.
    pub lines: u64,
    /// New records.
    pub new: u64,
    /// New revisions.
    pub revised: u64,
    /// Known already.
    pub duplicates: u64,
    /// Refused.
    pub refused: u64,
}

/// How a stream is taken in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct BatchQuery {
    /// Name of the source; external ids are told apart by it. Left out: `api`. Not the name of a plugin instance.
    #[param(example = "branch-kiosk")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `all` (usual): an answer per line. `refused`: only lines that were refused, and the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<String>,
}

/// Hand in a stream of feedback
///
/// One record per line, without a limit to their number; a line may have 1 MiB. Each line gets its own answer, in order, once
/// it is on disk. A bad line is refused by itself; what stands beside it is kept. Read the answer while you write, or
/// ask for `results=refused`: an answer that nobody reads stops the stream, and after half a minute ends it.
#[utoipa::path(
    post, path = "/api/v1/feedback:batch", tag = "feedback",
    params(BatchQuery),
    request_body(content = FeedbackInput, content_type = "application/x-ndjson", description = "A record per line."),
    responses(
        (status = OK, body = LineResult, content_type = "application/x-ndjson",
            description = "A result per line, then the summary; a line with `problem` alone says that the stream was given up there."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The instance belongs to a plugin, or one of this hub's own departments sends."),
        (status = TOO_MANY_REQUESTS, body = ProblemView, content_type = "application/problem+json", description = "This caller has as many streams open as one may. No line was read; come back after Retry-After."),
        (status = SERVICE_UNAVAILABLE, body = ProblemView, content_type = "application/problem+json", description = "As many streams are open as the hub serves at once. No line was read; come back after Retry-After."),
    ),
    security(("token" = ["feedback:write"])),
)]
pub(crate) async fn create_feedback_batch(
    Allowed(caller, _): Allowed<Write>,
    State(surface): State<Surface>,
    place: Place,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    refuse_own(&surface.hub, &headers, uri.path())?;
    let wanted = read_query(&uri, wanted)?;
    if headers.contains_key("idempotency-key") {
        let detail = "a stream cannot be repeated under one Idempotency-Key; give each record an external_id instead";
        return Err(Problem::new(Sort::InvalidRequest, detail));
    }
    let instance = own_instance(&surface.config(), wanted.instance)?;
    let (lines, response) = ndjson(place);
    let (hub, turns) = (surface.hub.clone(), surface.streamed_groups.clone());
    tokio::spawn(Run::new(hub, turns, caller.actor, instance, wanted.all, lines).drive(body));
    Ok(response)
}

struct Wanted {
    instance: Option<InstanceName>,
    all: bool,
}

fn wanted(fields: &mut Fields<'_>) -> Wanted {
    let instance = fields.parsed("instance");
    let all = match fields.text("results").as_deref() {
        None | Some("all") => true,
        Some("refused") => false,
        Some(_) => {
            fields.fault("results", "should be all or refused");
            true
        }
    };
    Wanted { instance, all }
}
