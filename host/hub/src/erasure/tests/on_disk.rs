//! What the folder holds of a person after an erasure, byte by byte.

use std::path::Path;
use std::sync::Arc;

use mihwar_store::{RedbSettings, RedbStore, Store};

use super::{House, story};
use crate::keys;

fn bytes_below(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            bytes_below(&entry.path(), all);
        } else {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
}

fn holds(all: &[u8], wanted: &[u8]) -> bool {
    all.windows(wanted.len()).any(|bytes| bytes == wanted)
}

#[tokio::test]
async fn after_a_compaction_not_even_the_sealed_key_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RedbSettings {
        free_space_floor: 0,
        natures: keys::NATURES,
        ..RedbSettings::default()
    };
    let store = Arc::new(RedbStore::open(folder.path().join("mihwar.redb"), settings).unwrap());
    let house = House::over(store.clone());
    let (ids, contact) = story(&house).await;
    let view = store.view().await.unwrap();
    let key = view.get(&keys::contact_key(contact)).await.unwrap().unwrap().bytes;
    let content = view.get(&keys::content(ids[1], 1)).await.unwrap().unwrap().bytes;
    drop(view);
    house.erase(contact).await.unwrap();
    store.compact(Box::new(|_| {})).await.unwrap();
    store.close().await.unwrap();
    let mut all = Vec::new();
    bytes_below(folder.path(), &mut all);
    bytes_below(house.folder.path(), &mut all);
    assert!(!all.is_empty());
    // Without the head of the row, which many have in common.
    for sealed in [&key, &content] {
        assert!(!holds(&all, &sealed[16..48]));
    }
    for plain in [
        "هدى",
        "huda@example.com",
        "الطابور",
        "invoice is wrong",
        "تذكرة-٧",
        "الفاتورة.png",
    ] {
        assert!(!holds(&all, plain.as_bytes()), "{plain}");
    }
}
