//! Which hosts byte streams may go to.
//!
//! As with requests, two keys open a host: the manifest asks for it and a grant names it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::Host;

use super::quoted;
use crate::contract::net::Security;

/// Longest host name that is read.
const HOST_BYTES: usize = 255;

/// One host and port that an instance may connect to (`[[instance.grant.net]]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetGrant {
    /// Host name, or literal address. No wildcards.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the name may resolve to a private or loopback address.
    #[serde(default)]
    pub private: bool,
    /// Whether it may be reached without TLS. What goes there, secrets among it, can then be read on the way.
    #[serde(default)]
    pub plain: bool,
}

/// A host and a port, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(to, "[{}]:{}", self.host, self.port)
        } else {
            write!(to, "{}:{}", self.host, self.port)
        }
    }
}

impl Place {
    /// Reads a host and a port. The error says what is wrong.
    pub(crate) fn read(host: &str, port: u16) -> Result<Self, String> {
        if port == 0 {
            return Err("the port 0 cannot be connected to".to_owned());
        }
        Ok(Self {
            host: host_name(host)?,
            port,
        })
    }
}

/// A host in one spelling: lower-case, punycode, without the dot at its end, addresses as addresses are written.
pub(crate) fn host_name(host: &str) -> Result<String, String> {
    let plain = host.trim_end_matches('.');
    if plain.is_empty() || host.len() > HOST_BYTES {
        return Err(format!("a host has 1 to {HOST_BYTES} bytes"));
    }
    if let Ok(address) = plain.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    match Host::parse(plain) {
        Ok(Host::Domain(name)) => Ok(name),
        Ok(Host::Ipv4(address)) => Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        Err(error) => Err(format!("`{host}` is no host: {error}")),
    }
}

/// How the manifest and people write it.
pub(crate) const fn security_name(security: Security) -> &'static str {
    match security {
        Security::Tls => "tls",
        Security::StartTls => "start-tls",
        Security::Plain => "plain",
    }
}

/// The security of that name.
pub(crate) fn security_named(name: &str) -> Result<Security, String> {
    [Security::Tls, Security::StartTls, Security::Plain]
        .into_iter()
        .find(|security| security_name(*security) == name)
        .ok_or_else(|| format!("`{name}` is no security; use \"tls\", \"start-tls\" or \"plain\""))
}

/// What a manifest asks for, its settings filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamAsk {
    pub(crate) place: Place,
    pub(crate) security: Security,
}

/// What an admin allows, ready to be matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamGrant {
    pub(crate) place: Place,
    pub(crate) private: bool,
    plain: bool,
}

impl StreamGrant {
    /// Reads a grant. The error says what is wrong with it.
    pub(crate) fn from_grant(grant: &NetGrant) -> Result<Self, String> {
        Ok(Self {
            place: Place::read(&grant.host, grant.port)?,
            private: grant.private,
            plain: grant.plain,
        })
    }

    fn allows(&self, place: &Place, security: Security) -> bool {
        self.place == *place && (self.plain || security != Security::Plain)
    }
}

impl StreamAsk {
    /// The TOML that would grant this, if none of `grants` does.
    pub(crate) fn missing(&self, grants: &[StreamGrant]) -> Option<String> {
        let granted = grants.iter().any(|grant| grant.allows(&self.place, self.security));
        (!granted).then(|| missing_grant(&self.place, self.security))
    }
}

/// The first grant that allows a connection, or the TOML that would.
pub(crate) fn find_stream_grant<'a>(
    asks: &[StreamAsk],
    grants: &'a [StreamGrant],
    place: &Place,
    security: Security,
) -> Result<&'a StreamGrant, String> {
    if !asks.iter().any(|ask| ask.place == *place && ask.security == security) {
        return Err(format!(
            "# The plugin's own manifest does not ask for this. In plugin.toml:\n[[ask.net]]\nhost = {}\nport = {}\nsecurity = {}\n",
            quoted(&place.host),
            place.port,
            quoted(security_name(security)),
        ));
    }
    grants
        .iter()
        .find(|grant| grant.allows(place, security))
        .ok_or_else(|| missing_grant(place, security))
}

