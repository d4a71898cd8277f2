//! What the hub answers.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use mihwar_server::wire::{LeftOut, ProblemView};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Any error on the way.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer, whichever door it came through.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An answer that is no refusal.
pub(crate) struct Answer {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    body: Body,
}

/// The hub said no. Shown with every bad field.
#[derive(Debug)]
pub(crate) struct Refused(ProblemView);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.detail)?;
        if self.0.errors.len() > 1 {
            for error in &self.0.errors {
                write!(f, "\n  {}: {}", error.field, error.message)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// The answer came to its end, and lacks something that is damaged.
#[derive(Debug)]
pub(crate) struct Incomplete {
    detail: String,
    /// What is missing.
    pub(crate) left_out: LeftOut,
}

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Incomplete {}

/// One line of an NDJSON answer that may be a refusal instead.
#[derive(Deserialize)]
struct MaybeProblem {
    problem: Option<ProblemView>,
    left_out: Option<LeftOut>,
}

impl MaybeProblem {
    fn error(self) -> Option<anyhow::Error> {
        let problem = self.problem?;
        Some(match self.left_out {
            Some(left_out) => Incomplete {
                detail: problem.detail,
                left_out,
            }
            .into(),
            None => Refused(problem).into(),
        })
    }
}

impl Answer {
    /// Takes a response; refusals become errors.
    pub(crate) async fn of(response: Response<Body>) -> anyhow::Result<Self> {
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(Self {
                headers: parts.headers,
                body,
            });
        }
        let bytes = collect(body).await?;
        match serde_json::from_slice(&bytes) {
            Ok(problem) => Err(Refused(problem).into()),
            Err(_) => Err(anyhow!("the hub answered {}", describe(parts.status))),
        }
    }

    /// Takes a response whatever its status.
    pub(crate) fn whatever(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            headers: parts.headers,
            body,
        }
    }

    /// A header as text; nothing when it is not there or no UTF-8. What a hub says of itself need not be ASCII: its ledger may
    /// have an Arabic name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }

    /// The whole answer as text.
    pub(crate) async fn text(self) -> anyhow::Result<String> {
        Ok(String::from_utf8(collect(self.body).await?.to_vec())?)
    }

    /// The whole answer as a value.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> anyhow::Result<T> {
        let bytes = collect(self.body).await?;
        serde_json::from_slice(&bytes).context("the hub answered something this version of mihwar does not know")
    }

    /// The answer as it comes, piece by piece.
    pub(crate) fn pieces(self) -> Pieces {
        Pieces(self.body)
    }

    /// The lines of an NDJSON answer, one after the other.
    pub(crate) fn lines(self) -> Lines {
        Lines {
            body: self.body,
            pending: Vec::new(),
            begin: 0,
            searched: 0,
            ended: false,
        }
    }
}

/// The pieces of an answer.
pub(crate) struct Pieces(Body);

impl Pieces {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The answer broke off.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(frame) = self.0.frame().await {
            if let Ok(data) = frame.map_err(broke_off)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// The lines of an NDJSON answer.
pub(crate) struct Lines {
    body: Body,
    pending: Vec<u8>,
    /// Where in `pending` the next line begins. What is before is thrown away all at once: to move the rest for every line
    /// would cost more than reading it.
    begin: usize,
    /// No line ends before this place.
    searched: usize,
    ended: bool,
}

impl Lines {
    /// The next line as it stands; `None` at the end.
    ///
    /// # Errors
    /// The answer broke off, or the line says that the hub could not go on; [`Incomplete`] where the line is the last of all, and
    /// the others are all but what it names.
    pub(crate) async fn next_text(&mut self) -> anyhow::Result<Option<String>> {
        let text = loop {
            if let Some(line) = self.take_line() {
                break String::from_utf8(line)?;
            }
            if self.ended {
                anyhow::ensure!(
                    self.pending.is_empty(),
                    "the answer of the hub broke off in the middle of a line"
                );
                return Ok(None);
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(broke_off)?.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                None => self.ended = true,
            }
        };
        // Only a line of its own with nothing but a problem ends a stream; lines about records have a number.
        if text.starts_with("{\"problem\":")
            && let Ok(line) = serde_json::from_str::<MaybeProblem>(&text)
            && let Some(error) = line.error()
        {
            return Err(error);
        }
        Ok(Some(text))
    }

    /// The next line of what has come, without its end. Where there is none, only the beginning of a line is still pending.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.pending.get(self.searched..).unwrap_or_default();
        if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            let line = self.pending.get(self.begin..end).unwrap_or_default().to_vec();
            (self.begin, self.searched) = (end + 1, end + 1);
            return Some(line);
        }
        self.pending.drain(..self.begin);
        (self.begin, self.searched) = (0, self.pending.len());
        None
    }

    /// The next line as a value.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        let Some(text) = self.next_text().await? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .context("the hub answered something this version of mihwar does not know")
            .map(Some)
    }
}

async fn collect(body: Body) -> anyhow::Result<Bytes> {
    Ok(body.collect().await.map_err(broke_off)?.to_bytes())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn broke_off(error: BoxError) -> anyhow::Error {
    anyhow!("the answer of the hub broke off: {error}")
}

fn describe(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http::Response;
    use http_body_util::{BodyExt, Empty, StreamBody};
    use hyper::body::Frame;

    use super::{Answer, BoxError, Lines};

    fn lines(pieces: &'static [&'static str]) -> Lines {
        let frames = pieces
            .iter()
            .map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        let response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
        Answer::whatever(response).lines()
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let mut lines = lines(&["{\"a\":1}\n{\"b\"", ":2}\n", "", "\n{\"c\":", "3", "}\n{\"d\":4}\n"]);
        for expected in ["{\"a\":1}", "{\"b\":2}", "", "{\"c\":3}", "{\"d\":4}"] {
            assert_eq!(lines.next_text().await.unwrap().unwrap(), expected);
        }
        assert_eq!(lines.next_text().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_its_end_is_none() {
        let mut lines = lines(&["{\"نص\":1}\n{\"نص"]);
        assert_eq!(lines.next_text().await.unwrap().unwrap(), "{\"نص\":1}");
        let error = lines.next_text().await.unwrap_err().to_string();
        assert!(error.contains("in the middle of a line"), "{error}");
    }

    #[test]
    fn a_header_may_be_arabic() {
        let key = "محور.example/ledger+3508da81+AYVq";
        let body = Empty::<Bytes>::new().map_err(BoxError::from).boxed_unsync();
        let response = Response::builder().header("mihwar-verifier-key", key).body(body);
        let answer = Answer::whatever(response.unwrap());
        assert_eq!(answer.header("mihwar-verifier-key"), Some(key));
        assert_eq!(answer.header("etag"), None);
    }
}
