//! Deletions are noted, for increments of backups.

use mihwar_store::{Edit, KeyRange};

use crate::support::{Shared, apply, edits, everything, key, put, view};

async fn noted(store: &Shared, range: KeyRange, limit: usize) -> (Vec<(String, u64)>, bool) {
    let page = view(store).await.removed(range, limit).await.unwrap();
    let rows = page.rows.iter().map(|row| {
        assert!(row.value.bytes.is_empty());
        (row.key.read().text().unwrap(), row.value.version)
    });
    (rows.collect(), page.next.is_some())
}

pub(crate) async fn deletions_are_noted_with_their_last_commit(store: Shared) {
    assert_eq!(noted(&store, everything(), 10).await, (vec![], false));
    let (a, b) = (key("أ"), key("ب"));
    apply(&store, edits(vec![put(&a, "1"), put(&b, "1")])).await;
    let before = view(&store).await;
    let first = apply(&store, edits(vec![Edit::Delete(a.clone()), Edit::Delete(key("never"))])).await;
    apply(&store, edits(vec![put(&a, "2")])).await;
    let last = apply(&store, edits(vec![Edit::Delete(b), Edit::Delete(a.clone())])).await;
    assert!(first.version < last.version);
    let all = vec![("أ".to_owned(), last.version), ("ب".to_owned(), last.version)];
    assert_eq!(noted(&store, everything(), 10).await, (all.clone(), false));
    assert_eq!(noted(&store, everything(), 1).await, (all[..1].to_vec(), true));
    assert_eq!(
        noted(&store, everything().after(&a), 10).await,
        (all[1..].to_vec(), false)
    );
    assert!(
        before.removed(everything(), 10).await.unwrap().rows.is_empty(),
        "a view never changes"
    );
    // Deleted within the commit that wrote it: it was never there.
    apply(&store, edits(vec![put(&key("ج"), "1"), Edit::Delete(key("ج"))])).await;
    assert_eq!(noted(&store, everything(), 10).await, (all, false));
}
