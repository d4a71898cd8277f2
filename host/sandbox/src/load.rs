//! From a plugin file to a [`Plugin`]: inspect, check the version, compile or take from the cache,
//! link, find the exports, ask for the settings schema.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wasmtime::component::{Component, InstancePre};

use crate::cache::Cached;
use crate::call::Call;
use crate::contract::{destination, figure, importer, lifecycle, processor, puller, webhook};
use crate::engine::{Engine, Inner};
use crate::error::CallError;
use crate::host::CallState;
use crate::inspect::{Inspection, NotAPlugin};
use crate::instance::Instance;
use crate::offered;
use crate::plugin::{Capability, Exports, Plugin};

/// Longest settings schema that is taken.
const SCHEMA_BYTES: usize = 512 * 1024;

/// Why a plugin cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is no plugin.
    #[error(transparent)]
    File(#[from] NotAPlugin),
    /// Built for a contract that this hub does not serve.
    #[error("the plugin was built for contract mihwar:plugin@{built_for}; this hub offers {offered}. {advice}")]
    Contract {
        /// What the manifest says.
        built_for: String,
        /// What this build serves.
        offered: &'static str,
        /// Which side to update.
        advice: &'static str,
    },
    /// The plugin wants functions that this hub does not have.
    #[error("the plugin needs what this hub does not offer: {}", .0.join(", "))]
    MissingImports(Vec<String>),
    /// A metric plugin wants more than the facts.
    #[error(
        "a metric plugin gets facts and nothing else, so that everybody gets the same digits from it; this one asks for {}", .0.join(", ")
    )]
    Forbidden(Vec<String>),
    /// The plugin lacks an export or has one of another shape.
    #[error("the plugin does not fit the contract: {0}")]
    Shape(String),
    /// The component does not compile or is too large for the engine's pools.
    #[error("the plugin cannot be compiled: {0}")]
    Compile(String),
    /// The plugin could not name its settings.
    #[error("the plugin failed when asked for its settings schema: {0}")]
    Schema(Box<CallError>),
    /// The settings schema is no JSON Schema.
    #[error("the plugin's settings schema cannot be used: {0}")]
    BadSchema(String),
}

impl Engine {
    /// Loads a plugin from its file's bytes. Compiles on a blocking thread unless the cache has it; one that is loaded
    /// already is shared.
    ///
    /// # Errors
    /// Says what the file is instead, what the plugin needs, or why it does not compile.
    pub async fn load(&self, file: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        if let Some(plugin) = self.inner.loaded(&Sha256::digest(file).into()) {
            return Ok(plugin);
        }
        let inspection = Inspection::of(file)?;
        inspection.fitness()?;
        let hash = inspection.hash;
        let engine = Arc::clone(&self.inner);
        let bytes = file.to_vec();
        let (component, schema) = tokio::task::spawn_blocking(move || component(&engine, &hash, &bytes))
            .await
            .map_err(|error| LoadError::Compile(error.to_string()))??;
        let pre = link(&self.inner, &component, &inspection)?;
        let exports = exports(&pre, &inspection)?;
        let from_cache = schema.is_some();
        let has_settings = exports.lifecycle.is_some();
        let mut plugin = Plugin {
            engine: Arc::clone(&self.inner),
            pre,
            exports,
            inspection,
            schema: Value::Null,
            from_cache,
        };
        if let Some(text) = schema {
            plugin.schema = read_schema(&text)?;
            let plugin = Arc::new(plugin);
            self.inner.remember(hash, &plugin);
            return Ok(plugin);
        }
        let text = if has_settings {
            let asked = Arc::new(plugin);
            let text = ask_for_schema(&asked).await?;
            plugin = Arc::into_inner(asked).ok_or_else(|| LoadError::Compile("still in use".to_owned()))?;
            text
        } else {
            no_settings()
        };
        plugin.schema = read_schema(&text)?;
        self.keep(hash, text, component).await;
        let plugin = Arc::new(plugin);
        self.inner.remember(hash, &plugin);
        Ok(plugin)
    }

