//! One commit for all that wait, and an answer at once for what does not fit.

use std::sync::Arc;
use std::time::Duration;

use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Edit, Guard, Key, RedbSettings, RedbStore, Space, Store};
use redb::backends::InMemoryBackend;
use tokio::task::{JoinSet, spawn_blocking};

use crate::disk::{Endless, Gate, GatedDisk, settings};

fn key(number: u32) -> Key {
    Key::space(Space(0x10), OrgId::FIRST).u32(number).finish()
}

fn batch(number: u32) -> Batch {
    Batch {
        edits: vec![Edit::Put(key(number), "ملاحظة".into())],
        journal: vec![number.to_be_bytes().to_vec()],
        ..Batch::default()
    }
}

fn open(settings: RedbSettings) -> (Arc<RedbStore>, Arc<Gate>) {
    let (log, gate) = GatedDisk::new();
    let store = RedbStore::open_with(InMemoryBackend::new(), log, Arc::new(Endless), settings).unwrap();
    (Arc::new(store), gate)
}

/// Sends a first batch and waits until the writer stands in its sync, so that what is sent next has to wait.
async fn occupy(store: &Arc<RedbStore>, gate: &Arc<Gate>, sent: &mut JoinSet<Result<u64, ApplyError>>) {
    gate.shut();
    send(store, batch(0), sent);
    let gate = Arc::clone(gate);
    spawn_blocking(move || gate.until_waiting()).await.unwrap();
}

fn send(store: &Arc<RedbStore>, batch: Batch, sent: &mut JoinSet<Result<u64, ApplyError>>) {
    let store = Arc::clone(store);
    sent.spawn(async move { store.apply(batch).await.map(|commit| commit.first_sequence) });
}

async fn until_waiting(store: &RedbStore, depth: u64) {
    while store.statistics().queue_depth < depth {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn batches_that_wait_together_share_one_commit() {
    let (store, gate) = open(settings());
    store.apply(batch(1_000)).await.unwrap();
    let one = store.statistics();
    store.apply(batch(1_001)).await.unwrap();
    let before = store.statistics();
    assert_eq!(before.fsyncs - one.fsyncs, 1, "of the log");

    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    for number in 1..=200 {
        send(&store, batch(number), &mut sent);
    }
    until_waiting(&store, 200).await;
    gate.open();
    let outcomes = sent.join_all().await;

    let after = store.statistics();
    assert_eq!(after.commits - before.commits, 2, "one alone, then 200 together");
    assert_eq!(after.fsyncs - before.fsyncs, 2);
    assert_eq!(after.batches - before.batches, 201);
    assert_eq!(after.rows_written - before.rows_written, 201);
    let mut sequences: Vec<u64> = outcomes.into_iter().map(Result::unwrap).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (2..203).collect::<Vec<u64>>());
}

#[tokio::test]
async fn losers_in_a_group_are_told_and_the_others_committed() {
    let (store, gate) = open(settings());
    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    for number in 1..=50 {
        // All claim one row; only the first of them can have it.
        let guards = vec![Guard::Absent(key(7))];
        let mut claim = Batch { guards, ..batch(7) };
        claim.journal = vec![vec![number]];
        send(&store, claim, &mut sent);
    }
    until_waiting(&store, 50).await;
    gate.open();
    let outcomes = sent.join_all().await;
    let stale = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(ApplyError::Stale(_))));
    assert_eq!(stale.count(), 49);
    let statistics = store.statistics();
    assert_eq!((statistics.commits, statistics.batches, statistics.refused), (2, 2, 49));
    assert_eq!(store.view().await.unwrap().tree().size(), 2);
}

#[tokio::test]
async fn a_group_of_losers_costs_no_sync() {
    let (store, _gate) = open(settings());
    let before = store.statistics();
    let guards = vec![Guard::At(key(1), 1)];
    assert!(store.apply(Batch { guards, ..batch(1) }).await.is_err());
    let after = store.statistics();
    assert_eq!((after.fsyncs, after.commits), (before.fsyncs, before.commits));
}

#[tokio::test]
async fn a_full_queue_pushes_back_and_loses_nothing() {
    let (store, gate) = open(RedbSettings {
        queue_batches: 5,
        ..settings()
    });
    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    for number in 1..=5 {
        send(&store, batch(number), &mut sent);
    }
    until_waiting(&store, 5).await;
    let error = store.apply(batch(6)).await.unwrap_err();
    let ApplyError::Busy { retry_after } = error else {
        panic!("{error}");
    };
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(5));
    gate.open();
    assert!(sent.join_all().await.iter().all(Result::is_ok));
    // After waiting there is room again, and the refused batch left no trace.
    assert_eq!(store.view().await.unwrap().get(&key(6)).await.unwrap(), None);
    store.apply(batch(6)).await.unwrap();
}

#[tokio::test]
async fn bytes_fill_the_queue_as_well() {
    let (store, gate) = open(RedbSettings {
        queue_bytes: 150_000,
        ..settings()
    });
    let large = |number| Batch {
        edits: vec![Edit::Put(key(number), vec![1; 99_000])],
        ..Batch::default()
    };
    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    send(&store, large(1), &mut sent);
    until_waiting(&store, 1).await;
    assert!(matches!(store.apply(large(2)).await, Err(ApplyError::Busy { .. })));
    gate.open();
    assert!(sent.join_all().await.iter().all(Result::is_ok));
    store.apply(large(2)).await.unwrap();
}

#[tokio::test]
async fn reading_goes_on_while_the_writer_waits_for_the_disk() {
    let (store, gate) = open(settings());
    store.apply(batch(1)).await.unwrap();
    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    let view = store.view().await.unwrap();
    assert!(view.get(&key(1)).await.unwrap().is_some());
    // What is not durable is not shown.
    assert_eq!(view.get(&key(0)).await.unwrap(), None);
    assert!(store.statistics().oldest_view.is_some());
    gate.open();
    sent.join_all().await;
}

#[tokio::test]
async fn closing_finishes_what_was_accepted() {
    let (store, gate) = open(settings());
    let mut sent = JoinSet::new();
    occupy(&store, &gate, &mut sent).await;
    for number in 1..=20 {
        send(&store, batch(number), &mut sent);
    }
    until_waiting(&store, 20).await;
    let closing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.close().await }
    });
    // Closing may begin a moment later; a batch that slips in before it is finished like the others.
    let moment = Duration::from_millis(5);
    while !matches!(
        tokio::time::timeout(moment, store.apply(batch(99))).await,
        Ok(Err(ApplyError::Broken(_)))
    ) {
        tokio::time::sleep(moment).await;
    }
    gate.open();
    closing.await.unwrap().unwrap();
    let finished = sent.join_all().await;
    assert_eq!(finished.len(), 21);
    assert!(finished.iter().all(Result::is_ok));
}
