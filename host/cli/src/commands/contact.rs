//! `mihwar contact`: everything that is held about a person, and its erasure.

mod document;
mod page;
mod words;

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use mihwar_model::ContactId;
use mihwar_server::wire::{
    ContactFound, ContactLine, ContactQuery, ContactQuestion, ContactRecordView, ContactView, EraseInput, ErasureView,
};
use serde::Serialize;

use crate::args::{Contact, PageLanguage};
use crate::client::{Client, segment};
use crate::output::{Outcome, json, line, one_line};
use crate::words::counted;

use document::{Document, KeptFile};

/// Where in the folder files that came with records lie.
const FILES: &str = "files";

/// Carries out `mihwar contact …`.
pub(super) async fn run(client: &Client, command: Contact, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Contact::Export { who, out, language } => export(client, &who, out, language, as_json).await,
        Contact::Erase { who, reason } => erase(client, &who, reason, as_json).await,
    }
}

/// The contact of this id, or the one who is known by this identifier.
async fn find(client: &Client, who: &str) -> anyhow::Result<String> {
    if who.parse::<ContactId>().is_ok() {
        return Ok(who.to_owned());
    }
    let question = ContactQuestion {
        identifier: who.to_owned(),
    };
    let found: ContactFound = client.post("/api/v1/contacts:find", &question).await?.json().await?;
    Ok(found.contact)
}

/// What was written.
#[derive(Serialize)]
struct Exported {
    contact: String,
    folder: PathBuf,
    records: usize,
    files: usize,
}

async fn export(
    client: &Client,
    who: &str,
    out: Option<PathBuf>,
    language: PageLanguage,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let contact = find(client, who).await?;
    let (facts, records) = held(client, contact.clone()).await?;
    let folder = out.unwrap_or_else(|| PathBuf::from(format!("contact-{contact}")));
    // What is in it is personal: for its owner alone, and nothing that is there already is written over.
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
        .create(&folder)
        .with_context(|| format!("{} (name a folder that is not there yet with --out)", folder.display()))?;
    let files = fetch_files(client, &contact, &records, &folder).await?;
    let document = Document::new(&facts, &records, &files);
    write(&folder.join("contact.json"), &serde_json::to_vec_pretty(&document)?)?;
    write(
        &folder.join("contact.html"),
        page::render(&document, language).as_bytes(),
    )?;
    let exported = Exported {
        contact,
        folder,
        records: records.len(),
        files: files.len(),
    };
    if as_json {
        json(&exported)?;
    } else {
        let records = counted(exported.records as u64, "record", "records");
        let files = counted(exported.files as u64, "file", "files");
        line(format_args!("{}: {records}, {files}", exported.folder.display()))?;
    }
    Ok(Outcome::Done)
}

/// What the hub holds about a contact. All of it is in memory: it is about one person.
async fn held(client: &Client, contact: String) -> anyhow::Result<(ContactView, Vec<ContactRecordView>)> {
    let query = ContactQuery { contact };
    let mut lines = client.get_with("/api/v1/contacts:export", &query).await?.lines();
    let Some(ContactLine::Contact(facts)) = lines.next().await? else {
        bail!("the hub answered something this version of mihwar does not know");
    };
    let mut records = Vec::new();
    loop {
        match lines.next().await? {
            Some(ContactLine::Record(record)) => records.push(*record),
            Some(ContactLine::End(count)) => {
                ensure!(
                    count == records.len() as u64,
                    "the hub told of {count} records and sent {}",
                    records.len()
                );
                return Ok((facts, records));
            }
            Some(ContactLine::Problem(problem)) => bail!("{}", problem.detail),
            Some(ContactLine::Contact(_)) | None => {
                bail!("the export broke off, and nothing was written; start it again")
            }
        }
    }
}

/// Fetches every file that the hub keeps of these records. Its name in the folder is its id: the sender's own may be anything.
async fn fetch_files(
    client: &Client,
    contact: &str,
    records: &[ContactRecordView],
    folder: &Path,
) -> anyhow::Result<Vec<KeptFile>> {
    let revisions = records.iter().flat_map(|record| &record.revisions);
    let attachments = revisions
        .filter_map(|revision| revision.content.as_ref())
        .flat_map(|content| &content.attachments);
    let mut files = Vec::new();
    for attachment in attachments {
        let Some(id) = &attachment.id else { continue };
        if files.is_empty() {
            let mut builder = DirBuilder::new();
            builder.mode(0o700);
            builder.create(folder.join(FILES))?;
        }
        let address = format!("/api/v1/contacts/{}/files/{}", segment(contact), segment(id));
        let mut pieces = client.get(&address).await?.pieces();
        let path = format!("{FILES}/{id}");
        let mut file = create(&folder.join(&path))?;
        while let Some(piece) = pieces.next().await? {
            file.write_all(&piece)?;
        }
        files.push(KeptFile {
            id: id.clone(),
            name: attachment.name.clone(),
            path,
        });
    }
    Ok(files)
}

fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).with_context(|| format!("{}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = create(path)?.write_all(bytes);
    written.with_context(|| format!("{}", path.display()))
}

async fn erase(client: &Client, who: &str, reason: String, as_json: bool) -> anyhow::Result<Outcome> {
    let input = EraseInput {
        contact: find(client, who).await?,
        reason,
    };
    let erased: ErasureView = client.post("/api/v1/contacts:erase", &input).await?.json().await?;
    if as_json {
        json(&erased)?;
        return Ok(Outcome::Done);
    }
    let text = format!(
        "{} is erased since {}: {}, {}, {} destroyed; {} withheld, {} on the way that tell departments",
        erased.contact,
        erased.at,
        counted(erased.records, "record", "records"),
        counted(erased.contents, "content", "contents"),
        counted(erased.files, "file", "files"),
        counted(erased.withheld, "delivery", "deliveries"),
        counted(erased.told, "delivery", "deliveries"),
    );
    line(one_line(&text))?;
    line(format_args!(
        "The certificate is entry {} of the ledger. What the disk still has of sealed rows goes with: mihwar doctor --compact",
        erased.sequence
    ))?;
    for copy in &erased.copies {
        let text =
            format!("{copy} is from before this, and may hold them still: delete it as soon as you can do without it");
        line(one_line(&text))?;
    }
    Ok(Outcome::Done)
}
