//! Bodies that come line by line, each in time.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body that fails once it was waited for longer than `line_max` since its last line ended. A stream may be slow, and may
/// bring a line now and then; one that drips a letter at a time, or lines in which nothing stands, holds its place for
/// nothing. Only time in which the body was waited for counts: a sender is not to blame for a busy hub.
#[derive(Debug)]
pub(crate) struct LineTimed {
    body: Body,
    line_max: Duration,
    /// How long this line was waited for before the present wait.
    waited: Duration,
    waiting: Option<Wait>,
    /// Something stands in the line that has not ended yet.
    begun: bool,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl LineTimed {
    /// Watches `body`.
    pub(crate) const fn new(body: Body, line_max: Duration) -> Self {
        Self {
            body,
            line_max,
            waited: Duration::ZERO,
            waiting: None,
            begun: false,
        }
    }

    fn came(&mut self, piece: Option<&Bytes>) {
        if let Some(wait) = self.waiting.take() {
            self.waited += wait.since.elapsed();
        }
        if piece.is_some_and(|piece| self.ends_a_line(piece)) {
            self.waited = Duration::ZERO;
        }
    }

    /// Whether a line ends in this piece in which something stands.
    fn ends_a_line(&mut self, piece: &[u8]) -> bool {
        let holds = |bytes: &[u8]| bytes.iter().any(|byte| !byte.is_ascii_whitespace());
        let Some(end) = piece.iter().rposition(|byte| *byte == b'\n') else {
            self.begun = self.begun || holds(piece);
            return false;
        };
        let (ended, rest) = piece.split_at(end);
        std::mem::replace(&mut self.begun, holds(rest)) || holds(ended)
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<BoxError> {
        let (line_max, waited) = (self.line_max, self.waited);
        let wait = self.waiting.get_or_insert_with(|| Wait {
            since: Instant::now(),
            end: Box::pin(tokio::time::sleep(line_max.saturating_sub(waited))),
        });
        ready!(wait.end.as_mut().poll(context));
        let seconds = line_max.as_secs_f64();
        let message = format!("no line of the body in which something stands ended for {seconds} s");
        Poll::Ready(io::Error::new(ErrorKind::TimedOut, message).into())
    }
}

impl HttpBody for LineTimed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.came(frame.data_ref());
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|failed| failed.map_err(Into::into))),
            Poll::Pending => self.wait(context).map(|error| Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::LineTimed;
    use axum::body::Body;
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;
    use std::time::Duration;

    /// What comes of a body whose pieces come with this pause between them.
    async fn read(pieces: Vec<&'static str>, pause: u64) -> Result<String, String> {
        let slow = stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok::<_, std::io::Error>(piece)
        });
        let body = LineTimed::new(Body::from_stream(slow), Duration::from_millis(400));
        let whole = body.collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(whole.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn slow_lines_are_waited_for_and_dripping_letters_are_not() {
        let lines = read(vec!["سطر\n"; 12], 50).await;
        assert_eq!(
            lines.unwrap(),
            "سطر\n".repeat(12),
            "longer than the limit, each line in time"
        );
        let letters = read(vec!["س"; 40], 50).await;
        assert!(letters.unwrap_err().contains("no line"));
        let empty = read(vec!["\n \r\n"; 40], 50).await;
        let said = empty.unwrap_err();
        assert!(said.contains("in which something stands"), "{said}");
        let nothing = read(vec!["سطر\n"], 5_000).await;
        assert!(nothing.unwrap_err().contains("0.4 s"));
    }

    #[test]
    fn only_a_line_in_which_something_stands_is_progress() {
        let mut body = LineTimed::new(Body::empty(), Duration::from_secs(1));
        for (piece, ends) in [
            ("\n\r\n \t\n", false),
            ("سطر", false),
            ("\n", true),
            ("\n", false),
            ("\n\nسطر\n\n", true),
            (" \n  ", false),
            ("س", false),
            ("  \n\n", true),
            ("أول\nثا", true),
            ("\n", true),
            ("\n", false),
        ] {
            assert_eq!(body.ends_a_line(piece.as_bytes()), ends, "{piece:?}");
        }
    }
}
