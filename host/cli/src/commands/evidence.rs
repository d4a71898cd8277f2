//! `mihwar ledger verify FILE`: proofs that are checked right here, without a hub, its data or its configuration. Whoever made
//! them is not believed, and neither is the file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use mihwar_ledger::{
    CONSISTENCY_FORMAT, Checkpoint, Consistency, EvidenceError, FIGURE_FORMAT, RECEIPT_FORMAT, Receipt, SignedNote,
    VerifyingKey, connect, document_format, notes_in,
};
use mihwar_model::{Event, EventBody, FeedbackId};
use serde::Serialize;

use super::bundle;
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

/// Bytes of a file that are read; the formats themselves take less.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is to be checked, against what.
pub(super) struct Evidence<'a> {
    /// A bundle, a receipt or a consistency proof.
    pub(super) file: &'a Path,
    /// Checkpoints that the asker trusts.
    pub(super) checkpoints: &'a [PathBuf],
    /// The key that the asker trusts, or a file that holds it.
    pub(super) key: Option<&'a str>,
    /// A consistency proof that connects the receipt's checkpoint with another.
    pub(super) consistency: Option<&'a Path>,
}

/// What was proved.
#[derive(Serialize)]
struct Proved {
    ok: bool,
    format: &'static str,
    ledger: String,
    /// Entries of the newest checkpoint that the file holds.
    size: u64,
    verifier_key: String,
    /// Whether the asker brought the key; else it is the file's own.
    key_given: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<String>,
    entries: Vec<Told>,
    checkpoints: Vec<Held>,
    /// For people: what follows.
    #[serde(skip)]
    conclusion: String,
}

/// One entry of a receipt.
#[derive(Serialize)]
struct Told {
    index: u64,
    at: String,
    event: String,
    /// Whether none of the checkpoints that the asker brought covers it: the file's own does.
    later: bool,
}

/// A checkpoint that the asker brought.
#[derive(Serialize)]
struct Held {
    file: String,
    size: u64,
}

/// That nothing was proved, for programs.
#[derive(Serialize)]
struct Refused {
    ok: bool,
    finding: String,
}

/// Checks a file and says what it proves.
pub(super) fn verify(evidence: &Evidence<'_>, as_json: bool) -> anyhow::Result<Outcome> {
    match bundle::is_one(evidence.file) {
        Ok(true) => conclude(bundle::judge(evidence, as_json), as_json, bundle::tell),
        Ok(false) => conclude(judge(evidence), as_json, tell),
        Err(error) => conclude(Err::<Proved, _>(error), as_json, tell),
    }
}

fn conclude<T: Serialize>(
    judged: anyhow::Result<T>,
    as_json: bool,
    tell: impl FnOnce(&T) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    match judged {
        Ok(proved) if as_json => json(&proved)?,
        Ok(proved) => tell(&proved)?,
        Err(error) if as_json => {
            json(&Refused {
                ok: false,
                finding: format!("{error:#}"),
            })?;
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error.context("NOT proved")),
    }
    Ok(Outcome::Done)
}

fn judge(evidence: &Evidence<'_>) -> anyhow::Result<Proved> {
    let text = read(evidence.file)?;
    let format = document_format(&text).with_context(|| shown(evidence.file))?;
    let sort = |format: &str| format.split('/').next().unwrap_or_default().to_owned();
    let is_of = |wanted: &str| format.as_deref().is_some_and(|format| sort(format) == sort(wanted));
    if is_of(FIGURE_FORMAT) {
        bail!("this is the receipt of a figure: check it with mihwar metric verify RECEIPT --bundle FILE");
    }
    if evidence.checkpoints.is_empty() {
        bail!("a receipt or proof is worth what the checkpoint is that you trust: name one with --checkpoint");
    }
    if is_of(CONSISTENCY_FORMAT) {
        growth(evidence, &text)
    } else {
        receipt(evidence, &text)
    }
}

