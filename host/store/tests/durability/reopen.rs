//! What is there when the file is opened again.

use std::path::Path;

use mihwar_ledger::{Frontier, leaf_hash};
use mihwar_model::OrgId;
use mihwar_store::{Batch, Edit, Guard, Key, RedbStore, Space, Store, StoreError, peek};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::disk::settings;

fn key(text: &str) -> Key {
    Key::space(Space(0x10), OrgId::FIRST).text(text).finish()
}

fn batch(number: u32) -> Batch {
    Batch {
        edits: vec![
            Edit::Put(key(&format!("صف {number}")), number.to_be_bytes().to_vec()),
            Edit::Add(key("sum"), i64::from(number)),
        ],
        journal: (0..3).map(|part| format!("قيد {number}.{part}").into_bytes()).collect(),
        ..Batch::default()
    }
}

async fn write(store: &RedbStore, numbers: std::ops::Range<u32>) -> u64 {
    let mut version = 0;
    for number in numbers {
        version = store.apply(batch(number)).await.unwrap().version;
    }
    version
}

async fn check(store: &RedbStore, count: u32, version: u64) {
    let view = store.view().await.unwrap();
    assert_eq!(view.version(), version);
    for number in 0..count {
        let row = view.get(&key(&format!("صف {number}"))).await.unwrap().unwrap();
        assert_eq!(
            (row.bytes, row.version),
            (number.to_be_bytes().to_vec(), u64::from(number) + 1)
        );
    }
    let mut frontier = Frontier::new();
    for entry in view.journal(0, 1_000).await.unwrap() {
        frontier.append(leaf_hash(&entry.bytes));
    }
    assert_eq!(frontier.size(), u64::from(count) * 3);
    assert_eq!(*view.tree(), frontier);
}

fn open(path: &Path) -> RedbStore {
    RedbStore::open(path, settings()).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_close_and_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = open(&path);
    let version = write(&first, 0..100).await;
    first.close().await.unwrap();
    let second = open(&path);
    check(&second, 100, version).await;
    // Past a full tile, from a tree that was loaded rather than grown.
    let version = write(&second, 100..200).await;
    second.close().await.unwrap();
    check(&open(&path), 200, version).await;
}

#[tokio::test]
async fn long_runs_leave_a_file_in_which_every_page_is_sound() {
    const STEP: u32 = 6_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("مخزن.redb");
    let row = |number: u32| Key::space(Space(0x10), OrgId::FIRST).u32(number).finish();
    let run = |numbers: std::ops::Range<u32>| Batch {
        edits: numbers
            .clone()
            .map(|number| Edit::Put(row(number), format!("السطر {number} من كثير").into_bytes()))
            .collect(),
        journal: numbers
            .map(|number| format!("القيد {number} من كثير بعضها خلف بعض").into_bytes())
            .collect(),
        ..Batch::default()
    };
    for round in 0..4 {
        let store = open(&path);
        // Two runs, of which the second goes on where the first ended.
        let (first, end) = (round * STEP, (round + 1) * STEP);
        let middle = first + STEP / 3;
        store.apply(run(first..middle)).await.unwrap();
        store.apply(run(middle..end)).await.unwrap();
        store.close().await.unwrap();
        let found = RedbStore::check_integrity(&path).unwrap();
        assert_eq!(
            (found.rows, found.journal_entries),
            (u64::from(end), u64::from(end)),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn everything_is_there_after_a_drop_without_close() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = open(&path);
    let version = write(&first, 0..5).await;
    drop(first);
    check(&open(&path), 5, version).await;
}

#[tokio::test]
async fn a_batch_whose_future_was_dropped_is_finished_before_the_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    // One poll sends the batch; then nobody waits for it any more.
    let applying = store.apply(batch(0));
    tokio::select! { biased; _ = applying => {}, () = std::future::ready(()) => {} }
    store.close().await.unwrap();
    check(&open(&path), 1, 1).await;
}

#[tokio::test]
async fn a_view_outliving_its_store_fails_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    write(&store, 0..1).await;
    let view = store.view().await.unwrap();
    drop(store);
    assert_eq!(view.get(&key("صف 0")).await, Err(StoreError::Closed));
    check(&open(&path), 1, 1).await;
}

