//! The door to the network.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::contract::http::HttpError;

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

/// Sends requests. Everything that leaves the host passes here, after grants, credentials and redirects were decided.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and takes its answer whole. Follows no redirect.
    ///
    /// # Errors
    /// What kept the answer from coming. `sent` may only be false when certainly nothing has left.
    async fn send(&self, request: Outgoing) -> Result<Incoming, HttpError>;
}
