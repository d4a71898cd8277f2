//! The machine's network behind the door: two HTTP clients, one that never reaches private addresses and one that may,
//! and connections.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::exchange::blocked;
use super::resolver::{Blocked, CheckedResolver};
use super::stream::{TlsSettings, dial};
use super::transport::{ByteStream, Dial, Incoming, Outgoing, Transport};
use crate::contract::http::{HttpError, TransportFailure};
use crate::contract::net::NetError;

/// The network that the machine has. Every address that a name resolves to is checked, and the connection goes to the
/// checked one.
#[derive(Debug, Default)]
pub struct CheckedNetwork {
    // Built on first use, so that a hub without outgoing traffic needs no trust roots. There are two because a
    // connection pool must not carry a private connection over to an instance that has no private grant.
    public: OnceLock<Result<Client, String>>,
    private: OnceLock<Result<Client, String>>,
    /// Shared with the connections, which may need it later than they are made.
    tls: TlsSettings,
}

impl CheckedNetwork {
    /// The client for a grant. The error says why none could be built.
    fn client(&self, private_granted: bool) -> Result<Client, String> {
        let slot = if private_granted { &self.private } else { &self.public };
        slot.get_or_init(|| build(private_granted)).clone()
    }
}

#[async_trait]
impl Transport for CheckedNetwork {
    async fn send(&self, request: Outgoing) -> Result<Incoming, HttpError> {
        let client = self
            .client(request.private)
            .map_err(|message| HttpError::Tls(TransportFailure { message, sent: false }))?;
        let mut response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(request.timeout)
            .send()
            .await
            .map_err(|error| transport(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            let total = u64::try_from(body.len() + chunk.len()).unwrap_or(u64::MAX);
            if total > request.most_bytes {
                return Err(HttpError::ResponseTooLarge(request.most_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Incoming {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.into(),
        })
    }

    async fn connect(&self, to: Dial) -> Result<Box<dyn ByteStream>, NetError> {
        dial(to, self.tls.clone()).await
    }
}

/// TLS as the HTTP clients have it: ring, and the machine's trust roots (`SSL_CERT_FILE` names others).
pub(super) fn tls_settings() -> Result<Arc<ClientConfig>, String> {
    let fault = |error: rustls::Error| format!("no TLS can be set up: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_platform_verifier()
        .map_err(fault)?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn build(private_granted: bool) -> Result<Client, String> {
    // reqwest takes the process-wide provider. Somebody else having set one before is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        .dns_resolver(CheckedResolver { private_granted })
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(4)
        .http1_title_case_headers()
        .build()
        .map_err(|error| format!("no HTTP client can be built: {error:?}"))
}

/// Sorts a transport error. Nobody can tell whether bytes had left before it, except when no
/// connection came about.
fn transport(error: &reqwest::Error) -> HttpError {
    let mut message = error.to_string();
    let mut tls = false;
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Blocked>() {
            return blocked(refused);
        }
        tls |= is_tls(inner);
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    let failure = TransportFailure {
        message,
        sent: !error.is_connect(),
    };
    if tls {
        HttpError::Tls(failure)
    } else if error.is_timeout() {
        HttpError::Timeout(failure)
    } else if error.is_connect() {
        HttpError::Connect(failure)
    } else {
        HttpError::Protocol(failure)
    }
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}
