//! A plugin bound to settings, secrets and grants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::grants::{Grants, Origin, Rule};
use crate::limits::{LimitOverrides, Limits};
use crate::manifest::{Manifest, WantedLimits};
use crate::plugin::Plugin;
use crate::schema;
use crate::secrets::{Masker, Secret, SecretSet};
use crate::template::filled;
use crate::webhook::WebhookVerifier;

/// What an admin configured for one instance.
#[derive(Debug, Clone)]
pub struct InstanceSettings {
    /// The instance's name.
    pub name: String,
    /// Settings for the plugin, checked against its schema.
    pub settings: Value,
    /// What it may do.
    pub grants: Grants,
    /// Secret values by name.
    pub secrets: SecretSet,
    /// Limits set by the admin.
    pub limits: LimitOverrides,
    /// IANA time zone, handed on to the plugin.
    pub time_zone: String,
    /// The hub's version, handed on to the plugin.
    pub hub_version: String,
}

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
        Self { severity: Severity::Error, path: path.into(), message: message.into() }
    }

    fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, path: path.into(), message: message.into() }
    }
}

/// A configured plugin, ready to be called. Cheap to clone; calls run side by side.
#[derive(Clone)]
pub struct Instance {
    pub(crate) bound: Arc<Bound>,
}

/// What the calls of one instance share.
pub(crate) struct Bound {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) name: String,
    pub(crate) settings: Value,
    pub(crate) settings_text: String,
    pub(crate) asks: Vec<Rule>,
    pub(crate) grants: Vec<Rule>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) masker: Masker,
    pub(crate) limits: Limits,
    pub(crate) time_zone: String,
    pub(crate) hub_version: String,
    pub(crate) user_agent: String,
}

impl Instance {
    /// Binds a plugin. On success the second part holds warnings: grants that the plugin asks for and
    /// does not have.
    ///
    /// # Errors
    /// Every problem that keeps the instance from running, warnings among them.
    pub fn configure(plugin: &Arc<Plugin>, from: InstanceSettings) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let manifest = plugin.manifest();
        let mut problems = Vec::new();
        let mut settings = from.settings;
        if settings.is_null() {
            settings = Value::Object(serde_json::Map::new());
        }
        schema::fill_defaults(&plugin.schema, &mut settings);
        problems.extend(schema_problems(plugin, &settings));
        let secrets = read_secrets(manifest, &from.secrets, &mut problems);
        let grants = read_grants(&from.grants, &mut problems);
        let fits = problems.is_empty();
        let asks = read_asks(manifest, &settings, fits, &mut problems);
        problems.extend(missing_grants(&asks, &grants));
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        let bound = Bound {
            settings_text: settings.to_string(),
            settings,
            asks,
            grants,
            masker: Masker::new(secrets.values()),
            secrets,
            limits: Limits::resolve(&manifest.limits, &from.limits, &plugin.engine.ceiling),
            name: from.name,
            time_zone: from.time_zone,
            user_agent: format!("mihwar/{}", from.hub_version),
            hub_version: from.hub_version,
            plugin: Arc::clone(plugin),
        };
        Ok((Self { bound: Arc::new(bound) }, problems))
    }

    /// An instance without settings, secrets or grants, to ask a plugin about itself.
    pub(crate) fn bare(plugin: &Arc<Plugin>) -> Self {
        let limits = Limits::resolve(&WantedLimits::default(), &LimitOverrides::default(), &plugin.engine.ceiling);
        Self {
            bound: Arc::new(Bound {
                plugin: Arc::clone(plugin),
                name: "-".to_owned(),
                settings: Value::Null,
                settings_text: "{}".to_owned(),
                asks: Vec::new(),
                grants: Vec::new(),
                secrets: BTreeMap::new(),
                masker: Masker::new(std::iter::empty()),
                limits,
                time_zone: "UTC".to_owned(),
                hub_version: String::new(),
                user_agent: String::new(),
            }),
        }
    }

    /// The instance's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bound.name
    }

    /// The plugin behind it.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.bound.plugin
    }

    /// The settings in force, defaults filled in.
    #[must_use]
    pub fn settings(&self) -> &Value {
        &self.bound.settings
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.bound.limits
    }

    /// The signature check of an inbound endpoint; `None` when there is no such endpoint or it declares
    /// no recipe.
    #[must_use]
    pub fn webhook_verifier(&self, endpoint: &str) -> Option<WebhookVerifier<'_>> {
        let recipe = self.bound.plugin.manifest().webhook(endpoint)?.verify.as_ref()?;
        let crate::manifest::Verify::HmacSha256(hmac) = recipe;
        Some(WebhookVerifier { recipe, secret: self.bound.secrets.get(&hmac.secret) })
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Instance")
            .field("name", &self.bound.name)
            .field("plugin", &self.bound.plugin)
            .finish_non_exhaustive()
    }
}

fn schema_problems(plugin: &Plugin, settings: &Value) -> Vec<Problem> {
    let validator = match schema::compile(&plugin.schema) {
        Ok(validator) => validator,
        Err(message) => return vec![Problem::error("settings", format!("the plugin's schema cannot be used: {message}"))],
    };
    schema::faults(&validator, settings)
        .into_iter()
        .map(|(path, message)| {
            let path = if path.is_empty() { "settings".to_owned() } else { format!("settings.{path}") };
            Problem::error(path, message)
        })
        .collect()
}

fn read_secrets(manifest: &Manifest, set: &SecretSet, problems: &mut Vec<Problem>) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for slot in &manifest.secrets {
        match set.get(&slot.name).map(|value| Secret::read(slot, value)) {
            Some(Ok(secret)) => {
                secrets.insert(slot.name.clone(), secret);
            }
            Some(Err(error)) => problems.push(Problem::error(format!("secrets.{}", slot.name), error.to_string())),
            None if slot.required => problems.push(Problem::error(
                format!("secrets.{}", slot.name),
                format!("the plugin cannot run without this secret; set `secrets.{} = \"env:NAME\"` or \"file:PATH\"", slot.name),
            )),
            None => {}
        }
    }
    for name in set.names().filter(|name| manifest.secret(name).is_none()) {
        problems.push(Problem::error(format!("secrets.{name}"), "the plugin declares no secret of this name"));
    }
    secrets
}

fn read_grants(grants: &Grants, problems: &mut Vec<Problem>) -> Vec<Rule> {
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
fn read_asks(manifest: &Manifest, settings: &Value, settings_fit: bool, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for ask in &manifest.ask.http {
        let Ok(origin) = filled(&ask.origin, settings, None) else { continue };
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

fn missing_grants(asks: &[Rule], grants: &[Rule]) -> Vec<Problem> {
    asks.iter()
        .filter_map(|ask| {
            let missing = ask.not_covered_by(grants);
            (!missing.is_empty()).then(|| {
                Problem::warning("grant.http", format!("not granted; to allow it add:\n{}", ask.as_grant(&missing)))
            })
        })
        .collect()
}
