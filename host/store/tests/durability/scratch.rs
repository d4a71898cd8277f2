//! A store for a while: nothing of it is seen in its folder, and nothing waits for the disk.

use mihwar_model::OrgId;
use mihwar_store::{Batch, Edit, Key, RedbStore, Space, Store};

use crate::disk::settings;

fn key() -> Key {
    Key::space(Space(0x10), OrgId::FIRST).text("صف for a while").finish()
}

#[tokio::test]
async fn a_scratch_store_leaves_no_file_and_syncs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // As a kill between making the file and taking its name leaves it.
    std::fs::write(folder.path().join("scratch.redb"), "نصف").unwrap();
    let store = RedbStore::scratch(folder.path(), settings()).unwrap();
    let beside = RedbStore::scratch(folder.path(), settings()).unwrap();
    for number in 0..5_u8 {
        let edits = vec![Edit::Put(key(), vec![number])];
        let batch = Batch {
            edits,
            ..Batch::default()
        };
        store.apply(batch).await.unwrap();
    }
    assert_eq!(
        store.view().await.unwrap().get(&key()).await.unwrap().unwrap().bytes,
        [4]
    );
    assert_eq!(beside.view().await.unwrap().get(&key()).await.unwrap(), None);
    assert_eq!((store.statistics().commits, store.statistics().fsyncs), (5, 0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    store.close().await.unwrap();
    drop(beside);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
