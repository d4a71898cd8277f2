//! A figure that a stranger makes again: from a receipt, the ledger's entries and the module alone, without a hub.

use std::fmt::Display;

use mihwar_ledger::{
    Checkpoint, EvidenceError, FigureDefinition, FigureGroup, FigureInterval, FigureReceipt, Frontier, VerifyingKey,
    leaf_hash,
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
use super::{FigureEntry, FigureFilter, FigureRefusal, shown};
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
    /// The receipt's checkpoint is not signed by the key.
    #[error(transparent)]
    Checkpoint(#[from] EvidenceError),
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
    /// The entries cannot be read, or are not what they are said to be.
    #[error("{0}")]
    Entries(String),
    /// The entries end before the receipt's ledger does.
    #[error(
        "the receipt is of a ledger of {size} entries, and here are only {found}; get a bundle that was exported after the figure was made"
    )]
    Shorter {
        /// Entries that the receipt's checkpoint speaks of.
        size: u64,
        /// Entries that are there.
        found: u64,
    },
    /// The entries are another history than the one that the receipt's checkpoint was signed for.
    #[error(
        "another history: the first {size} entries here have the root {found}, and the receipt's checkpoint says {named}"
    )]
    Root {
        /// Entries of the checkpoint.
        size: u64,
        /// Root in the checkpoint, base64.
        named: String,
        /// Root of the entries, base64.
        found: String,
    },
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

/// Makes the figure of a receipt again and compares: the checkpoint's signature by `key`, the module's hash, the entries'
/// root at the receipt's size, what is chosen from them, and every digit. `entries` are all entries of a ledger from
/// its first one, in order; they are read to their end, so that whoever hands them out can compare them with
/// their own root there.
///
/// # Errors
/// [`FigureMismatch`] names the first thing that does not fit, and of the figure all that differs.
pub async fn check_figure<E, I>(
    receipt: &FigureReceipt,
    key: &VerifyingKey,
    module: &[u8],
    entries: I,
    progress: mpsc::Sender<StageProgress>,
) -> Result<CheckedFigure, FigureMismatch>
where
    E: Display + 'static,
    I: Iterator<Item = Result<FigureEntry, E>> + Send + 'static,
{
    let checkpoint = receipt.verify(key)?;
    let selection = FigureFilter::of(&receipt.selection).ok_or(FigureMismatch::Filter)?;
    let instance = instance(receipt, module).await?;
    let (head, listener) = (checkpoint.clone(), progress.clone());
    let reading = aside(move || read(&head, selection, entries, &listener)).await;
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

/// Reads all entries: the first of them, up to the receipt's size, are hashed and folded.
fn read<E: Display>(
    head: &Checkpoint,
    selection: FigureFilter,
    entries: impl Iterator<Item = Result<FigureEntry, E>>,
    progress: &mpsc::Sender<StageProgress>,
) -> Result<(Selected, u64), FigureMismatch> {
    let (mut frontier, mut selecting) = (Frontier::new(), Selecting::new(selection));
    let mut found = 0_u64;
    for entry in entries {
        let (index, bytes) = entry.map_err(|error| FigureMismatch::Entries(error.to_string()))?;
        if index != found {
            let gap = format!("entry {index} stands where entry {found} should be");
            return Err(FigureMismatch::Entries(gap));
        }
        found += 1;
        if frontier.size() < head.size {
            frontier.append(leaf_hash(&bytes));
            selecting.take(index, &bytes)?;
        }
        if found.is_multiple_of(TELL_EVERY) {
            tell(progress, "reading the ledger", found.min(head.size), head.size);
        }
    }
    if found < head.size {
        return Err(FigureMismatch::Shorter { size: head.size, found });
    }
    if frontier.root() != head.root {
        return Err(FigureMismatch::Root {
            size: head.size,
            named: shown(&head.root),
            found: shown(&frontier.root()),
        });
    }
    Ok((selecting.finish()?, found))
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
