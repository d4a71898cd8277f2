//! `mihwar metric`: figures with a receipt, made by a hub, and made again without one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use mihwar_hub::{CheckedFigure, FigureMismatch, check_figure};
use mihwar_ledger::{Bundle, FigureGroup, FigureReceipt, VerifyingKey};
use mihwar_model::InstanceName;
use mihwar_server::wire::{FigureInput, FigureLine};
use serde::Serialize;
use tokio::sync::mpsc;

use super::evidence;
use super::stages::StageBar;
use crate::args::{FigureEvidence, FigureWanted};
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

/// Bytes of a bundle that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Has the hub make a figure, and prints it.
pub(super) async fn run(client: &Client, wanted: &FigureWanted, as_json: bool) -> anyhow::Result<Outcome> {
    if let Some(file) = &wanted.receipt {
        // Said before the hub does its part.
        anyhow::ensure!(
            fs::symlink_metadata(file).is_err(),
            "{} exists already and is not overwritten; name another file with --receipt",
            file.display()
        );
    }
    let input = FigureInput {
        metric: wanted.metric.clone(),
        from: wanted.from.to_rfc3339(),
        to: wanted.to.to_rfc3339(),
        by: wanted.by.map(|by| by.as_str().to_owned()),
    };
    let mut lines = client.post("/api/v1/figures", &input).await?.lines();
    let mut bar = StageBar::new(as_json);
    let receipt = loop {
        match lines.next().await? {
            Some(FigureLine::Progress(progress)) => bar.step(progress),
            Some(FigureLine::Receipt(receipt)) => break serde_json::to_vec(&receipt)?,
            Some(FigureLine::Problem(problem)) => bail!("{}", problem.detail),
            None => bail!("the figure broke off; ask again"),
        }
    };
    bar.finish();
    let receipt = FigureReceipt::from_json(&receipt).context("the hub's receipt")?;
    receipt.verify(&receipt.key).context("the hub's receipt")?;
    let text = receipt.to_json()?;
    if let Some(file) = &wanted.receipt {
        write_new(file, &text)?;
    }
    if as_json {
        line(text.trim_end())?;
        return Ok(Outcome::Done);
    }
    tell(&receipt)?;
    if let Some(file) = &wanted.receipt {
        line(one_line(&format!("receipt: {}", file.display())))?;
    }
    Ok(Outcome::Done)
}

fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| file.display().to_string())
}

fn tell(receipt: &FigureReceipt) -> anyhow::Result<()> {
    let definition = &receipt.definition;
    line(one_line(&format!(
        "{}@{}: {}",
        definition.id, definition.version, definition.statement
    )))?;
    let selection = &receipt.selection;
    line(one_line(&format!(
        "{} to before {} (UTC): {}, besides {} withdrawn and not counted",
        selection.from,
        selection.to,
        counted(selection.records, "record", "records"),
        selection.withdrawn
    )))?;
    // Without groups, the only line says it.
    if selection.by.is_some()
        && let Some(changes) = changes(selection.revised, selection.moved)
    {
        line(changes)?;
    }
    let width = receipt.groups.iter().map(|group| group.name.chars().count()).max();
    for group in &receipt.groups {
        line(one_line(&told(group, &definition.unit, width.unwrap_or_default())))?;
        if let Some(changes) = changes(group.revised, group.moved) {
            line(format!("    {changes}"))?;
        }
    }
    let head = receipt.head()?;
    line(one_line(&format!(
        "ledger {}, {}, root {}",
        head.origin,
        counted(head.size, "entry", "entries"),
        head.root.to_base64()
    )))?;
    let module = &receipt.module;
    line(one_line(&format!(
        "made by {} {}, sha256 {}",
        module.plugin, module.version, module.sha256
    )))
}

