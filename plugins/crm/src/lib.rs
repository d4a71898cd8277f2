//! Mihwar department: a CRM or any other system with a REST API, by templates.
//!
//! The settings say which requests create, update, erase and find an item in the other system, how its reference is read
//! from an answer, and where a report of what became of it says which item it means and in which state it is.
//!
//! The examples in `docs/admins.md` follow the documentation of Odoo 19 (External JSON-2 API, automation rules) and of
//! HubSpot's CRM API, version 2026-03 (tickets, search, webhooks), as published in 2026. Templates are those of minijinja 2.

mod answer;
mod api;
mod checked;
mod context;
mod desk;
mod report;
mod settings;
mod template;

#[cfg(test)]
mod tests;

use mihwar_sdk::{
    Ack, AckState, ConfigProblem, Delivery, Destination, Health, Host, InboundRequest, Outcome, Plugin, PluginError,
    Webhook,
};

use answer::Fail;
use api::Api;
use desk::Desk;
pub use settings::{Auth, Encoding, Exchange, Meaning, Method, OnMissing, Settings, StatusMapping};

/// Below this the rest of a batch is left for the next call: one item takes a few requests.
const SHORT_MS: u64 = 5_000;

/// The department.
pub struct CrmDepartment;

impl Plugin for CrmDepartment {
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<ConfigProblem> {
        checked::problems(settings)
    }

    fn check(host: &Host, settings: &Settings) -> Result<Health, PluginError> {
        Api::new(host, settings).check()
    }
}

impl Destination for CrmDepartment {
    fn deliver(host: &Host, settings: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
        let desk = Desk::new(Api::new(host, settings));
        let mut acks = Vec::with_capacity(batch.len());
        let mut stopped: Option<AckState> = None;
        for delivery in batch {
            if stopped.is_none() && host.remaining_ms() < SHORT_MS {
                host.info("time is short: the rest of the batch waits for the next call");
                break;
            }
            let state = match &stopped {
                Some(state) => state.clone(),
                None => match desk.take(&delivery) {
                    Ok(state) => state,
                    Err(Fail::Item(error)) => AckState::Failed(error),
                    Err(Fail::All(error)) => {
                        let state = AckState::Failed(error);
                        stopped = Some(state.clone());
                        state
                    }
                    Err(Fail::Missing(status)) => AckState::Failed(PluginError::permanent(
                        format!("http-{status}"),
                        "the other system does not know what this delivery is about any more",
                    )),
                },
            };
            acks.push(Ack { id: delivery.id, state });
        }
        Ok(acks)
    }
}

impl Webhook for CrmDepartment {
    fn handle(_: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        report::read(settings, &request)
    }
}

mihwar_sdk::export!(CrmDepartment: Destination, Webhook);
