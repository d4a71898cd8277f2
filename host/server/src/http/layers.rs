//! The layers around the routes, from the outside in: request id, log and metrics, panics, security headers, problem
//! bodies; and for the routes of the API besides: a time limit, a body limit. How much is let in at all is decided before
//! (`overload`).

use std::any::Any;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, header};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use super::body::BodyLimit;
use super::line_time::LineTimed;
use super::problem::PROBLEM_JSON;
use super::{Problem, Sort, headers, observe};
use crate::surface::Surface;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a caller's own; it stands in every line that the log has about the request.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// Bytes of a body that is read whole although the work may last: the paths of an import are many.
const LASTING_BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of the framework's own words about a refusal; they are one short line.
const BARE_TEXT_BYTES_MAX: usize = 1000;
/// When a caller who was turned away should come back.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bounds a short exchange: its time and its body.
pub(crate) fn bound_exchange(router: Router<Surface>, time_max: Duration, body_bytes_max: usize) -> Router<Surface> {
    bound_time(router.layer(Extension(BodyLimit(body_bytes_max))), time_max)
}

/// Bounds what streams or works on: it may last, and a stream may grow, but each of its lines has to come within `line_max`.
pub(crate) fn bound_lasting(router: Router<Surface>, line_max: Duration) -> Router<Surface> {
    router
        .layer(Extension(BodyLimit(LASTING_BODY_BYTES_MAX)))
        .layer(middleware::from_fn_with_state(line_max, watch_lines))
}

async fn watch_lines(State(line_max): State<Duration>, request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(LineTimed::new(body, line_max))))
        .await
}

/// Gives up what is not answered within `time_max`.
pub(crate) fn bound_time(router: Router<Surface>, time_max: Duration) -> Router<Surface> {
    router.layer(middleware::from_fn_with_state(time_max, answer_within))
}

async fn answer_within(State(time_max): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(time_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timed_out(time_max).into_response(),
    }
}

/// What every answer of this surface goes through, whatever the route.
pub(crate) fn wrap(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new([
                header::AUTHORIZATION,
                header::COOKIE,
            ]))
            .layer(middleware::from_fn(drop_unfit_request_id))
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(middleware::from_fn(observe::observe))
            .layer(middleware::from_fn(headers::secure))
            .layer(middleware::from_fn(explain_bare_refusals))
            .layer(CatchPanicLayer::custom(panicked)),
    )
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

/// A caller's own request id is kept when it is short and plain; anything else gets one of ours instead.
async fn drop_unfit_request_id(mut request: Request, next: Next) -> Response {
    if !has_fit_request_id(request.headers()) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

fn has_fit_request_id(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(REQUEST_ID).iter();
    let (Some(id), None) = (given.next(), given.next()) else {
        return false;
    };
    let id = id.as_bytes();
    (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Refusals that come from the framework carry plain text or nothing; callers get a problem instead.
async fn explain_bare_refusals(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let refuses = status.is_client_error() || status.is_server_error();
    if !refuses || speaks_for_itself(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let allow = parts.headers.get(header::ALLOW).and_then(|value| value.to_str().ok());
    match (Sort::of_status(status), allow) {
        (Sort::MethodNotAllowed, Some(allow)) => Problem::method_not_allowed(allow.to_owned()),
        (Sort::NotFound, _) => Problem::not_found("such address"),
        (Sort::Busy, _) => Problem::busy(BUSY_RETRY_AFTER),
        // What the framework did not understand it says itself; of its own troubles the caller learns nothing.
        (sort, _) if status.is_client_error() => {
            let said = bare_text(body).await;
            Problem::new(sort, said.unwrap_or_else(|| sort.explanation().to_owned()))
        }
        (sort, _) => Problem::new(sort, sort.explanation()),
    }
    .into_response()
}

/// Whether an answer has a form that its reader knows: a problem, what an address has to say beside its status, a page.
fn speaks_for_itself(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    [PROBLEM_JSON, "application/json", "text/html"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

async fn bare_text(body: Body) -> Option<String> {
    let bytes = to_bytes(body, BARE_TEXT_BYTES_MAX).await.ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{REQUEST_ID, has_fit_request_id, speaks_for_itself};
    use http::{HeaderMap, HeaderValue, header};

    #[test]
    fn only_short_plain_request_ids_are_kept() {
        let fit = |ids: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for id in ids {
                headers.append(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
            }
            has_fit_request_id(&headers)
        };
        assert!(fit(&[b"order-17/retry:2"]) && fit(&[&[b'a'; 64]]));
        for unfit in [&[b'a'; 65][..], b"", b"two words", b"tab\there", "طلب".as_bytes()] {
            assert!(!fit(&[unfit]), "{unfit:?}");
        }
        assert!(!fit(&[]) && !fit(&[b"one", b"two"]));
    }

    #[test]
    fn answers_with_a_form_of_their_own_are_left_alone() {
        let of = |content_type: &'static str| {
            speaks_for_itself(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                HeaderValue::from_static(content_type),
            )]))
        };
        assert!(
            of("application/json") && of("application/problem+json; charset=utf-8") && of("text/html; charset=utf-8")
        );
        assert!(!of("text/plain; charset=utf-8") && !speaks_for_itself(&HeaderMap::new()));
    }
}
