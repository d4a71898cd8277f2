//! Reads every file below a folder of mail, as the hub would, and prints what came of it:
//! `MAIL_FOLDER=~/mail cargo run -p plugin-mail --example read_folder`.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use mihwar_sdk::{
    Change,
    testing::{self, FakeHost},
};
use plugin_mail::MailChannel;
use serde_json::json;

#[derive(Default)]
struct Summary {
    files: usize,
    bytes: usize,
    records: usize,
    ids: BTreeMap<String, usize>,
    threads: BTreeMap<String, usize>,
    tags: BTreeMap<String, usize>,
    refusals: BTreeMap<String, usize>,
    without: BTreeMap<&'static str, usize>,
    largest_page_of_one_file: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::var("MAIL_FOLDER").map_err(|_| "set MAIL_FOLDER to a folder of mail")?;
    let files = files_below(PathBuf::from(folder))?;
    let mut summary = Summary::default();
    let start = Instant::now();
    for (name, bytes) in &files {
        read(&mut summary, name, bytes)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    print(&summary, seconds);
    Ok(())
}

fn files_below(folder: PathBuf) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut open = vec![folder];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path
                .extension()
                .is_none_or(|extension| extension != "json" && extension != "js")
            {
                found.push((path.to_string_lossy().into_owned(), std::fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(summary: &mut Summary, name: &str, bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    summary.files += 1;
    summary.bytes += bytes.len();
    let pages = testing::import_file::<MailChannel>(&FakeHost::new().host(), &json!({}), name, bytes)?;
    let items: usize = pages.iter().map(|page| page.changes.len() + page.refusals.len()).sum();
    if items != 1 {
        println!("{items} messages in {name}");
    }
    summary.largest_page_of_one_file = summary.largest_page_of_one_file.max(items);
    for page in pages {
        for refusal in page.refusals {
            println!(
                "refused: {name}: {}: {} ({})",
                refusal.place, refusal.reason, refusal.code
            );
            *summary.refusals.entry(refusal.code).or_default() += 1;
        }
        for change in page.changes {
            let Change::Upsert(record) = change else {
                continue;
            };
            summary.records += 1;
            *summary.ids.entry(record.external_id).or_default() += 1;
            *summary.threads.entry(record.thread_id.unwrap_or_default()).or_default() += 1;
            for tag in record.tags {
                *summary.tags.entry(tag).or_default() += 1;
            }
            let missing = [
                (
                    "author",
                    record.author.is_none_or(|author| author.identifiers.is_empty()),
                ),
                ("time", record.occurred_at.is_none()),
                ("subject", record.subject.is_none()),
                ("body", record.body.trim().is_empty()),
            ];
            for (what, _) in missing.iter().filter(|(_, is_missing)| *is_missing) {
                *summary.without.entry(what).or_default() += 1;
                if std::env::var("SHOW").as_deref() == Ok(*what) {
                    println!("without {what}: {name}");
                }
            }
        }
    }
    Ok(())
}

fn print(summary: &Summary, seconds: f64) {
    let duplicates: usize = summary.ids.values().map(|count| count - 1).sum();
    let mut message_ids: BTreeMap<&str, usize> = BTreeMap::new();
    for id in summary.ids.keys() {
        *message_ids.entry(id.split('#').next().unwrap_or(id)).or_default() += 1;
    }
    let shared = message_ids.values().filter(|count| **count > 1).count();
    println!(
        "{} files, {} MB in {seconds:.2} s: {:.0} mails/s\n{} records read, {} distinct, {duplicates} duplicates; {shared} message ids with different mails\n{} threads, largest {}",
        summary.files,
        summary.bytes / 1_000_000,
        f64::from(u32::try_from(summary.files).unwrap_or(u32::MAX)) / seconds,
        summary.records,
        summary.ids.len(),
        summary.threads.len(),
        summary.threads.values().max().unwrap_or(&0),
    );
    println!(
        "tags {:?}\nrefusals {:?}\nwithout {:?}",
        summary.tags, summary.refusals, summary.without
    );
}
