//! The plugin instances and how they are.

use axum::Json;
use axum::extract::State;
use mihwar_hub::{InstanceStatus, Role};
use mihwar_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{Allowed, Problem, Read};
use crate::surface::Surface;

/// A plugin as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginInstance)]
pub struct InstanceView {
    /// Name of the instance.
    pub name: String,
    /// The plugin it runs.
    pub plugin: String,
    /// The plugin's name for people, in English.
    pub title_en: String,
    /// The plugin's name for people, in Arabic.
    pub title_ar: String,
    /// The plugin's version.
    pub version: String,
    /// `channel`, `enricher`, `department` or `metric`.
    pub role: String,
    /// `running` or `paused`.
    pub state: String,
    /// Why it is paused, and what to do.
    pub reason: Option<String>,
    /// Calls that went well since the hub started.
    pub calls_ok: u64,
    /// Calls that failed since the hub started.
    pub calls_failed: u64,
    /// When a call last failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_error_at: Option<Time>,
    /// What the last failure said.
    pub last_error: Option<String>,
    /// When a call last went well.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success: Option<Time>,
    /// Work that waits for it.
    pub waiting: u64,
    /// Its dead letters.
    pub dead: u64,
    /// What the plugin can do.
    pub capabilities: Vec<String>,
    /// SHA-256 of the plugin file.
    pub sha256: String,
}

impl From<InstanceStatus> for InstanceView {
    fn from(status: InstanceStatus) -> Self {
        let state = if status.paused.is_some() { "paused" } else { "running" };
        let role = match status.role {
            Role::Channel => "channel",
            Role::Enricher => "enricher",
            Role::Department => "department",
            Role::Metric => "metric",
        };
        let (last_error_at, last_error) = status.last_error.map(|error| (error.at, error.message)).unzip();
        Self {
            name: status.name.to_string(),
            plugin: status.plugin.to_string(),
            title_en: status.plugin_name.en,
            title_ar: status.plugin_name.ar,
            version: status.version,
            role: role.to_owned(),
            state: state.to_owned(),
            reason: status.paused,
            calls_ok: status.calls_ok,
            calls_failed: status.calls_failed,
            last_error_at,
            last_error,
            last_success: status.last_success,
            waiting: status.waiting,
            dead: status.dead,
            capabilities: status.capabilities,
            sha256: status.sha256,
        }
    }
}

/// All instances, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceListView {
    /// The instances.
    pub items: Vec<InstanceView>,
}

/// List plugin instances
///
/// Which plugins run and how they are.
#[utoipa::path(
    get, path = "/api/v1/plugins", tag = "plugins",
    responses((status = OK, body = InstanceListView, description = "All instances.")),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn list_plugins(
    _: Allowed<Read>,
    State(surface): State<Surface>,
) -> Result<Json<InstanceListView>, Problem> {
    let items = surface
        .hub
        .instances()
        .await?
        .into_iter()
        .map(InstanceView::from)
        .collect();
    Ok(Json(InstanceListView { items }))
}