fn receipt(evidence: &Evidence<'_>, text: &[u8]) -> anyhow::Result<Proved> {
    let receipt = Receipt::from_json(text).with_context(|| shown(evidence.file))?;
    let key = key(evidence.key, &receipt.key)?;
    let own = receipt.verify(&key).with_context(|| shown(evidence.file))?;
    let mut entries = told(&receipt).with_context(|| shown(evidence.file))?;
    let bridge = evidence.consistency.map(read_consistency).transpose()?;
    let mut checkpoints = Vec::new();
    for path in evidence.checkpoints {
        let held = held(path, &key, &[own.size])?;
        receipt
            .verify_against(&key, &held, bridge.as_ref())
            .map_err(|error| with_advice(&error, &held, own.size))
            .with_context(|| shown(path))?;
        checkpoints.push(Held {
            file: shown(path),
            size: held.size,
        });
    }
    let covered = checkpoints.iter().map(|held| held.size).max().unwrap_or_default();
    entries
        .iter_mut()
        .for_each(|entry| entry.later = entry.index >= covered);
    Ok(Proved {
        ok: true,
        format: RECEIPT_FORMAT,
        ledger: own.origin,
        size: own.size,
        verifier_key: key.to_string(),
        key_given: evidence.key.is_some(),
        conclusion: format!("feedback {} is in the ledger that was signed.", receipt.feedback),
        feedback: Some(receipt.feedback),
        entries,
        checkpoints,
    })
}

fn growth(evidence: &Evidence<'_>, text: &[u8]) -> anyhow::Result<Proved> {
    let proof = Consistency::from_json(text).with_context(|| shown(evidence.file))?;
    let key = key(evidence.key, &proof.key)?;
    let (old, new) = proof.verify(&key).with_context(|| shown(evidence.file))?;
    let mut checkpoints = Vec::new();
    for path in evidence.checkpoints {
        let held = held(path, &key, &[new.size, old.size])?;
        let Some(end) = [&new, &old].into_iter().find(|end| end.size == held.size) else {
            bail!(
                "{}: this checkpoint speaks of {} entries, but the proof connects those of {} and {}",
                shown(path),
                held.size,
                old.size,
                new.size
            );
        };
        connect(&held, end, None).with_context(|| shown(path))?;
        checkpoints.push(Held {
            file: shown(path),
            size: held.size,
        });
    }
    Ok(Proved {
        ok: true,
        format: CONSISTENCY_FORMAT,
        conclusion: format!(
            "the {} entries begin with the {} of the older checkpoint: nothing of them was changed or removed.",
            new.size, old.size
        ),
        ledger: new.origin,
        size: new.size,
        verifier_key: key.to_string(),
        key_given: evidence.key.is_some(),
        feedback: None,
        entries: Vec::new(),
        checkpoints,
    })
}

/// What the entries of a receipt say; all of them have to tell of the feedback that it names.
fn told(receipt: &Receipt) -> anyhow::Result<Vec<Told>> {
    let named: Option<FeedbackId> = receipt.feedback.parse().ok();
    // An id has other writings, too, which nobody would know again.
    let named = named.filter(|named| named.to_string() == receipt.feedback);
    let named = named.context("it is damaged: feedback: no id")?;
    let mut entries = Vec::with_capacity(receipt.entries.len());
    for entry in &receipt.entries {
        let event = Event::from_bytes(&entry.event)
            .map_err(|error| anyhow!("entry {} is no event of this ledger's format: {error}", entry.index))?;
        if event.body.feedback() != Some(named) {
            bail!("entry {} does not tell of feedback {named}", entry.index);
        }
        if entries.is_empty() && !matches!(event.body, EventBody::Received(_)) {
            bail!("its first entry, {}, does not say that feedback came in", entry.index);
        }
        let facts = serde_json::to_value(&event.body).unwrap_or_default();
        entries.push(Told {
            index: entry.index,
            at: event.at.to_rfc3339(),
            event: facts["type"].as_str().unwrap_or("event").to_owned(),
            later: false,
        });
    }
    Ok(entries)
}

/// The key to check with: the asker's, else the file's own.
pub(super) fn key(given: Option<&str>, own: &VerifyingKey) -> anyhow::Result<VerifyingKey> {
    given.map_or_else(|| Ok(own.clone()), given_key)
}

