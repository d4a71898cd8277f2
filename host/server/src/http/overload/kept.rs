//! Answers that hold a place until they are sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::passage::Place;

/// Has an answer hold `place` until its last byte was handed to the system, or its reader has gone. The connection takes a
/// whole buffer over at once and sends it as slowly as it is read: so each piece holds the place, and not the body alone.
pub(super) fn keep(response: Response, place: Place) -> Response {
    if place.is_none() {
        return response;
    }
    response.map(|body| Body::new(Kept { body, place }))
}

struct Kept {
    body: Body,
    place: Place,
}

/// A piece of such an answer.
struct Piece {
    bytes: Bytes,
    /// Given back when the last byte was sent, or the connection ended.
    _place: Place,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let place = self.place.clone();
                let piece = |bytes| Bytes::from_owner(Piece { bytes, _place: place });
                Poll::Ready(Some(Ok(frame.map_data(piece))))
            }
            Poll::Ready(ended) => {
                self.place = Place::default();
                Poll::Ready(ended)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
