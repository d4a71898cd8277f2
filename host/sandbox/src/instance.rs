//! A plugin bound to settings, secrets and grants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::grants::{Grants, Rule, StreamAsk, StreamGrant};
use crate::limits::{LimitOverrides, Limits};
use crate::manifest::{Manifest, WantedLimits};
use crate::plugin::Plugin;
use crate::problem::{
    Problem, Severity, carrier_problems, cut_limits, inject_problems, missing_grants, missing_stream_grants, read_asks,
    read_grants, read_secrets, read_stream_asks, read_stream_grants, settings_problems, unasked_fields,
};
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
    pub(crate) stream_asks: Vec<StreamAsk>,
    pub(crate) stream_grants: Vec<StreamGrant>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) masker: Masker,
    pub(crate) limits: Limits,
    pub(crate) time_zone: String,
    pub(crate) hub_version: String,
    pub(crate) user_agent: String,
}

impl Instance {
    /// Binds a plugin. On success the second part holds warnings: grants that the plugin asks for and does not
    /// have, fields that it has and does not ask for, limits that the engine cuts, secrets that cannot be sent
    /// for lack of a setting.
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
        problems.extend(settings_problems(&plugin.schema, &mut settings));
        let secrets = read_secrets(manifest, &from.secrets, &mut problems);
        let grants = read_grants(&from.grants, &mut problems);
        let stream_grants = read_stream_grants(&from.grants, &mut problems);
        let fits = problems.is_empty();
        let asks = read_asks(manifest, &settings, fits, &mut problems);
        let stream_asks = read_stream_asks(manifest, &settings, fits, &mut problems);
        problems.extend(inject_problems(manifest, &settings, &secrets));
        problems.extend(carrier_problems(manifest, &settings));
        problems.extend(missing_grants(&asks, &grants));
        problems.extend(missing_stream_grants(&stream_asks, &stream_grants));
        problems.extend(unasked_fields(manifest, &from.grants));
        problems.extend(cut_limits(manifest, &from.limits, &plugin.engine.ceiling));
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        let bound = Bound {
            settings_text: settings.to_string(),
            asks,
            grants,
            stream_asks,
            stream_grants,
            masker: Masker::new(secrets.values(), composed(manifest, &settings, &secrets).into_iter()),
            settings,
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
        let limits = Limits::resolve(
            &WantedLimits::default(),
            &LimitOverrides::default(),
            &plugin.engine.ceiling,
        );
        Self {
            bound: Arc::new(Bound {
                plugin: Arc::clone(plugin),
                name: "-".to_owned(),
                settings: Value::Null,
                settings_text: "{}".to_owned(),
                asks: Vec::new(),
                grants: Vec::new(),
                stream_asks: Vec::new(),
                stream_grants: Vec::new(),
                secrets: BTreeMap::new(),
                masker: Masker::new(std::iter::empty(), std::iter::empty()),
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

    /// The check of who calls an inbound endpoint; `None` when there is no such endpoint or it declares
    /// no recipe.
    #[must_use]
    pub fn webhook_verifier(&self, endpoint: &str) -> Option<WebhookVerifier<'_>> {
        let recipe = self.bound.plugin.manifest().webhook(endpoint)?.verify.as_ref()?;
        Some(WebhookVerifier {
            recipe,
            secret: self.bound.secrets.get(recipe.secret()),
        })
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

/// The header values that secrets are put into: an echo of one would tell the secret.
fn composed(manifest: &Manifest, settings: &Value, secrets: &BTreeMap<String, Secret>) -> Vec<String> {
    manifest
        .secrets
        .iter()
        .filter_map(|slot| {
            let (inject, secret) = (slot.inject.as_ref()?, secrets.get(&slot.name)?);
            let value = filled(&inject.format, settings, Some(secret.text.expose_secret())).ok()?;
            // The scheme before it, as in `Basic …`, may be written differently in an echo.
            value.split_whitespace().last().map(str::to_owned)
        })
        .collect()
}
