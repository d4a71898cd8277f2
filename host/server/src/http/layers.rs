//! The layers around the routes, from the outside in: request id, log and metrics, panics, security headers, problem
//! bodies; and for the routes of the API besides: load shedding, a bound on concurrent work, a time limit, a body limit.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

use super::problem::PROBLEM_JSON;
use super::{Problem, Sort, headers, observe};
use crate::surface::Surface;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long a caller may let a body rest.
const BODY_IDLE_MAX: Duration = Duration::from_secs(60);
/// When a caller who was turned away should come back.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bounds a short exchange: its time and its body.
pub(crate) fn bound_exchange(router: Router<Surface>, timeout: Duration, body_limit: usize) -> Router<Surface> {
    router
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, timeout))
}

/// Bounds a stream: it may last and grow, but may not rest for ever.
pub(crate) fn bound_stream(router: Router<Surface>) -> Router<Surface> {
    router
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyTimeoutLayer::new(BODY_IDLE_MAX))
}

/// Turns work away that the hub cannot take on now, instead of letting it queue.
pub(crate) fn shed_load(router: Router<Surface>, concurrent_max: usize) -> Router<Surface> {
    router.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(async |error: BoxError| turned_away(&error)))
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(concurrent_max.max(1))),
    )
}

/// What every answer of this surface goes through, whatever the route.
pub(crate) fn wrap(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new([
                header::AUTHORIZATION,
                header::COOKIE,
            ]))
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(middleware::from_fn(observe::observe))
            .layer(middleware::from_fn(headers::secure))
            .layer(middleware::from_fn(explain_bare_refusals))
            .layer(CatchPanicLayer::custom(panicked)),
    )
}

fn turned_away(error: &BoxError) -> Problem {
    if error.is::<tower::load_shed::error::Overloaded>() {
        metrics::counter!("mihwar_http_shed_total").increment(1);
        return Problem::busy(BUSY_RETRY_AFTER);
    }
    Problem::internal(error)
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands over the box")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    metrics::counter!("mihwar_http_panics_total").increment(1);
    Problem::internal(format_args!("a handler panicked: {text}")).into_response()
}

/// Refusals that come from the framework carry plain text or nothing; callers get a problem instead.
async fn explain_bare_refusals(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text == PROBLEM_JSON || text.starts_with("text/html")) {
        return response;
    }
    let allow = response
        .headers()
        .get(header::ALLOW)
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    match (Sort::of_status(status), allow) {
        (Sort::MethodNotAllowed, Some(allow)) => Problem::method_not_allowed(allow),
        (Sort::NotFound, _) => Problem::not_found("such address"),
        (Sort::Busy, _) => Problem::busy(BUSY_RETRY_AFTER),
        (sort, _) => Problem::new(sort, sort.explanation()),
    }
    .into_response()
}
