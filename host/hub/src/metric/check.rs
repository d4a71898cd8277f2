//! A figure that a stranger makes again: from a receipt, a bundle of the ledger and the module alone, without a hub.

use std::io::Read;

use mihwar_ledger::{
    Bundle, BundleError, Checkpoint, EvidenceError, FigureGroup, FigureInterval, FigurePart, FigureReceipt,
    FigureSelection,
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
    compare_counts(&receipt.selection, &told, &mut differences);
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
mod tests {
    use mihwar_ledger::{
        Checkpoint, FigureDefinition, FigureGroup, FigureInterval, FigureModule, FigurePart, FigureReceipt,
        FigureSelection, Hash, Signer,
    };

    use super::{compare, compare_counts};
    use crate::metric::measuring::Measured;

    fn group(name: &str, value: &str) -> FigureGroup {
        let part = |name: &str| FigurePart {
            name: name.to_owned(),
            value: "5".to_owned(),
        };
        FigureGroup {
            name: name.to_owned(),
            records: 10,
            n: 10,
            revised: 0,
            moved: 0,
            value: Some(value.to_owned()),
            interval: Some(FigureInterval {
                low: "1".into(),
                high: "9".into(),
                level: "95".into(),
                method: "exact".into(),
            }),
            parts: vec![part("promoters"), part("detractors")],
        }
    }

    fn measured() -> Measured {
        Measured {
            definition: FigureDefinition {
                id: "nps".into(),
                version: "1".into(),
                statement: "صافي نقاط الترويج".into(),
                unit: "points".into(),
            },
            groups: vec![group("بريد", "10.000"), group("نموذج", "-20.000")],
        }
    }

    /// What is found in a receipt that was doctored like this.
    fn found(doctor: impl FnOnce(&mut FigureReceipt)) -> Vec<String> {
        let signer = Signer::from_seed("محور.example/ledger", &[7; 32]).unwrap();
        let checkpoint = Checkpoint {
            origin: "محور.example/ledger".to_owned(),
            size: 0,
            root: Hash::of_empty_tree(),
            extensions: Vec::new(),
        };
        let Measured { definition, groups } = measured();
        let mut receipt = FigureReceipt {
            metric: "nps".into(),
            module: FigureModule {
                plugin: "nps".into(),
                version: "0.1.0".into(),
                sha256: "ab".repeat(32),
            },
            definition,
            key: signer.verifying_key(),
            checkpoint: checkpoint.sign(&signer).unwrap(),
            selection: FigureSelection {
                from: String::new(),
                to: String::new(),
                by: Some("channel".into()),
                records: 20,
                withdrawn: 0,
                revised: 0,
                moved: 0,
            },
            groups,
        };
        doctor(&mut receipt);
        let mut differences = Vec::new();
        compare(&receipt, &measured(), &mut differences);
        differences
    }

    #[test]
    fn the_same_figure_differs_in_nothing_and_another_digit_is_named() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
        assert_eq!(
            found(|receipt| receipt.groups[1].value = Some("20.000".into())),
            ["نموذج: value: the receipt says 20.000, here it is -20.000"]
        );
    }

    #[test]
    fn hushed_up_changes_are_named() {
        assert_eq!(
            found(|receipt| (receipt.groups[0].revised, receipt.groups[1].moved) = (2, 1)),
            [
                "بريد: revised records: the receipt says 2, here it is 0",
                "نموذج: records that were moved out: the receipt says 1, here it is 0"
            ]
        );
        let told = FigureSelection {
            from: String::new(),
            to: String::new(),
            by: None,
            records: 20,
            withdrawn: 0,
            revised: 3,
            moved: 1,
        };
        let hushed = FigureSelection {
            revised: 0,
            moved: 0,
            ..told.clone()
        };
        let mut differences = Vec::new();
        compare_counts(&hushed, &told, &mut differences);
        assert_eq!(differences.len(), 2, "{differences:?}");
    }

    #[test]
    fn what_only_reads_alike_is_another_figure() {
        // One group with a name like those of both, and digits that nobody computed.
        assert_eq!(
            found(|receipt| receipt.groups = vec![group("بريد, نموذج", "95.000")]).len(),
            1
        );
        assert_eq!(found(|receipt| receipt.groups.swap(0, 1)).len(), 1);
        let merged = found(|receipt| {
            receipt.groups[0].parts = vec![FigurePart {
                name: "promoters 5, detractors".into(),
                value: "5".into(),
            }];
        });
        assert_eq!(merged.len(), 1, "{merged:?}");
        let shifted = found(|receipt| {
            if let Some(interval) = &mut receipt.groups[0].interval {
                (interval.low, interval.high) = ("1 to 9".into(), String::new());
            }
        });
        assert_eq!(shifted.len(), 1, "{shifted:?}");
    }
}
