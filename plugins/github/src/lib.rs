//! Mihwar department: GitHub issues, on github.com and on GitHub Enterprise Server.
//!
//! Each piece of feedback is one issue. A hidden line in it holds the hub's id: by it an issue is found again whose creation
//! was not answered, and by it the events of a repository are told apart from those of other people's issues.
//!
//! Follows the documentation of GitHub's REST API, version 2026-03-10 (issues, comments, search, rate limits), and of its
//! webhook events (`issues`, `ping`, signature in `X-Hub-Signature-256`), as published in 2026.

mod answer;
mod api;
mod desk;
mod events;
mod markdown;
mod settings;
mod text;

#[cfg(test)]
mod tests;

use mihwar_sdk::{
    Ack, ConfigProblem, Delivery, Destination, Health, Host, InboundRequest, Outcome, Plugin, PluginError, Webhook,
    one_by_one,
};

use api::Api;
use desk::Desk;
pub use settings::{Language, OnUpdate, Settings};

/// Below this the rest of a batch is left for the next call: one item takes a few requests.
const SHORT_MS: u64 = 5_000;

/// The department.
pub struct GithubDepartment;

impl Plugin for GithubDepartment {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }

    fn check(host: &Host, settings: &Settings) -> Result<Health, PluginError> {
        Api { host, settings }.check()
    }
}

impl Destination for GithubDepartment {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let mut desk = Desk::new(Api { host, settings });
        Ok(one_by_one(host, &batch, SHORT_MS, |delivery| desk.take(delivery)))
    }
}

impl Webhook for GithubDepartment {
    fn handle(_: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        let changes = events::reports(settings, &request)?;
        Ok(Outcome {
            changes: changes.into_iter().map(Into::into).collect(),
            refusals: Vec::new(),
            reply: None,
        })
    }
}

mihwar_sdk::export!(GithubDepartment: Destination, Webhook);
