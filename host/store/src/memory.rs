//! The engine for tests: everything in memory, snapshots by sharing. Keeps the contract, except that nothing survives the
//! process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use mihwar_ledger::{Frontier, Hash, TileId, leaf_hash};

use crate::plan::{Present, plan};
use crate::tree::{FullTile, Tree, TreeRows, complete_root, tile_hashes};
use crate::{
    ApplyError, Batch, Commit, JournalEntry, Key, KeyRange, Nature, Natures, Order, Page, Row, Statistics, Store,
    StoreError, Versioned, View, page,
};

/// A store without a file. Equal to [`crate::RedbStore`] in everything but durability, limits of its queue and speed: a
/// write copies the rows' keys when a view is open.
pub struct MemoryStore {
    state: Mutex<State>,
    open_views: Arc<AtomicU64>,
    natures: Natures,
}

#[derive(Default)]
struct State {
    snapshot: Snapshot,
    tree: Tree,
    statistics: Statistics,
    closed: bool,
}

/// Shared between the store and its views; the store copies a part before changing it while a view holds it.
#[derive(Clone, Default)]
struct Snapshot {
    version: u64,
    rows: Arc<BTreeMap<Key, Versioned>>,
    removed: Arc<BTreeMap<Key, u64>>,
    journal: Arc<Vec<Arc<[u8]>>>,
    tiles: Arc<BTreeMap<TileId, Vec<Hash>>>,
}

impl MemoryStore {
    /// An empty store of lasting spaces, which notes every deletion.
    #[must_use]
    pub fn new() -> Self {
        Self::with_natures(Natures::all(Nature::Lasting))
    }

    /// An empty store with spaces of these natures.
    #[must_use]
    pub fn with_natures(natures: Natures) -> Self {
        Self {
            state: Mutex::default(),
            open_views: Arc::default(),
            natures,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        let state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        self.open_views.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MemoryView {
            snapshot: state.snapshot.clone(),
            tree: state.tree.frontier().clone(),
            open_views: Arc::clone(&self.open_views),
            natures: self.natures,
        }))
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        batch.check()?;
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Closed.into());
        }
        let outcome = state.apply(batch, &self.natures);
        match &outcome {
            Ok(_) => state.statistics.batches += 1,
            Err(_) => state.statistics.refused += 1,
        }
        outcome
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().closed = true;
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            open_views: self.open_views.load(Ordering::Relaxed),
            ..self.lock().statistics
        }
    }
}

impl State {
    fn apply(&mut self, batch: Batch, natures: &Natures) -> Result<Commit, ApplyError> {
        let first_sequence = self.tree.size();
        let writes = plan(&self.snapshot, &batch.guards, batch.edits, first_sequence)?;
        let version = self.snapshot.version + 1;
        self.snapshot.version = version;
        self.statistics.commits += 1;
        self.statistics.rows_written += writes.len() as u64;
        self.statistics.journal_entries += batch.journal.len() as u64;
        let rows = Arc::make_mut(&mut self.snapshot.rows);
        for (key, value) in writes {
            match value {
                Some(bytes) => drop(rows.insert(key, Versioned { version, bytes })),
                None => {
                    if rows.remove(&key).is_some() && natures.of_key(&key).is_kept() {
                        Arc::make_mut(&mut self.snapshot.removed).insert(key, version);
                    }
                }
            }
        }
        let mut filled = Vec::new();
        for entry in batch.journal {
            self.tree.append(leaf_hash(&entry), &mut filled);
            Arc::make_mut(&mut self.snapshot.journal).push(entry.into());
        }
        for FullTile { id, hashes, .. } in filled {
            Arc::make_mut(&mut self.snapshot.tiles).insert(id, hashes);
        }
        Ok(Commit {
            version,
            first_sequence,
            tree_size: self.tree.size(),
        })
    }
}

impl Present for Snapshot {
    fn version(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        Ok(self.rows.get(key).map(|row| row.version))
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(key).map(|row| row.bytes.clone()))
    }
}

impl TreeRows for Snapshot {
    fn leaf(&self, sequence: u64) -> Result<Hash, StoreError> {
        let entry = usize::try_from(sequence).ok().and_then(|at| self.journal.get(at));
        entry
            .map(|entry| leaf_hash(entry))
            .ok_or_else(|| StoreError::corrupt(format!("journal entry {sequence} is missing")))
    }

    fn tile_root(&self, index: u64) -> Result<Hash, StoreError> {
        Ok(complete_root(&self.full_tile(TileId { level: 0, index })?))
    }

    fn full_tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        let tile = self.tiles.get(&id).cloned();
        tile.ok_or_else(|| StoreError::corrupt(format!("tile {id:?} is missing")))
    }
}

struct MemoryView {
    snapshot: Snapshot,
    tree: Frontier,
    open_views: Arc<AtomicU64>,
    natures: Natures,
}

impl Drop for MemoryView {
    fn drop(&mut self) {
        self.open_views.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl View for MemoryView {
    fn version(&self) -> u64 {
        self.snapshot.version
    }

    fn tree(&self) -> &Frontier {
        &self.tree
    }

    fn natures(&self) -> &Natures {
        &self.natures
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        Ok(self.snapshot.rows.get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        Ok(keys.iter().map(|key| self.snapshot.rows.get(key).cloned()).collect())
    }

    async fn scan(&self, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError> {
        if range.is_empty() {
            return Ok(Page {
                rows: Vec::new(),
                next: None,
            });
        }
        let bounds = range.clone();
        let rows = self.snapshot.rows.range::<[u8], _>(bounds.bounds());
        let row = |(key, value): (&Key, &Versioned)| {
            Ok(Row {
                key: key.clone(),
                value: value.clone(),
            })
        };
        match order {
            Order::Ascending => page::fill(range, order, limit, rows.map(row)),
            Order::Descending => page::fill(range, order, limit, rows.rev().map(row)),
        }
    }

    async fn journal(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = self.snapshot.journal.get(start..).unwrap_or_default();
        let entries = rest.iter().zip(from..).map(|(entry, sequence)| {
            Ok(JournalEntry {
                sequence,
                bytes: entry.to_vec(),
            })
        });
        page::fill_journal(limit, entries)
    }

    async fn entries(&self, sequences: &[u64]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let entry = |sequence: &u64| {
            let at = usize::try_from(*sequence).ok()?;
            self.snapshot.journal.get(at).map(|entry| entry.to_vec())
        };
        Ok(sequences.iter().map(entry).collect())
    }

    async fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        tile_hashes(&self.snapshot, id, self.tree.size())
    }

    async fn removed(&self, range: KeyRange, limit: usize) -> Result<Page, StoreError> {
        if range.is_empty() {
            return Ok(Page {
                rows: Vec::new(),
                next: None,
            });
        }
        let bounds = range.clone();
        let rows = self.snapshot.removed.range::<[u8], _>(bounds.bounds());
        let rows = rows.map(|(key, version)| {
            Ok(Row {
                key: key.clone(),
                value: Versioned {
                    version: *version,
                    bytes: Vec::new(),
                },
            })
        });
        page::fill(range, Order::Ascending, limit, rows)
    }
}
