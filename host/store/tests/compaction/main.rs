//! Compaction while the store is in use: nothing is lost, doubled or seen twice, whatever happens in between.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod crashes;
#[path = "../faults/model.rs"]
mod model;
#[path = "../faults/random.rs"]
#[expect(dead_code, reason = "shared with the tests of faults, which need all of it")]
mod random;
mod refusals;
mod serving;

use std::path::Path;

use mihwar_model::OrgId;
use mihwar_store::{Batch, Edit, Key, Nature, Natures, RedbSettings, RedbStore, Space, Store};

fn settings() -> RedbSettings {
    RedbSettings {
        free_space_floor: 0,
        cache_bytes: 4 * 1024 * 1024,
        natures: Natures::all(Nature::Lasting),
        ..RedbSettings::default()
    }
}

fn open(path: &Path) -> RedbStore {
    RedbStore::open(path, settings()).unwrap()
}

fn key(writer: u32, number: u32) -> Key {
    Key::space(Space(0x10), OrgId::FIRST)
        .u32(writer)
        .text(&format!("صف {number}"))
        .finish()
}

/// `numbers` as rows of one writer, each as one entry, too.
fn rows(writer: u32, numbers: std::ops::Range<u32>, length: usize) -> Batch {
    Batch {
        edits: numbers
            .clone()
            .map(|number| Edit::Put(key(writer, number), vec![u8::try_from(number % 251).unwrap(); length]))
            .collect(),
        journal: numbers
            .map(|number| format!("{writer} قيد {number}").into_bytes())
            .collect(),
        ..Batch::default()
    }
}

/// A file with much more room than its rows need: most of what was written is deleted again.
async fn grown(path: &Path) -> Vec<Batch> {
    let store = open(path);
    let mut batches = Vec::new();
    for start in (0..20_000).step_by(10_000) {
        batches.push(rows(0, start..start + 10_000, 400));
    }
    batches.push(Batch {
        edits: (0..20_000)
            .filter(|number| number % 8 != 0)
            .map(|number| Edit::Delete(key(0, number)))
            .collect(),
        ..Batch::default()
    });
    for batch in &batches {
        store.apply(batch.clone()).await.unwrap();
    }
    store.close().await.unwrap();
    batches
}

/// Names in the folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
