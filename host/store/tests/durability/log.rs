//! The log beside the file: what a killed process leaves is the two of them, and nothing is opened without what belongs to it.

use std::fs;
use std::path::{Path, PathBuf};

use mihwar_model::OrgId;
use mihwar_store::{Batch, Edit, Key, RedbStore, Space, Store, StoreError, hold, peek, repair};

use crate::disk::settings;
use crate::reopen::set_format;

pub(crate) fn key(number: u32) -> Key {
    Key::space(Space(0x10), OrgId::FIRST).u32(number).finish()
}

pub(crate) async fn write(store: &RedbStore, number: u32) {
    let batch = Batch {
        edits: vec![Edit::Put(key(number), "شكوى".into())],
        journal: vec![number.to_be_bytes().to_vec()],
        ..Batch::default()
    };
    store.apply(batch).await.unwrap();
}

pub(crate) fn wal(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".wal");
    PathBuf::from(name)
}

/// What a kill leaves of a store with so many batches, as `name` in a folder.
pub(crate) async fn killed(folder: &Path, name: &str, batches: u32) -> PathBuf {
    let path = folder.join(format!("حي {name}"));
    let store = RedbStore::open(&path, settings()).unwrap();
    for number in 0..batches {
        write(&store, number).await;
    }
    // All of it is there before the store is closed, as it would be after a kill.
    let left = folder.join(name);
    fs::copy(&path, &left).unwrap();
    fs::copy(wal(&path), wal(&left)).unwrap();
    left
}

pub(crate) async fn rows(path: &Path) -> usize {
    let store = RedbStore::open(path, settings()).unwrap();
    let view = store.view().await.unwrap();
    let rows = view.journal(0, 1_000).await.unwrap().len();
    drop(view);
    store.close().await.unwrap();
    rows
}

/// It is refused for this reason, as often as it is tried, by whoever opens it, and no byte of it is changed.
fn refused(path: &Path, reason: &str) {
    let log = fs::read(wal(path)).ok();
    for _ in 0..2 {
        for error in [
            RedbStore::open(path, settings()).err(),
            RedbStore::check_integrity(path).err(),
            repair(path).err(),
        ] {
            let Some(StoreError::Corrupt { what }) = error else {
                panic!("{reason}: {error:?}");
            };
            assert!(what.contains(reason), "{what}");
        }
    }
    assert_eq!(fs::read(wal(path)).ok(), log);
}

#[tokio::test]
async fn a_killed_store_is_its_file_and_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 7).await;
    assert_eq!(RedbStore::check_integrity(&path).unwrap().journal_entries, 7);
    // Nothing of it can be told, and nothing copied, before the log is in the file.
    assert_eq!(peek(&path, &[key(1)]), Ok(None));
    repair(&path).unwrap();
    assert!(!wal(&path).exists());
    assert_eq!(peek(&path, &[key(6)]), Ok(Some(vec![Some("شكوى".into())])));
    hold(&path).unwrap().release().unwrap();
    assert_eq!(rows(&path).await, 7);
}

#[tokio::test]
async fn the_log_of_an_older_file_is_left_to_the_version_that_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 7).await;
    set_format(&path, 2);
    let log = fs::read(wal(&path)).unwrap();
    assert_eq!(peek(&path, &[key(1)]), Ok(None));
    for error in [
        RedbStore::open(&path, settings()).err(),
        RedbStore::check_integrity(&path).err(),
        repair(&path).err(),
    ] {
        let said = error.unwrap().to_string();
        assert!(said.contains("start and stop the version that wrote it"), "{said}");
    }
    assert!(fs::read(wal(&path)).unwrap() == log);
}

#[tokio::test]
async fn a_newer_file_with_a_log_is_refused_before_either_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 3).await;
    set_format(&path, 7);
    let before = (fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap());
    assert_eq!(peek(&path, &[]), Err(StoreError::Format { found: 7, expected: 3 }));
    assert!((fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap()) == before);
}

