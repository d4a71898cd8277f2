//! Views: stable, whole, and as new as the last answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mihwar_store::{ApplyError, Batch, Edit, Order, StoreError};
use tokio::task::JoinSet;

use crate::support::{Shared, apply, edits, entries, everything, key, put, scan_all, values, view};

pub(crate) async fn a_view_never_changes(store: Shared) {
    let names: Vec<String> = (0..30).map(|number| format!("صف {number:02}")).collect();
    let rows = names.iter().map(|name| put(&key(name), name.as_bytes()));
    apply(
        &store,
        Batch {
            journal: vec![b"first".to_vec()],
            ..edits(rows.collect())
        },
    )
    .await;
    let old = view(&store).await;
    let first_page = old.scan(everything(), Order::Ascending, 10).await.unwrap();
    // Between two pages of one scan, everything changes.
    for name in &names {
        apply(&store, edits(vec![Edit::Delete(key(name)), put(&key("new"), "new")])).await;
    }
    apply(&store, entries(["second"])).await;

    let mut seen = values(&first_page.rows);
    let rest = scan_all(&*old, first_page.next.unwrap(), Order::Ascending, 10).await;
    seen.extend(values(&rest));
    assert_eq!(seen, names);
    assert_eq!(old.get(&key("new")).await.unwrap(), None);
    assert_eq!(old.journal(0, 10).await.unwrap().len(), 1);
    assert_eq!(old.tree().size(), 1);
    let new = view(&store).await;
    assert_eq!(
        values(&scan_all(&*new, everything(), Order::Ascending, 10).await),
        ["new"]
    );
    assert_eq!(new.tree().size(), 2);
    assert!(new.version() > old.version());
}

pub(crate) async fn a_view_never_shows_half_a_batch(store: Shared) {
    let (left, right) = (key("يمين"), key("يسار"));
    let write = |number: u32| Batch {
        journal: vec![number.to_be_bytes().to_vec()],
        ..edits(vec![put(&left, number.to_string()), put(&right, number.to_string())])
    };
    apply(&store, write(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (store, done, keys) = (Arc::clone(&store), Arc::clone(&done), [left.clone(), right.clone()]);
        readers.spawn(async move {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let view = view(&store).await;
                let rows = view.get_many(&keys).await.unwrap();
                assert_eq!(rows[0], rows[1]);
                let row = rows[0].clone().unwrap();
                let number: u32 = String::from_utf8(row.bytes).unwrap().parse().unwrap();
                // The journal is of the same moment as the rows.
                assert_eq!(view.tree().size(), u64::from(number) + 1);
                let last = view.journal(u64::from(number), 10).await.unwrap();
                assert_eq!(last.len(), 1);
                assert_eq!(last[0].bytes, number.to_be_bytes());
                assert!(number >= seen, "time went backwards");
                seen = number;
            }
        });
    }
    for number in 1..60 {
        apply(&store, write(number)).await;
    }
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
}

pub(crate) async fn an_answered_batch_is_in_the_next_view(store: Shared) {
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for number in 0..10 {
                let row = key(&format!("{writer}/{number}"));
                let commit = apply(&store, edits(vec![put(&row, "x")])).await;
                let view = view(&store).await;
                assert!(view.version() >= commit.version);
                let row = view.get(&row).await.unwrap().unwrap();
                assert_eq!(row.version, commit.version);
            }
        });
    }
    writers.join_all().await;
}

pub(crate) async fn open_views_are_counted(store: Shared) {
    assert_eq!(store.statistics().open_views, 0);
    let first = view(&store).await;
    let second = view(&store).await;
    assert_eq!(store.statistics().open_views, 2);
    drop(first);
    assert_eq!(store.statistics().open_views, 1);
    drop(second);
    assert_eq!(store.statistics().open_views, 0);
}

pub(crate) async fn a_closed_store_refuses(store: Shared) {
    let commit = apply(&store, edits(vec![put(&key("a"), "1")])).await;
    assert_eq!(commit.version, 1);
    store.close().await.unwrap();
    store.close().await.unwrap();
    let error = store.apply(edits(vec![put(&key("b"), "1")])).await.unwrap_err();
    assert_eq!(error, ApplyError::Broken(StoreError::Closed));
    assert_eq!(store.view().await.err(), Some(StoreError::Closed));
}
