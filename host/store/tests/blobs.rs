//! Blobs: whole or absent, never overwritten, gone when deleted.

use std::fs;

use mihwar_store::{BlobError, BlobFolder, Execution};
use uuid::Uuid;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

#[tokio::test]
async fn a_blob_is_read_back_whole_and_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path().join("blobs")).unwrap();
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
    blobs.put(id(1), bytes.clone()).await.unwrap();
    blobs.put(id(2), vec![]).await.unwrap();
    assert_eq!(blobs.read(id(1)).await.unwrap(), bytes);
    assert_eq!(blobs.size(id(1)).await.unwrap(), 300_000);
    assert_eq!(blobs.read_range(id(1), 10..20).await.unwrap(), bytes[10..20]);
    assert_eq!(
        blobs.read_range(id(1), 299_999..300_000).await.unwrap(),
        bytes[299_999..]
    );
    assert!(blobs.read_range(id(1), 300_000..300_000).await.unwrap().is_empty());
    assert!(blobs.read(id(2)).await.unwrap().is_empty());
    for beyond in [299_999..300_001, 400_000..400_001, 0..u64::MAX] {
        let error = blobs.read_range(id(1), beyond).await.unwrap_err();
        assert!(matches!(error, BlobError::Range { size: 300_000, .. }), "{error}");
    }
    let (start, end) = (20, 10);
    let backwards = blobs.read_range(id(1), start..end).await.unwrap_err();
    assert!(matches!(backwards, BlobError::Range { .. }));
}

#[tokio::test]
async fn a_blob_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    blobs.put(id(1), "أول".into()).await.unwrap();
    let error = blobs.put(id(1), "ثان".into()).await.unwrap_err();
    assert!(matches!(error, BlobError::Exists(found) if found == id(1)));
    assert_eq!(blobs.read(id(1)).await.unwrap(), "أول".as_bytes());
    // The refused one leaves nothing that stands in the way of the next.
    blobs.delete(id(1)).await.unwrap();
    blobs.put(id(1), "ثالث".into()).await.unwrap();
    assert_eq!(blobs.read(id(1)).await.unwrap(), "ثالث".as_bytes());
}

#[tokio::test]
async fn writers_of_one_id_at_once_leave_one_whole_blob() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8_u8 {
        let blobs = blobs.clone();
        writers.spawn(async move { blobs.put(id(9), vec![number; 50_000]).await.map(|()| number) });
    }
    let outcomes = writers.join_all().await;
    let winners: Vec<u8> = outcomes.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(blobs.read(id(9)).await.unwrap(), vec![winners[0]; 50_000]);
}

#[tokio::test]
async fn what_was_deleted_is_missing_and_may_be_deleted_again() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    blobs.put(id(1), "سر".into()).await.unwrap();
    for _ in 0..2 {
        blobs.delete(id(1)).await.unwrap();
        assert!(matches!(blobs.read(id(1)).await, Err(BlobError::Missing(_))));
        assert!(matches!(blobs.size(id(1)).await, Err(BlobError::Missing(_))));
        assert!(matches!(
            blobs.read_range(id(1), 0..1).await,
            Err(BlobError::Missing(_))
        ));
    }
    blobs.delete(id(2)).await.unwrap();
}

#[tokio::test]
async fn many_blobs_lie_in_folders_by_their_last_byte() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    let many = (0..300).map(|number| (id(number), number.to_string().into_bytes()));
    blobs.put_many(many.collect()).await.unwrap();
    let expected = folder.path().join("2b").join(id(299).to_string());
    assert_eq!(fs::read(expected).unwrap(), b"299");
    assert_eq!(blobs.read(id(0x100)).await.unwrap(), b"256");
}

#[tokio::test]
async fn what_is_held_is_read_until_the_last_hold_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    let left = |name: &str| fs::read_dir(folder.path().join(name)).unwrap().count();
    blobs.put(id(1), "سر".into()).await.unwrap();
    let (first, last) = (blobs.hold(), blobs.hold());
    blobs.delete(id(1)).await.unwrap();
    assert!(matches!(blobs.read(id(1)).await, Err(BlobError::Missing(_))));
    drop(first);
    assert_eq!(left("held"), 1);
    let found = last.read(id(1), 0, 100).await.unwrap();
    assert_eq!(found, Some((4, "سر".as_bytes().to_vec())));
    drop(last);
    assert_eq!(left("held"), 0);
    // Destroyed on another thread, soon.
    while left("unfinished") > 0 {
        tokio::task::yield_now().await;
    }
    // And in the task itself where there is to be no other.
    let blobs = blobs.with_execution(Execution::Inline);
    blobs.put(id(2), "سر آخر".into()).await.unwrap();
    let hold = blobs.hold();
    blobs.delete(id(2)).await.unwrap();
    drop(hold);
    assert_eq!((left("held"), left("unfinished")), (0, 0));
}

#[tokio::test]
async fn a_folder_that_was_taken_away_keeps_no_blob_from_being_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    blobs.put(id(1), "سر".into()).await.unwrap();
    let hold = blobs.hold();
    fs::remove_dir(folder.path().join("held")).unwrap();
    blobs.delete(id(1)).await.unwrap();
    assert!(matches!(blobs.read(id(1)).await, Err(BlobError::Missing(_))));
    assert!(hold.read(id(1), 0, 1).await.unwrap().is_some());
    // One that is not there is still none.
    blobs.delete(id(2)).await.unwrap();
    // A file in its place is an error, not a blob that is gone.
    fs::remove_dir_all(folder.path().join("held")).unwrap();
    fs::write(folder.path().join("held"), "في الطريق").unwrap();
    blobs.put(id(3), "سر".into()).await.unwrap();
    assert!(matches!(blobs.delete(id(3)).await, Err(BlobError::Io { .. })));
    assert_eq!(blobs.read(id(3)).await.unwrap(), "سر".as_bytes());
}

#[tokio::test]
async fn opening_removes_what_an_interrupted_write_left() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobFolder::open(folder.path()).unwrap();
    blobs.put(id(1), "باق".into()).await.unwrap();
    let unfinished = folder.path().join("unfinished").join(id(2).to_string());
    fs::write(&unfinished, "half").unwrap();
    let held = folder.path().join("unfinished").join("held-7");
    fs::create_dir(&held).unwrap();
    fs::write(held.join(id(3).to_string()), "سر").unwrap();
    assert!(matches!(blobs.read(id(2)).await, Err(BlobError::Missing(_))));
    let blobs = BlobFolder::open(folder.path()).unwrap();
    assert!(!unfinished.exists() && !held.exists());
    blobs.put(id(2), "كامل".into()).await.unwrap();
    assert_eq!(blobs.read(id(1)).await.unwrap(), "باق".as_bytes());
}
