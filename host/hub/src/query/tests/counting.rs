//! A store that counts what is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mihwar_ledger::{Frontier, Hash, TileId};
use mihwar_store::{
    ApplyError, Batch, Commit, JournalEntry, Key, KeyRange, MemoryStore, Natures, Order, Page, Statistics, Store,
    StoreError, Versioned, View,
};

use crate::keys;

/// Rows that a store has given to its readers.
#[derive(Default)]
pub(crate) struct Given {
    heads: AtomicUsize,
    blocks: AtomicUsize,
    waiting: AtomicUsize,
}

impl Given {
    fn note(&self, key: &Key) {
        let of = |space| keys::all(space).contains(key);
        if of(keys::HEAD) {
            self.heads.fetch_add(1, Ordering::Relaxed);
        } else if of(keys::FACETS) {
            self.blocks.fetch_add(1, Ordering::Relaxed);
        } else if of(keys::OUTBOX) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Heads and blocks since this was asked last.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.heads), take(&self.blocks))
    }

    /// Deliveries that wait, since this was asked last.
    pub(crate) fn waiting_taken(&self) -> usize {
        self.waiting.swap(0, Ordering::Relaxed)
    }
}

/// A store in memory that notes what it gives.
pub(crate) struct Counting {
    pub(crate) inner: MemoryStore,
    pub(crate) given: Arc<Given>,
}

#[async_trait]
impl Store for Counting {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        Ok(Box::new(CountingView {
            inner: self.inner.view().await?,
            given: Arc::clone(&self.given),
        }))
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        self.inner.apply(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

struct CountingView {
    inner: Box<dyn View>,
    given: Arc<Given>,
}

#[async_trait]
impl View for CountingView {
    fn version(&self) -> u64 {
        self.inner.version()
    }

    fn tree(&self) -> &Frontier {
        self.inner.tree()
    }

    fn natures(&self) -> &Natures {
        self.inner.natures()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        self.given.note(key);
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        keys.iter().for_each(|key| self.given.note(key));
        self.inner.get_many(keys).await
    }

    async fn scan(&self, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError> {
        let page = self.inner.scan(range, order, limit).await?;
        page.rows.iter().for_each(|row| self.given.note(&row.key));
        Ok(page)
    }

    async fn journal(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        self.inner.journal(from, limit).await
    }

    async fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        self.inner.tile(id).await
    }

    async fn removed(&self, range: KeyRange, limit: usize) -> Result<Page, StoreError> {
        self.inner.removed(range, limit).await
    }
}
