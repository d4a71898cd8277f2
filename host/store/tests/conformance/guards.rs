//! Guards: what concurrent writers can rely on.

use std::sync::Arc;

use mihwar_store::{ApplyError, Batch, Edit, Guard, Key};
use tokio::task::JoinSet;

use crate::support::{Shared, apply, edits, guarded, key, put, refused, value, view};

pub(crate) async fn a_failed_guard_leaves_nothing_behind(store: Shared) {
    let (taken, free) = (key("taken"), key("free"));
    let first = apply(&store, edits(vec![put(&taken, "1")])).await;
    let before = view(&store).await;
    for guard in [
        Guard::Absent(taken.clone()),
        Guard::At(taken.clone(), first.version + 1),
        Guard::At(free.clone(), first.version),
    ] {
        let failing = guard.key().clone();
        let batch = Batch {
            guards: vec![Guard::Absent(key("other")), guard],
            edits: vec![put(&taken, "2"), put(&free, "2"), Edit::Add(key("n"), 1)],
            journal: vec![b"entry".to_vec()],
        };
        assert_eq!(refused(&store, batch).await, ApplyError::Stale(failing));
    }
    assert_eq!(value(&store, &taken).await, Some(b"1".to_vec()));
    assert_eq!(value(&store, &free).await, None);
    assert_eq!(value(&store, &key("n")).await, None);
    let after = view(&store).await;
    assert_eq!((after.tree(), after.version()), (before.tree(), before.version()));
    // The same edits go through when the guards are right.
    let right = vec![Guard::At(taken.clone(), first.version), Guard::Absent(free.clone())];
    apply(&store, guarded(right, vec![put(&free, "3")])).await;
}

pub(crate) async fn versions_grow_and_tell_the_last_writer(store: Shared) {
    let (a, b) = (key("a"), key("b"));
    let first = apply(&store, edits(vec![put(&a, "1"), put(&b, "1")])).await;
    let second = apply(&store, edits(vec![put(&b, "1")])).await;
    let third = apply(&store, edits(vec![Edit::Add(key("c"), 1)])).await;
    assert!(first.version < second.version && second.version < third.version);
    let rows = view(&store)
        .await
        .get_many(&[a.clone(), b.clone(), key("c")])
        .await
        .unwrap();
    let versions: Vec<u64> = rows.into_iter().map(|row| row.unwrap().version).collect();
    assert_eq!(versions, [first.version, second.version, third.version]);
    // A row that was deleted and written again is not the row that was read before.
    apply(&store, edits(vec![Edit::Delete(a.clone())])).await;
    apply(&store, edits(vec![put(&a, "1")])).await;
    let stale = guarded(vec![Guard::At(a.clone(), first.version)], vec![]);
    assert_eq!(refused(&store, stale).await, ApplyError::Stale(a));
}

/// Reads a counter and writes one more, until nobody was faster.
async fn increase(store: &Shared, counter: &Key) {
    loop {
        let row = view(store).await.get(counter).await.unwrap();
        let (guard, number) = match row {
            Some(row) => {
                let number = String::from_utf8(row.bytes).unwrap().parse::<u32>().unwrap();
                (Guard::At(counter.clone(), row.version), number)
            }
            None => (Guard::Absent(counter.clone()), 0),
        };
        let more = put(counter, (number + 1).to_string());
        match store.apply(guarded(vec![guard], vec![more])).await {
            Ok(_) => return,
            Err(ApplyError::Stale(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn no_update_is_lost_under_eight_writers(store: Shared) {
    let counter = key("عداد");
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (store, counter) = (Arc::clone(&store), counter.clone());
        writers.spawn(async move {
            for _ in 0..12 {
                increase(&store, &counter).await;
            }
        });
    }
    writers.join_all().await;
    assert_eq!(value(&store, &counter).await, Some(b"96".to_vec()));
}

pub(crate) async fn only_one_of_many_claims_an_absent_row(store: Shared) {
    for round in 0..6 {
        let claim = key(&format!("claim {round}"));
        let mut writers = JoinSet::new();
        for number in 0..8_u8 {
            let (store, claim) = (Arc::clone(&store), claim.clone());
            writers.spawn(async move {
                let batch = guarded(vec![Guard::Absent(claim.clone())], vec![put(&claim, vec![number])]);
                (number, store.apply(batch).await)
            });
        }
        let outcomes = writers.join_all().await;
        let winners: Vec<u8> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(value(&store, &claim).await, Some(winners));
        let stale = |outcome: &Result<_, _>| matches!(outcome, Err(ApplyError::Stale(key)) if *key == claim);
        assert_eq!(outcomes.iter().filter(|(_, outcome)| stale(outcome)).count(), 7);
    }
}

/// Two people are on duty and each may leave while the other stays. Each reads both rows and writes only its own: without
/// guards on what was only read, both would leave.
pub(crate) async fn guarded_reads_prevent_write_skew(store: Shared) {
    for round in 0..10 {
        let people = [key(&format!("{round} أ")), key(&format!("{round} ب"))];
        let on_duty = people.iter().map(|person| put(person, "on")).collect();
        apply(&store, edits(on_duty)).await;
        let mut leaving = JoinSet::new();
        for own in 0..2 {
            let (store, people) = (Arc::clone(&store), people.clone());
            leaving.spawn(async move {
                let rows = view(&store).await.get_many(&people).await.unwrap();
                let rows: Vec<_> = rows.into_iter().map(Option::unwrap).collect();
                if rows[1 - own].bytes == b"on" {
                    let guards = people.iter().zip(&rows);
                    let guards = guards.map(|(key, row)| Guard::At(key.clone(), row.version));
                    let leave = guarded(guards.collect(), vec![put(&people[own], "off")]);
                    store.apply(leave).await.ok();
                }
            });
        }
        leaving.join_all().await;
        let rows = view(&store).await.get_many(&people).await.unwrap();
        let on = rows.iter().flatten().filter(|row| row.bytes == b"on").count();
        assert_eq!(on, 1, "round {round}");
    }
}

pub(crate) async fn one_batch_waiting_behind_another_is_judged_after_it(store: Shared) {
    let row = key("row");
    let first = apply(&store, edits(vec![put(&row, "0")])).await;
    // All are sent at once, so that an engine that groups commits judges several in one transaction.
    let mut waiting = JoinSet::new();
    for number in 0..40_u32 {
        let (store, row) = (Arc::clone(&store), row.clone());
        waiting.spawn(async move {
            let guard = Guard::At(row.clone(), first.version);
            let edit = put(&row, number.to_string());
            store
                .apply(guarded(vec![guard], vec![edit, Edit::Add(key("sum"), 1)]))
                .await
        });
    }
    let outcomes = waiting.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(value(&store, &key("sum")).await, Some(1_i64.to_le_bytes().to_vec()));
}
