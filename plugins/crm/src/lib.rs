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
    Ack, ConfigProblem, Delivery, Destination, Health, Host, InboundRequest, Outcome, Plugin, PluginError, Webhook,
    one_by_one,
};

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
        Ok(one_by_one(host, &batch, SHORT_MS, |delivery| desk.take(delivery)))
    }
}

impl Webhook for CrmDepartment {
    fn handle(_: &Host, settings: &Settings, request: InboundRequest) -> Result<Outcome, PluginError> {
        report::read(settings, &request)
    }
}

mihwar_sdk::export!(CrmDepartment: Destination, Webhook);
