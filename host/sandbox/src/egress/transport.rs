//! The door to the network.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::contract::http::HttpError;
use crate::contract::net::NetError;

/// A request on its way out. Its origin is granted, and if its host is a literal address, that is allowed; what a name
/// resolves to is the transport's to check.
#[derive(Clone)]
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// All headers, the credential among them.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// How long it may take until the answer is there as a whole.
    pub timeout: Duration,
    /// Whether private addresses may be reached.
    pub private: bool,
    /// Longest body of an answer; a longer one is [`HttpError::ResponseTooLarge`].
    pub most_bytes: u64,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// A connection to be made. Host and port are granted; what the name resolves to is the transport's to check.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Host name in lower case and punycode, or a literal address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS begins at once.
    pub tls: bool,
    /// Whether private addresses may be reached.
    pub private: bool,
    /// How long it may take until the connection stands.
    pub timeout: Duration,
}

/// One connection. It is closed when it is dropped.
#[async_trait]
pub trait ByteStream: Send {
    /// Writes all of these bytes, and lets none of them wait.
    ///
    /// # Errors
    /// The connection is of no use any more.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), NetError>;

    /// Waits for bytes and answers at most so many; none at the end of the stream. May be given up and called again:
    /// no byte is lost then.
    ///
    /// # Errors
    /// The connection is of no use any more.
    async fn read(&mut self, most: usize) -> Result<Vec<u8>, NetError>;

    /// Begins TLS on a connection without it; the certificate is checked against the host's name.
    ///
    /// # Errors
    /// The connection is of no use any more.
    async fn start_tls(&mut self) -> Result<(), NetError>;
}

/// Sends requests and makes connections. Everything that leaves the host passes here, after grants, credentials and
/// redirects were decided.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and takes its answer whole. Follows no redirect.
    ///
    /// # Errors
    /// What kept the answer from coming. `sent` may only be false when certainly nothing has left.
    async fn send(&self, request: Outgoing) -> Result<Incoming, HttpError>;

    /// Makes a connection.
    ///
    /// # Errors
    /// What kept it from coming about. A transport that does not say how refuses each.
    async fn connect(&self, to: Dial) -> Result<Box<dyn ByteStream>, NetError> {
        Err(NetError::Io(format!(
            "{}: this network carries requests and no connections",
            to.host
        )))
    }
}
