//! Snapshots of the file.

use std::sync::Arc;

use async_trait::async_trait;
use mihwar_ledger::{Frontier, Hash, TileId};

use super::counters::OpenView;
use super::readers::Readers;
use super::schema::{Snapshot, engine};
use crate::tree::tile_hashes;
use crate::{JournalEntry, Key, KeyRange, Natures, Order, Page, Row, StoreError, Versioned, View, page};

pub(crate) struct RedbView {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) readers: Readers,
    pub(crate) natures: Natures,
    /// Dropped with the view, which takes it off the list of open ones.
    pub(crate) _open: OpenView,
}

impl RedbView {
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let snapshot = Arc::clone(&self.snapshot);
        self.readers.run(move || read(&snapshot)).await
    }
}

#[async_trait]
impl View for RedbView {
    fn version(&self) -> u64 {
        self.snapshot.head.version
    }

    fn tree(&self) -> &Frontier {
        &self.snapshot.head.frontier
    }

    fn natures(&self) -> &Natures {
        &self.natures
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        let key = key.clone();
        self.read(move |snapshot| snapshot.rows.get(&key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |snapshot| keys.iter().map(|key| snapshot.rows.get(key)).collect())
            .await
    }

    async fn scan(&self, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError> {
        self.read(move |snapshot| scan(snapshot, range, order, limit)).await
    }

    async fn journal(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        self.read(move |snapshot| {
            let failed = engine("reading the journal");
            let entries = snapshot.journal.range(from..).map_err(&failed)?;
            let entries = entries.map(|entry| {
                let (sequence, bytes) = entry.map_err(&failed)?;
                Ok(JournalEntry {
                    sequence: sequence.value(),
                    bytes: bytes.value().to_vec(),
                })
            });
            page::fill_journal(limit, entries)
        })
        .await
    }

    async fn entries(&self, sequences: &[u64]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let sequences = sequences.to_vec();
        self.read(move |snapshot| {
            let entry = |sequence: &u64| {
                let found = snapshot.journal.get(*sequence);
                let found = found.map_err(engine("reading the journal"))?;
                Ok(found.map(|entry| entry.value().to_vec()))
            };
            sequences.iter().map(entry).collect()
        })
        .await
    }

    async fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        self.read(move |snapshot| tile_hashes(snapshot, id, snapshot.head.frontier.size()))
            .await
    }

    async fn removed(&self, range: KeyRange, limit: usize) -> Result<Page, StoreError> {
        self.read(move |snapshot| removed(snapshot, range, limit)).await
    }
}

fn removed(snapshot: &Snapshot, range: KeyRange, limit: usize) -> Result<Page, StoreError> {
    let Some(table) = snapshot.removed.as_ref().filter(|_| !range.is_empty()) else {
        return Ok(Page {
            rows: Vec::new(),
            next: None,
        });
    };
    let failed = engine("scanning deleted rows");
    let bounds = range.clone();
    let rows = table.range::<&[u8]>(bounds.bounds()).map_err(&failed)?;
    let rows = rows.map(|row| {
        let (key, version) = row.map_err(&failed)?;
        Ok(Row {
            key: Key::from_bytes(key.value().to_vec()),
            value: Versioned {
                version: version.value(),
                bytes: Vec::new(),
            },
        })
    });
    page::fill(range, Order::Ascending, limit, rows)
}

fn scan(snapshot: &Snapshot, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError> {
    if range.is_empty() {
        return Ok(Page {
            rows: Vec::new(),
            next: None,
        });
    }
    let rows = snapshot.rows.range(&range)?;
    match order {
        Order::Ascending => page::fill(range, order, limit, rows),
        Order::Descending => page::fill(range, order, limit, rows.rev()),
    }
}
