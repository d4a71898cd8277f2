//! The two HTTP clients: one that never reaches private addresses and one that may.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::resolver::CheckedResolver;

/// Built on first use, so that a hub without outgoing traffic needs no trust roots.
///
/// There are two because a connection pool must not carry a private connection over to an instance
/// that has no private grant.
#[derive(Default)]
pub(crate) struct Clients {
    public: OnceLock<Result<Client, String>>,
    private: OnceLock<Result<Client, String>>,
}

impl Clients {
    /// The client for a grant. The error says why none could be built.
    pub(crate) fn get(&self, private_granted: bool) -> Result<Client, String> {
        let slot = if private_granted { &self.private } else { &self.public };
        slot.get_or_init(|| build(private_granted)).clone()
    }
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
