//! `mihwar ledger verify BUNDLE`: a whole ledger that is checked right here, entry by entry, and counted.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, anyhow, ensure};
use mihwar_hub::StageProgress;
use mihwar_ledger::{BUNDLE_FORMAT, Bundle, BundleError, Checkpoint, ContentLine, MissingContent, Piece, notes_in};
use mihwar_model::{Content, Event, EventBody, Received};
use serde::Serialize;

use super::evidence::{Evidence, given_key, read, shown};
use super::missing::Missing;
use super::stages::StageBar;
use super::tally::{Counts, Tally};
use crate::output::{line, one_line};
use crate::words::counted;

/// What a tar file has at [`MAGIC_AT`].
const MAGIC: &[u8] = b"ustar";
const MAGIC_AT: usize = 257;
/// Pieces that were read and wait to be counted. With the one that is being read and the one that is being counted these are
/// all in memory: few, since a bundle made to do harm has long ones.
const PIECES_WAITING_MAX: usize = 2;

/// What was found.
#[derive(Serialize)]
pub(super) struct Verified {
    ok: bool,
    format: &'static str,
    ledger: String,
    /// Entries.
    size: u64,
    root: String,
    verifier_key: String,
    /// Whether the asker brought the key; else it is the bundle's own.
    key_given: bool,
    /// Checkpoints in it that the hub had kept.
    kept_checkpoints: u64,
    checkpoints: Vec<Held>,
    /// How many revisions it tells the words of.
    contents: u64,
    /// Which it says that it lacks.
    #[serde(flatten)]
    missing: Missing,
    #[serde(flatten)]
    counts: Counts,
}

/// Checkpoints that the asker brought in a file.
#[derive(Serialize)]
struct Held {
    file: String,
    /// How many of them were compared.
    compared: u64,
    /// Entries of the largest of these.
    size: u64,
}

/// Whether the file can be nothing but a bundle.
pub(super) fn is_one(path: &Path) -> anyhow::Result<bool> {
    let mut beginning = Vec::new();
    let most = (MAGIC_AT + MAGIC.len()) as u64;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut beginning));
    read.with_context(|| shown(path))?;
    Ok(beginning.get(MAGIC_AT..) == Some(MAGIC))
}

/// Reads a bundle from its beginning to its end, and believes nothing in it.
pub(super) fn judge(evidence: &Evidence<'_>, as_json: bool) -> anyhow::Result<Verified> {
    let file = || shown(evidence.file);
    ensure!(
        evidence.consistency.is_none(),
        "{} is a bundle: it has every entry, so that --consistency is not needed",
        file()
    );
    let given = evidence.key.map(given_key).transpose()?;
    let input = File::open(evidence.file).with_context(file)?;
    let mut bundle = Bundle::begin(input, given.as_ref()).with_context(file)?;
    let mut checkpoints = Vec::new();
    for path in evidence.checkpoints {
        checkpoints.push(compare(&mut bundle, path)?);
    }
    let mut reading = Reading::default();
    reading.all(&mut bundle, StageBar::new(as_json)).with_context(file)?;
    let checkpoint = bundle.checkpoint();
    Ok(Verified {
        ok: true,
        format: BUNDLE_FORMAT,
        ledger: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root.to_base64(),
        verifier_key: bundle.key().to_string(),
        key_given: given.is_some(),
        kept_checkpoints: bundle.kept_checkpoints(),
        checkpoints,
        contents: reading.contents,
        missing: reading.missing,
        counts: reading.tally.counts(),
    })
}

