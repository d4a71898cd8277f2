//! Answers that go on for as long as somebody reads them: server-sent events.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Problem;
use super::overload::Place;
use super::stream::ReaderGone;

/// Media type of such an answer.
pub(crate) const EVENT_STREAM: &str = "text/event-stream";
/// Chunks that may wait for a slow reader before whoever writes waits for them.
const CHUNKS_WAITING_MAX: usize = 2;
/// In how many milliseconds a reader should come back whose stream has ended.
const RETRY_MS: u32 = 2_000;

/// The writing end of such an answer.
pub(crate) struct Events {
    chunks: mpsc::Sender<Bytes>,
    pending: String,
    /// Taken for as long as somebody works on the events, also when nobody reads them any more.
    _place: Place,
}

/// An answer of events, and the end into which they are written. It ends when that is gone.
pub(crate) fn events(place: Place) -> (Events, Response) {
    let (chunks, receiver) = mpsc::channel::<Bytes>(CHUNKS_WAITING_MAX);
    let stream = stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    let response = ([(header::CONTENT_TYPE, EVENT_STREAM)], Body::from_stream(stream)).into_response();
    let events = Events {
        chunks,
        pending: format!("retry: {RETRY_MS}\n\n"),
        _place: place,
    };
    (events, response)
}

impl Events {
    /// Adds an event. JSON in one line: line ends within texts are escaped in it.
    pub(crate) fn push(&mut self, id: u64, what: &Value) {
        self.pending.push_str(&format!("id: {id}\ndata: {what}\n\n"));
    }

    /// Adds a sign of life, of which readers take no notice.
    pub(crate) fn beat(&mut self) {
        self.pending.push_str(":\n\n");
    }

    /// Sends what waits; waits itself while the reader is behind.
    pub(crate) async fn flush(&mut self) -> Result<(), ReaderGone> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.pending));
        self.chunks.send(chunk).await.map_err(|_| ReaderGone)
    }

    /// Until the reader has gone.
    pub(crate) async fn reader_gone(&self) {
        self.chunks.closed().await;
    }

    /// Ends with an event that says why it cannot go on.
    pub(crate) async fn stopped(mut self, problem: Problem) -> Result<(), ReaderGone> {
        let view = serde_json::to_string(&problem.into_view()).unwrap_or_default();
        self.pending.push_str(&format!("event: problem\ndata: {view}\n\n"));
        self.flush().await
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::{EVENT_STREAM, events};
    use crate::http::overload::Place;
    use crate::http::{Problem, Sort};

    #[tokio::test]
    async fn each_event_is_one_line_with_its_id() {
        let (mut events, response) = events(Place::default());
        events.push(41, &json!({ "body": "سطر\nوآخر" }));
        events.beat();
        events.flush().await.unwrap();
        events.stopped(Problem::new(Sort::Busy, "لاحقًا")).await.unwrap();
        assert_eq!(response.headers()["content-type"], EVENT_STREAM);
        let whole = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&whole).unwrap();
        let rest = text
            .strip_prefix("retry: 2000\n\nid: 41\ndata: {\"body\":\"سطر\\nوآخر\"}\n\n:\n\n")
            .unwrap();
        assert!(
            rest.starts_with("event: problem\ndata: {\"type\":\"/problems/busy\""),
            "{rest}"
        );
        assert!(rest.ends_with("}\n\n"), "{rest}");
    }

    #[tokio::test]
    async fn whoever_writes_learns_that_the_reader_has_gone() {
        let (mut events, response) = events(Place::default());
        drop(response);
        events.reader_gone().await;
        events.beat();
        assert!(events.flush().await.is_err());
    }
}
