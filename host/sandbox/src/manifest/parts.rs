//! The tables of a manifest: asks, secrets, webhooks, limits.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ByteSize, LocalText, Span};
use crate::contract::net::Security;
use crate::egress::is_host_only;
use crate::grants::{host_name, security_name, security_named};

/// What a plugin asks for (`[ask]`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asks {
    /// Outgoing HTTP.
    #[serde(default)]
    pub http: Vec<AskHttp>,
    /// Outgoing byte streams.
    #[serde(default)]
    pub net: Vec<AskNet>,
    /// Personal fields that an enricher or department wants to see, e.g. `author.name`.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Whether an enricher masks parts of texts, and therefore wants to see them before they are stored.
    #[serde(default)]
    pub redact: bool,
}

/// One `[[ask.http]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskHttp {
    /// `https://host[:port]`; `{settings.KEY}` stands for the instance's setting. A whole URL is
    /// cut to its origin.
    pub origin: String,
    /// HTTP methods in capitals.
    pub methods: Vec<String>,
    /// Path prefixes; the whole origin when left out.
    #[serde(default = "any_path")]
    pub paths: Vec<String>,
    /// Why, for the admin who decides.
    #[serde(default)]
    pub why: Option<LocalText>,
}

/// One `[[ask.net]]`: a host that byte streams are opened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskNet {
    /// Host name or literal address; `{settings.KEY}` stands for the instance's setting.
    pub host: String,
    /// Port: a number, or text that holds `{settings.KEY}`.
    pub port: PortAsk,
    /// `tls` (from the first byte on; the default), `start-tls` or `plain`; may be `{settings.KEY}`.
    #[serde(default = "tls_from_the_start")]
    pub security: String,
    /// Why, for the admin who decides.
    #[serde(default)]
    pub why: Option<LocalText>,
}

/// A port as a manifest asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortAsk {
    /// This one.
    Number(u16),
    /// The one that the instance's settings say.
    Template(String),
}

impl fmt::Display for PortAsk {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(to, "{number}"),
            Self::Template(template) => to.write_str(template),
        }
    }
}

fn tls_from_the_start() -> String {
    security_name(Security::Tls).to_owned()
}

impl AskNet {
    /// What is wrong with it as it stands, whatever the settings say.
    pub(crate) fn fault(&self) -> Option<String> {
        let open = |text: &str| text.contains('{');
        if !open(&self.host)
            && let Err(message) = host_name(&self.host)
        {
            return Some(format!("`ask.net.host`: {message}"));
        }
        if !open(&self.security)
            && let Err(message) = security_named(&self.security)
        {
            return Some(format!("`ask.net.security`: {message}"));
        }
        match &self.port {
            PortAsk::Number(1..) => None,
            PortAsk::Template(template) if open(template) => None,
            port => Some(format!(
                "`ask.net.port` is `{port}`; write a number from 1 to 65535 or `{{settings.KEY}}`"
            )),
        }
    }
}

pub(crate) fn any_path() -> Vec<String> {
    vec!["/".to_owned()]
}

/// One `[[secret]]`: a name the plugin uses and never reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSlot {
    /// Lower-case slug.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub label: Option<LocalText>,
    /// Without it the instance cannot run.
    #[serde(default)]
    pub required: bool,
    /// Stripped from the value before it is decoded, e.g. `whsec_`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// How the value is turned into key bytes.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the host puts it into requests; left out when it only signs.
    #[serde(default)]
    pub inject: Option<Inject>,
    /// The host (as in `ask.net.host`) whose connections may carry it; left out when none may.
    #[serde(default)]
    pub net: Option<String>,
}

/// How the text of a secret stands for its bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// The UTF-8 bytes themselves.
    #[default]
    Text,
    /// Standard base64, with or without padding.
    Base64,
    /// Hexadecimal, either case.
    Hex,
}

/// How a credential goes into a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// Header that carries it.
    pub header: String,
    /// The header's value, at most 8 KiB; may hold `{secret}`, `{settings.KEY}` and one `{base64:…}` around them.
    pub format: String,
    /// The origin it is for (as in `ask.http.origin`). May be left out while the manifest asks for one origin
    /// only; a manifest that asks for several is refused without it.
    #[serde(default)]
    pub origin: Option<String>,
}

impl Inject {
    pub(crate) fn fault(&self) -> Option<String> {
        match http::HeaderName::from_bytes(self.header.as_bytes()) {
            Err(_) => return Some(format!("`inject.header` is `{}`, which is no header name", self.header)),
            // In `accept-encoding`, say, it would undo that answers come in a form in which an echo of it is found.
            Ok(name) if is_host_only(&name) || name == http::header::RANGE => {
                return Some(format!("`inject.header` is `{name}`, which the host sets or refuses"));
            }
            Ok(_) => {}
        }
        if !self.format.contains("{secret}") {
            return Some(format!(
                "`inject.format` is `{}`, which does not hold `{{secret}}`",
                self.format
            ));
        }
        None
    }
}

