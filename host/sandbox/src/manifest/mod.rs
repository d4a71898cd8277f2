//! `plugin.toml`: what a plugin says about itself and asks for.
//!
//! The manifest travels inside the component as the custom section [`MANIFEST_SECTION`], so that
//! one hash covers both.

mod parts;
mod text;
mod units;

use std::collections::BTreeSet;

use mihwar_model::InstanceName;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::grants::Origin;

pub(crate) use parts::any_path;
pub use parts::{
    Answer, AskHttp, AskNet, Asks, Encoding, Endpoint, HmacRecipe, Inject, Part, PortAsk, SecretSlot, TagEncoding,
    TokenRecipe, Verify, WantedLimits,
};
pub use text::LocalText;
pub use units::{ByteSize, Span};

/// Name of the custom section that holds the manifest's TOML text.
pub const MANIFEST_SECTION: &str = "mihwar:manifest";
/// Name of the custom section in which an SDK names itself.
pub const SDK_SECTION: &str = "mihwar:sdk";
/// Longest manifest that is read.
pub const MANIFEST_BYTES: usize = 256 * 1024;

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Who it is.
    pub plugin: About,
    /// What it asks the admin for.
    #[serde(default)]
    pub ask: Asks,
    /// Secrets it uses by name.
    #[serde(default, rename = "secret")]
    pub secrets: Vec<SecretSlot>,
    /// Inbound endpoints it answers.
    #[serde(default, rename = "webhook")]
    pub webhooks: Vec<Endpoint>,
    /// Limits it wants instead of the defaults.
    #[serde(default)]
    pub limits: WantedLimits,
}

/// The `[plugin]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// 1 to 48 lower-case letters, digits and hyphens, beginning with a letter: as an [`InstanceName`], under
    /// which the configuration knows it.
    pub id: String,
    /// The plugin's own version, e.g. `1.4.0`.
    pub version: String,
    /// Name for people.
    pub name: LocalText,
    /// One sentence for people.
    #[serde(default)]
    pub description: Option<LocalText>,
    /// SPDX expression.
    #[serde(default)]
    pub license: Option<String>,
    /// Where its documentation lives.
    #[serde(default)]
    pub homepage: Option<String>,
    /// `MAJOR.MINOR` of the contract it was built for.
    pub contract: String,
}

/// A manifest that cannot be used. Says where and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("plugin.toml{}: {message}", .line.map(|line| format!(" line {line}")).unwrap_or_default())]
pub struct ManifestError {
    /// Line in the manifest, counted from 1, where one can be named.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Manifest {
    /// Reads and checks the TOML text of a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError {
            line: error.span().map(|span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        match manifest.first_fault() {
            None => Ok(manifest),
            Some((needle, message)) => Err(ManifestError {
                line: text.find(&needle).map(|at| line_of(text, at)),
                message,
            }),
        }
    }

