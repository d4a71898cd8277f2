//! Bodies that are one JSON value.

use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::{Problem, Sort};
use crate::json;

/// One JSON value, and the bytes it was read from.
pub(crate) struct JsonBody {
    /// The value.
    pub(crate) value: Value,
    /// The bytes, for an idempotency key's hash.
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        demand_json(request.headers())?;
        let bytes = whole_body(request, state).await?;
        let value = json::parse(&bytes).map_err(|fault| Problem::new(Sort::InvalidJson, fault.to_string()))?;
        Ok(Self { value, bytes })
    }
}

/// All bytes of a body, up to the limit of the route.
///
/// # Errors
/// The body is larger than the limit, or the caller broke off.
pub(crate) async fn whole_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let text = rejection.body_text();
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(Sort::TooLarge, "the body is larger than this address takes").with_private(text)
        } else {
            Problem::new(Sort::InvalidRequest, "the body ended early").with_private(text)
        }
    })
}

fn demand_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = "this address takes a body of the media type application/json";
    Err(Problem::new(Sort::UnsupportedMediaType, detail))
}
