//! Departments as deliveries see them: how they stand, and what makes them go on.

use axum::Json;
use axum::extract::State;
use http::Uri;
use mihwar_hub::{BackFill, BackFillReport, DestinationCheck, DestinationRefusal, DestinationState, DestinationStatus};
use mihwar_model::{InstanceName, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::PageQuery;
use super::health::exact;
use crate::http::body::JsonBody;
use crate::http::lasting::to_the_end;
use crate::http::problem::ProblemView;
use crate::http::query::{PageWanted, read_query};
use crate::http::{Admin, Allowed, Problem, Read, Sort};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// How one department stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Destination)]
pub struct DestinationView {
    /// The department instance.
    pub name: String,
    /// `open`, `paused` (somebody has to act), `failing` (it does not answer, and is tried now and then), `held` (it asked to be
    /// let alone), `quiet`, `asking` (it takes what is for it by its feed), or `missing` (it is not configured any more).
    #[schema(example = "open")]
    pub state: String,
    /// Since when it is paused, or does not answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Time>,
    /// When something is handed over again, or it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Time>,
    /// Short reason of a pause.
    pub code: Option<String>,
    /// What its plugin said, where it is paused.
    pub reason: Option<String>,
    /// When the next digest goes out, where it gets digests.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_digest: Option<Time>,
    /// Deliveries that were not attempted yet.
    pub waiting: u64,
    /// Deliveries that were attempted without success, and are tried again.
    pub retrying: u64,
    /// Dead letters.
    pub dead: u64,
    /// Since when the first in line waits.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Time>,
    /// Milliseconds for which it has waited.
    pub lag_ms: Option<u64>,
    /// Attempts of the last quarter of an hour, as far as the hub ran.
    pub attempts: u64,
    /// Which part of them failed, from 0 to 1; null without attempts.
    pub error_share: Option<f64>,
}

impl From<DestinationStatus> for DestinationView {
    fn from(status: DestinationStatus) -> Self {
        Self {
            error_share: error_share(&status),
            name: status.name.to_string(),
            state: status.state.as_str().to_owned(),
            since: status.since,
            until: status.until,
            code: status.code,
            reason: status.reason,
            next_digest: status.next_digest,
            waiting: status.waiting,
            retrying: status.retrying,
            dead: status.dead,
            oldest: status.oldest,
            lag_ms: status.lag_ms,
            attempts: status.attempts,
        }
    }
}

/// Which part of the attempts failed lately.
pub(crate) fn error_share(status: &DestinationStatus) -> Option<f64> {
    (status.attempts > 0).then(|| exact(status.failures) / exact(status.attempts))
}

/// One page of departments, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationPageView {
    /// The departments of this page.
    pub items: Vec<DestinationView>,
    /// Hand it back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// Which departments are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct DestinationQuery {
    /// `open`, `paused`, `failing`, `held`, `quiet`, `asking` or `missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Which department is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationInput {
    /// The department instance.
    #[schema(example = "billing")]
    pub department: String,
}

/// Whether there was anything to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResumedView {
    /// False when nothing kept deliveries back.
    pub resumed: bool,
}

/// What a department's plugin found when it looked at the other system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DestinationCheck)]
pub struct CheckedView {
    /// Whose credentials it uses, if the other system tells.
    pub account: Option<String>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Whether deliveries go on that had been kept back.
    pub resumed: bool,
}

impl From<DestinationCheck> for CheckedView {
    fn from(check: DestinationCheck) -> Self {
        Self {
            account: check.account,
            notes: check.notes,
            resumed: check.resumed,
        }
    }
}

/// What a department is filled up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackFillInput {
    /// The department instance.
    #[schema(example = "billing")]
    pub department: String,
    /// Records received at or after (RFC 3339).
    #[schema(example = "2026-11-15T00:00:00+03:00")]
    pub from: String,
    /// Records received before (RFC 3339); left out: all that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What was put into an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackFilledView {
    /// Records that were looked at.
    pub looked_at: u64,
    /// Deliveries that wait now.
    pub filled: u64,
    /// Records that the department had, or that waited for it, already.
    pub known: u64,
    /// Records that could not be read, or whose contact was being erased; the hub's log names them.
    pub left_out: u64,
}

impl From<BackFillReport> for BackFilledView {
    fn from(report: BackFillReport) -> Self {
        Self {
            looked_at: report.looked_at,
            filled: report.filled,
            known: report.known,
            left_out: report.left_out,
        }
    }
}

impl From<DestinationRefusal> for Problem {
    fn from(refusal: DestinationRefusal) -> Self {
        match refusal {
            DestinationRefusal::Unknown(_) => Self::not_found("such department"),
            DestinationRefusal::Unreachable(_) => Self::new(Sort::Conflict, refusal.to_string()),
            DestinationRefusal::Fault(fault) => fault.into(),
        }
    }
}

