//! What is held about a person, as one document: for programs as JSON, for people as a page.

use std::collections::{BTreeMap, BTreeSet};

use mihwar_server::wire::{ContactRecordView, ContactView};
use serde::Serialize;

/// The form of the document. A change that a program could notice gets another name.
const FORMAT: &str = "mihwar-contact-export/1";

/// Everything that is held about a person.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    format: &'static str,
    pub(super) contact: &'a ContactView,
    /// What the person is known by, as their records say.
    pub(super) names: BTreeSet<String>,
    /// As `scheme:handle`.
    pub(super) identifiers: BTreeSet<String>,
    /// What the ledger shows of who saw something, by instance.
    pub(super) seen_by: BTreeMap<String, Seen>,
    pub(super) records: &'a [ContactRecordView],
    /// Files beside this document.
    pub(super) files: &'a [KeptFile],
}

/// A file beside the document.
#[derive(Serialize)]
pub(super) struct KeptFile {
    pub(super) id: String,
    /// As the sender called it.
    pub(super) name: String,
    /// Where it lies, from the document.
    pub(super) path: String,
}

/// What the ledger shows that an instance saw.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Seen {
    /// Revisions that came through it.
    pub(super) brought: u64,
    /// Times that it added something to what it had read, masked something in it, or failed to.
    pub(super) read: u64,
    /// Deliveries that were handed to it, whatever it answered.
    pub(super) received: u64,
}

impl<'a> Document<'a> {
    pub(super) fn new(contact: &'a ContactView, records: &'a [ContactRecordView], files: &'a [KeptFile]) -> Self {
        let (mut names, mut identifiers) = (BTreeSet::new(), BTreeSet::new());
        let revisions = records.iter().flat_map(|record| &record.revisions);
        for content in revisions.filter_map(|revision| revision.content.as_ref()) {
            if let Some(author) = &content.author {
                names.extend(author.name.clone());
                let known_by = author
                    .identifiers
                    .iter()
                    .map(|known| format!("{}:{}", known.scheme, known.id));
                identifiers.extend(known_by);
            }
        }
        Self {
            format: FORMAT,
            contact,
            names,
            identifiers,
            seen_by: seen_by(records),
            records,
            files,
        }
    }
}

/// Who saw something of these records.
fn seen_by(records: &[ContactRecordView]) -> BTreeMap<String, Seen> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for ContactRecordView { detail, .. } in records {
        for event in &detail.events {
            let of = |key: &str| {
                event
                    .event
                    .get(key)
                    .and_then(|value| value.as_str())
                    .unwrap_or_default()
            };
            match of("type") {
                "received" => {
                    seen.entry(of("instance").to_owned()).or_default().brought += 1;
                    for instance in masked_by(&event.event) {
                        seen.entry(instance.to_owned()).or_default().read += 1;
                    }
                }
                "enriched" | "enrichment_failed" => seen.entry(of("instance").to_owned()).or_default().read += 1,
                _ => {}
            }
        }
        for delivery in detail.deliveries.iter().filter(|delivery| delivery.attempts > 0) {
            seen.entry(delivery.destination.clone()).or_default().received += 1;
        }
    }
    seen
}

/// Who masked something in a revision before it was stored, each once.
fn masked_by(received: &serde_json::Value) -> BTreeSet<&str> {
    let masked = received.get("masked").and_then(|masked| masked.as_array());
    let instances = masked.into_iter().flatten().filter_map(|one| one.get("instance"));
    instances.filter_map(|instance| instance.as_str()).collect()
}