/// Has the bundle compared with every checkpoint in a file. One that speaks of more entries shows that this is not the whole
/// ledger, and is refused: whoever wants to check an older bundle leaves out what was signed after it.
fn compare<R: Read>(bundle: &mut Bundle<R>, path: &Path) -> anyhow::Result<Held> {
    let text = read(path)?;
    let mut held = Held {
        file: shown(path),
        compared: 0,
        size: 0,
    };
    for piece in notes_in(&String::from_utf8_lossy(&text)) {
        let Some(note) = piece.note else { continue };
        let place = || format!("{}, line {}", shown(path), piece.line);
        let key = bundle.key();
        let opened = Checkpoint::open(&note, key.name(), key);
        let (checkpoint, _) = opened.with_context(|| format!("{}: the checkpoint does not verify", place()))?;
        held.compared += 1;
        held.size = held.size.max(checkpoint.size);
        bundle.compare_with(checkpoint).with_context(place)?;
    }
    ensure!(
        held.compared > 0,
        "{}: there is no signed checkpoint in it",
        shown(path)
    );
    Ok(held)
}

/// What an entry says of content that lies elsewhere.
struct Commitment {
    feedback: String,
    revision: u32,
    hash: [u8; 32],
}

impl Commitment {
    fn of(received: &Received) -> Self {
        Self {
            feedback: received.feedback.to_string(),
            revision: received.revision,
            hash: received.commitment,
        }
    }
}

#[derive(Default)]
struct Reading {
    tally: Tally,
    /// Entries of the last group.
    last: Vec<(u64, Received)>,
    /// What those commit to; made when there is content.
    commitments: HashMap<u64, Commitment>,
    contents: u64,
    missing: Missing,
}

/// Hands over what is in a bundle, up to its end or its first error.
fn hand_over<R: Read>(bundle: &mut Bundle<R>, sink: &SyncSender<Result<Piece, BundleError>>) {
    while let Some(piece) = bundle.next_piece().transpose() {
        // Nobody takes it any more where one before it was refused.
        if sink.send(piece).is_err() {
            return;
        }
    }
}

impl Reading {
    /// One thread reads and hashes, this one decodes and counts. Pieces come over in the order of the file, an error behind
    /// those that were read before it: what is told is the first thing that is wrong in the file, whichever thread was faster.
    fn all<R: Read + Send>(&mut self, bundle: &mut Bundle<R>, mut bar: StageBar) -> anyhow::Result<()> {
        let total = bundle.checkpoint().size;
        thread::scope(|scope| {
            let (sink, pieces) = sync_channel(PIECES_WAITING_MAX);
            let reader = thread::Builder::new().spawn_scoped(scope, move || hand_over(bundle, &sink));
            reader.context("starting a second thread")?;
            let mut done = 0;
            for piece in pieces {
                match piece? {
                    Piece::Entries { first, entries } => {
                        self.entries(first, &entries)?;
                        done = first + entries.len() as u64;
                    }
                    Piece::Content(lines) => self.content(&lines)?,
                    Piece::Missing(missing) => self.missing(missing)?,
                }
                bar.step(StageProgress {
                    stage: "checking".to_owned(),
                    done,
                    total,
                });
            }
            bar.finish();
            Ok(())
        })
    }

    fn entries(&mut self, first: u64, entries: &[Vec<u8>]) -> anyhow::Result<()> {
        self.last.clear();
        self.commitments.clear();
        for (index, entry) in (first..).zip(entries) {
            let event = Event::from_bytes(entry)
                .map_err(|error| anyhow!("entry {index} is no event of this ledger's format: {error}"))?;
            self.tally.add(&event.body);
            if let EventBody::Received(received) = event.body {
                self.last.push((index, received));
            }
        }
        Ok(())
    }

    /// What an entry of the last group commits to; asked for once.
    fn commitment(&mut self, entry: u64) -> anyhow::Result<Commitment> {
        let received = self.last.drain(..);
        let known = received.map(|(index, received)| (index, Commitment::of(&received)));
        self.commitments.extend(known);
        let found = self.commitments.remove(&entry);
        found.with_context(|| {
            format!("what is told as said by entry {entry} belongs to no entry there, or is told twice")
        })
    }

