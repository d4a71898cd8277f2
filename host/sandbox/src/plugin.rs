//! A loaded plugin: compiled, linked, its exports found.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::InstancePre;

use crate::contract::{destination, figure, importer, lifecycle, processor, puller, webhook};
use crate::engine::Inner;
use crate::host::CallState;
use crate::inspect::Inspection;
use crate::manifest::Manifest;

/// What a plugin can do, by the interfaces it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Reads files (`importer`).
    Import,
    /// Is asked for news (`puller`).
    Pull,
    /// Is called by the other system (`webhook`).
    Webhook,
    /// Edits records (`processor`).
    Process,
    /// Takes deliveries (`destination`).
    Deliver,
    /// Makes a figure (`figure`).
    Measure,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 6] = [
        Self::Import,
        Self::Pull,
        Self::Webhook,
        Self::Process,
        Self::Deliver,
        Self::Measure,
    ];

    /// The exported interface's name.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Import => "importer",
            Self::Pull => "puller",
            Self::Webhook => "webhook",
            Self::Process => "processor",
            Self::Deliver => "destination",
            Self::Measure => "figure",
        }
    }
}

/// Where a component's exports are. Found once per plugin, so that a call looks nothing up by name.
#[derive(Default)]
pub(crate) struct Exports {
    /// Every plugin has it but those that make figures, which have nothing to set.
    pub(crate) lifecycle: Option<lifecycle::GuestIndices>,
    pub(crate) importer: Option<importer::GuestIndices>,
    pub(crate) puller: Option<puller::GuestIndices>,
    pub(crate) webhook: Option<webhook::GuestIndices>,
    pub(crate) processor: Option<processor::GuestIndices>,
    pub(crate) destination: Option<destination::GuestIndices>,
    pub(crate) figure: Option<figure::GuestIndices>,
}

impl Exports {
    /// Whether they hold what that takes.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        match capability {
            Capability::Import => self.importer.is_some(),
            Capability::Pull => self.puller.is_some(),
            Capability::Webhook => self.webhook.is_some(),
            Capability::Process => self.processor.is_some(),
            Capability::Deliver => self.destination.is_some(),
            Capability::Measure => self.figure.is_some(),
        }
    }
}

/// A plugin that can be configured and called.
pub struct Plugin {
    pub(crate) engine: Arc<Inner>,
    pub(crate) pre: InstancePre<CallState>,
    pub(crate) exports: Exports,
    pub(crate) inspection: Inspection,
    pub(crate) schema: Value,
    pub(crate) from_cache: bool,
}

impl Plugin {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.inspection.manifest
    }

    /// Hash, size, imports and exports of its file.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The JSON Schema of its settings.
    #[must_use]
    pub fn settings_schema(&self) -> &Value {
        &self.schema
    }

    /// What it can do.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> + '_ {
        Capability::ALL.into_iter().filter(|capability| self.can(*capability))
    }

    /// Whether it can do that.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.exports.can(capability)
    }

    /// Whether its compiled code came from the cache.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Plugin")
            .field("id", &self.manifest().plugin.id)
            .field("version", &self.manifest().plugin.version)
            .field("sha256", &self.inspection.sha256)
            .finish_non_exhaustive()
    }
}
