//! What is wrong with an instance's configuration, each thing at its key.

mod streams;

use std::collections::BTreeMap;
use std::fmt;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::grants::{Grants, Origin, Rule};
use crate::limits::{Ceiling, LimitOverrides};
use crate::manifest::{ByteSize, Inject, Manifest};
use crate::schema;
use crate::secrets::{Secret, SecretSet};
use crate::template::{TemplateError, filled};

pub(crate) use streams::{carrier_problems, missing_stream_grants, read_stream_asks, read_stream_grants};

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The instance cannot run.
    Error,
    /// The instance runs, though not quite as configured: calls that need what is missing are refused, and
    /// what is set too high is cut.
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

/// Fills the schema's defaults into `settings` and holds them against the schema.
pub(crate) fn settings_problems(schema: &Value, settings: &mut Value) -> Vec<Problem> {
    let validator = match schema::compile(schema) {
        Ok(validator) => validator,
        Err(message) => {
            return vec![Problem::error(
                "settings",
                format!("the plugin's schema cannot be used: {message}"),
            )];
        }
    };
    if let Err(error) = schema::fill_defaults(schema, settings) {
        return vec![Problem::error("settings", error.to_string())];
    }
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
        let fault = |message: String| {
            Problem::error(
                "settings",
                format!("the plugin asks for the origin `{}`: {message}", ask.origin),
            )
        };
        match filled(&ask.origin, settings, None).map(|origin| Origin::parse(&origin)) {
            Ok(Ok(origin)) => rules.push(Rule::from_ask(ask, origin)),
            Ok(Err(message)) if settings_fit => problems.push(fault(message)),
            // Settings that do not fit have been reported already.
            Ok(Err(_)) | Err(TemplateError::NotSet(_)) => {}
            Err(error) => problems.push(fault(error.to_string())),
        }
    }
    rules
}

/// What keeps secrets from going into requests: their templates, filled in with what is configured.
pub(crate) fn inject_problems(
    manifest: &Manifest,
    settings: &Value,
    secrets: &BTreeMap<String, Secret>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for slot in &manifest.secrets {
        let Some(inject) = &slot.inject else {
            continue;
        };
        let path = format!("secrets.{}", slot.name);
        let format_fault = secrets
            .get(&slot.name)
            .and_then(|secret| filled(&inject.format, settings, Some(secret.text.expose_secret())).err());
        match format_fault {
            None => {}
            Some(error @ TemplateError::NotSet(_)) => problems.push(Problem::warning(
                path.clone(),
                format!("requests that need it are refused: {error}, and `inject.format` holds it"),
            )),
            Some(error) => problems.push(Problem::error(
                path.clone(),
                format!("`inject.format` in the plugin's manifest: {error}"),
            )),
        }
        if let Some(message) = inject_origin_fault(inject, settings) {
            problems.push(Problem::error(
                path,
                format!("`inject.origin` in the plugin's manifest: {message}"),
            ));
        }
    }
    problems
}

/// An origin for a setting that is left out is no fault: the secret then goes nowhere.
fn inject_origin_fault(inject: &Inject, settings: &Value) -> Option<String> {
    match filled(inject.origin.as_deref()?, settings, None) {
        Ok(origin) => Origin::parse(&origin).err(),
        Err(TemplateError::NotSet(_)) => None,
        Err(error) => Some(error.to_string()),
    }
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

/// Fields that are granted though the plugin does not ask for them: it would see more than it says it needs.
pub(crate) fn unasked_fields(manifest: &Manifest, grants: &Grants) -> Vec<Problem> {
    grants
        .fields
        .iter()
        .filter(|field| !manifest.ask.fields.contains(field))
        .map(|field| {
            Problem::warning(
                "grant.fields",
                format!(
                    "`{field}` is granted, but the plugin `{}` does not ask for it in `ask.fields`; take it out unless the plugin is to see it all the same",
                    manifest.plugin.id
                ),
            )
        })
        .collect()
}

/// Limits above what the engine can give, which are cut to that.
pub(crate) fn cut_limits(manifest: &Manifest, set: &LimitOverrides, ceiling: &Ceiling) -> Vec<Problem> {
    let mut problems = Vec::new();
    let most = ByteSize(ceiling.memory);
    let raise = "raise `engine.memory` to give more";
    match (set.memory, manifest.limits.memory) {
        (Some(set), _) if set > most => problems.push(Problem::warning(
            "limits.memory",
            format!("{set} is more than the engine gives to a call; it gets {most}; {raise}"),
        )),
        (None, Some(wanted)) if wanted > most => problems.push(Problem::warning(
            "limits.memory",
            format!(
                "the plugin `{}` wants {wanted}, more than the engine gives to a call; it gets {most}; {raise}",
                manifest.plugin.id
            ),
        )),
        _ => {}
    }
    if let Some(set) = set.table.filter(|set| *set > ceiling.table) {
        problems.push(Problem::warning(
            "limits.table",
            format!(
                "{set} is more than the engine can give to a call; it gets {}",
                ceiling.table
            ),
        ));
    }
    problems
}

#[cfg(test)]
mod tests;
