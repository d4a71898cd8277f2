//! Bodies that are read whole, and those that are one JSON value.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::Value;

use super::overload::{Passage, Place};
use super::{Problem, Sort};
use crate::json;

/// Bytes of a body that an address takes. Its layers put this into each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

impl BodyLimit {
    /// Where no layer said otherwise.
    const UNSAID: Self = Self(256 << 10);

    fn of(parts: &Parts) -> usize {
        let Self(limit) = parts.extensions.get().copied().unwrap_or(Self::UNSAID);
        limit
    }
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
        let bytes = whole_body(&parts, body, BodyLimit::of(&parts)).await?;
        let value = parsed(&bytes)?;
        Ok(Self { value, bytes })
    }
}

/// One JSON value, for work that needs none: no body, and null, are none. With the place that the request has once its body
/// is read.
pub(crate) struct MaybeJson {
    /// The value.
    pub(crate) value: Option<Value>,
    /// For work that goes on behind the answer's head.
    pub(crate) place: Place,
}

impl<S: Send + Sync> FromRequest<S> for MaybeJson {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let bytes = whole_body(&parts, body, BodyLimit::of(&parts)).await?;
        let value = if bytes.trim_ascii().is_empty() {
            Value::Null
        } else {
            demand_json(&parts.headers)?;
            parsed(&bytes)?
        };
        let Ok(place) = Place::from_request_parts(&mut parts, state).await;
        Ok(Self {
            value: Some(value).filter(|value| !value.is_null()),
            place,
        })
    }
}

fn parsed(bytes: &[u8]) -> Result<Value, Problem> {
    json::parse(bytes).map_err(|fault| Problem::new(Sort::InvalidJson, fault.to_string()))
}

/// All bytes of a body, of which there may be `limit`. One whose length is announced as larger is not read at all. While the
/// sender is waited for, the request's place is free for others.
///
/// # Errors
/// The body is larger than the limit, or the caller broke off; all bodies together hold as much as they may; the place was
/// taken meanwhile.
pub(crate) async fn whole_body(parts: &Parts, mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let passage = parts.extensions.get::<Passage>();
    let announced = announced(&parts.headers);
    if let Some(bytes) = announced {
        if bytes > limit as u64 {
            return Err(Problem::too_large(limit));
        }
        if let Some(passage) = passage {
            passage.room_for(bytes)?;
        }
    }
    let mut pieces = Pieces::expecting(announced.and_then(|bytes| usize::try_from(bytes).ok()));
    // Mostly it has come with the headers.
    if let Some(gathered) = pieces.gather(&mut body, limit, passage).now_or_never() {
        gathered?;
        return Ok(pieces.whole());
    }
    if let Some(passage) = passage {
        passage.step_aside();
    }
    pieces.gather(&mut body, limit, passage).await?;
    if let Some(passage) = passage {
        passage.come_back()?;
    }
    Ok(pieces.whole())
}

/// What has come of a body.
struct Pieces {
    /// Room that is made at once for all pieces, so that they are not copied again and again. It is the system's until
    /// something is written to it.
    expected: usize,
    /// The first piece; mostly it is all, and nothing is copied.
    first: Bytes,
    /// All pieces, once there are more.
    all: BytesMut,
}

impl Pieces {
    fn expecting(bytes: Option<usize>) -> Self {
        Self {
            expected: bytes.unwrap_or_default(),
            first: Bytes::new(),
            all: BytesMut::new(),
        }
    }

    /// Takes what comes until the body ends. Nothing is lost when this is dropped and begun again.
    async fn gather(&mut self, body: &mut Body, limit: usize, passage: Option<&Passage>) -> Result<(), Problem> {
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Problem::new(Sort::InvalidRequest, "the body ended early").with_private(error))?;
            let Ok(piece) = frame.into_data() else { continue };
            if self.len() + piece.len() > limit {
                return Err(Problem::too_large(limit));
            }
            if let Some(passage) = passage {
                passage.hold(piece.len())?;
            }
            self.add(piece);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn add(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(self.expected);
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
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
    use futures_util::{StreamExt, stream};
    use http::Request;
    use http::request::Parts;

    fn announcing(length: &'static str) -> Parts {
        let request = Request::post("/").header("content-length", length);
        request.body(()).unwrap().into_parts().0
    }

    async fn refusal(announced: &'static str, body: Body) -> String {
        let refused = whole_body(&announcing(announced), body, 16).await;
        refused.unwrap_err().into_view().detail
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_refused_with_the_limit_in_bytes() {
        let exact = whole_body(&announcing(""), Body::from("a".repeat(16)), 16).await;
        assert_eq!(exact.unwrap().len(), 16);
        // Nine letters, eighteen bytes.
        assert!(refusal("", Body::from("شكراجزيلا")).await.contains("16 bytes"));
        // What says beforehand that it is too long is not waited for.
        let never = stream::pending::<Result<String, std::io::Error>>();
        assert!(refusal("17", Body::from_stream(never)).await.contains("16 bytes"));
    }

    #[tokio::test]
    async fn pieces_that_come_late_are_put_together() {
        let late = stream::iter(["شكرا", " ", "جزيلا"]).then(async |piece| {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(piece)
        });
        let whole = whole_body(&announcing(""), Body::from_stream(late), 100).await;
        assert_eq!(whole.unwrap(), "شكرا جزيلا");
    }
}
