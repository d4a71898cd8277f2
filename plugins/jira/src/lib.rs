//! Mihwar department: Jira issues, in Cloud and in Data Center.
//!
//! Each piece of feedback is one issue. A label holds the hub's id: by it an issue is found again whose creation was not
//! answered, and by it the events of a project are told apart from those of other people's issues.
//!
//! Follows Atlassian's documentation as of 2026: of Cloud the REST API version 3 with search by `search/jql`, texts in the
//! Atlassian Document Format, an account's email address and API token, `X-Hub-Signature` of webhooks that admins set up, and
//! rate limits; of Data Center the REST API version 2, texts in wiki notation, and personal access tokens.

mod adf;
mod answer;
mod api;
mod desk;
mod events;
mod settings;
mod text;
mod wiki;

#[cfg(test)]
mod tests;

use mihwar_sdk::{
    Ack, ConfigProblem, Delivery, Destination, Health, Host, InboundRequest, Outcome, Plugin, PluginError, Webhook,
    one_by_one,
};

use api::Api;
use desk::Desk;
pub use settings::{Deployment, Fact, Language, OnErase, OnUpdate, Settings};

/// Below this the rest of a batch is left for the next call: one item takes a few requests.
const SHORT_MS: u64 = 5_000;

/// The department.
pub struct JiraDepartment;

impl Plugin for JiraDepartment {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        settings.problems()
    }

    fn check(host: &Host, settings: &Settings) -> Result<Health, PluginError> {
        Api { host, settings }.check()
    }
}

impl Destination for JiraDepartment {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let api = Api { host, settings };
        api.require_token()?;
        let mut desk = Desk::new(api, &batch);
        Ok(one_by_one(host, &batch, SHORT_MS, |delivery| desk.take(delivery)))
    }
}

impl Webhook for JiraDepartment {
    fn handle(_: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        let changes = events::reports(settings, &request)?;
        Ok(Outcome {
            changes: changes.into_iter().map(Into::into).collect(),
            refusals: Vec::new(),
            reply: None,
        })
    }
}

mihwar_sdk::export!(JiraDepartment: Destination, Webhook);