fn missing_grant(place: &Place, security: Security) -> String {
    let mut toml = format!(
        "[[instance.grant.net]]\nhost = {}\nport = {}\n",
        quoted(&place.host),
        place.port
    );
    if security == Security::Plain {
        toml.push_str("plain = true   # it is to be reached without TLS\n");
    }
    toml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Grants;

    fn ask(host: &str, port: u16, security: Security) -> StreamAsk {
        StreamAsk {
            place: Place::read(host, port).unwrap(),
            security,
        }
    }

    fn grant(host: &str, port: u16, plain: bool) -> StreamGrant {
        StreamGrant::from_grant(&NetGrant {
            host: host.to_owned(),
            port,
            private: false,
            plain,
        })
        .unwrap()
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (spelling, host) in [
            ("Relay.Example.", "relay.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("0:0::1", "::1"),
        ] {
            assert_eq!(host_name(spelling).as_deref(), Ok(host), "{spelling}");
        }
        let arabic = host_name("بريد.example").unwrap();
        assert!(arabic.starts_with("xn--") && arabic.is_ascii(), "{arabic}");
        for odd in [
            "",
            ".",
            "a b",
            "user@relay.example",
            "relay.example:25",
            "relay/x",
            "a\r\nb",
        ] {
            assert!(host_name(odd).is_err(), "{odd:?}");
        }
        assert!(host_name(&"ن".repeat(128)).is_err());
        assert!(Place::read("relay.example", 0).is_err());
        assert_eq!(Place::read("::1", 25).unwrap().to_string(), "[::1]:25");
    }

    #[test]
    fn only_the_granted_host_port_and_security_pass() {
        let asks = [
            ask("relay.example", 587, Security::StartTls),
            ask("relay.example", 25, Security::Plain),
        ];
        let grants = [grant("RELAY.example", 587, false), grant("relay.example", 25, false)];
        let find = |host: &str, port, security| {
            find_stream_grant(&asks, &grants, &Place::read(host, port).unwrap(), security).map(drop)
        };
        assert_eq!(find("relay.example", 587, Security::StartTls), Ok(()));
        for (host, port, security) in [
            ("relay.example", 587, Security::Plain),
            ("relay.example", 587, Security::Tls),
            ("relay.example", 465, Security::StartTls),
            ("other.example", 587, Security::StartTls),
            ("relay.example.evil.example", 587, Security::StartTls),
        ] {
            let denied = find(host, port, security).unwrap_err();
            assert!(denied.contains("[[ask.net]]"), "{denied}");
        }
        let denied = find("relay.example", 25, Security::Plain).unwrap_err();
        assert!(denied.contains("plain = true"), "{denied}");
    }

    /// The refusal is TOML that, put into the configuration, allows the connection.
    #[test]
    fn a_refusal_is_the_grant_that_would_allow_it() {
        #[derive(Deserialize)]
        struct Config {
            instance: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Row {
            #[serde(default)]
            grant: Grants,
        }
        for security in [Security::Tls, Security::StartTls, Security::Plain] {
            let asks = [ask("شكاوى.example", 587, security)];
            let place = Place::read("شكاوى.example", 587).unwrap();
            let denied = find_stream_grant(&asks, &[], &place, security).unwrap_err();
            assert_eq!(asks[0].missing(&[]).as_deref(), Some(denied.as_str()));
            let config: Config = toml::from_str(&format!("[[instance]]\n{denied}")).unwrap();
            let granted = [StreamGrant::from_grant(&config.instance[0].grant.net[0]).unwrap()];
            assert!(find_stream_grant(&asks, &granted, &place, security).is_ok(), "{denied}");
            assert_eq!(asks[0].missing(&granted), None);
        }
    }

    #[test]
    fn securities_are_read_as_they_are_written() {
        for security in [Security::Tls, Security::StartTls, Security::Plain] {
            assert_eq!(security_named(security_name(security)), Ok(security));
        }
        assert!(security_named("بلا تشفير").unwrap_err().contains("start-tls"));
    }
}
