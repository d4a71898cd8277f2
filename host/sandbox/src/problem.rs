//! What is wrong with an instance's configuration, each thing at its key.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::grants::{Grants, Origin, Rule};
use crate::manifest::Manifest;
use crate::plugin::Plugin;
use crate::schema;
use crate::secrets::{Secret, SecretSet};
use crate::template::filled;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The instance cannot run.
    Error,
    /// The instance runs; calls that need what is missing are refused.
    Warning,
}

/// Something about an instance's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Key path below the instance, e.g. `settings.filters[0]` or `secrets.signing`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.path, self.message)
    }
}

impl Problem {
    fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
        }
    }

    fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            path: path.into(),
            message: message.into(),
        }
    }
}

pub(crate) fn schema_problems(plugin: &Plugin, settings: &Value) -> Vec<Problem> {
    let validator = match schema::compile(&plugin.schema) {
        Ok(validator) => validator,
        Err(message) => {
            return vec![Problem::error(
                "settings",
                format!("the plugin's schema cannot be used: {message}"),
            )];
        }
    };
    schema::faults(&validator, settings)
        .into_iter()
        .map(|(path, message)| {
            let path = if path.is_empty() {
                "settings".to_owned()
            } else {
                format!("settings.{path}")
            };
            Problem::error(path, message)
        })
        .collect()
}

pub(crate) fn read_secrets(
    manifest: &Manifest,
    set: &SecretSet,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for slot in &manifest.secrets {
        match set.get(&slot.name).map(|value| Secret::read(slot, value)) {
            Some(Ok(secret)) => {
                secrets.insert(slot.name.clone(), secret);
            }
            Some(Err(error)) => problems.push(Problem::error(format!("secrets.{}", slot.name), error.to_string())),
            None if slot.required => problems.push(Problem::error(
                format!("secrets.{}", slot.name),
                format!("the plugin cannot run without this secret; set `secrets.{} = {{ env = \"NAME\" }}` or `{{ file = \"PATH\" }}`", slot.name),
            )),
            None => {}
        }
    }
    for name in set.names().filter(|name| manifest.secret(name).is_none()) {
        problems.push(Problem::error(
            format!("secrets.{name}"),
            "the plugin declares no secret of this name",
        ));
    }
    secrets
}

pub(crate) fn read_grants(grants: &Grants, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (at, grant) in grants.http.iter().enumerate() {
        match Rule::from_grant(grant) {
            Ok(rule) => rules.push(rule),
            Err(message) => problems.push(Problem::error(format!("grant.http[{at}]"), message)),
        }
    }
    rules
}

/// The manifest's asks with settings filled in. An ask for a setting that is left out is no ask.
pub(crate) fn read_asks(
    manifest: &Manifest,
    settings: &Value,
    settings_fit: bool,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for ask in &manifest.ask.http {
        let Ok(origin) = filled(&ask.origin, settings, None) else {
            continue;
        };
        match Origin::parse(&origin) {
            Ok(origin) => rules.push(Rule::from_ask(ask, origin)),
            Err(message) if settings_fit => problems.push(Problem::error(
                "settings",
                format!("the plugin asks for the origin `{}`: {message}", ask.origin),
            )),
            // Settings that do not fit have been reported already.
            Err(_) => {}
        }
    }
    rules
}

pub(crate) fn missing_grants(asks: &[Rule], grants: &[Rule]) -> Vec<Problem> {
    asks.iter()
        .filter_map(|ask| {
            let missing = ask.not_covered_by(grants);
            (!missing.is_empty()).then(|| {
                Problem::warning(
                    "grant.http",
                    format!("not granted; to allow it add:\n{}", ask.as_grant(&missing)),
                )
            })
        })
        .collect()
}