#[tokio::test]
async fn a_file_that_still_has_a_log_is_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 3).await;
    // Opened and given up: the engine closes its file in order, and the log is still there.
    fs::rename(wal(&path), folder.path().join("جانبا")).unwrap();
    assert!(RedbStore::open(&path, settings()).is_err());
    assert_eq!(peek(&path, &[]), Ok(None));
    assert!(hold(&path).is_err());
    fs::rename(folder.path().join("جانبا"), wal(&path)).unwrap();
    assert_eq!(rows(&path).await, 3);
}

#[tokio::test]
async fn a_log_that_is_gone_or_cut_off_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 5).await;
    let log = fs::read(wal(&path)).unwrap();
    fs::remove_file(wal(&path)).unwrap();
    refused(&path, "is missing");
    for length in [0, 4_096, log.len() - 1] {
        fs::write(wal(&path), &log[..length]).unwrap();
        refused(&path, "the log is cut off");
    }
    fs::write(wal(&path), &log).unwrap();
    assert_eq!(rows(&path).await, 5);
}

#[tokio::test]
async fn another_stores_log_is_known_for_one() {
    let folder = tempfile::tempdir().unwrap();
    // Both are new: their files are the same but for this.
    let path = killed(folder.path(), "هذا", 4).await;
    let other = killed(folder.path(), "ذاك", 4).await;
    let log = fs::read(wal(&path)).unwrap();
    fs::copy(wal(&other), wal(&path)).unwrap();
    refused(&path, "not the one that goes on from this store");
    fs::write(wal(&path), &log).unwrap();
    assert_eq!(rows(&path).await, 4);
}

#[tokio::test]
async fn damage_before_the_last_frame_is_found_and_that_of_the_last_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 6).await;
    let log = fs::read(wal(&path)).unwrap();
    let damaged = |frame: usize| {
        let mut damaged = log.clone();
        damaged[frame * 4_096 + 120] ^= 1;
        fs::write(wal(&path), damaged).unwrap();
    };
    for frame in 1..6 {
        damaged(frame);
        refused(&path, &format!("the log is damaged at byte {}", frame * 4_096));
    }
    damaged(6);
    assert_eq!(rows(&path).await, 5);
}

#[tokio::test]
async fn an_older_file_beside_the_log_is_known_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("حي");
    let store = RedbStore::open(
        &path,
        mihwar_store::RedbSettings {
            log_bytes: 1,
            ..settings()
        },
    )
    .unwrap();
    let left = folder.path().join("قديم");
    fs::copy(&path, &left).unwrap();
    // Every second group makes the file durable, which the copy has not seen.
    for number in 0..5 {
        write(&store, number).await;
    }
    fs::copy(wal(&path), wal(&left)).unwrap();
    refused(&left, "do not belong together");
}

#[tokio::test]
async fn a_log_that_was_put_in_the_place_of_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("مخزن");
    let store = RedbStore::open(&path, settings()).unwrap();
    write(&store, 1).await;
    // As when the folder was moved away under a hub, and another one restored in its place.
    fs::rename(wal(&path), folder.path().join("جانبا")).unwrap();
    fs::write(wal(&path), "سجل غيرنا").unwrap();
    store.close().await.unwrap();
    assert_eq!(fs::read(wal(&path)).unwrap(), "سجل غيرنا".as_bytes());
}

#[tokio::test]
async fn what_was_deleted_is_not_in_the_log_after_a_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("مخزن");
    let store = RedbStore::open(&path, settings()).unwrap();
    let said = "رقم هاتفي ٠٥٥١٢٣٤٥٦٧";
    let put = Batch {
        edits: vec![Edit::Put(key(1), said.into())],
        ..Batch::default()
    };
    store.apply(put).await.unwrap();
    let delete = Batch {
        edits: vec![Edit::Delete(key(1))],
        ..Batch::default()
    };
    store.apply(delete).await.unwrap();
    let is_in = |path: &Path| {
        fs::read(path)
            .unwrap()
            .windows(said.len())
            .any(|bytes| bytes == said.as_bytes())
    };
    assert!(is_in(&wal(&path)));
    store.compact(Box::new(|_| {})).await.unwrap();
    assert!(!is_in(&wal(&path)) && !is_in(&path));
    write(&store, 2).await;
    store.close().await.unwrap();
    assert_eq!(rows(&path).await, 1);
}
