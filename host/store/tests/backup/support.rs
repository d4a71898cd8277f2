//! What the tests share: a store with files, backups of it, and the same from a restore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mihwar_ledger::Frontier;
use mihwar_model::{OrgId, Time};
use mihwar_store::backup::{
    About, Backup, BackupError, Mark, Owner, Replayed, Watch, previous, receive, restore, verify,
};
use mihwar_store::{
    Batch, BlobFolder, Edit, JournalEntry, Key, KeyRange, MemoryStore, Nature, Natures, Order, RedbSettings, RedbStore,
    Row, Space, Store, View,
};
use tokio::sync::mpsc;
use uuid::Uuid;

pub(crate) const LASTING: Space = Space(0x10);
pub(crate) const PASSING: Space = Space(0x11);
pub(crate) const DERIVED: Space = Space(0x12);
pub(crate) const FILED: Space = Space(0x13);

const NATURES: Natures = Natures::all(Nature::Lasting)
    .with(PASSING, Nature::Passing)
    .with(DERIVED, Nature::Derived)
    .with(FILED, Nature::Filed);

pub(crate) fn settings() -> RedbSettings {
    RedbSettings {
        free_space_floor: 0,
        natures: NATURES,
        ..RedbSettings::default()
    }
}

/// A store with its files.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) files: BlobFolder,
}

impl House {
    pub(crate) fn redb() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(folder.path().join("store"), settings()).unwrap());
        Self::with(folder, store)
    }

    pub(crate) fn memory() -> Self {
        Self::with(
            tempfile::tempdir().unwrap(),
            Arc::new(MemoryStore::with_natures(NATURES)),
        )
    }

    fn with(folder: tempfile::TempDir, store: Arc<dyn Store>) -> Self {
        let files = BlobFolder::open(folder.path().join("files")).unwrap();
        Self { folder, store, files }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn apply(&self, edits: Vec<Edit>, journal: &[&str]) {
        let batch = Batch {
            edits,
            journal: journal.iter().map(|entry| entry.as_bytes().to_vec()).collect(),
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    /// A backup in the file `name`, of what changed since another one.
    pub(crate) async fn backup(&self, name: &str, since: Option<&Path>) -> PathBuf {
        let since = since.map(|path| previous(path).unwrap().state);
        let bytes = self.bytes(about([7; 16], since)).await.unwrap();
        let path = self.path(name);
        receive(bytes.as_slice(), &path, |_| {}).unwrap();
        path
    }

    /// The bytes of a backup.
    pub(crate) async fn bytes(&self, about: About) -> Result<Vec<u8>, BackupError> {
        let backup = Backup::begin(self.store.clone(), &self.files, about).await?;
        Ok(collect(backup).await)
    }

    pub(crate) async fn contents(&self) -> Contents {
        Contents::of(&*self.store.view().await.unwrap(), &self.files).await
    }
}

pub(crate) async fn collect(backup: Backup) -> Vec<u8> {
    let (sink, mut chunks) = mpsc::channel(1);
    let streaming = tokio::spawn(backup.stream(sink));
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        bytes.extend(chunk);
    }
    streaming.await.unwrap();
    bytes
}

pub(crate) fn about(lineage: [u8; 16], since: Option<Mark>) -> About {
    About {
        owner: Owner {
            origin: "مثال.example/ledger".into(),
            verifier_key: String::new(),
        },
        lineage,
        made_at: Time(1_790_000_000_000),
        made_by: "test".into(),
        since,
    }
}

/// Restores into a new folder, and opens it.
pub(crate) fn restored(files: &[&Path]) -> House {
    let folder = tempfile::tempdir().unwrap();
    restore(
        files,
        &folder.path().join("store"),
        &folder.path().join("files"),
        &mut Nobody,
    )
    .unwrap();
    let store = Arc::new(RedbStore::open(folder.path().join("store"), settings()).unwrap());
    House::with(folder, store)
}

pub(crate) fn checked(files: &[&Path]) -> Result<Replayed, BackupError> {
    verify(files, &mut Nobody)
}

/// Looks at nothing.
pub(crate) struct Nobody;

impl Watch for Nobody {
    fn row(&mut self, _: &Row) {}
    fn tree(&mut self, _: &Frontier) {}
    fn progress(&mut self, done: u64, total: u64) {
        assert!(done <= total);
    }
}

/// Everything that a backup must bring back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    version: u64,
    rows: Vec<Row>,
    journal: Vec<JournalEntry>,
    tree: Frontier,
    files: Vec<(Uuid, Vec<u8>)>,
}

impl Contents {
    pub(crate) async fn of(view: &dyn View, files: &BlobFolder) -> Self {
        let mut rows = Vec::new();
        for space in [LASTING, PASSING, FILED] {
            rows.extend(rows_of(view, space).await);
        }
        let mut read = Vec::new();
        for row in rows_of(view, FILED).await {
            let id = file_of(&row.key);
            read.push((id, files.read(id).await.unwrap()));
        }
        Self {
            version: view.version(),
            rows,
            journal: view.journal(0, 1000).await.unwrap(),
            tree: view.tree().clone(),
            files: read,
        }
    }
}

pub(crate) async fn rows_of(view: &dyn View, space: Space) -> Vec<Row> {
    let range = KeyRange::prefix(Key::space(space, OrgId::FIRST).finish());
    view.scan(range, Order::Ascending, 1000).await.unwrap().rows
}

pub(crate) fn key(space: Space, name: &str) -> Key {
    Key::space(space, OrgId::FIRST).text(name).finish()
}

pub(crate) fn put(space: Space, name: &str, value: &str) -> Edit {
    Edit::Put(key(space, name), value.as_bytes().to_vec())
}

pub(crate) fn delete(space: Space, name: &str) -> Edit {
    Edit::Delete(key(space, name))
}

pub(crate) fn file_id(number: u8) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

pub(crate) fn file_key(number: u8) -> Key {
    Key::space(FILED, OrgId::FIRST).id(*file_id(number).as_bytes()).finish()
}

pub(crate) fn put_file(number: u8) -> Edit {
    Edit::Put(file_key(number), Vec::new())
}

fn file_of(key: &Key) -> Uuid {
    Uuid::from_bytes(*key.as_bytes().last_chunk().unwrap())
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}
