//! The one door to a hub.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use mihwar_hub::{Config, Doors, Hub, OpenError};
use mihwar_server::{Metrics, Peer};
use serde::Serialize;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::answer::{Answer, Body, BoxError};

/// Name of the hub's socket in its data folder.
const SOCKET: &str = "hub.sock";

/// Where the hub of this configuration can be spoken to while it runs.
pub(crate) fn socket_path(config: &Config) -> PathBuf {
    config.data.join(SOCKET)
}

/// How much of a hub is opened for a command when none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The records of a hub that is there, without plugins and therefore without their secrets. Nothing is made.
    Existing,
    /// All of it, with its plugins; it is made where there is none yet.
    Whole,
}

/// Speaks to a hub: to the one that runs on the data folder, or to one opened here for this command.
pub(crate) enum Client {
    /// Over the socket of a running hub.
    Running(PathBuf),
    /// In this process.
    Here {
        /// The hub.
        hub: Hub,
        /// Its routes.
        routes: mihwar_server::Router,
    },
}

impl Client {
    /// Finds the hub that runs on the data folder; `None` when none answers there.
    pub(crate) async fn running(config: &Config) -> Option<Self> {
        let socket = socket_path(config);
        UnixStream::connect(&socket).await.ok()?;
        Some(Self::Running(socket))
    }

    /// Finds the running hub, or opens as much as is needed of the one in the data folder.
    ///
    /// # Errors
    /// The folder cannot be opened; for [`Opening::Existing`] among others with [`OpenError::NoHub`].
    pub(crate) async fn connect(config: Config, opening: Opening) -> anyhow::Result<Self> {
        if let Some(running) = Self::running(&config).await {
            return Ok(running);
        }
        let socket = socket_path(&config);
        let opened = match opening {
            Opening::Existing => Hub::open_existing(config, Doors::real()).await,
            Opening::Whole => Hub::open(config, Doors::real()).await,
        };
        let hub = opened.map_err(|error| match error {
            OpenError::AlreadyServed { path } => anyhow!(
                "another process has {} open, but does not answer on {}; if a hub has just been started, try again",
                path.display(),
                socket.display()
            ),
            other => anyhow::Error::new(other),
        })?;
        let routes = mihwar_server::router(hub.clone(), &Metrics::none());
        Ok(Self::Here { hub, routes })
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks for something, with a query.
    pub(crate) async fn get_with(&self, path: &str, query: &impl Serialize) -> anyhow::Result<Answer> {
        self.get(&format!("{path}{}", query_text(query)?)).await
    }

    /// Has something done.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, Some(serde_json::to_vec(body)?)).await
    }

    /// Has something removed.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::DELETE, path, None).await
    }

    /// Asks for something that has a form even when the status says no.
    pub(crate) async fn get_any(&self, path: &str) -> anyhow::Result<Answer> {
        Ok(Answer::whatever(self.exchange(Method::GET, path, None).await?))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> anyhow::Result<Answer> {
        Answer::of(self.exchange(method, path, body).await?).await
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> anyhow::Result<Response<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        match self {
            Self::Running(socket) => over_socket(socket, request).await,
            Self::Here { routes, .. } => Ok(here(routes.clone(), request).await),
        }
    }

    /// Ends the talk; closes the hub if it was opened here.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Here { hub, routes } => {
                drop(routes);
                hub.close()
                    .await
                    .context("the store was not closed cleanly; what was acknowledged is safe")
            }
        }
    }
}

async fn here(routes: mihwar_server::Router, mut request: Request<Full<Bytes>>) -> Response<Body> {
    request.extensions_mut().insert(Peer::Console);
    let Ok(response) = routes.oneshot(request).await;
    response.map(|body| body.map_err(BoxError::from).boxed_unsync())
}

async fn over_socket(socket: &PathBuf, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Body>> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("{}", socket.display()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the answer was read and the sender is gone.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.context("the hub went away")?;
    Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
}

/// A flat value as the query of an address; empty when it asks for nothing.
fn query_text(query: &impl Serialize) -> anyhow::Result<String> {
    let serde_json::Value::Object(fields) = serde_json::to_value(query)? else {
        return Ok(String::new());
    };
    let mut text = String::new();
    for (key, value) in fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(value) => value,
            other => other.to_string(),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&key);
        text.push('=');
        value.bytes().for_each(|byte| percent_encode(byte, &mut text));
    }
    Ok(text)
}

/// Any text as one segment of an address's path.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::new();
    text.bytes().for_each(|byte| percent_encode(byte, &mut encoded));
    encoded
}

fn percent_encode(byte: u8, text: &mut String) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        text.push(char::from(byte));
    } else {
        text.push_str(&format!("%{byte:02X}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{query_text, segment};
    use mihwar_server::wire::FeedbackQuery;

    #[test]
    fn queries_carry_any_text() {
        let query = FeedbackQuery {
            text: Some("تأخر & 5%".into()),
            ..FeedbackQuery::default()
        };
        assert_eq!(
            query_text(&query).unwrap(),
            "?text=%D8%AA%D8%A3%D8%AE%D8%B1%20%26%205%25"
        );
        assert_eq!(query_text(&FeedbackQuery::default()).unwrap(), "");
    }

    #[test]
    fn an_id_leads_nowhere_else_whatever_was_typed() {
        assert_eq!(segment("0192-ab"), "0192-ab");
        assert_eq!(segment("../tokens?x#y"), "..%2Ftokens%3Fx%23y");
        assert_eq!(segment("رقم 7"), "%D8%B1%D9%82%D9%85%207");
    }
}
