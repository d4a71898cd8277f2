//! A figure that a stranger makes again: from a receipt, a bundle of the ledger and the module alone, without a hub.

use std::io::Read;

use mihwar_ledger::{
    Bundle, BundleError, Checkpoint, EvidenceError, FigureDefinition, FigureGroup, FigureInterval, FigureReceipt,
};
use mihwar_sandbox::manifest::Span;
use mihwar_sandbox::{
    Capability, Engine, EngineError, EngineSettings, Grants, Instance, InstanceSettings, LimitOverrides, LoadError,
    SecretSet,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::mpsc;

use super::measuring::{Measured, measure, tell};
use super::selection::{Selected, Selecting};
use super::{FigureFilter, FigureRefusal};
use crate::walk::{StageProgress, aside};

/// How long the module may take for one group; the stranger's machine may be slow.
const TIME: std::time::Duration = std::time::Duration::from_secs(600);
/// After so many entries it is told how far the reading is.
const TELL_EVERY: u64 = 4096;
/// Differences that are told one by one.
const DIFFERENCES_MAX: usize = 20;

/// A figure that came out the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFigure {
    /// The checkpoint that the figure is of.
    pub checkpoint: Checkpoint,
    /// Entries that were read, those after the checkpoint among them.
    pub entries: u64,
}

