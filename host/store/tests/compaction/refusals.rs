//! When a compaction does not take place, everything is as it was.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use mihwar_store::{CompactError, CompactionStage, FolderSpace, RedbSettings, RedbStore, Store, StoreError};
use redb::backends::InMemoryBackend;
use redb::{Database, TableDefinition};

use crate::model::contents;
use crate::{grown, names, open, rows, settings};

async fn is_as_it_was(folder: &Path) {
    let store = open(&folder.join("store.redb"));
    assert_eq!(names(folder), ["store.redb", "store.redb.wal"]);
    let found = contents(&*store.view().await.unwrap()).await.unwrap();
    assert_eq!((found.rows.len(), found.journal.len()), (2_500, 20_000));
}

#[tokio::test]
async fn too_little_room_is_said_in_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    let floor = u64::MAX / 2;
    let store = RedbStore::open(
        &path,
        RedbSettings {
            free_space_floor: floor,
            ..settings()
        },
    )
    .unwrap();
    let error = store.compact(Box::new(|_| {})).await.unwrap_err();
    let CompactError::NoSpace { needed, .. } = error else {
        panic!("{error:?}")
    };
    assert!(needed > 1_000_000);
    assert!(error.to_string().contains(&needed.to_string()), "{error}");
    drop(store);
    is_as_it_was(folder.path()).await;
}

#[tokio::test]
async fn one_at_a_time_and_closing_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    let store = Arc::new(open(&path));
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let gate = Mutex::new(Some((begun, may_go_on)));
    let first = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            store
                .compact(Box::new(move |_| {
                    if let Some((begun, may_go_on)) = gate.lock().unwrap().take() {
                        begun.send(()).unwrap();
                        may_go_on.recv().unwrap();
                    }
                }))
                .await
        }
    });
    tokio::task::spawn_blocking(move || has_begun.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.compact(Box::new(|_| {})).await, Err(CompactError::Running));
    // Writing goes on beside it.
    store.apply(rows(0, 0..8, 10)).await.unwrap();
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    // Until the store is closing, which is when it takes nothing more.
    while store.apply(rows(0, 0..1, 10)).await.is_ok() {}
    go_on.send(()).unwrap();
    assert_eq!(first.await.unwrap(), Err(CompactError::Store(StoreError::Closed)));
    closing.await.unwrap().unwrap();
    assert_eq!(names(folder.path()), ["store.redb"]);
    assert_eq!(
        store.compact(Box::new(|_| {})).await,
        Err(CompactError::Store(StoreError::Closed))
    );
}

#[tokio::test]
async fn a_store_without_a_file_says_so() {
    let space = Arc::new(FolderSpace(std::env::temp_dir()));
    let store = RedbStore::open_with(InMemoryBackend::new(), InMemoryBackend::new(), space, settings()).unwrap();
    assert_eq!(store.compact(Box::new(|_| {})).await, Err(CompactError::NoFile));
}

#[tokio::test]
async fn a_table_that_would_be_left_behind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    const GUESTS: TableDefinition<'_, &str, u64> = TableDefinition::new("ضيوف guests");
    let database = Database::open(&path).unwrap();
    let transaction = database.try_begin_write().unwrap();
    transaction.open_table(GUESTS).unwrap().insert("one", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let store = open(&path);
    let error = store.compact(Box::new(|_| {})).await.unwrap_err();
    assert!(error.to_string().contains("ضيوف guests"), "{error}");
    drop(store);
    is_as_it_was(folder.path()).await;
}

#[tokio::test]
async fn a_new_file_that_cannot_be_made_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    let store = open(&path);
    // A folder stands where the new file should be, and later where the list of keys should be.
    for name in ["store.redb.compacting", "store.redb.compacting.keys"] {
        let in_the_way = folder.path().join(name);
        std::fs::create_dir(&in_the_way).unwrap();
        let error = store.compact(Box::new(|_| {})).await.unwrap_err();
        assert!(
            matches!(error, CompactError::Store(StoreError::Engine { .. })),
            "{error:?}"
        );
        std::fs::remove_dir(&in_the_way).unwrap();
        store.apply(rows(0, 0..1, 400)).await.unwrap();
    }
    // And one that is taken away in the middle.
    let victim = folder.path().join("store.redb.compacting");
    let error = store
        .compact(Box::new(move |now| {
            if now.stage == CompactionStage::Switching {
                std::fs::remove_file(&victim).unwrap();
            }
        }))
        .await
        .unwrap_err();
    assert!(
        matches!(error, CompactError::Store(StoreError::Engine { .. })),
        "{error:?}"
    );
    let found = store.view().await.unwrap().tree().size();
    assert_eq!(found, 20_002);
    store.compact(Box::new(|_| {})).await.unwrap();
    assert_eq!(store.view().await.unwrap().tree().size(), 20_002);
}