    /// The secret slot of that name.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretSlot> {
        self.secrets.iter().find(|slot| slot.name == name)
    }

    /// The origin whose requests carry this secret, or the host whose connections do, as the manifest writes it;
    /// `None` for a secret that only signs, and when no origin is asked for.
    #[must_use]
    pub fn origin_of<'a>(&'a self, slot: &'a SecretSlot) -> Option<&'a str> {
        let Some(inject) = &slot.inject else {
            return slot.net.as_deref();
        };
        let named = inject.origin.as_deref();
        named.or_else(|| self.ask.http.first().map(|ask| ask.origin.as_str()))
    }

    /// The inbound endpoint of that name.
    #[must_use]
    pub fn webhook(&self, name: &str) -> Option<&Endpoint> {
        self.webhooks.iter().find(|endpoint| endpoint.name == name)
    }

    /// What TOML's types cannot say. The first text is what to look for to find the line.
    fn first_fault(&self) -> Option<(String, String)> {
        let about = &self.plugin;
        if let Err(error) = InstanceName::new(about.id.as_str()) {
            return Some((about.id.clone(), format!("`plugin.id`: {error}, e.g. `acme-tickets`")));
        }
        if !is_version(&about.version) {
            return Some((
                about.version.clone(),
                format!("`plugin.version` is `{}`; write it like `1.4.0`", about.version),
            ));
        }
        if contract_parts(&about.contract).is_none() {
            return Some((
                "contract".to_owned(),
                format!(
                    "`plugin.contract` is `{}`; write it like `{}`",
                    about.contract,
                    crate::contract::CONTRACT
                ),
            ));
        }
        self.stream_fault()
            .or_else(|| self.slot_fault())
            .or_else(|| self.endpoint_fault())
    }

    fn stream_fault(&self) -> Option<(String, String)> {
        let faults = |ask: &AskNet| ask.fault().map(|message| (ask.host.clone(), message));
        self.ask.net.iter().find_map(faults)
    }

    fn slot_fault(&self) -> Option<(String, String)> {
        let mut seen = BTreeSet::new();
        for slot in &self.secrets {
            if !is_slug(&slot.name) {
                return Some((
                    slot.name.clone(),
                    format!(
                        "the secret name `{}` must be lower-case letters, digits, `-` or `_`",
                        slot.name
                    ),
                ));
            }
            if !seen.insert(&slot.name) {
                return Some((
                    slot.name.clone(),
                    format!("the secret `{}` is declared twice", slot.name),
                ));
            }
            let fault = slot.inject.as_ref().and_then(Inject::fault);
            if let Some(message) = fault
                .or_else(|| self.origin_fault(slot))
                .or_else(|| self.carrier_fault(slot))
            {
                return Some((slot.name.clone(), message));
            }
        }
        None
    }

    /// A secret for one of several origins must not go to the others.
    fn origin_fault(&self, slot: &SecretSlot) -> Option<String> {
        let open = slot.inject.as_ref()?.origin.is_none();
        let origins: BTreeSet<String> = self.ask.http.iter().map(|ask| normalised(&ask.origin)).collect();
        (open && origins.len() > 1).then(|| {
            let list: Vec<String> = origins.iter().map(|origin| format!("`{origin}`")).collect();
            format!(
                "the secret `{}` would go to every origin that is asked for: {}; add `inject.origin` to say which one it is for",
                slot.name,
                list.join(", ")
            )
        })
    }

    /// A secret goes one way only, and to a host that connections are asked for.
    fn carrier_fault(&self, slot: &SecretSlot) -> Option<String> {
        let host = slot.net.as_ref()?;
        if slot.inject.is_some() {
            return Some(format!(
                "the secret `{}` has both `inject` and `net`; declare one for requests and one for connections",
                slot.name
            ));
        }
        let asked = self.ask.net.iter().any(|ask| ask.host == *host);
        (!asked).then(|| {
            format!(
                "the secret `{}` is for connections to `{host}`, which no [[ask.net]] asks for",
                slot.name
            )
        })
    }

    fn endpoint_fault(&self) -> Option<(String, String)> {
        let mut seen = BTreeSet::new();
        for endpoint in &self.webhooks {
            if !is_slug(&endpoint.name) {
                return Some((
                    endpoint.name.clone(),
                    format!(
                        "the webhook name `{}` must be lower-case letters, digits, `-` or `_`",
                        endpoint.name
                    ),
                ));
            }
            if !seen.insert(&endpoint.name) {
                return Some((
                    endpoint.name.clone(),
                    format!("the webhook `{}` is declared twice", endpoint.name),
                ));
            }
            let Some(verify) = &endpoint.verify else {
                continue;
            };
            if self.secret(verify.secret()).is_none() {
                return Some((
                    endpoint.name.clone(),
                    format!(
                        "the webhook `{}` is verified with the secret `{}`, which no [[secret]] declares",
                        endpoint.name,
                        verify.secret()
                    ),
                ));
            }
            if let Some(message) = verify.fault() {
                return Some((
                    endpoint.name.clone(),
                    format!("the webhook `{}`: {message}", endpoint.name),
                ));
            }
        }
        None
    }
}

/// An origin in one spelling, so that two asks for the same one count as one. Templates stay as they are.
fn normalised(origin: &str) -> String {
    if origin.contains('{') {
        return origin.to_owned();
    }
    Origin::parse(origin).map_or_else(|_| origin.to_owned(), |origin| origin.to_string())
}

/// Splits `MAJOR.MINOR`.
pub(crate) fn contract_parts(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn is_slug(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn is_version(version: &str) -> bool {
    version.len() <= 64
        && version.starts_with(|letter: char| letter.is_ascii_digit())
        && version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'))
}

#[cfg(test)]
mod tests;