    /// Writes the compiled code to the cache. That it cannot be written costs time, nothing else.
    async fn keep(&self, hash: [u8; 32], schema: String, component: Component) {
        let engine = Arc::clone(&self.inner);
        let kept = tokio::task::spawn_blocking(move || {
            let Some(cache) = &engine.cache else {
                return Ok(());
            };
            let code = component.serialize().map_err(|error| format!("{error:#}"))?;
            cache.write(&hash, &schema, &code).map_err(|error| error.to_string())
        })
        .await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(
                error,
                "compiled plugin cannot be kept; it will be compiled again at the next start"
            );
        }
    }
}

/// The compiled component, with its schema when both come from the cache.
fn component(engine: &Inner, hash: &[u8; 32], file: &[u8]) -> Result<(Component, Option<String>), LoadError> {
    if let Some(cached) = engine.cache.as_ref().and_then(|cache| cache.read(hash))
        && let Some(component) = revive(engine, &cached)
    {
        return Ok((component, Some(cached.schema)));
    }
    Component::from_binary(&engine.wasm, file)
        .map(|component| (component, None))
        .map_err(|error| LoadError::Compile(format!("{error:#}")))
}

#[expect(
    unsafe_code,
    reason = "taking compiled code back from the cache is the one place that needs it"
)]
fn revive(engine: &Inner, cached: &Cached) -> Option<Component> {
    // SAFETY: `deserialize` needs bytes that `Component::serialize` made. `Cache::read` hands out only
    // bytes whose MAC, under a key that nobody but this hub has, matches what `keep` wrote; they are
    // in our memory by then, so that nobody can change them after the check.
    let revived = unsafe { Component::deserialize(&engine.wasm, &cached.code) };
    revived
        .inspect_err(|error| tracing::warn!(%error, "compiled plugin is of another engine; compiling again"))
        .ok()
}

fn link(engine: &Inner, component: &Component, inspection: &Inspection) -> Result<InstancePre<CallState>, LoadError> {
    let linker = if inspection.is_metric() {
        &engine.figures
    } else {
        &engine.linker
    };
    linker.instantiate_pre(component).map_err(|error| {
        let missing = offered::missing_functions(&engine.wasm, component);
        if missing.is_empty() {
            LoadError::Shape(format!("{error:#} (plugin {})", inspection.manifest.plugin.id))
        } else {
            LoadError::MissingImports(missing)
        }
    })
}

fn exports(pre: &InstancePre<CallState>, inspection: &Inspection) -> Result<Exports, LoadError> {
    if inspection.is_metric() {
        let figure = figure::GuestIndices::new(pre)
            .map_err(|error| LoadError::Shape(format!("its `figure` is not the contract's: {error:#}")))?;
        return Ok(Exports {
            figure: Some(figure),
            ..Exports::default()
        });
    }
    let lifecycle = lifecycle::GuestIndices::new(pre)
        .map_err(|error| LoadError::Shape(format!("every plugin exports `lifecycle`: {error:#}")))?;
    let exports = Exports {
        lifecycle: Some(lifecycle),
        importer: importer::GuestIndices::new(pre).ok(),
        puller: puller::GuestIndices::new(pre).ok(),
        webhook: webhook::GuestIndices::new(pre).ok(),
        processor: processor::GuestIndices::new(pre).ok(),
        destination: destination::GuestIndices::new(pre).ok(),
        figure: None,
    };
    if !Capability::ALL.iter().any(|capability| exports.can(*capability)) {
        return Err(LoadError::Shape(crate::fitness::OFFERS_NOTHING.to_owned()));
    }
    Ok(exports)
}

/// The schema of a plugin that has nothing to set.
fn no_settings() -> String {
    json!({ "type": "object", "additionalProperties": false }).to_string()
}

async fn ask_for_schema(plugin: &Arc<Plugin>) -> Result<String, LoadError> {
    let instance = Instance::bare(plugin);
    let done = instance
        .settings_schema(Call::empty())
        .await
        .map_err(|error| LoadError::Schema(Box::new(error)))?;
    Ok(done.value)
}

fn read_schema(text: &str) -> Result<Value, LoadError> {
    if text.len() > SCHEMA_BYTES {
        return Err(LoadError::BadSchema(format!(
            "it has {} bytes, more than {SCHEMA_BYTES}",
            text.len()
        )));
    }
    let schema: Value = serde_json::from_str(text).map_err(|error| LoadError::BadSchema(error.to_string()))?;
    crate::schema::compile(&schema).map_err(LoadError::BadSchema)?;
    Ok(schema)
}
