//! A department's receiver: verifies signatures with an independent library, counts, fails on purpose.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

use crate::hub::DEPARTMENT_SECRET;

/// What came under one idempotency key.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Statuses that were answered, in order.
    pub answers: Vec<u16>,
    /// The body of the last request.
    pub body: Value,
    /// Which department.
    pub department: String,
}

#[derive(Default)]
struct Book {
    seen: BTreeMap<String, Seen>,
    unsigned: Vec<String>,
}

#[derive(Clone)]
struct Shared {
    book: Arc<Mutex<Book>>,
    /// Out of a hundred first attempts, how many are answered 500.
    failing_percent: u64,
    /// Whether a signature has to be of now.
    of_now: bool,
}

/// A running receiver.
#[derive(Clone)]
pub struct Receiver {
    shared: Shared,
    /// Where it listens.
    pub address: SocketAddr,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    /// Starts one that answers 500 to this share of first attempts.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(failing_percent: u64) -> std::io::Result<Self> {
        Self::start_as(failing_percent, true).await
    }

    /// As [`Receiver::start`], for a hub whose clock is not the machine's: signatures of any time are good.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start_for_any_clock(failing_percent: u64) -> std::io::Result<Self> {
        Self::start_as(failing_percent, false).await
    }

    async fn start_as(failing_percent: u64, of_now: bool) -> std::io::Result<Self> {
        let shared = Shared {
            book: Arc::default(),
            failing_percent,
            of_now,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new()
            .route("/{department}", post(receive).head(|| async { StatusCode::OK }))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { shared, address })
    }

    /// Everything that came, by idempotency key.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<String, Seen> {
        self.shared
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .seen
            .clone()
    }

    /// How many keys were answered 200.
    #[must_use]
    pub fn delivered(&self) -> usize {
        let book = self.shared.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.seen.values().filter(|seen| seen.answers.contains(&200)).count()
    }

    /// Requests whose signature did not verify.
    #[must_use]
    pub fn unsigned(&self) -> Vec<String> {
        self.shared
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unsigned
            .clone()
    }
}

async fn receive(
    State(shared): State<Shared>,
    Path(department): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let id = headers
        .get("webhook-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let verified = standardwebhooks::Webhook::new(DEPARTMENT_SECRET).is_ok_and(|webhook| match shared.of_now {
        true => webhook.verify(&body, &headers).is_ok(),
        false => is_signed(&webhook, &id, &headers, &body),
    });
    let mut book = shared.book.lock().unwrap_or_else(PoisonError::into_inner);
    if !verified {
        book.unsigned.push(id);
        return StatusCode::UNAUTHORIZED;
    }
    let first = !book.seen.contains_key(&id);
    // By the id, so that which ones fail does not depend on the order in which they come.
    let unlucky = id
        .bytes()
        .fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
        % 100
        < shared.failing_percent;
    let status = if first && unlucky {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    let seen = book.seen.entry(id).or_default();
    seen.answers.push(status.as_u16());
    seen.body = serde_json::from_slice(&body).unwrap_or_default();
    seen.department = department;
    status
}

/// Whether the signature is right for the time that the request names, whenever that is.
fn is_signed(webhook: &standardwebhooks::Webhook, id: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(time), Some(signatures)) = (header("webhook-timestamp"), header("webhook-signature")) else {
        return false;
    };
    let expected = time.parse().ok().and_then(|time| webhook.sign(id, time, body).ok());
    signatures
        .split(' ')
        .any(|signature| Some(signature) == expected.as_deref())
}