/// One `[[webhook]]`: an inbound endpoint `/hooks/{instance}/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endpoint {
    /// Lower-case slug, last part of the path.
    pub name: String,
    /// HTTP methods in capitals.
    #[serde(default = "post_only")]
    pub methods: Vec<String>,
    /// Longest request body.
    #[serde(default = "one_mebibyte")]
    pub max_body: ByteSize,
    /// Who answers.
    #[serde(default)]
    pub answer: Answer,
    /// How the host verifies a request before the plugin sees it.
    #[serde(default)]
    pub verify: Option<Verify>,
}

fn post_only() -> Vec<String> {
    vec!["POST".to_owned()]
}

fn one_mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

/// Who answers an inbound request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The host, with 202 as soon as the request is stored.
    #[default]
    Host,
    /// The plugin, while the other side waits.
    Plugin,
}

/// A recipe by which the host knows who sent a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verify {
    /// HMAC-SHA256 over some parts of the request.
    HmacSha256(HmacRecipe),
    /// The secret itself, for senders that cannot sign.
    Token(TokenRecipe),
}

impl Verify {
    /// Name of the secret that it needs.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::HmacSha256(recipe) => &recipe.secret,
            Self::Token(recipe) => &recipe.secret,
        }
    }

    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Self::HmacSha256(recipe) => recipe.fault(),
            Self::Token(recipe) => recipe.fault(),
        }
    }
}

/// Where the sender puts the secret. It is taken out before the request is stored: the plugin does not get to see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenRecipe {
    /// Name of the secret.
    pub secret: String,
    /// Header that carries it.
    #[serde(default)]
    pub header: Option<String>,
    /// Stands before it in the header, e.g. `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// Parameter of the address that carries it.
    #[serde(default)]
    pub query: Option<String>,
}

impl TokenRecipe {
    pub(crate) fn fault(&self) -> Option<String> {
        if self.header.is_none() && self.query.is_none() {
            return Some("name the `header` or the parameter (`query`) that carries the token".to_owned());
        }
        let header = self.header.as_deref()?;
        http::HeaderName::from_bytes(header.as_bytes())
            .is_err()
            .then(|| format!("`header` is `{header}`, which is no header name"))
    }
}

/// How an HMAC signature of an inbound request is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HmacRecipe {
    /// Name of the secret that is the key.
    pub secret: String,
    /// Header that carries the signature. Several, parted by spaces or commas, are allowed.
    pub header: String,
    /// Stands before each signature, e.g. `sha256=` or `v1,`.
    #[serde(default)]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: TagEncoding,
    /// Header that carries the time of signing in Unix seconds or milliseconds.
    #[serde(default)]
    pub timestamp_header: Option<String>,
    /// What is signed, in order, with nothing between the parts.
    pub parts: Vec<Part>,
    /// How old a signature may be, and how far in the future.
    #[serde(default)]
    pub max_age: Option<Span>,
}

impl HmacRecipe {
    pub(crate) fn fault(&self) -> Option<String> {
        if !self.parts.contains(&Part::Body) {
            return Some("`parts` must hold \"body\", or anybody could change it".to_owned());
        }
        let timed = self.parts.contains(&Part::Timestamp);
        if (timed || self.max_age.is_some()) && self.timestamp_header.is_none() {
            return Some("`timestamp-header` is missing; \"timestamp\" and `max-age` need it".to_owned());
        }
        if self.max_age.is_some() && !timed {
            return Some("`max-age` protects nothing unless `parts` hold \"timestamp\"".to_owned());
        }
        None
    }
}

/// How a signature is written in a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagEncoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Standard base64.
    Base64,
}

/// One part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The text of the timestamp header.
    Timestamp,
    /// The raw body.
    Body,
    /// Fixed text, written `literal:.`.
    Literal(String),
    /// The text of another header, written `header:NAME`.
    Header(String),
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Timestamp => to.serialize_str("timestamp"),
            Self::Body => to.serialize_str("body"),
            Self::Literal(text) => to.collect_str(&format_args!("literal:{text}")),
            Self::Header(name) => to.collect_str(&format_args!("header:{name}")),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if let Some(literal) = text.strip_prefix("literal:") {
            return Ok(Self::Literal(literal.to_owned()));
        }
        if let Some(name) = text.strip_prefix("header:") {
            return Ok(Self::Header(name.to_owned()));
        }
        match text.as_str() {
            "timestamp" => Ok(Self::Timestamp),
            "body" => Ok(Self::Body),
            _ => Err(D::Error::custom(format!(
                "`{text}` is no part; use \"timestamp\", \"body\", \"literal:TEXT\" or \"header:NAME\""
            ))),
        }
    }
}

/// Limits that a plugin wants (`[limits]`). The host grants them up to its own ceiling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedLimits {
    /// Linear memory of one call.
    #[serde(default)]
    pub memory: Option<ByteSize>,
    /// Wall time of one call.
    #[serde(default)]
    pub time: Option<Span>,
    /// Bytes handed to the host at once (a returned value, a blob, a request body).
    #[serde(default)]
    pub output: Option<ByteSize>,
    /// Durable state of one instance.
    #[serde(default)]
    pub state: Option<ByteSize>,
}
