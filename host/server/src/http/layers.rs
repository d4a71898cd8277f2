//! What surrounds the routes. For all of them, from the outside in: request id, log and metrics, security headers, problem
//! bodies, panics; and for the routes of the API besides: a time limit, a body limit. How much is let in at all is decided
//! before (`overload`).
//!
//! Each of both is one service with one future: of layers that are functions, every single one clones all that is inside of it
//! and makes two boxes, for each request.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tower::{Layer, Service};
use tower_http::request_id::{MakeRequestId, MakeRequestUuid, RequestId};
use tracing::Instrument;

use super::body::BodyLimit;
use super::line_time::LineTimed;
use super::observe::{self, Figures};
use super::problem::PROBLEM_JSON;
use super::{Problem, Sort, headers};
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

/// What a route answers with.
type Answering = BoxFuture<'static, Result<Response, Infallible>>;

/// Bounds a short exchange: its time and its body.
pub(crate) fn bound_exchange(router: Router<Surface>, time_max: Duration, body_bytes_max: usize) -> Router<Surface> {
    router.layer(Bounds {
        body: Some(BodyLimit(body_bytes_max)),
        line_max: None,
        time_max: Some(time_max),
    })
}

/// Bounds what streams or works on: it may last, and a stream may grow, but each of its lines has to come within `line_max`.
pub(crate) fn bound_lasting(router: Router<Surface>, line_max: Duration) -> Router<Surface> {
    router.layer(Bounds {
        body: Some(BodyLimit(LASTING_BODY_BYTES_MAX)),
        line_max: Some(line_max),
        time_max: None,
    })
}

/// Gives up what is not answered within `time_max`.
pub(crate) fn bound_time(router: Router<Surface>, time_max: Duration) -> Router<Surface> {
    router.layer(Bounds {
        body: None,
        line_max: None,
        time_max: Some(time_max),
    })
}

/// What bounds the routes of one part.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    body: Option<BodyLimit>,
    line_max: Option<Duration>,
    time_max: Option<Duration>,
}

impl Layer<Route> for Bounds {
    type Service = Bounded;

    fn layer(&self, inner: Route) -> Bounded {
        Bounded { inner, bounds: *self }
    }
}

/// A route within its bounds.
#[derive(Clone)]
struct Bounded {
    inner: Route,
    bounds: Bounds,
}

impl Service<Request> for Bounded {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answering {
        let Bounds {
            body,
            line_max,
            time_max,
        } = self.bounds;
        if let Some(limit) = body {
            request.extensions_mut().insert(limit);
        }
        if let Some(line_max) = line_max {
            request = request.map(|body| Body::new(LineTimed::new(body, line_max)));
        }
        let answering = self.inner.call(request);
        Box::pin(async move {
            let Some(time_max) = time_max else {
                return answering.await;
            };
            match tokio::time::timeout(time_max, answering).await {
                Ok(answered) => answered,
                Err(_) => Ok(Problem::timed_out(time_max).into_response()),
            }
        })
    }
}

/// What every answer of this surface goes through, whatever the route.
pub(crate) fn wrap(router: Router) -> Router {
    router.layer(Surroundings::default())
}

/// What all routes have around them, and share.
#[derive(Clone, Default)]
struct Surroundings {
    figures: Arc<Figures>,
}

impl Layer<Route> for Surroundings {
    type Service = Surrounded;

    fn layer(&self, inner: Route) -> Surrounded {
        Surrounded {
            inner,
            figures: Arc::clone(&self.figures),
        }
    }
}

/// A route with all that is around it.
#[derive(Clone)]
struct Surrounded {
    inner: Route,
    figures: Arc<Figures>,
}

impl Service<Request> for Surrounded {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A route is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Answering {
        mark_secrets(request.headers_mut());
        let id = request_id(&mut request);
        let method = observe::method_label(request.method());
        let path = request.extensions().get::<MatchedPath>().cloned();
        let policy = headers::policy(request.uri().path());
        let figures = Arc::clone(&self.figures);
        let answering = self.inner.call(request);
        Box::pin(async move {
            let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
            let named = id.to_str().unwrap_or_default();
            let span = tracing::info_span!("request", method, route, id = named);
            let started = Instant::now();
            let mut response = answer(answering, policy).instrument(span.clone()).await;
            let (status, took) = (response.status().as_u16(), started.elapsed());
            span.in_scope(|| tracing::debug!(status, duration_ms = took.as_secs_f64() * 1e3, "answered {status}"));
            figures.note(route, method, status, took);
            response.headers_mut().entry(REQUEST_ID).or_insert(id);
            Ok(response)
        })
    }
}

/// The answer of a route, in a form that its reader knows, with the headers that every answer has.
async fn answer(answering: impl Future<Output = Result<Response, Infallible>>, policy: &'static str) -> Response {
    let response = match AssertUnwindSafe(answering).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(panic) => panicked(&*panic),
    };
    let mut response = explained(response).await;
    headers::secure(response.headers_mut(), policy);
    response
}

fn panicked(payload: &(dyn Any + Send)) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    metrics::counter!("mihwar_http_panics_total").increment(1);
    Problem::internal(format_args!("a handler panicked: {text}")).into_response()
}

/// Has what proves who somebody is left out wherever headers are printed.
fn mark_secrets(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, header::COOKIE] {
        if let header::Entry::Occupied(mut values) = headers.entry(name) {
            values.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
}

/// The id of a request, which it has in its headers from then on. A caller's own is kept when it is short and plain; anything
/// else gets one of ours instead.
fn request_id(request: &mut Request) -> HeaderValue {
    if has_fit_request_id(request.headers())
        && let Some(id) = request.headers().get(REQUEST_ID)
    {
        return id.clone();
    }
    let made = MakeRequestUuid.make_request_id(&*request);
    let id = made.map_or_else(|| HeaderValue::from_static("none"), RequestId::into_header_value);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    id
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
async fn explained(response: Response) -> Response {
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
    use super::{PROBLEM_JSON, REQUEST_ID, has_fit_request_id, speaks_for_itself, wrap};
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use tower::ServiceExt;

    async fn fall() -> &'static str {
        panic!("سقط")
    }

    #[tokio::test]
    async fn a_handler_that_falls_is_answered_for_with_all_that_every_answer_has() {
        let routes = wrap(Router::new().route("/fall", get(fall)));
        let request = http::Request::get("/fall").header(REQUEST_ID, "order-17");
        let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers();
        assert_eq!(headers[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(headers[REQUEST_ID], "order-17");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }

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