/// List departments
///
/// How deliveries to each stand, by name: those that are configured, and those for which something waits although they are not.
/// With a state a page may hold few, or none, and still have a next one.
#[utoipa::path(
    get, path = "/api/v1/destinations", tag = "deliveries",
    params(DestinationQuery, PageQuery),
    responses(
        (status = OK, body = DestinationPageView, description = "A page."),
        (status = BAD_REQUEST, body = ProblemView, content_type = "application/problem+json", description = "The query is wrong."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn list_destinations(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    uri: Uri,
) -> Result<Json<DestinationPageView>, Problem> {
    let read = |fields: &mut Fields<'_>| (fields.parsed::<DestinationState>("state"), PageWanted::read(fields));
    let (state, page) = read_query(&uri, read)?;
    let cursor = page.cursor.as_deref();
    let found = surface.hub.destination_page(state, cursor, page.limit).await?;
    Ok(Json(DestinationPageView {
        items: found.items.into_iter().map(DestinationView::from).collect(),
        next: found.next,
    }))
}

/// Resume a department
///
/// Takes back whatever keeps deliveries from going out: a pause, that it did not answer, or that it asked to be let alone.
#[utoipa::path(
    post, path = "/api/v1/destinations:resume", tag = "deliveries",
    request_body = DestinationInput,
    responses(
        (status = OK, body = ResumedView, description = "They go."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The body says not which."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn resume_destination(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<ResumedView>, Problem> {
    let name = read_object(value, department).map_err(Problem::fields)?;
    let resumed = surface.hub.destination_resume(&caller.actor, &name).await?;
    Ok(Json(ResumedView { resumed }))
}

/// Check a department
///
/// Has its plugin look whether it reaches the other system, without doing anything there. If it does, deliveries go on.
#[utoipa::path(
    post, path = "/api/v1/destinations:check", tag = "deliveries",
    request_body = DestinationInput,
    responses(
        (status = OK, body = CheckedView, description = "It reaches the other system."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department."),
        (status = CONFLICT, body = ProblemView, content_type = "application/problem+json", description = "It does not reach the other system; the detail says why."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The body says not which."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn check_destination(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<CheckedView>, Problem> {
    let name = read_object(value, department).map_err(Problem::fields)?;
    to_the_end(async move {
        let checked = surface.hub.destination_check(&caller.actor, &name).await?;
        Ok(Json(CheckedView::from(checked)))
    })
    .await
}

/// Fill a department up
///
/// Puts into its outbox what the rules in force would have chosen for it, as if it had been there before. What it was given
/// already is left out, so that this may be done again. It goes out beside what comes now, with a quarter of the places, and
/// never before what the same person said earlier. That goes on when its caller goes away.
#[utoipa::path(
    post, path = "/api/v1/destinations:backfill", tag = "deliveries",
    request_body = BackFillInput,
    responses(
        (status = OK, body = BackFilledView, description = "What waits now."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is no such department."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "The body says not which, or since when."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn backfill_destination(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Json<BackFilledView>, Problem> {
    let wanted = read_object(value, back_fill).map_err(Problem::fields)?;
    to_the_end(async move {
        let report = surface.hub.destination_fill(&caller.actor, &wanted).await?;
        Ok(Json(BackFilledView::from(report)))
    })
    .await
}

fn department(fields: &mut Fields<'_>) -> Option<InstanceName> {
    if !fields.has("department") {
        fields.fault("department", "is needed: the name of a department instance");
    }
    fields.parsed("department")
}

fn back_fill(fields: &mut Fields<'_>) -> Option<BackFill> {
    let destination = department(fields);
    if !fields.has("from") {
        fields.fault(
            "from",
            "is needed: records received at or after, such as 2026-11-15T00:00:00+03:00",
        );
    }
    let (from, to) = (fields.time("from"), fields.time("to"));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        fields.fault("to", "is not after from");
    }
    Some(BackFill {
        destination: destination?,
        from: from?,
        to,
    })
}

#[cfg(test)]
mod tests {
    use crate::Peer;
    use crate::testing::Bench;

    #[tokio::test]
    async fn who_is_meant_must_be_said_and_must_be_there() {
        let bench = Bench::new().await;
        let listed = bench.get("/api/v1/destinations").await;
        assert_eq!(listed.json()["items"], serde_json::json!([]));
        for (path, body, status) in [
            ("resume", "{}", 422),
            ("resume", "{\"department\":\"billing\"}", 404),
            ("check", "{\"department\":\"فواتير\"}", 422),
            ("check", "{\"department\":\"billing\"}", 404),
            ("backfill", "{\"department\":\"billing\"}", 422),
            (
                "backfill",
                "{\"department\":\"billing\",\"from\":\"2026-11-15T00:00:00+03:00\"}",
                404,
            ),
            ("backfill", "{\"department\":\"billing\",\"from\":\"أمس\"}", 422),
        ] {
            let got = bench.post(&format!("/api/v1/destinations:{path}"), body).await;
            assert_eq!(got.status.as_u16(), status, "{path} {body}: {}", got.text);
        }
        assert_eq!(
            bench.get("/api/v1/destinations?state=broken").await.status.as_u16(),
            400
        );
        assert_eq!(bench.get("/api/v1/destinations?cursor=%2F").await.status.as_u16(), 400);
        let unknown = "/api/v1/deliveries/01890000-0000-7000-8000-000000000000";
        assert_eq!(bench.get(unknown).await.status.as_u16(), 404);
    }

    #[tokio::test]
    async fn what_the_hub_sent_itself_is_refused_and_what_another_hub_sends_is_not() {
        let bench = Bench::new().await;
        let hop = bench.hub.hop();
        let record = "{\"body\":\"الطابور طويل\"}";
        for (path, media_type) in [
            ("/api/v1/feedback", "application/json"),
            ("/api/v1/feedback:batch", "application/x-ndjson"),
        ] {
            for (mark, is_own) in [("0123456789abcdef", false), (hop.as_str(), true)] {
                let request = http::Request::post(path)
                    .header("content-type", media_type)
                    .header("mihwar-hop", mark)
                    .body(record.into())
                    .unwrap();
                let got = bench.send(Peer::Console, request).await;
                assert_eq!(got.status.as_u16() == 422, is_own, "{path}: {}", got.text);
                assert_eq!(got.text.contains("/problems/loop"), is_own, "{path}: {}", got.text);
            }
        }
        assert_eq!(bench.hub.overview().await.unwrap().feedback, 2);
    }
}
