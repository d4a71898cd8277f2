//! Mihwar department: each delivery is one POST of a CloudEvent, signed by Standard Webhooks.

mod answer;
mod event;

#[cfg(test)]
mod tests;

use answer::Judged;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mihwar_sdk::{
    Ack, AckState, ConfigProblem, Delivery, Destination, Health, Host, Mac, Plugin, PluginError, Request, SecretError,
};

/// Below this the rest of a batch is left for the next call.
const SHORT_MS: u64 = 1000;

/// The secrets that sign; the second only while receivers change over from it.
const SIGNING: &str = "signing";
const PREVIOUS: &str = "signing-previous";

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
        let mut acks = Vec::with_capacity(batch.len());
        let mut stopped: Option<AckState> = None;
        for delivery in batch {
            if let Some(state) = &stopped {
                acks.push(Ack {
                    id: delivery.id,
                    state: state.clone(),
                });
                continue;
            }
            if host.remaining_ms() < SHORT_MS {
                host.info("time is short: the rest of the batch waits for the next call");
                break;
            }
            let event = event::cloud_event(&delivery, &source, host.now());
            let judged = match request(host, settings, &delivery.id, &event.to_string()) {
                Ok(request) => answer::judge(host.http(&request), host.now()),
                Err(secret) => Judged {
                    state: AckState::Failed(secret.into()),
                    go_on: false,
                },
            };
            if !judged.go_on {
                stopped = Some(judged.state.clone());
            }
            acks.push(Ack {
                id: delivery.id,
                state: judged.state,
            });
        }
        Ok(acks)
    }
}

fn require_key(host: &Host) -> Result<(), PluginError> {
    if host.secret_is_set(SIGNING) {
        return Ok(());
    }
    Err(PluginError::unauthorized(
        "secret-not-set",
        "the secret `signing` (whsec_…) is not set for this instance",
    ))
}

/// The signed request for one event. The time is that of the attempt; the id is the same on every attempt.
fn request(host: &Host, settings: &Settings, id: &str, body: &str) -> Result<Request, SecretError> {
    let timestamp = host.now().div_euclid(1000);
    let signed = format!("{id}.{timestamp}.{body}");
    let sign = |key: &str| {
        let tag = host.sign(key, Mac::HmacSha256, signed.as_bytes())?;
        Ok(format!("v1,{}", STANDARD.encode(tag)))
    };
    let mut signature = sign(SIGNING)?;
    if host.secret_is_set(PREVIOUS) {
        signature = format!("{signature} {}", sign(PREVIOUS)?);
    }
    let left = u32::try_from(host.remaining_ms().saturating_sub(SHORT_MS / 2)).unwrap_or(u32::MAX);
    Ok(Request::post(&settings.url)
        .header("content-type", "application/cloudevents+json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .timeout_ms(settings.timeout_ms.min(left))
        .body(body))
}

mihwar_sdk::export!(WebhookDepartment: Destination);