#[tokio::test]
async fn a_closed_store_touches_nothing_beside_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.apply(rows(0, 0..8, 10)).await.unwrap();
    store.close().await.unwrap();
    // Whoever has opened the file since may be compacting it.
    let others = folder.path().join("store.redb.compacting");
    std::fs::write(&others, "لغيرنا").unwrap();
    assert_eq!(
        store.compact(Box::new(|_| {})).await,
        Err(CompactError::Store(StoreError::Closed))
    );
    assert_eq!(std::fs::read(&others).unwrap(), "لغيرنا".as_bytes());
}

#[tokio::test]
async fn a_file_of_somebody_else_is_not_put_over_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.apply(rows(0, 0..8, 10)).await.unwrap();
    let (others, place) = (folder.path().join("ملف"), folder.path().join("store.redb.compacting"));
    std::fs::write(&others, "لغيرنا").unwrap();
    let victim = place.clone();
    let error = store
        .compact(Box::new(move |now| {
            if now.stage == CompactionStage::Switching {
                std::fs::rename(&others, &victim).unwrap();
            }
        }))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is another file than"), "{error}");
    assert_eq!(std::fs::read(&place).unwrap(), "لغيرنا".as_bytes());
    store.apply(rows(0, 8..9, 10)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(open(&path).view().await.unwrap().tree().size(), 9);
}

#[tokio::test]
async fn a_store_that_was_restored_in_the_place_of_ours_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (ours, theirs) = (folder.path().join("لنا.redb"), folder.path().join("لهم.redb"));
    let restored = open(&theirs);
    restored.apply(rows(7, 0..3, 10)).await.unwrap();
    restored.close().await.unwrap();
    let bytes = std::fs::read(&theirs).unwrap();
    let store = open(&path);
    store.apply(rows(0, 0..8, 10)).await.unwrap();
    let (name, aside, other) = (path.clone(), ours.clone(), theirs.clone());
    let error = store
        .compact(Box::new(move |now| {
            if now.stage == CompactionStage::Switching {
                std::fs::rename(&name, &aside).unwrap();
                std::fs::rename(&other, &name).unwrap();
            }
        }))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is another file than the one that is open"),
        "{error}"
    );
    assert!(std::fs::read(&path).unwrap() == bytes);
    // It is found before anything beside it is touched, too.
    let compacting = folder.path().join("store.redb.compacting");
    std::fs::write(&compacting, "لغيرنا").unwrap();
    assert!(store.compact(Box::new(|_| {})).await.is_err());
    assert_eq!(std::fs::read(&compacting).unwrap(), "لغيرنا".as_bytes());
    std::fs::remove_file(&compacting).unwrap();
    // The one that is open is whole, and used as before; put back, it can be compacted, and again.
    store.apply(rows(0, 8..9, 10)).await.unwrap();
    std::fs::rename(&path, &theirs).unwrap();
    std::fs::rename(&ours, &path).unwrap();
    for _ in 0..2 {
        store.compact(Box::new(|_| {})).await.unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(open(&path).view().await.unwrap().tree().size(), 9);
    assert_eq!(open(&theirs).view().await.unwrap().tree().size(), 3);
}

#[tokio::test]
async fn what_took_place_is_no_error_because_it_cannot_be_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.apply(rows(0, 0..8, 10)).await.unwrap();
    let victim = path.clone();
    let done = store
        .compact(Box::new(move |now| {
            if now.stage == CompactionStage::Renamed {
                std::fs::remove_file(&victim).unwrap();
            }
        }))
        .await
        .unwrap();
    assert!(done.after > 0, "{done:?}");
    store.apply(rows(0, 8..9, 10)).await.unwrap();
    assert_eq!(store.view().await.unwrap().tree().size(), 9);
}

#[tokio::test]
async fn what_a_killed_compaction_left_is_removed_on_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    for name in ["store.redb.compacting", "store.redb.compacting.keys"] {
        std::fs::write(folder.path().join(name), "نصف ملف").unwrap();
    }
    is_as_it_was(folder.path()).await;
}
