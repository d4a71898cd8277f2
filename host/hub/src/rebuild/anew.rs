//! The read models of a ledger, made anew beside those in use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use mihwar_model::Event;
#[cfg(test)]
use mihwar_store::MemoryStore;
use mihwar_store::{ApplyError, Batch, Edit, Key, MAX_BATCH_BYTES, RedbSettings, Store, View};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use crate::core::Core;
use crate::doors::Disk;
use crate::fault::{Fault, OnDamage};
use crate::folding::{Folded, Folding, Touched, no_event};
use crate::projection::missing_entry;
use crate::walk::{self, Told, aside};
use crate::{keys, rows};

/// Memory for the pages of the store beside.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Batches stay below the store's limit by more than the largest row.
const BATCH_BYTES: usize = MAX_BATCH_BYTES - 2_000_000;

/// Where stores are made for as long as rows are compared. One at a time: each takes as much room on the disk as the read
/// models do.
pub(crate) struct SideStores {
    place: Place,
    one_at_a_time: Mutex<()>,
}

enum Place {
    Folder {
        disk: Arc<dyn Disk>,
        path: PathBuf,
        free_space_floor: u64,
    },
    #[cfg(test)]
    Memory,
}

impl SideStores {
    pub(crate) fn in_folder(disk: Arc<dyn Disk>, path: PathBuf, free_space_floor: u64) -> Self {
        Self {
            place: Place::Folder {
                disk,
                path,
                free_space_floor,
            },
            one_at_a_time: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self {
            place: Place::Memory,
            one_at_a_time: Mutex::default(),
        }
    }

    /// An empty store; waits until no other is open.
    async fn open(&self) -> Result<(Arc<dyn Store>, MutexGuard<'_, ()>), Fault> {
        let only = self.one_at_a_time.lock().await;
        let store: Arc<dyn Store> = match &self.place {
            Place::Folder {
                disk,
                path,
                free_space_floor,
            } => {
                let settings = RedbSettings {
                    free_space_floor: *free_space_floor,
                    cache_bytes: CACHE_BYTES,
                    ..RedbSettings::default()
                };
                disk.scratch(path, settings).await?
            }
            #[cfg(test)]
            Place::Memory => Arc::new(MemoryStore::new()),
        };
        Ok((store, only))
    }
}

/// Read models folded from the first event on. They are gone when this is dropped.
pub(crate) struct Anew<'a> {
    store: Arc<dyn Store>,
    rows: u64,
    _only: MutexGuard<'a, ()>,
}

impl<'a> Anew<'a> {
    /// Folds the events before `until` and calls `tell` with how many are done. While one page is folded, the next is read
    /// and decoded and the last is written.
    pub(crate) async fn fold(
        core: &'a Core,
        view: &Arc<dyn View>,
        until: u64,
        tell: impl Fn(u64),
    ) -> Result<Self, Fault> {
        let (store, only) = core.side_stores.open().await?;
        let mut pages = walk::events(view, until);
        let mut work = Work {
            store: &store,
            recent: Touched::default(),
            counts: BTreeMap::new(),
            rows: 0,
            writing: None,
        };
        let mut done = 0;
        while let Some(page) = pages.recv().await {
            let events = in_order(done, page?)?;
            done += events.len() as u64;
            work.page(events).await?;
            tell(done);
        }
        if done < until {
            return Err(missing_entry(done));
        }
        let rows = work.end(until).await?;
        Ok(Self {
            store,
            rows,
            _only: only,
        })
    }

    pub(crate) async fn view(&self) -> Result<Box<dyn View>, Fault> {
        Ok(self.store.view().await?)
    }

    /// About how many rows there are: hardly ever fewer than this.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Gives the room back.
    pub(crate) async fn close(self) -> Result<(), Fault> {
        Ok(self.store.close().await?)
    }
}

/// The events of a page that begins with entry `from`.
fn in_order(from: u64, page: Vec<Told>) -> Result<Vec<(u64, Event)>, Fault> {
    (from..)
        .zip(page)
        .map(|(expected, (sequence, told))| {
            if sequence != expected {
                return Err(missing_entry(expected));
            }
            let event = told.map_err(|detail| no_event(sequence, &detail))?;
            Ok((sequence, event))
        })
        .collect()
}

struct Work<'a> {
    store: &'a Arc<dyn Store>,
    /// What the last page changed, which may not be written yet.
    recent: Touched,
    /// Counts are few, and change with every event: they are written once, at the end.
    counts: BTreeMap<Key, i64>,
    rows: u64,
    writing: Option<JoinHandle<Result<(), Fault>>>,
}

impl Work<'_> {
    async fn page(&mut self, events: Vec<(u64, Event)>) -> Result<(), Fault> {
        // Shows everything but the last page; that one is in `recent`.
        let view = self.store.view().await?;
        let mut folding = Folding::load(&*view, &self.recent, OnDamage::End, &events).await?;
        drop(view);
        let folded = aside(move || {
            for (sequence, event) in events {
                folding.apply(sequence, event);
            }
            folding.finish()
        });
        let Folded {
            edits,
            counts,
            new_rows,
            touched,
        } = folded.await??;
        for (key, by) in counts {
            *self.counts.entry(key).or_default() += by;
        }
        self.rows += new_rows;
        self.recent = touched;
        self.write(edits).await
    }

    /// Begins to write, after what was begun before is done.
    async fn write(&mut self, edits: Vec<Edit>) -> Result<(), Fault> {
        self.written().await?;
        let store = Arc::clone(self.store);
        self.writing = Some(tokio::spawn(async move {
            for edits in in_batches(edits) {
                let batch = Batch {
                    edits,
                    ..Batch::default()
                };
                store.apply(batch).await?;
            }
            Ok(())
        }));
        Ok(())
    }

    async fn written(&mut self) -> Result<(), Fault> {
        match self.writing.take() {
            Some(writing) => writing.await.unwrap_or(Err(ApplyError::Unknown.into())),
            None => Ok(()),
        }
    }

    async fn end(mut self, until: u64) -> Result<u64, Fault> {
        let counts = std::mem::take(&mut self.counts);
        self.rows += counts.len() as u64;
        let mut last: Vec<Edit> = counts.into_iter().map(|(key, by)| Edit::Add(key, by)).collect();
        if until > 0 {
            self.rows += 1;
            last.push(Edit::Put(keys::position(), rows::encode(&until)?));
        }
        self.write(last).await?;
        self.written().await?;
        Ok(self.rows)
    }
}

/// The edits in pieces that the store takes. Nobody looks between two of them.
fn in_batches(edits: Vec<Edit>) -> Vec<Vec<Edit>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for edit in edits {
        let size = edit.size();
        if bytes + size > BATCH_BYTES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(edit);
    }
    batches.push(batch);
    batches
}
