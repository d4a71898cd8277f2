//! What the tests share: engines to run on, and short words for keys and batches.

use std::future::Future;
use std::sync::Arc;

use mihwar_model::OrgId;
use mihwar_store::{
    ApplyError, Batch, Commit, Edit, Execution, Guard, Key, KeyRange, MemoryStore, Nature, Natures, Order,
    RedbSettings, RedbStore, Row, Space, Store, View,
};

#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Memory,
    Redb(Execution),
    Scratch,
}

pub(crate) type Shared = Arc<dyn Store>;

/// Runs a test on a new store, on several threads.
pub(crate) fn run<F: Future<Output = ()>>(engine: Engine, test: impl FnOnce(Shared) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let settings = RedbSettings {
        free_space_floor: 0,
        natures: Natures::all(Nature::Lasting),
        ..RedbSettings::default()
    };
    let store: Shared = match engine {
        Engine::Memory => Arc::new(MemoryStore::new()),
        Engine::Redb(execution) => {
            let settings = RedbSettings { execution, ..settings };
            Arc::new(RedbStore::open(folder.path().join("test.redb"), settings).unwrap())
        }
        Engine::Scratch => Arc::new(RedbStore::scratch(folder.path(), settings).unwrap()),
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(store));
}

pub(crate) const SPACE: Space = Space(0x10);

pub(crate) fn key(text: &str) -> Key {
    Key::space(SPACE, OrgId::FIRST).text(text).finish()
}

pub(crate) fn everything() -> KeyRange {
    KeyRange::prefix(Key::space(SPACE, OrgId::FIRST).finish())
}

pub(crate) fn put(key: &Key, value: impl Into<Vec<u8>>) -> Edit {
    Edit::Put(key.clone(), value.into())
}

pub(crate) fn edits(edits: Vec<Edit>) -> Batch {
    Batch {
        edits,
        ..Batch::default()
    }
}

pub(crate) fn guarded(guards: Vec<Guard>, changes: Vec<Edit>) -> Batch {
    Batch {
        guards,
        ..edits(changes)
    }
}

pub(crate) fn entries<E: Into<Vec<u8>>>(journal: impl IntoIterator<Item = E>) -> Batch {
    Batch {
        journal: journal.into_iter().map(Into::into).collect(),
        ..Batch::default()
    }
}

pub(crate) async fn apply(store: &Shared, batch: Batch) -> Commit {
    store.apply(batch).await.unwrap()
}

pub(crate) async fn refused(store: &Shared, batch: Batch) -> ApplyError {
    store.apply(batch).await.unwrap_err()
}

pub(crate) async fn view(store: &Shared) -> Box<dyn View> {
    store.view().await.unwrap()
}

pub(crate) async fn value(store: &Shared, key: &Key) -> Option<Vec<u8>> {
    let row = view(store).await.get(key).await.unwrap();
    row.map(|row| row.bytes)
}

/// All rows of a range, page by page.
pub(crate) async fn scan_all(view: &dyn View, range: KeyRange, order: Order, limit: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut next = Some(range);
    while let Some(range) = next {
        let page = view.scan(range, order, limit).await.unwrap();
        assert!(page.rows.len() <= limit.clamp(1, mihwar_store::MAX_PAGE_ROWS));
        assert!(page.next.is_none() || !page.rows.is_empty(), "a scan stands still");
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}

pub(crate) fn values(rows: &[Row]) -> Vec<String> {
    let text = |row: &Row| String::from_utf8(row.value.bytes.clone()).unwrap();
    rows.iter().map(text).collect()
}
