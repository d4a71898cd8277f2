//! A figure that a stranger makes again: from a receipt, a bundle of the ledger and the module alone, without a hub.

use std::io::Read;

use mihwar_ledger::{
    Bundle, BundleError, Checkpoint, EvidenceError, FigureGroup, FigureInterval, FigureLimits, FigurePart,
    FigureReceipt, FigureSelection,
};
use mihwar_sandbox::manifest::{ByteSize, Span};
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
/// A hub gives no plugin more table elements than these.
const TABLE_MAX: u64 = 100_000;
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
    /// The module is the right one, and the receipt gives it another name or version than it has.
    #[error("the receipt calls the module {named}, but it says of itself that it is {found}")]
    Name {
        /// Id and version in the receipt.
        named: String,
        /// Id and version in the file.
        found: String,
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
    /// It was made with more than is given to a module here.
    #[error(
        "the figure was made under a limit of {} of memory, and the module is given at most {} here: allow more with --memory, or ask for a receipt of an instance with a lower `limits.memory`",
        ByteSize(*.asked), ByteSize(*.most)
    )]
    Memory {
        /// Bytes in the receipt.
        asked: u64,
        /// The most that whoever checks allows.
        most: u64,
    },
    /// No hub gives so much.
    #[error("the receipt says that the module had {asked} table elements, and no hub gives one more than {TABLE_MAX}")]
    Table {
        /// Elements in the receipt.
        asked: u64,
    },
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
/// its end, so that it is known to be whole; nothing may have been read of it before. The module runs under the limits of the
/// receipt, which whoever checks did not choose: with no more than `memory_max` bytes.
///
/// # Errors
/// [`FigureMismatch`] names the first thing that does not fit, and of the figure all that differs.
pub async fn check_figure<R: Read + Send + 'static>(
    receipt: &FigureReceipt,
    mut bundle: Bundle<R>,
    module: &[u8],
    memory_max: u64,
    progress: mpsc::Sender<StageProgress>,
) -> Result<CheckedFigure, FigureMismatch> {
    let checkpoint = receipt.verify(bundle.key())?;
    let filter = FigureFilter::of(&receipt.selection).ok_or(FigureMismatch::Filter)?;
    check_limits(receipt.limits, memory_max)?;
    bundle.compare_with(checkpoint.clone())?;
    let instance = instance(receipt, module).await?;
    let (size, listener) = (checkpoint.size, progress.clone());
    let reading = aside(move || read(bundle, size, filter, &listener)).await;
    let (selected, entries) = reading.map_err(FigureRefusal::Fault)??;
    let told = selected.told.clone();
    let measured = measure(&instance, selected, &progress).await?;
    let mut differences = Vec::new();
    compare_counts(&receipt.selection, &told, &mut differences);
    compare(receipt, &measured, &mut differences);
    if differences.is_empty() {
        Ok(CheckedFigure { checkpoint, entries })
    } else {
        Err(FigureMismatch::Different(differences))
    }
}

/// Whether a module may have here what it had when it made the figure.
fn check_limits(limits: FigureLimits, memory_max: u64) -> Result<(), FigureMismatch> {
    let FigureLimits { memory, table } = limits;
    if memory > memory_max {
        return Err(FigureMismatch::Memory {
            asked: memory,
            most: memory_max,
        });
    }
    if table > TABLE_MAX {
        return Err(FigureMismatch::Table { asked: table });
    }
    Ok(())
}

/// The module, if it is the receipt's, ready to run under the limits of the receipt, which are within bounds.
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
    let (limits, usual) = (receipt.limits, EngineSettings::default());
    let engine = Engine::new(EngineSettings {
        concurrent_calls: 1,
        memory_ceiling: usual.memory_ceiling.max(limits.memory),
        ..usual
    })?;
    let plugin = engine.load(module).await?;
    if !plugin.can(Capability::Measure) {
        return Err(FigureMismatch::NoMetric);
    }
    let (said, own) = (&receipt.module, &plugin.manifest().plugin);
    if (&said.plugin, &said.version) != (&own.id, &own.version) {
        return Err(FigureMismatch::Name {
            named: format!("{} {}", said.plugin, said.version),
            found: format!("{} {}", own.id, own.version),
        });
    }
    let settings = InstanceSettings {
        name: receipt.metric.clone(),
        settings: serde_json::Value::Null,
        grants: Grants::default(),
        secrets: SecretSet::new(),
        limits: LimitOverrides {
            time: Some(Span(TIME)),
            memory: Some(ByteSize(limits.memory)),
            table: Some(limits.table),
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

/// Notes a difference: what the receipt says, and what came out here. What decides is the values: two of them may read alike,
/// as the group "a, b" and the groups "a" and "b" do.
fn differ<T: PartialEq>(what: &str, said: &T, here: &T, shown: impl Fn(&T) -> String, differences: &mut Vec<String>) {
    if said != here {
        let (said, here) = (shown(said), shown(here));
        differences.push(format!("{what}: the receipt says {said}, here it is {here}"));
    }
}

fn compare_counts(said: &FigureSelection, here: &FigureSelection, differences: &mut Vec<String>) {
    for (what, said, here) in [
        ("records that the filter chooses", said.records, here.records),
        ("withdrawn records", said.withdrawn, here.withdrawn),
        ("revised records", said.revised, here.revised),
        ("records that were moved out", said.moved, here.moved),
    ] {
        differ(what, &said, &here, ToString::to_string, differences);
    }
}

fn compare(receipt: &FigureReceipt, measured: &Measured, differences: &mut Vec<String>) {
    let (said, here) = (&receipt.definition, &measured.definition);
    let version = |(id, version): &(&String, &String)| format!("{id}@{version}");
    let versions = ((&said.id, &said.version), (&here.id, &here.version));
    differ("definition", &versions.0, &versions.1, version, differences);
    differ(
        "statement",
        &said.statement,
        &here.statement,
        String::clone,
        differences,
    );
    differ("unit", &said.unit, &here.unit, String::clone, differences);
    let (said, here) = (names(&receipt.groups), names(&measured.groups));
    differ("groups", &said, &here, |names| names.join(", "), differences);
    for said in &receipt.groups {
        if let Some(here) = measured.groups.iter().find(|here| here.name == said.name) {
            compare_group(said, here, differences);
        }
    }
}

fn names(groups: &[FigureGroup]) -> Vec<&str> {
    groups.iter().map(|group| group.name.as_str()).collect()
}

fn compare_group(said: &FigureGroup, here: &FigureGroup, differences: &mut Vec<String>) {
    let of = |what: &str| format!("{}: {what}", here.name);
    for (what, said, here) in [
        ("records", said.records, here.records),
        ("n", said.n, here.n),
        ("revised records", said.revised, here.revised),
        ("records that were moved out", said.moved, here.moved),
    ] {
        differ(&of(what), &said, &here, ToString::to_string, differences);
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    differ(&of("value"), &said.value, &here.value, value, differences);
    differ(&of("interval"), &said.interval, &here.interval, interval, differences);
    let parts = |parts: &Vec<FigurePart>| {
        let parts = parts.iter().map(|part| format!("{} {}", part.name, part.value));
        parts.collect::<Vec<_>>().join(", ")
    };
    differ(&of("parts"), &said.parts, &here.parts, parts, differences);
}

fn interval(interval: &Option<FigureInterval>) -> String {
    interval.as_ref().map_or_else(
        || "nothing".to_owned(),
        |found| format!("{} to {} ({} %, {})", found.low, found.high, found.level, found.method),
    )
}

#[cfg(test)]
mod tests;
