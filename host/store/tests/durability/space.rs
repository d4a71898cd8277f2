//! The reserve of free disk space.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Edit, FolderSpace, FreeSpace, Key, RedbSettings, RedbStore, Space, Store};
use redb::backends::InMemoryBackend;

use crate::disk::settings;

#[derive(Clone)]
struct Gauge(Arc<AtomicU64>);

impl FreeSpace for Gauge {
    fn free_bytes(&self) -> io::Result<u64> {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => Err(io::ErrorKind::Unsupported.into()),
            free => Ok(free),
        }
    }
}

fn batch() -> Batch {
    let row = Key::space(Space(0x10), OrgId::FIRST).text("صف").finish();
    Batch {
        edits: vec![Edit::Put(row, "قيمة".into())],
        ..Batch::default()
    }
}

/// Until the store measures again.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(130)).await;
}

#[tokio::test]
async fn below_the_floor_writing_stops_and_above_it_goes_on() {
    let free = Arc::new(AtomicU64::new(1_000));
    let with_floor = RedbSettings {
        free_space_floor: 1_000,
        ..settings()
    };
    let gauge = Arc::new(Gauge(Arc::clone(&free)));
    let store = RedbStore::open_with(InMemoryBackend::new(), InMemoryBackend::new(), gauge, with_floor).unwrap();
    store.apply(batch()).await.unwrap();
    let before = store.statistics();

    free.store(999, Ordering::Relaxed);
    a_while().await;
    let error = store.apply(batch()).await.unwrap_err();
    assert_eq!(
        error,
        ApplyError::NoSpace {
            free: 999,
            floor: 1_000
        }
    );
    let after = store.statistics();
    assert_eq!((after.fsyncs, after.commits), (before.fsyncs, before.commits));
    let view = store.view().await.unwrap();
    assert_eq!(view.version(), 1, "reading goes on");

    free.store(5_000, Ordering::Relaxed);
    a_while().await;
    store.apply(batch()).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_measured_does_not_stop_the_hub() {
    let gauge = Arc::new(Gauge(Arc::new(AtomicU64::new(u64::MAX))));
    let with_floor = RedbSettings {
        free_space_floor: 1_000,
        ..settings()
    };
    let store = RedbStore::open_with(InMemoryBackend::new(), InMemoryBackend::new(), gauge, with_floor).unwrap();
    store.apply(batch()).await.unwrap();
}

#[tokio::test]
async fn the_floor_is_asked_of_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let free = FolderSpace(folder.path().to_owned()).free_bytes().unwrap();
    assert!(free > 0);
    let unreachable = RedbSettings {
        free_space_floor: u64::MAX,
        ..settings()
    };
    let store = RedbStore::open(folder.path().join("store.redb"), unreachable).unwrap();
    let error = store.apply(batch()).await.unwrap_err();
    assert!(matches!(error, ApplyError::NoSpace { floor: u64::MAX, .. }), "{error}");
}
