//! Bodies that are read whole, and those that are one JSON value.

use std::error::Error;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde_json::Value;

use super::{Problem, Sort};
use crate::json;

/// Bytes of a body that an address takes. Its layers put this into each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

impl BodyLimit {
    /// Where no layer said otherwise.
    const UNSAID: Self = Self(256 << 10);
}

/// One JSON value, and the bytes it was read from.
pub(crate) struct JsonBody {
    /// The value.
    pub(crate) value: Value,
    /// The bytes, for an idempotency key's hash.
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        demand_json(&parts.headers)?;
        let BodyLimit(limit) = parts.extensions.get().copied().unwrap_or(BodyLimit::UNSAID);
        let bytes = whole_body(&parts.headers, body, limit).await?;
        let value = json::parse(&bytes).map_err(|fault| Problem::new(Sort::InvalidJson, fault.to_string()))?;
        Ok(Self { value, bytes })
    }
}

/// All bytes of a body, of which there may be `limit`. One whose length is announced as larger is not read at all.
///
/// # Errors
/// The body is larger than the limit, or the caller broke off.
pub(crate) async fn whole_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Problem> {
    if announced(headers).is_some_and(|bytes| bytes > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    to_bytes(body, limit).await.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => Problem::too_large(limit),
        _ => Problem::new(Sort::InvalidRequest, "the body ended early").with_private(error),
    })
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::whole_body;
    use axum::body::Body;
    use http::{HeaderMap, HeaderValue, header};

    async fn refusal(announced: &'static str, body: Body) -> String {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(announced))]);
        whole_body(&headers, body, 16).await.unwrap_err().into_view().detail
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_refused_with_the_limit_in_bytes() {
        let exact = whole_body(&HeaderMap::new(), Body::from("a".repeat(16)), 16)
            .await
            .unwrap();
        assert_eq!(exact.len(), 16);
        // Nine letters, eighteen bytes.
        assert!(refusal("", Body::from("شكراجزيلا")).await.contains("16 bytes"));
        // What says beforehand that it is too long is not waited for.
        let never = futures_util::stream::pending::<Result<String, std::io::Error>>();
        assert!(refusal("17", Body::from_stream(never)).await.contains("16 bytes"));
    }
}
