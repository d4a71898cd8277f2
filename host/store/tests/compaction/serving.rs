//! Writers and readers do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mihwar_store::{Batch, Edit, Guard, KeyRange, RedbStore, Store, StoreError};
use tokio::task::JoinSet;

use crate::model::{Model, contents, difference};
use crate::random::{Random, rounds, summary};
use crate::{grown, key, names, open, rows};

const WRITERS: u32 = 4;

/// Batches that were applied, with the versions that they got.
type Applied = Vec<(u64, Batch)>;

/// Changes rows of its own and one that all share, until told to stop.
async fn write(store: Arc<RedbStore>, writer: u32, seed: u64, stop: Arc<AtomicBool>) -> Applied {
    let mut random = Random::new(seed);
    let (mut applied, mut number) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let mut batch = rows(writer, number..number + 20, 100 + random.below(400));
        number += 20;
        for _ in 0..10 {
            let gone = u32::try_from(random.below(usize::try_from(number).unwrap())).unwrap();
            batch.edits.push(Edit::Delete(key(writer, gone)));
        }
        // An old row goes, and comes again.
        let old = key(0, u32::try_from(random.below(2_000)).unwrap() * 8);
        batch.edits.push(if random.chance(50) {
            Edit::Delete(old)
        } else {
            Edit::Put(old, random.text(300))
        });
        batch.edits.push(Edit::Add(key(99, 0), 1));
        let commit = store.apply(batch.clone()).await.unwrap();
        applied.push((commit.version, batch));
    }
    applied
}

/// Looks at one moment twice, again and again: what is shared adds up with what the version says.
async fn read(store: Arc<RedbStore>, stop: Arc<AtomicBool>) -> u64 {
    let (mut looks, mut last) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let view = store.view().await.unwrap();
        assert!(view.version() >= last, "the past came back");
        last = view.version();
        let first = view.get(&key(99, 0)).await.unwrap();
        let entries = view.journal(view.tree().size().saturating_sub(3), 3).await.unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(view.get(&key(99, 0)).await.unwrap(), first);
        looks += 1;
    }
    looks
}

/// What the applied batches make, in the order of their versions.
fn replay(applied: &mut Applied) -> Model {
    applied.sort_by_key(|(version, _)| *version);
    let mut model = Model::default();
    for (version, batch) in applied {
        assert_eq!(model.apply(batch).unwrap().version, *version);
    }
    model
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_readers_go_on_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut applied: Applied = (1..).zip(grown(&path).await).collect();
    let store = Arc::new(open(&path));
    let before = replay(&mut applied);
    let kept = store.view().await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 1..=WRITERS {
        writers.spawn(write(Arc::clone(&store), writer, u64::from(writer), Arc::clone(&stop)));
    }
    let reader = tokio::spawn(read(Arc::clone(&store), Arc::clone(&stop)));
    let compactions = rounds(3);
    let (mut moved, mut smaller) = (0, 0);
    for number in 0..compactions {
        let done = store.compact(Box::new(|_| {})).await.unwrap();
        assert!(done.rows > 0 && done.after > 0);
        moved += done.rows;
        if number == 0 {
            assert!(done.after < done.before / 2, "{done:?}");
            smaller = done.before - done.after;
        }
        let figures = store.statistics();
        assert_eq!(figures.file_bytes, std::fs::metadata(&path).unwrap().len());
        assert_eq!(names(folder.path()), ["store.redb", "store.redb.wal"]);
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for more in writers.join_all().await {
        assert!(!more.is_empty());
        written += more.len();
        applied.extend(more);
    }
    assert!(reader.await.unwrap() > 0);
    let figures = store.statistics();
    assert_eq!(figures.batches, written as u64, "the figures go on");

    // The view from before the first compaction shows what it showed.
    let found = contents(&*kept).await.unwrap();
    assert!(found == before, "{}", difference(&found, &before));
    drop(kept);
    let wanted = replay(&mut applied);
    for _ in 0..2 {
        let found = contents(&*store.view().await.unwrap()).await.unwrap();
        assert!(found == wanted, "{}", difference(&found, &wanted));
        store.compact(Box::new(|_| {})).await.unwrap();
    }
    store.close().await.unwrap();
    RedbStore::check_integrity(&path).unwrap();
    let found = contents(&*open(&path).view().await.unwrap()).await.unwrap();
    assert!(found == wanted, "{}", difference(&found, &wanted));
    summary(
        "store, compacted while serving",
        &[
            ("compactions", compactions + 2),
            ("rows moved", moved),
            ("batches written meanwhile", written as u64),
            ("bytes given back by the first", smaller),
            ("lost", 0),
            ("doubled", 0),
        ],
    );
}

/// After a kill the log goes on from the new file, not from the one whose place it took.
#[tokio::test]
async fn what_was_written_since_a_compaction_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    grown(&path).await;
    let store = open(&path);
    store.apply(rows(1, 0..3, 10)).await.unwrap();
    store.compact(Box::new(|_| {})).await.unwrap();
    for number in 3..9 {
        store.apply(rows(1, number..number + 1, 10)).await.unwrap();
    }
    let wanted = contents(&*store.view().await.unwrap()).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    for name in names(folder.path()) {
        std::fs::copy(folder.path().join(&name), left.path().join(&name)).unwrap();
    }
    drop(store);
    let store = open(&left.path().join("store.redb"));
    let found = contents(&*store.view().await.unwrap()).await.unwrap();
    assert!(found == wanted, "{}", difference(&found, &wanted));
}

