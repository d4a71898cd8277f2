//! Increments hold what changed, and what was deleted stays deleted.

use mihwar_store::BlobError;

use crate::support::{
    FILED, House, LASTING, PASSING, checked, delete, file_id, file_key, key, noise, put, put_file, restored, rows_of,
};
use mihwar_store::Edit;

#[tokio::test]
async fn an_increment_has_only_what_changed() {
    let house = House::redb();
    let many = (0..500)
        .map(|number| put(LASTING, &format!("شكوى {number}"), "نص"))
        .collect();
    house.apply(many, &["a", "b", "c"]).await;
    house.files.put(file_id(1), noise(5_000, 1)).await.unwrap();
    house.apply(vec![put_file(1)], &[]).await;
    let full = house.backup("full", None).await;
    let edits = vec![
        put(LASTING, "شكوى 7", "نص آخر"),
        delete(LASTING, "شكوى 8"),
        delete(LASTING, "never there"),
        put(PASSING, "queue", "x"),
    ];
    house.apply(edits, &["d"]).await;
    let bytes = house
        .bytes(crate::support::about(
            [7; 16],
            Some(mihwar_store::backup::previous(&full).unwrap().state),
        ))
        .await
        .unwrap();
    let path = house.path("increment");
    let received = mihwar_store::backup::receive(bytes.as_slice(), &path, |_| {}).unwrap();
    let counts = received.counts;
    assert_eq!(
        (counts.rows, counts.removed, counts.entries, counts.files),
        (2, 1, 1, 0)
    );
    let report = checked(&[&full, &path]).unwrap();
    assert_eq!((report.rows, report.entries, report.files), (501, 4, 1));
}

#[tokio::test]
async fn what_was_deleted_is_not_even_in_the_restored_file() {
    let house = House::redb();
    let secret = "سر-لا-يعود-".repeat(20);
    house.files.put(file_id(3), secret.clone().into_bytes()).await.unwrap();
    house
        .apply(vec![put(LASTING, "k", &secret), put_file(3)], &["received"])
        .await;
    let full = house.backup("full", None).await;
    house
        .apply(vec![delete(LASTING, "k"), Edit::Delete(file_key(3))], &["withdrawn"])
        .await;
    house.files.delete(file_id(3)).await.unwrap();
    let increment = house.backup("increment", Some(&full)).await;

    let there = restored(&[&full, &increment]);
    assert!(rows_of(&*there.store.view().await.unwrap(), LASTING).await.is_empty());
    let error = there.files.read(file_id(3)).await.unwrap_err();
    assert!(matches!(error, BlobError::Missing(_)), "{error}");
    there.store.close().await.unwrap();
    let bytes = std::fs::read(there.path("store")).unwrap();
    let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!found, "a freed page of the restored file still holds it");
    let alone = restored(&[&full]);
    assert_eq!(
        alone.files.read(file_id(3)).await.unwrap(),
        secret.as_bytes(),
        "the older state had it"
    );
}

#[tokio::test]
async fn a_row_that_came_back_is_there() {
    let house = House::redb();
    house.files.put(file_id(4), vec![1; 10]).await.unwrap();
    house.apply(vec![put(LASTING, "k", "1"), put_file(4)], &[]).await;
    let full = house.backup("full", None).await;
    house.apply(vec![delete(LASTING, "k")], &[]).await;
    let gone = house.backup("gone", Some(&full)).await;
    house.apply(vec![put(LASTING, "k", "٢"), put_file(4)], &[]).await;
    let back = house.backup("back", Some(&gone)).await;
    let there = restored(&[&full, &gone, &back]);
    let row = there.store.view().await.unwrap().get(&key(LASTING, "k")).await.unwrap();
    assert_eq!(row.unwrap().bytes, "٢".as_bytes());
    assert_eq!(there.contents().await, house.contents().await);
    let between = restored(&[&full, &gone]);
    assert!(rows_of(&*between.store.view().await.unwrap(), LASTING).await.is_empty());
    assert_eq!(rows_of(&*between.store.view().await.unwrap(), FILED).await.len(), 1);
}

#[tokio::test]
async fn a_file_that_the_store_lacks_is_told_and_the_rest_is_kept() {
    let house = House::redb();
    house.files.put(file_id(1), vec![1; 10]).await.unwrap();
    house.files.put(file_id(3), vec![3; 30]).await.unwrap();
    house.apply(vec![put_file(1), put_file(2), put_file(3)], &[]).await;
    let full = house.backup("full", None).await;
    let report = checked(&[&full]).unwrap();
    assert_eq!((report.files, report.file_bytes, report.files_missing), (2, 40, 1));
    let there = restored(&[&full]);
    assert_eq!(there.files.read(file_id(3)).await.unwrap(), [3; 30]);
}
