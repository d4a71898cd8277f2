//! A plugin that misbehaves as its settings say. For tests of the sandbox only.

mod acts;
mod talk;

use mihwar_sdk::{Host, Plugin, PluginError, PullPage, PullRequest, Puller};

/// What to do, and how much of it.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the act; see `acts.rs`.
    #[serde(default = "answer")]
    act: String,
    /// How much: items, bytes or records.
    #[serde(default)]
    amount: u32,
    /// Where requests go.
    #[serde(default)]
    url: Option<String>,
    /// Where connections go.
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    /// What the manifest asks for: `tls`, `start-tls` or `plain`.
    #[serde(default)]
    security: Option<String>,
}

fn answer() -> String {
    "answer".to_owned()
}

/// The guest.
pub struct Hostile;

impl Plugin for Hostile {
    type Settings = Settings;
}

impl Puller for Hostile {
    fn pull(host: &Host, settings: &Settings, request: PullRequest) -> Result<PullPage, PluginError> {
        acts::perform(host, settings, request)
    }
}

mihwar_sdk::export!(Hostile: Puller);