/// Few entries fill no tile of the tree, and none no journal: in the new file there must be room for them all the same.
#[tokio::test]
async fn a_store_with_few_entries_or_none_is_compacted() {
    for entries in [0, 10] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store = open(&path);
        let mut batch = rows(1, 0..10, 100);
        batch.journal.truncate(entries);
        store.apply(batch).await.unwrap();
        let before = contents(&*store.view().await.unwrap()).await.unwrap();
        store.compact(Box::new(|_| {})).await.unwrap();
        let after = contents(&*store.view().await.unwrap()).await.unwrap();
        assert!(after == before, "{}", difference(&after, &before));
        store.apply(rows(2, 0..300, 10)).await.unwrap();
        store.close().await.unwrap();
        let sound = RedbStore::check_integrity(&path).unwrap();
        assert_eq!(sound.journal_entries, entries as u64 + 300);
    }
}

#[tokio::test]
async fn guards_and_work_go_on_in_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let batches = grown(&path).await;
    let store = open(&path);
    let view = store.view().await.unwrap();
    let row = view.get(&key(0, 8)).await.unwrap().unwrap();
    let removed = view.removed(KeyRange::all(), 100).await.unwrap();
    assert_eq!(removed.rows.len(), 100);
    store.compact(Box::new(|_| {})).await.unwrap();
    let moved = store.view().await.unwrap().removed(KeyRange::all(), 100).await.unwrap();
    assert_eq!(moved, removed, "which rows were deleted is known as before");
    let guarded = |version| Batch {
        guards: vec![Guard::At(key(0, 8), version)],
        ..rows(1, 0..300, 10)
    };
    assert!(store.apply(guarded(row.version + 1)).await.is_err());
    let commit = store.apply(guarded(row.version)).await.unwrap();
    assert_eq!(
        (commit.version, commit.first_sequence),
        (batches.len() as u64 + 1, 20_000)
    );
    // The new file is locked as the old one was.
    let second = RedbStore::open(&path, crate::settings()).err();
    assert_eq!(second, Some(StoreError::AlreadyOpen { path: path.clone() }));
    // A view of the old file ends with the store.
    assert_eq!(view.get(&key(0, 8)).await.unwrap(), Some(row));
    store.close().await.unwrap();
    assert_eq!(view.get(&key(0, 16)).await, Err(StoreError::Closed));
    drop(view);
    assert_eq!(open(&path).view().await.unwrap().tree().size(), 20_300);
}
