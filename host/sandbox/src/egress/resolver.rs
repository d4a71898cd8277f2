//! Name resolution that drops the answer when any address of it is refused.
//!
//! The connection goes to the addresses that were checked: there is no second look-up between check
//! and dial that could answer differently.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use crate::address::refused_because;

/// An address that a request may not reach.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{host} is at {address}, which is {what}")]
pub(crate) struct Blocked {
    pub(crate) host: String,
    pub(crate) address: IpAddr,
    pub(crate) what: &'static str,
}

impl Blocked {
    /// What a guest is told: which table of the configuration would allow it, if any can.
    pub(crate) fn told(&self, table: &str) -> String {
        match refused_because(self.address, true) {
            None => format!("{self}; `private = true` on the {table} would allow it"),
            Some(_) => format!("{self}, and no grant can allow it"),
        }
    }
}

/// Every address, or the first that is refused.
pub(crate) fn checked(
    host: &str,
    addresses: impl IntoIterator<Item = SocketAddr>,
    private_granted: bool,
) -> Result<Vec<SocketAddr>, Blocked> {
    addresses
        .into_iter()
        .map(|address| match refused_because(address.ip(), private_granted) {
            None => Ok(address),
            Some(what) => Err(Blocked {
                host: host.to_owned(),
                address: address.ip(),
                what,
            }),
        })
        .collect()
}

/// The system's resolver behind the check.
pub(crate) struct CheckedResolver {
    pub(crate) private_granted: bool,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private_granted = self.private_granted;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let addresses = checked(&host, found, private_granted)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_refused_address_refuses_the_whole_answer() {
        let mixed = [at("93.184.216.34:0"), at("10.0.0.7:0")];
        let blocked = checked("mixed.example", mixed, false).unwrap_err();
        assert_eq!(blocked.address, "10.0.0.7".parse::<IpAddr>().unwrap());
        assert_eq!(checked("mixed.example", mixed, true).unwrap(), mixed);
        assert!(checked("mixed.example", [at("10.0.0.7:0"), at("169.254.169.254:0")], true).is_err());
    }

    #[tokio::test]
    async fn the_resolver_itself_refuses_loopback_without_a_private_grant() {
        let name: Name = "localhost".parse().unwrap();
        let error = CheckedResolver { private_granted: false }
            .resolve(name)
            .await
            .err()
            .unwrap();
        assert!(error.downcast_ref::<Blocked>().is_some(), "{error}");
    }
}