    /// Content belongs to the group before it, each to one entry, and is what that commits to.
    fn content(&mut self, lines: &[u8]) -> anyhow::Result<()> {
        for line in ContentLine::read_all(lines) {
            let line = line.context("what people said")?;
            let entry = line.entry;
            let Commitment {
                feedback,
                revision,
                hash,
            } = self.commitment(entry)?;
            ensure!(
                line.feedback == feedback && line.revision == revision && line.commitment() == hash,
                "what is told of feedback {feedback}, revision {revision}, is not what entry {entry} commits to"
            );
            let content = Content::from_bytes(&line.content)
                .map_err(|error| anyhow!("what entry {entry} commits to is no content: {error}"))?;
            ensure!(
                content.says() == line.says,
                "what people are shown of feedback {feedback}, revision {revision}, is not what was said"
            );
            self.contents += 1;
        }
        Ok(())
    }

    /// What is missing belongs to the group before it, too, and nothing else tells it.
    fn missing(&mut self, missing: Vec<MissingContent>) -> anyhow::Result<()> {
        for content in missing {
            let entry = content.entry;
            let Commitment { feedback, revision, .. } =
                self.commitment(entry).context("what the hub could not read")?;
            ensure!(
                content.feedback == feedback && content.revision == revision,
                "what the hub could not read: entry {entry} is of feedback {feedback}, revision {revision}, and of no other"
            );
            self.missing.add(content);
        }
        Ok(())
    }
}

pub(super) fn tell(verified: &Verified) -> anyhow::Result<()> {
    let Verified {
        ledger,
        size,
        root,
        verifier_key,
        kept_checkpoints,
        ..
    } = verified;
    let entries = counted(*size, "entry", "entries");
    line(one_line(&format!("ledger {ledger}, {entries}, root {root}")))?;
    line(format_args!(
        "{} that the hub had kept: of the same history",
        counted(*kept_checkpoints, "checkpoint", "checkpoints")
    ))?;
    for held in &verified.checkpoints {
        tell_held(held, *size)?;
    }
    if verified.key_given {
        line(one_line(&format!("signed by {verifier_key}")))?;
    } else {
        line(one_line(&format!(
            "signed by the key that the file itself names; compare it with one that you trust: {verifier_key}"
        )))?;
    }
    tell_counts(&verified.counts)?;
    if verified.contents > 0 {
        line(format_args!(
            "It tells what people said, {}, each as its entry commits to it.",
            counted(verified.contents, "time", "times")
        ))?;
    } else {
        line("It tells nothing that people said.")?;
    }
    verified.missing.tell()?;
    line(format_args!(
        "Proved: these are the {entries} that were signed, and no other."
    ))
}

fn tell_held(held: &Held, size: u64) -> anyhow::Result<()> {
    let Held { file, compared, .. } = held;
    let many = counted(*compared, "checkpoint", "checkpoints");
    line(one_line(&format!(
        "{file}: {many}, the largest of {}, of the same history",
        counted(held.size, "entry", "entries")
    )))?;
    if held.size < size {
        line(format_args!(
            "  what came after these {} rests on the bundle's own checkpoint",
            held.size
        ))?;
    }
    Ok(())
}

fn tell_counts(counts: &Counts) -> anyhow::Result<()> {
    for (name, count) in &counts.events {
        line(format_args!("  {count:>9}  {name}"))?;
    }
    line(format_args!(
        "{} pieces of feedback, {} of them withdrawn and {} erased; {} later revisions",
        counts.feedback, counts.withdrawn, counts.erased, counts.revisions
    ))?;
    for of in &counts.kinds {
        let text = format!("  {:>9}  {}, {}", of.count, of.kind, of.channel);
        line(one_line(&text))?;
    }
    for of in &counts.scores {
        let text = format!(
            "  {:>9}  {} from {} to {}: mean {:.4}",
            of.count, of.metric, of.min, of.max, of.mean
        );
        line(one_line(&text))?;
    }
    Ok(())
}
