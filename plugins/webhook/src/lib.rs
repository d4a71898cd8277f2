//! Mihwar department: each delivery is one POST of a CloudEvent, signed by Standard Webhooks.

mod answer;
mod event;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mihwar_sdk::{
    Ack, ConfigProblem, Delivery, Destination, Health, Host, Mac, Plugin, PluginError, Request, SecretError, Setback,
    one_by_one,
};

/// Below this the rest of a batch is left for the next call.
const SHORT_MS: u64 = 1000;

/// How a signature is made, by its name in the header.
#[derive(Clone, Copy)]
enum Scheme {
    /// `v1`: HMAC-SHA256, with a key that both sides know.
    Shared,
    /// `v1a`: Ed25519, with a key of which receivers know the public half.
    Private,
}

/// The secrets that sign. Whichever are set do, all of them, so that a receiver may change from one to another without
/// a gap.
const KEYS: [(Scheme, &str); 4] = [
    (Scheme::Shared, SHARED),
    (Scheme::Shared, "signing-previous"),
    (Scheme::Private, PRIVATE),
    (Scheme::Private, "signing-ed25519-previous"),
];
const SHARED: &str = "signing";
const PRIVATE: &str = "signing-ed25519";

/// The department.
pub struct WebhookDepartment;

/// Settings of one endpoint.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where events are posted to.
    pub url: String,
    /// The CloudEvents `source`. Default: `urn:mihwar:` and the instance's name.
    #[serde(default)]
    pub source: Option<String>,
    /// How long one request may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1000, max = 60000))]
    pub timeout_ms: u32,
    /// How much each event tells.
    #[serde(default)]
    pub payload: Payload,
    /// `thin`: where the item can be read; `{id}` stands for its id, as in
    /// `https://hub.example.org/api/v1/feedback/{id}`.
    #[serde(default)]
    pub link: Option<String>,
}

/// How much an event tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The whole item, as far as its fields are granted.
    #[default]
    Full,
    /// Its ids, its kind and the link. Whoever wants more asks the hub, which knows who did.
    Thin,
}

const fn default_timeout_ms() -> u32 {
    15_000
}

impl Plugin for WebhookDepartment {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let host = settings
            .url
            .strip_prefix("https://")
            .or_else(|| settings.url.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            problems.push(ConfigProblem::new(
                "url",
                "must be an address such as https://example.org/feedback",
            ));
        }
        if settings.source.as_ref().is_some_and(|source| source.trim().is_empty()) {
            problems.push(ConfigProblem::new(
                "source",
                "must not be empty: leave it out for the default",
            ));
        }
        problems.extend(link_problem(settings));
        problems
    }

    fn check(host: &Host, settings: &Settings) -> Result<Health, PluginError> {
        require_key(host)?;
        let response = host.http(&Request::new("HEAD", &settings.url).timeout_ms(settings.timeout_ms))?;
        Ok(Health {
            account: None,
            notes: vec![format!("{} answers HEAD with {}", settings.url, response.status)],
        })
    }
}

impl Destination for WebhookDepartment {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        require_key(host)?;
        let source = settings
            .source
            .clone()
            .unwrap_or_else(|| format!("urn:mihwar:{}", host.instance().instance));
        Ok(one_by_one(host, &batch, SHORT_MS, |delivery| {
            let event = event::cloud_event(delivery, settings, &source, host.now());
            let request = request(host, settings, &delivery.id, &event.to_string());
            let request = request.map_err(|secret| Setback::All(secret.into()))?;
            answer::judged(&host.http(&request)?, host.now())
        }))
    }
}

fn require_key(host: &Host) -> Result<(), PluginError> {
    if host.secret_is_set(SHARED) || host.secret_is_set(PRIVATE) {
        return Ok(());
    }
    Err(PluginError::unauthorized(
        "secret-not-set",
        "no key signs: set the secret `signing` (whsec_…) or `signing-ed25519` (whsk_…) of this instance",
    ))
}

fn link_problem(settings: &Settings) -> Option<ConfigProblem> {
    let link = settings.link.as_deref()?;
    let is_address = link.starts_with("https://") || link.starts_with("http://");
    if settings.payload == Payload::Full {
        return Some(ConfigProblem::new("link", "is for `payload = \"thin\"`: leave it out"));
    }
    (!is_address || !link.contains("{id}")).then(|| {
        ConfigProblem::new(
            "link",
            "must be an address with {id} in it, such as https://hub.example.org/api/v1/feedback/{id}",
        )
    })
}

/// The signed request for one event. The time is that of the attempt; the id is the same on every attempt.
fn request(host: &Host, settings: &Settings, id: &str, body: &str) -> Result<Request, SecretError> {
    let timestamp = host.now().div_euclid(1000);
    let signed = format!("{id}.{timestamp}.{body}");
    let mut signatures = Vec::new();
    for (scheme, key) in KEYS {
        if host.secret_is_set(key) {
            signatures.push(scheme.sign(host, key, signed.as_bytes())?);
        }
    }
    let left = u32::try_from(host.remaining_ms().saturating_sub(SHORT_MS / 2)).unwrap_or(u32::MAX);
    Ok(Request::post(&settings.url)
        .header("content-type", "application/cloudevents+json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signatures.join(" "))
        .timeout_ms(settings.timeout_ms.min(left))
        .body(body))
}

impl Scheme {
    fn sign(self, host: &Host, key: &str, signed: &[u8]) -> Result<String, SecretError> {
        let (version, tag) = match self {
            Self::Shared => ("v1", host.sign(key, Mac::HmacSha256, signed)?),
            Self::Private => ("v1a", host.sign_ed25519(key, signed)?),
        };
        Ok(format!("{version},{}", STANDARD.encode(tag)))
    }
}

mihwar_sdk::export!(WebhookDepartment: Destination);