/// One figure on one line.
fn told(group: &FigureGroup, unit: &str, width: usize) -> String {
    let mut text = format!("  {:width$}  ", group.name);
    match &group.value {
        Some(value) => text.push_str(&format!("{value} {unit}")),
        None => text.push_str("not enough answers"),
    }
    if let Some(interval) = &group.interval {
        text.push_str(&format!(
            ", {} to {} ({} %, {})",
            interval.low, interval.high, interval.level, interval.method
        ));
    }
    text.push_str(&format!(
        ", n = {} of {}",
        group.n,
        counted(group.records, "record", "records")
    ));
    if !group.parts.is_empty() {
        let parts = group.parts.iter().map(|part| format!("{} {}", part.name, part.value));
        text.push_str(&format!(": {}", parts.collect::<Vec<_>>().join(", ")));
    }
    text
}

/// That some of what is counted said something else before; nothing where nothing did.
fn changes(revised: u64, moved: u64) -> Option<String> {
    let revised = match revised {
        0 => None,
        1 => Some("1 of these was changed after it was given".to_owned()),
        _ => Some(format!("{revised} of these were changed after they were given")),
    };
    let moved = match moved {
        0 => None,
        1 => Some("1 was moved out".to_owned()),
        _ => Some(format!("{moved} were moved out")),
    };
    let both: Vec<String> = revised.into_iter().chain(moved).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// What came out the same, for programs.
#[derive(Serialize)]
struct Verified {
    ok: bool,
    definition: String,
    ledger: String,
    /// Entries that the figure is of.
    size: u64,
    /// Entries of the bundle.
    entries: u64,
    module: String,
    verifier_key: String,
    /// Whether the asker brought the key; else it is the receipt's own.
    key_given: bool,
    groups: Vec<FigureGroup>,
}

/// What does not fit, for programs.
#[derive(Serialize)]
struct Refused {
    ok: bool,
    finding: String,
    /// What differs, where the figure was made again and is another one.
    differences: Vec<String>,
}

/// Makes the figure of a receipt again, right here, and says whether it is the same.
pub(super) async fn verify(evidence: &FigureEvidence, as_json: bool) -> anyhow::Result<Outcome> {
    let error = match judge(evidence, as_json).await {
        Ok((receipt, key, checked)) => {
            let verified = verified(&receipt, &key, &checked, evidence.key.is_some());
            if as_json {
                json(&verified)?;
            } else {
                tell(&receipt)?;
                tell_verified(&verified)?;
            }
            return Ok(Outcome::Done);
        }
        Err(error) => error,
    };
    if !as_json {
        return Err(error.context("NOT verified"));
    }
    let differences = match error.downcast_ref::<FigureMismatch>() {
        Some(FigureMismatch::Different(differences)) => differences.clone(),
        _ => Vec::new(),
    };
    json(&Refused {
        ok: false,
        finding: format!("{error:#}"),
        differences,
    })?;
    Ok(Outcome::Refused)
}

async fn judge(
    evidence: &FigureEvidence,
    as_json: bool,
) -> anyhow::Result<(FigureReceipt, VerifyingKey, CheckedFigure)> {
    let text = evidence::read(&evidence.receipt)?;
    let receipt = FigureReceipt::from_json(&text).with_context(|| shown(&evidence.receipt))?;
    let key = evidence::key(evidence.key.as_deref(), &receipt.key)?;
    // Before anything long: that a key does not fit is told at once.
    receipt.verify(&key).with_context(|| shown(&evidence.receipt))?;
    let module = module(evidence, &receipt)?;
    let file = File::open(&evidence.bundle).with_context(|| shown(&evidence.bundle))?;
    let bundle = Bundle::begin(BufReader::with_capacity(BUFFER_BYTES, file), Some(&key));
    let bundle = bundle.with_context(|| shown(&evidence.bundle))?;
    let (sender, mut progress) = mpsc::channel(16);
    let mut bar = StageBar::new(as_json);
    let checked = {
        let work = check_figure(&receipt, bundle, &module, evidence.memory.0, sender);
        tokio::pin!(work);
        loop {
            tokio::select! {
                Some(step) = progress.recv() => bar.step(step),
                checked = &mut work => break checked,
            }
        }
    };
    bar.finish();
    Ok((receipt, key, checked?))
}

/// The bytes of the module: of the file that is named, else of the one beside the receipt.
fn module(evidence: &FigureEvidence, receipt: &FigureReceipt) -> anyhow::Result<Vec<u8>> {
    let wanted = || {
        let module = &receipt.module;
        one_line(&format!(
            "name the plugin file that made the figure with --module: {} {}, sha256 {}",
            module.plugin, module.version, module.sha256
        ))
    };
    let file = match &evidence.module {
        Some(file) => file.clone(),
        None => beside(&evidence.receipt, &receipt.module.plugin).with_context(wanted)?,
    };
    evidence::read(&file).with_context(wanted)
}

/// Where the module lies if it was handed out with the receipt. A foreign name leads nowhere else.
fn beside(receipt: &Path, plugin: &str) -> Option<PathBuf> {
    let plugin = InstanceName::new(plugin).ok()?;
    Some(receipt.with_file_name(format!("{plugin}.wasm")))
}

fn verified(receipt: &FigureReceipt, key: &VerifyingKey, checked: &CheckedFigure, key_given: bool) -> Verified {
    let definition = &receipt.definition;
    Verified {
        ok: true,
        definition: format!("{}@{}", definition.id, definition.version),
        ledger: checked.checkpoint.origin.clone(),
        size: checked.checkpoint.size,
        entries: checked.entries,
        module: receipt.module.sha256.clone(),
        verifier_key: key.to_string(),
        key_given,
        groups: receipt.groups.clone(),
    }
}

fn tell_verified(verified: &Verified) -> anyhow::Result<()> {
    if verified.key_given {
        line(one_line(&format!("signed by {}", verified.verifier_key)))?;
    } else {
        line(one_line(&format!(
            "signed by the key that the receipt itself names; compare it with one that you trust: {}",
            verified.verifier_key
        )))?;
    }
    line(one_line(&format!(
        "Verified: the same module over the same {} gives the same digits.",
        counted(verified.size, "entry", "entries")
    )))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use mihwar_ledger::{FigureGroup, FigureInterval, FigurePart};

    use super::{beside, changes, told};

    #[test]
    fn a_figure_is_told_with_all_that_belongs_to_it() {
        let mut group = FigureGroup {
            name: "شكوى".into(),
            records: 120,
            n: 100,
            revised: 3,
            moved: 1,
            value: Some("30.000".into()),
            interval: Some(FigureInterval {
                low: "14.692".into(),
                high: "45.308".into(),
                level: "95".into(),
                method: "closed-form".into(),
            }),
            parts: vec![FigurePart {
                name: "promoters".into(),
                value: "50".into(),
            }],
        };
        assert_eq!(
            told(&group, "points", 6),
            "  شكوى    30.000 points, 14.692 to 45.308 (95 %, closed-form), n = 100 of 120 records: promoters 50"
        );
        (group.value, group.interval, group.parts) = (None, None, Vec::new());
        group.n = 0;
        assert_eq!(
            told(&group, "points", 0),
            "  شكوى  not enough answers, n = 0 of 120 records"
        );
    }

    #[test]
    fn what_was_changed_is_told_where_something_was() {
        assert_eq!(changes(0, 0), None);
        let told = |revised, moved| changes(revised, moved).unwrap_or_default();
        assert_eq!(
            told(3, 1),
            "3 of these were changed after they were given; 1 was moved out"
        );
        assert_eq!(told(1, 0), "1 of these was changed after it was given");
        assert_eq!(told(0, 2), "2 were moved out");
    }

    #[test]
    fn the_module_is_looked_for_beside_the_receipt_and_nowhere_else() {
        let receipt = Path::new("وثائق/receipt.json");
        assert_eq!(beside(receipt, "stars"), Some(PathBuf::from("وثائق/stars.wasm")));
        assert_eq!(beside(receipt, "../stars"), None);
    }
}
