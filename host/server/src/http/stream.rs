//! Answers that are written line by line (NDJSON) while the work goes on.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Serialize;
use tokio::sync::mpsc;

use super::overload::Place;
use super::problem::ProblemView;

/// Media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// Chunks that may wait for a slow reader before the work waits for them.
const CHUNKS_WAITING_MAX: usize = 4;

/// The writing end of such an answer.
pub(crate) struct Lines {
    chunks: mpsc::Sender<Bytes>,
    pending: Vec<u8>,
    /// Taken for as long as somebody works on the lines, also when nobody reads them any more.
    place: Place,
}

/// The reader has gone; there is nobody to go on for.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl Lines {
    /// A share of the stream's place, for work that may outlast the lines.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Adds one line to what is sent next.
    pub(crate) fn push(&mut self, line: &impl Serialize) {
        let before = self.pending.len();
        match serde_json::to_writer(&mut self.pending, line) {
            Ok(()) => self.pending.push(b'\n'),
            Err(error) => {
                self.pending.truncate(before);
                tracing::error!(%error, "a line of an answer could not be written");
            }
        }
    }

    /// Sends what waits; waits itself while the reader is behind.
    pub(crate) async fn flush(&mut self) -> Result<(), ReaderGone> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.pending));
        self.chunks.send(chunk).await.map_err(|_| ReaderGone)
    }

    /// Adds a line and sends it.
    pub(crate) async fn send(&mut self, line: &impl Serialize) -> Result<(), ReaderGone> {
        self.push(line);
        self.flush().await
    }
}

/// The last line of a stream that could not go on.
#[derive(Serialize)]
pub(crate) struct Stopped {
    /// Why.
    pub(crate) problem: ProblemView,
}

/// A line-by-line answer, and the end into which its lines are written. Until both are gone, `place` is taken.
pub(crate) fn ndjson(place: Place) -> (Lines, Response) {
    let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let stream = stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), receiver))
    });
    let response = ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(stream)).into_response();
    (
        Lines {
            chunks,
            pending: Vec::new(),
            place,
        },
        response,
    )
}