#[tokio::test]
async fn a_second_opening_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    let error = RedbStore::open(&path, settings()).err();
    assert_eq!(error, Some(StoreError::AlreadyOpen { path: path.clone() }));
    // The first is none the worse.
    write(&store, 0..1).await;
}

/// Has the file say that it has another format.
pub(crate) fn set_format(path: &Path, format: u32) {
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let database = Database::open(path).unwrap();
    let transaction = database.try_begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert("format", format.to_be_bytes().as_slice())
        .unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_file_of_another_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(open(&path));
    set_format(&path, 7);
    let error = RedbStore::open(&path, settings()).err();
    assert_eq!(error, Some(StoreError::Format { found: 7, expected: 3 }));
    let before = std::fs::read(&path).unwrap();
    assert_eq!(peek(&path, &[]), Err(StoreError::Format { found: 7, expected: 3 }));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_look_into_a_closed_store_changes_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    write(&store, 0..3).await;
    let busy = peek(&path, &[key("صف 1")]);
    assert_eq!(busy, Err(StoreError::AlreadyOpen { path: path.clone() }));
    store.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let looked = peek(&path, &[key("صف 1"), key("صف 9")]).unwrap();
    assert_eq!(looked, Some(vec![Some(1_u32.to_be_bytes().to_vec()), None]));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(peek(&path, &[]), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(open(&path));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_changed_journal_is_noticed_on_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    write(&store, 0..2).await;
    drop(store);
    const JOURNAL: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal");
    let database = Database::open(&path).unwrap();
    let transaction = database.try_begin_write().unwrap();
    let forged = "قيد آخر".as_bytes();
    transaction.open_table(JOURNAL).unwrap().insert(3, forged).unwrap();
    transaction.commit().unwrap();
    assert!(database.begin_read().is_ok());
    drop(database);
    let error = RedbStore::open(&path, settings()).err();
    assert!(matches!(error, Some(StoreError::Corrupt { .. })), "{error:?}");
}

#[test]
fn a_file_that_is_no_store_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, "ليس مخزنا".repeat(1_000)).unwrap();
    assert!(RedbStore::open(&path, settings()).is_err());
    // Not even an empty one is taken for a new store: there was something once.
    std::fs::write(&path, "").unwrap();
    for error in [
        RedbStore::open(&path, settings()).err(),
        RedbStore::check_integrity(&path).err(),
    ] {
        assert!(matches!(error, Some(StoreError::Corrupt { .. })), "{error:?}");
    }
    let missing = folder.path().join("no such folder").join("store.redb");
    let error = RedbStore::open(&missing, settings()).err().unwrap();
    assert!(error.to_string().contains("no such folder"), "{error}");
}

#[tokio::test]
async fn a_file_whose_making_was_cut_off_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let unfinished = folder.path().join(format!("store.redb.{}.new", std::process::id()));
    std::fs::write(&unfinished, [0; 4096]).unwrap();
    let store = open(&path);
    let version = write(&store, 0..1).await;
    drop(store);
    check(&open(&path), 1, version).await;
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(names, ["store.redb"]);
}

#[tokio::test]
async fn guards_hold_across_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    let version = write(&store, 0..1).await;
    drop(store);
    let store = open(&path);
    let guarded = |version| Batch {
        guards: vec![Guard::At(key("صف 0"), version)],
        ..batch(1)
    };
    assert!(store.apply(guarded(version + 1)).await.is_err());
    let commit = store.apply(guarded(version)).await.unwrap();
    assert_eq!((commit.version, commit.first_sequence), (version + 1, 3));
}
