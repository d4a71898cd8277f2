//! Answers that are written line by line (NDJSON) while the work goes on.

use std::io;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

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
    /// Told that the answer is whole, where that does not stand in its last line.
    end: Option<oneshot::Sender<()>>,
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
                // Without it the answer is not whole.
                self.end = None;
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

    /// Ends an answer of [`ndjson_to_the_end`]: what was sent is all there is.
    pub(crate) fn finish(self) {
        if let Some(end) = self.end
            && end.send(()).is_err()
        {
            tracing::debug!("the reader of an answer went away before its end");
        }
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
    answer(place, None, None)
}

/// As [`ndjson`], for lines of which none says that it is the last: unless they end with [`Lines::finish`], the answer breaks
/// off instead of ending, whatever became of their writer, and its reader sees that it is not whole.
pub(crate) fn ndjson_to_the_end(place: Place) -> (Lines, Response) {
    let (end, ended) = oneshot::channel();
    answer(place, Some(end), Some(ended))
}

fn answer(place: Place, end: Option<oneshot::Sender<()>>, ended: Option<oneshot::Receiver<()>>) -> (Lines, Response) {
    let (chunks, receiver) = mpsc::channel::<Bytes>(CHUNKS_WAITING_MAX);
    let stream = stream::unfold((receiver, ended), |(mut receiver, ended)| async move {
        if let Some(chunk) = receiver.recv().await {
            return Some((Ok(chunk), (receiver, ended)));
        }
        match ended?.await {
            Ok(()) => None,
            Err(_) => Some((Err(io::Error::other("the answer is not whole")), (receiver, None))),
        }
    });
    let response = ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(stream)).into_response();
    let lines = Lines {
        chunks,
        pending: Vec::new(),
        place,
        end,
    };
    (lines, response)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::{ndjson, ndjson_to_the_end};
    use crate::http::overload::Place;

    #[tokio::test]
    async fn an_answer_without_its_end_breaks_off() {
        let (mut lines, response) = ndjson_to_the_end(Place::default());
        lines.send(&"سطر").await.unwrap();
        drop(lines);
        response.into_body().collect().await.unwrap_err();

        let (mut lines, response) = ndjson_to_the_end(Place::default());
        lines.send(&"سطر").await.unwrap();
        lines.finish();
        let whole = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(whole, "\"سطر\"\n");

        // The last line of the others says how they ended.
        let (lines, response) = ndjson(Place::default());
        drop(lines);
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}