/// Why a figure is not what its receipt says, or cannot be made again.
#[derive(Debug, Error)]
pub enum FigureMismatch {
    /// The receipt's checkpoint is not signed by the bundle's key.
    #[error("the receipt: {0}")]
    Checkpoint(#[from] EvidenceError),
    /// The bundle is damaged, or its ledger is not the receipt's: another one, a shorter one, another history.
    #[error("the bundle: {0}")]
    Bundle(#[from] BundleError),
    /// The file is another module than the one that made the figure.
    #[error(
        "the module is another one: the receipt names {named}, and this file is {found}; get the plugin {plugin} {version} from whoever made the figure"
    )]
    Module {
        /// SHA-256 in the receipt.
        named: String,
        /// SHA-256 of the file.
        found: String,
        /// The plugin's id.
        plugin: String,
        /// Its version.
        version: String,
    },
    /// The module cannot be run.
    #[error("the module cannot be used: {0}")]
    Load(#[from] LoadError),
    /// The module makes no figures.
    #[error("the module is no metric plugin")]
    NoMetric,
    /// WebAssembly does not run here.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What was chosen cannot be read from the receipt.
    #[error("the receipt's filter is none: from, to or by is not what this version writes")]
    Filter,
    /// The figure cannot be made again.
    #[error("the figure cannot be made again: {0}")]
    Refusal(#[from] FigureRefusal),
    /// It was made again, and is another one.
    #[error("not the same figure:{}", listed(.0))]
    Different(Vec<String>),
}

fn listed(differences: &[String]) -> String {
    let shown = differences.iter().take(DIFFERENCES_MAX);
    let mut text: String = shown.map(|difference| format!("\n  {difference}")).collect();
    let untold = differences.len().saturating_sub(DIFFERENCES_MAX);
    if untold > 0 {
        text.push_str(&format!("\n  … and {untold} more"));
    }
    text
}

/// Makes the figure of a receipt again and compares: the signature of its checkpoint by the bundle's key, the module's hash,
/// the root of the bundle's entries at the receipt's size, what is chosen from them, and every digit. The bundle is read to
/// its end, so that it is known to be whole; nothing may have been read of it before.
///
/// # Errors
/// [`FigureMismatch`] names the first thing that does not fit, and of the figure all that differs.
pub async fn check_figure<R: Read + Send + 'static>(
    receipt: &FigureReceipt,
    mut bundle: Bundle<R>,
    module: &[u8],
    progress: mpsc::Sender<StageProgress>,
) -> Result<CheckedFigure, FigureMismatch> {
    let checkpoint = receipt.verify(bundle.key())?;
    let filter = FigureFilter::of(&receipt.selection).ok_or(FigureMismatch::Filter)?;
    bundle.compare_with(checkpoint.clone())?;
    let instance = instance(receipt, module).await?;
    let (size, listener) = (checkpoint.size, progress.clone());
    let reading = aside(move || read(bundle, size, filter, &listener)).await;
    let (selected, entries) = reading.map_err(FigureRefusal::Fault)??;
    let told = selected.told.clone();
    let measured = measure(&instance, selected, &progress).await?;
    let mut differences = Vec::new();
    compare_counts(receipt, [told.records, told.withdrawn], &mut differences);
    compare(receipt, &measured, &mut differences);
    if differences.is_empty() {
        Ok(CheckedFigure { checkpoint, entries })
    } else {
        Err(FigureMismatch::Different(differences))
    }
}

/// The module, if it is the receipt's, ready to run.
async fn instance(receipt: &FigureReceipt, module: &[u8]) -> Result<Instance, FigureMismatch> {
    let found = hex::encode(Sha256::digest(module));
    if found != receipt.module.sha256 {
        return Err(FigureMismatch::Module {
            named: receipt.module.sha256.clone(),
            found,
            plugin: receipt.module.plugin.clone(),
            version: receipt.module.version.clone(),
        });
    }
    let engine = Engine::new(EngineSettings {
        concurrent_calls: 1,
        ..EngineSettings::default()
    })?;
    let plugin = engine.load(module).await?;
    if !plugin.can(Capability::Measure) {
        return Err(FigureMismatch::NoMetric);
    }
    let settings = InstanceSettings {
        name: receipt.metric.clone(),
        settings: serde_json::Value::Null,
        grants: Grants::default(),
        secrets: SecretSet::new(),
        limits: LimitOverrides {
            time: Some(Span(TIME)),
            ..LimitOverrides::default()
        },
        time_zone: "UTC".to_owned(),
        hub_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let configured = Instance::configure(&plugin, settings);
    // A metric plugin has nothing to set: nothing can be wrong with it.
    let (instance, _) = configured.map_err(|_| FigureMismatch::NoMetric)?;
    Ok(instance)
}

/// Reads the whole bundle; its first `size` entries are the ledger that the figure is of. Answers how many there are.
fn read<R: Read>(
    mut bundle: Bundle<R>,
    size: u64,
    filter: FigureFilter,
    progress: &mpsc::Sender<StageProgress>,
) -> Result<(Selected, u64), FigureMismatch> {
    let (mut selecting, total) = (Selecting::new(filter), bundle.checkpoint().size);
    for entry in bundle.events() {
        let (index, bytes) = entry?;
        if index < size {
            selecting.take(index, &bytes)?;
        }
        if index.is_multiple_of(TELL_EVERY) {
            tell(progress, "reading the bundle", index, total);
        }
    }
    Ok((selecting.finish()?, total))
}

/// Notes a difference: what the receipt says, and what came out here.
fn differ(what: &str, said: &str, here: &str, differences: &mut Vec<String>) {
    if said != here {
        differences.push(format!("{what}: the receipt says {said}, here it is {here}"));
    }
}

fn compare_counts(receipt: &FigureReceipt, [records, withdrawn]: [u64; 2], differences: &mut Vec<String>) {
    let said = &receipt.selection;
    for (what, said, here) in [
        ("records that the filter chooses", said.records, records),
        ("withdrawn records", said.withdrawn, withdrawn),
    ] {
        differ(what, &said.to_string(), &here.to_string(), differences);
    }
}

fn compare(receipt: &FigureReceipt, measured: &Measured, differences: &mut Vec<String>) {
    let version = |definition: &FigureDefinition| format!("{}@{}", definition.id, definition.version);
    let (said, here) = (&receipt.definition, &measured.definition);
    differ("definition", &version(said), &version(here), differences);
    differ("statement", &said.statement, &here.statement, differences);
    differ("unit", &said.unit, &here.unit, differences);
    let names = |groups: &[FigureGroup]| {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        names.join(", ")
    };
    differ("groups", &names(&receipt.groups), &names(&measured.groups), differences);
    for said in &receipt.groups {
        if let Some(here) = measured.groups.iter().find(|here| here.name == said.name) {
            compare_group(said, here, differences);
        }
    }
}

fn compare_group(said: &FigureGroup, here: &FigureGroup, differences: &mut Vec<String>) {
    let mut differ = |what: &str, said: &str, here_text: &str| {
        differ(&format!("{}: {what}", here.name), said, here_text, differences);
    };
    differ("records", &said.records.to_string(), &here.records.to_string());
    differ("n", &said.n.to_string(), &here.n.to_string());
    let value = |group: &FigureGroup| group.value.clone().unwrap_or_else(|| "nothing".to_owned());
    differ("value", &value(said), &value(here));
    differ(
        "interval",
        &interval(said.interval.as_ref()),
        &interval(here.interval.as_ref()),
    );
    let parts = |group: &FigureGroup| {
        let parts = group.parts.iter().map(|part| format!("{} {}", part.name, part.value));
        parts.collect::<Vec<_>>().join(", ")
    };
    differ("parts", &parts(said), &parts(here));
}

fn interval(interval: Option<&FigureInterval>) -> String {
    interval.map_or_else(
        || "nothing".to_owned(),
        |found| format!("{} to {} ({} %, {})", found.low, found.high, found.level, found.method),
    )
}
