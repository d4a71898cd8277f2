//! Whether the hub is alive, whether it can work, and its metrics.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use mihwar_hub::{Check, DestinationState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::destinations::error_share;
use crate::http::caller::Visitor;
use crate::http::problem::ProblemView;
use crate::http::{Problem, Sort};
use crate::surface::Surface;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckView {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether the hub is not ready without it.
    pub vital: bool,
    /// What was found; told to callers with a token or at this machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether the hub can work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// All vital checks are good.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<CheckView>,
}

/// Is the process alive?
///
/// Answers as long as the process can answer at all.
#[utoipa::path(
    get, path = "/health/live", tag = "health",
    responses((status = OK, body = String, content_type = "text/plain", description = "alive")),
    security(()),
)]
pub(crate) async fn live() -> &'static str {
    "alive\n"
}

/// Can the hub work?
///
/// Really checks: that the store writes, that there is room, that the workers run and keep up, that the plugins are well.
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses(
        (status = OK, body = Readiness, description = "It can."),
        (status = SERVICE_UNAVAILABLE, body = Readiness, description = "It cannot; the checks say why."),
    ),
    security(()),
)]
pub(crate) async fn ready(State(surface): State<Surface>, visitor: Visitor) -> Response {
    let may_see = visitor.may_see_figures();
    let checks = surface.readiness().await;
    let ready = checks.iter().all(|check| check.ok || !check.vital);
    let view = |check: Check| CheckView {
        name: check.name,
        ok: check.ok,
        vital: check.vital,
        detail: may_see.then_some(check.detail),
    };
    let checks = checks.into_iter().map(view).collect();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness { ready, checks })).into_response()
}

/// Read the metrics
///
/// For Prometheus. From this machine without a token, from elsewhere with any good one.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses(
        (status = OK, body = String, content_type = "text/plain", description = "Prometheus text."),
        (status = UNAUTHORIZED, body = ProblemView, content_type = "application/problem+json", description = "A token is needed."),
    ),
    security((), ("token" = [])),
)]
pub(crate) async fn read_metrics(State(surface): State<Surface>, visitor: Visitor) -> Result<Response, Problem> {
    if !visitor.may_see_figures() {
        return Err(Problem::new(
            Sort::Unauthenticated,
            "metrics are shown from elsewhere only with a token",
        ));
    }
    let Some(metrics) = &surface.metrics else {
        return Err(Problem::not_found("recorder of metrics"));
    };
    measure(&surface).await?;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], metrics.render()).into_response())
}

/// What is known without counting along is measured when somebody asks: as it stands, without work for the hub.
async fn measure(surface: &Surface) -> Result<(), Problem> {
    let overview = surface.hub.overview_as_it_is().await?;
    gauge("mihwar_ledger_entries", overview.ledger_size);
    gauge("mihwar_read_models_behind", overview.unfolded);
    gauge("mihwar_feedback_records", overview.feedback);
    for (destination, by_state) in overview.deliveries {
        for (state, count) in by_state {
            let labels = [("destination", destination.clone()), ("state", state)];
            metrics::gauge!("mihwar_deliveries", &labels).set(exact(count));
        }
    }
    for status in surface.hub.destinations_as_they_are().await? {
        let label = [("destination", status.name.to_string())];
        metrics::gauge!("mihwar_delivery_lag_seconds", &label).set(exact(status.lag_ms.unwrap_or(0)) / 1_000.0);
        metrics::gauge!("mihwar_delivery_error_share", &label).set(error_share(&status).unwrap_or(0.0));
        for state in [DestinationState::Paused, DestinationState::Failing] {
            let labels = [
                ("destination", status.name.to_string()),
                ("state", state.as_str().to_owned()),
            ];
            metrics::gauge!("mihwar_destination_state", &labels).set(f64::from(u8::from(status.state == state)));
        }
    }
    if let Some(bytes) = resident_bytes() {
        gauge("process_resident_memory_bytes", bytes);
    }
    Ok(())
}

fn gauge(name: &'static str, value: u64) {
    metrics::gauge!(name).set(exact(value));
}

/// Gauges are floating point: above 2^53 the last digits are lost, which no count here reaches.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) const fn exact(value: u64) -> f64 {
    value as f64
}

/// Memory that the process holds, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
