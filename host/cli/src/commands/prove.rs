//! `mihwar ledger prove`: proofs written to files, for people who believe nobody.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mihwar_ledger::{Consistency, Receipt};
use serde::Serialize;

use crate::client::{Client, segment};
use crate::output::{Outcome, json, line, one_line};

/// What was written, for programs.
#[derive(Serialize)]
struct Written {
    files: Vec<String>,
    /// Entries of the checkpoint that it is for.
    size: u64,
    /// The entry that a receipt is about, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    verifier_key: String,
}

/// Writes the receipt of a piece of feedback.
pub(super) async fn feedback(
    client: &Client,
    id: &str,
    size: Option<u64>,
    folder: &Path,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let files = [folder.join("receipt.json"), folder.join("receipt.html")];
    expect_absent(&files)?;
    let address = format!("/api/v1/feedback/{}/receipt", segment(id));
    let query = size.map(|size| format!("?size={size}")).unwrap_or_default();
    let text = client.get(&format!("{address}{query}")).await?.text().await?;
    let receipt = Receipt::from_json(text.as_bytes()).context("the hub's receipt")?;
    let checkpoint = receipt.verify(&receipt.key).context("the hub's receipt")?;
    // For the same checkpoint: the page shows the receipt that lies beside it.
    let page = format!("{address}.html?size={}", checkpoint.size);
    let page = client.get(&page).await?.text().await?;
    write_new(folder, &[(&files[0], &text), (&files[1], &page)])?;
    let entry = receipt.entries.first().map(|entry| entry.index);
    let written = Written {
        files: shown(&files),
        size: checkpoint.size,
        entry,
        verifier_key: receipt.key.to_string(),
    };
    if as_json {
        json(&written)?;
        return Ok(Outcome::Done);
    }
    line(one_line(&written.files.join(", ")))?;
    line(one_line(&format!(
        "feedback {} is entry {} of the {} in {}",
        receipt.feedback,
        entry.unwrap_or_default(),
        checkpoint.size,
        checkpoint.origin
    )))?;
    line(one_line(&format!("verifier key: {}", written.verifier_key)))?;
    line("Nothing personal is in it. Whoever checks it takes checkpoint and key from elsewhere than from this hub.")?;
    Ok(Outcome::Done)
}

/// Writes the proof that a later checkpoint only appended to an earlier one.
pub(super) async fn growth(
    client: &Client,
    from: u64,
    to: Option<u64>,
    folder: &Path,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let files = [folder.join("consistency.json")];
    expect_absent(&files)?;
    let to = to.map(|to| format!("&to={to}")).unwrap_or_default();
    let address = format!("/api/v1/ledger/consistency?from={from}{to}");
    let text = client.get(&address).await?.text().await?;
    let proof = Consistency::from_json(text.as_bytes()).context("the hub's proof")?;
    let (old, new) = proof.verify(&proof.key).context("the hub's proof")?;
    write_new(folder, &[(&files[0], &text)])?;
    let written = Written {
        files: shown(&files),
        size: new.size,
        entry: None,
        verifier_key: proof.key.to_string(),
    };
    if as_json {
        json(&written)?;
        return Ok(Outcome::Done);
    }
    line(one_line(&written.files.join(", ")))?;
    line(one_line(&format!(
        "{}: the {} entries begin with the {} of the older checkpoint",
        new.origin, new.size, old.size
    )))?;
    line(one_line(&format!("verifier key: {}", written.verifier_key)))?;
    Ok(Outcome::Done)
}

/// Said before the hub does its part.
fn expect_absent(files: &[PathBuf]) -> anyhow::Result<()> {
    for file in files {
        anyhow::ensure!(
            fs::symlink_metadata(file).is_err(),
            "{} exists already and is not overwritten; name another folder with --out",
            file.display()
        );
    }
    Ok(())
}

fn write_new(folder: &Path, files: &[(&PathBuf, &String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (file, text) in files {
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(file)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn shown(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.display().to_string()).collect()
}
