//! What an admin allows an instance, and whether a request fits.
//!
//! Two keys open an origin: the manifest asks for it and a grant names it. A refusal is the TOML that
//! would allow it.

mod streams;

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::manifest::AskHttp;

pub use streams::NetGrant;
pub(crate) use streams::{Place, StreamAsk, StreamGrant, find_stream_grant, host_name, security_name, security_named};

/// Everything an admin allows one instance. Nothing is allowed by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Outgoing HTTP (`[[instance.grant.http]]`).
    pub http: Vec<HttpGrant>,
    /// Outgoing byte streams (`[[instance.grant.net]]`).
    pub net: Vec<NetGrant>,
    /// Personal fields that the instance may see. The sandbox hands them on as they are; whoever makes
    /// the records applies them.
    pub fields: Vec<String>,
    /// Whether the instance masks parts of texts before they are stored. Handed on as it is, too.
    pub redact: bool,
}

/// One origin that an instance may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// `https://host[:port]`, without a path. No wildcards.
    pub origin: String,
    /// Methods in capitals.
    pub methods: Vec<String>,
    /// Path prefixes, whole segments; the whole origin when left out.
    #[serde(default = "crate::manifest::any_path")]
    pub paths: Vec<String>,
    /// Whether the name may resolve to a private or loopback address.
    #[serde(default)]
    pub private: bool,
}

/// Scheme, host and port of a URL, normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = matches!((self.scheme.as_str(), self.port), ("https", 443) | ("http", 80));
        if usual {
            write!(to, "{}://{}", self.scheme, self.host)
        } else {
            write!(to, "{}://{}:{}", self.scheme, self.host, self.port)
        }
    }
}

impl Origin {
    /// The origin of an `http` or `https` URL that names nobody. The error says what is wrong.
    pub(crate) fn of(url: &Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "the scheme `{}` is not allowed, only https and http",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL with a user name or password in it is refused; use a [[secret]]".to_owned());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_ascii_lowercase(),
            Some(address) => address.to_string(),
            None => String::new(),
        };
        match (host.is_empty(), url.port_or_known_default()) {
            (false, Some(port)) if port != 0 => Ok(Self {
                scheme: url.scheme().to_owned(),
                host,
                port,
            }),
            _ => Err("the URL has no host".to_owned()),
        }
    }

    /// Reads the origin of a URL, ignoring its path.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Url::parse(text)
            .map_err(|error| format!("`{text}` is no URL: {error}"))
            .and_then(|url| Self::of(&url))
    }
}

/// One origin with its methods and paths, ready to be matched.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) origin: Origin,
    methods: Vec<String>,
    paths: Vec<String>,
    pub(crate) private: bool,
}

impl Rule {
    /// Reads a grant. The error says what is wrong with it.
    pub(crate) fn from_grant(grant: &HttpGrant) -> Result<Self, String> {
        let url = Url::parse(&grant.origin).map_err(|error| format!("`{}` is no origin: {error}", grant.origin))?;
        let origin = Origin::of(&url)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "`{}` holds more than an origin; write `{origin}` and put the path into `paths`",
                grant.origin
            ));
        }
        if grant.methods.is_empty() {
            return Err("`methods` is empty; name them, e.g. [\"GET\"]".to_owned());
        }
        if let Some(path) = grant.paths.iter().find(|path| !path.starts_with('/')) {
            return Err(format!("the path `{path}` must begin with `/`"));
        }
        Ok(Self {
            origin,
            methods: capitals(&grant.methods),
            paths: grant.paths.clone(),
            private: grant.private,
        })
    }

    /// Reads an ask whose template has been filled in.
    pub(crate) fn from_ask(ask: &AskHttp, origin: Origin) -> Self {
        Self {
            origin,
            methods: capitals(&ask.methods),
            paths: ask.paths.clone(),
            private: false,
        }
    }

    fn allows(&self, method: &str, origin: &Origin, path: &str) -> bool {
        self.origin == *origin
            && self.methods.iter().any(|allowed| allowed == method)
            && self.paths.iter().any(|prefix| path_matches(prefix, path))
    }

    /// The methods of this rule that no rule of `others` allows on the same origin.
    pub(crate) fn not_covered_by(&self, others: &[Self]) -> Vec<String> {
        self.methods
            .iter()
            .filter(|method| {
                !self
                    .paths
                    .iter()
                    .all(|path| others.iter().any(|other| other.allows(method, &self.origin, path)))
            })
            .cloned()
            .collect()
    }

    /// The TOML that would grant these methods of this rule.
    pub(crate) fn as_grant(&self, methods: &[String]) -> String {
        missing_grant(&self.origin, methods, &self.paths)
    }
}

/// Whether `path` lies under `prefix`, whole segments only.
fn path_matches(prefix: &str, path: &str) -> bool {
    // An encoded slash may be a separator to the other side: it only goes where everything is granted.
    let lower = path.to_ascii_lowercase();
    if prefix != "/" && (["%2f", "%5c", "%2e"].iter().any(|coded| lower.contains(coded)) || leads_up(&lower)) {
        return false;
    }
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// Whether a part of the path is dots and a parameter, as in `..;a`: some servers take the parameter out first, and go up
/// then.
fn leads_up(path: &str) -> bool {
    path.split('/').any(|part| {
        let rest = part.trim_start_matches('.');
        rest.len() < part.len() && (rest.starts_with(';') || rest.starts_with("%3b"))
    })
}

fn capitals(methods: &[String]) -> Vec<String> {
    methods.iter().map(|method| method.to_ascii_uppercase()).collect()
}

/// The first grant that allows a request, or the TOML that would.
pub(crate) fn find_grant<'a>(
    asks: &[Rule],
    grants: &'a [Rule],
    method: &str,
    url: &Url,
    origin: &Origin,
) -> Result<&'a Rule, String> {
    if !asks.iter().any(|ask| ask.allows(method, origin, url.path())) {
        return Err(format!(
            "# The plugin's own manifest does not ask for this. In plugin.toml:\n[[ask.http]]\norigin = {}\nmethods = [{}]\n",
            quoted(&origin.to_string()),
            quoted(method),
        ));
    }
    grants
        .iter()
        .find(|grant| grant.allows(method, origin, url.path()))
        .ok_or_else(|| {
            let paths = if grants
                .iter()
                .any(|grant| grant.origin == *origin && !grant.paths.iter().any(|prefix| prefix == "/"))
            {
                vec![url.path().to_owned()]
            } else {
                vec!["/".to_owned()]
            };
            missing_grant(origin, &[method.to_owned()], &paths)
        })
}

fn missing_grant(origin: &Origin, methods: &[String], paths: &[String]) -> String {
    let list = |texts: &[String]| texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
    let mut toml = format!(
        "[[instance.grant.http]]\norigin = {}\nmethods = [{}]\n",
        quoted(&origin.to_string()),
        list(methods)
    );
    if paths != ["/"] {
        toml.push_str(&format!("paths = [{}]\n", list(paths)));
    }
    toml
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