/// The key that the asker brought.
pub(super) fn given_key(given: &str) -> anyhow::Result<VerifyingKey> {
    if let Ok(key) = given.parse() {
        return Ok(key);
    }
    // A file in which the key stands somewhere, such as what `mihwar ledger head` prints.
    let wrong = || format!("--key {given}: neither a verifier key (name+id+base64) nor a file that holds one");
    let text = read(Path::new(given)).with_context(wrong)?;
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_whitespace();
    words.find_map(|word| word.parse().ok()).with_context(wrong)
}

/// The checkpoint in a file, verified. Of several the one with a size that is wanted, else the last; a second one of that
/// size must be the same.
fn held(path: &Path, key: &VerifyingKey, wanted: &[u64]) -> anyhow::Result<Checkpoint> {
    let text = read(path)?;
    let pieces = notes_in(&String::from_utf8_lossy(&text));
    let notes: Vec<String> = pieces.into_iter().filter_map(|piece| piece.note).collect();
    let open = |note: &String| Checkpoint::open(note, key.name(), key).map(|(checkpoint, _)| checkpoint);
    let last = notes
        .last()
        .with_context(|| format!("{}: there is no signed checkpoint in it", shown(path)))?;
    // Signatures take their time, and such a file may be long.
    let of_size = |sizes: &[u64]| -> Vec<Checkpoint> {
        let fitting = notes
            .iter()
            .filter(|note| size_in(note).is_some_and(|size| sizes.contains(&size)));
        fitting.filter_map(|note| open(note).ok()).collect()
    };
    let chosen = match of_size(wanted).into_iter().next() {
        Some(fitting) => fitting,
        None => open(last).with_context(|| format!("{}: the checkpoint does not verify", shown(path)))?,
    };
    // Whoever holds two histories should not be told of the one that fits.
    for other in of_size(&[chosen.size]) {
        connect(&chosen, &other, None).with_context(|| shown(path))?;
    }
    Ok(chosen)
}

/// The size that a note speaks of, before anything of it is verified.
fn size_in(note: &str) -> Option<u64> {
    let note = SignedNote::parse(note).ok()?;
    Checkpoint::from_text(note.text())
        .ok()
        .map(|checkpoint| checkpoint.size)
}

fn read_consistency(path: &Path) -> anyhow::Result<Consistency> {
    Consistency::from_json(&read(path)?).with_context(|| shown(path))
}

fn with_advice(error: &EvidenceError, held: &Checkpoint, own: u64) -> anyhow::Error {
    let advice = matches!(error, EvidenceError::Unconnected { .. }).then(|| {
        let (from, to) = (held.size.min(own), held.size.max(own));
        format!("; where the hub is: mihwar ledger prove --from {from} --to {to}, then here: --consistency FILE")
    });
    anyhow!("{error}{}", advice.unwrap_or_default())
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.with_context(|| shown(path))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!("{}: it has more than {FILE_BYTES_MAX} bytes", shown(path));
    }
    Ok(bytes)
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn tell(proved: &Proved) -> anyhow::Result<()> {
    line(one_line(&format!(
        "ledger {}, {}",
        proved.ledger,
        counted(proved.size, "entry", "entries")
    )))?;
    for Told {
        index,
        at,
        event,
        later,
    } in &proved.entries
    {
        let later = if *later {
            "  (later than the checkpoint that you brought)"
        } else {
            ""
        };
        line(format_args!("  entry {index}  {at}  {event}{later}"))?;
    }
    for Held { file, size } in &proved.checkpoints {
        let size = counted(*size, "entry", "entries");
        line(one_line(&format!("{file}: {size}, of the same history")))?;
    }
    if proved.key_given {
        line(one_line(&format!("signed by {}", proved.verifier_key)))?;
    } else {
        line(one_line(&format!(
            "signed by the key that the file itself names; compare it with one that you trust: {}",
            proved.verifier_key
        )))?;
    }
    line(one_line(&format!("Proved: {}", proved.conclusion)))
}
