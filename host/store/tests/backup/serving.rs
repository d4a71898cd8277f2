//! Backups while the store is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mihwar_store::backup::{Backup, receive};
use mihwar_store::{Batch, BlobError};
use tokio::sync::mpsc;

use crate::support::{House, LASTING, about, checked, file_id, key, noise, put, put_file, restored};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_state_however_much_is_written_meanwhile() {
    let house = House::redb();
    let rest = (0..2_000).map(|number| put(LASTING, &format!("شكوى {number}"), &"نص ".repeat(100)));
    house.apply(rest.collect(), &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (store, stop) = (house.store.clone(), stop.clone());
        async move {
            let mut count = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                count += 1;
                let value = count.to_string();
                // The first and the last row of the space, so that a scan that moved on would see two states.
                let batch = Batch {
                    edits: vec![put(LASTING, "", &value), put(LASTING, "ي", &value)],
                    journal: vec![value.into_bytes()],
                    ..Batch::default()
                };
                store.apply(batch).await.unwrap();
            }
            count
        }
    });
    // It has begun.
    while house.store.statistics().journal_entries == 0 {
        tokio::task::yield_now().await;
    }
    let backup = Backup::begin(house.store.clone(), &house.files, about([7; 16], None))
        .await
        .unwrap();
    let (sink, mut chunks) = mpsc::channel(1);
    let streaming = tokio::spawn(backup.stream(sink));
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        let before = house.store.statistics().journal_entries;
        while house.store.statistics().journal_entries == before {
            tokio::task::yield_now().await;
        }
        bytes.extend(chunk);
    }
    streaming.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    let path = house.path("online");
    receive(bytes.as_slice(), &path, |_| {}).unwrap();
    let there = restored(&[&path]);
    let view = there.store.view().await.unwrap();
    let count = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().parse::<u64>().unwrap();
    let first = count(view.get(&key(LASTING, "")).await.unwrap().unwrap().bytes);
    let last = count(view.get(&key(LASTING, "ي")).await.unwrap().unwrap().bytes);
    assert_eq!((first, last), (view.tree().size(), view.tree().size()));
    assert!(first < u64::from(written), "writing went on meanwhile");
    assert_eq!(house.store.statistics().open_views, 0, "the snapshot is let go of");
}

#[tokio::test]
async fn a_file_deleted_meanwhile_is_gone_for_all_but_the_backup() {
    let house = House::redb();
    let bytes = noise(2_500_000, 9);
    house.files.put(file_id(1), bytes.clone()).await.unwrap();
    house.apply(vec![put_file(1)], &["استلام"]).await;
    let backup = Backup::begin(house.store.clone(), &house.files, about([7; 16], None))
        .await
        .unwrap();
    house.files.delete(file_id(1)).await.unwrap();
    let error = house.files.read(file_id(1)).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing(_)), "{error}");
    let made = crate::support::collect(backup).await;
    let path = house.path("full");
    receive(made.as_slice(), &path, |_| {}).unwrap();
    assert_eq!(checked(&[&path]).unwrap().file_bytes, 2_500_000);
    let left = std::fs::read_dir(house.path("files").join("held")).unwrap().count();
    assert_eq!(left, 0, "it is destroyed when the backup is made");
    assert_eq!(restored(&[&path]).files.read(file_id(1)).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_receiver_that_goes_away_ends_the_backup() {
    let house = House::redb();
    house.files.put(file_id(1), noise(4_000_000, 9)).await.unwrap();
    house.apply(vec![put_file(1)], &[]).await;
    let backup = Backup::begin(house.store.clone(), &house.files, about([7; 16], None))
        .await
        .unwrap();
    let (sink, mut chunks) = mpsc::channel(1);
    let streaming = tokio::spawn(backup.stream(sink));
    chunks.recv().await.unwrap();
    drop(chunks);
    streaming.await.unwrap();
    assert_eq!(house.store.statistics().open_views, 0);
}
