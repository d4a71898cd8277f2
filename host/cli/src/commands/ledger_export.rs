//! `mihwar ledger export`: the ledger in one file, whole and checked, or not at all. Only what people said may be missing in it,
//! where that is damaged.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use mihwar_hub::StageProgress;
use mihwar_ledger::{Bundle, Piece};
use mihwar_server::wire::LedgerExportQuery;
use mihwar_store::{NewFile, Tee};
use serde::Serialize;
use tokio::sync::mpsc;

use super::backup::{Incoming, PIECES_WAITING_MAX, pump};
use super::missing::Missing;
use super::stages::StageBar;
use super::text_of;
use crate::client::Client;
use crate::output::{Outcome, json, line, one_line};
use crate::words::{bytes, counted};

/// An export that was made, for programs.
#[derive(Serialize)]
struct Exported {
    file: String,
    ledger: String,
    /// Entries in it.
    size: u64,
    root: String,
    verifier_key: String,
    /// Checkpoints in it that the hub had kept.
    kept_checkpoints: u64,
    /// How many revisions it tells the words of.
    contents: u64,
    bytes: u64,
    /// Which of them are damaged, and so left out.
    #[serde(flatten)]
    missing: Missing,
}

/// Fetches the ledger from the hub into `file`. It ends with status 1, and a file that is whole but for that, when damage kept
/// the hub from reading what somebody said.
pub(super) async fn run(
    client: &Client,
    file: &Path,
    with_content: bool,
    force: bool,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    // Said before the hub does its part; without --force nothing takes the name from then on unnoticed either.
    anyhow::ensure!(
        force || fs::symlink_metadata(file).is_err(),
        "{} exists already and is not overwritten; give another name, or replace it with --force",
        file.display()
    );
    let query = LedgerExportQuery {
        content: with_content.then_some(true),
    };
    let pieces = client.get_with("/api/v1/ledger:export", &query).await?.pieces();
    let (sender, incoming) = mpsc::channel(PIECES_WAITING_MAX);
    let target = file.to_owned();
    let writing =
        tokio::task::spawn_blocking(move || receive(Incoming::new(incoming), &target, force, StageBar::new(as_json)));
    let broke_off = pump(pieces, sender).await.err();
    let received = writing.await.context("writing the export")?;
    // That the hub went away says more than that the file is cut short.
    let exported = match (received, broke_off) {
        (Ok(exported), _) => exported,
        (Err(_), Some(error)) | (Err(error), None) => return Err(error),
    };
    if as_json {
        json(&exported)?;
    } else {
        tell(&exported)?;
    }
    Ok(Outcome::of(exported.missing.is_nothing()))
}

/// Writes a bundle beside its name, reading it as a stranger would; then it gets the name. Blocks.
fn receive(input: impl Read, path: &Path, force: bool, mut bar: StageBar) -> anyhow::Result<Exported> {
    let shown = || path.display().to_string();
    let file = NewFile::create(path).with_context(shown)?;
    let mut bundle = Bundle::begin(Tee::new(input, file), None).context("what the hub exports")?;
    let total = bundle.checkpoint().size;
    let (mut contents, mut missing) = (0, Missing::default());
    while let Some(piece) = bundle.next_piece().context("what the hub exports")? {
        match piece {
            Piece::Entries { .. } => {}
            Piece::Content(lines) => contents += lines.iter().filter(|byte| **byte == b'\n').count() as u64,
            Piece::Missing(named) => named.into_iter().for_each(|content| missing.add(content)),
        }
        bar.step(StageProgress {
            stage: "exporting".to_owned(),
            done: bundle.size(),
            total,
        });
    }
    bar.finish();
    let mut exported = Exported {
        file: text_of(path)?,
        ledger: bundle.checkpoint().origin.clone(),
        size: total,
        root: bundle.checkpoint().root.to_base64(),
        verifier_key: bundle.key().to_string(),
        kept_checkpoints: bundle.kept_checkpoints(),
        contents,
        bytes: 0,
        missing,
    };
    bundle.into_input().into_file().finish(force).with_context(shown)?;
    exported.bytes = fs::metadata(path).with_context(shown)?.len();
    Ok(exported)
}

fn tell(exported: &Exported) -> anyhow::Result<()> {
    line(one_line(&format!("{}: {}", exported.file, bytes(exported.bytes))))?;
    line(one_line(&format!(
        "ledger {}, {}, {} kept with it",
        exported.ledger,
        counted(exported.size, "entry", "entries"),
        counted(exported.kept_checkpoints, "checkpoint", "checkpoints")
    )))?;
    line(one_line(&format!("verifier key: {}", exported.verifier_key)))?;
    if exported.contents > 0 {
        line(format_args!(
            "It holds what people said, {}: give it to nobody who may not read that.",
            counted(exported.contents, "content", "contents")
        ))?;
    } else {
        line("Nothing that people said is in it. Its ids are pseudonyms: many laws take them for personal data.")?;
    }
    line("Whoever checks it takes checkpoint and key from elsewhere than from this hub, and runs:")?;
    line(one_line(&format!(
        "  mihwar ledger verify {} --checkpoint FILE --key KEY",
        exported.file
    )))?;
    exported.missing.tell()?;
    if exported.missing.is_nothing() {
        return Ok(());
    }
    line(
        "All else is in it. `mihwar ledger verify` names all that is damaged here; the last backup may still have it. Put it right \
         and export again, or hand this one out as it is: it says itself what it lacks.",
    )
}
