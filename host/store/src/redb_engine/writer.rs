//! The one that writes, on a thread of its own unless the store works inline. It takes what is waiting, applies each batch in one shared transaction, commits once, and
//! answers everybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mihwar_ledger::leaf_hash;
use redb::{Table, WriteTransaction};
use tokio::sync::oneshot;
// Measures simulated time where there is a simulation, so that nothing decided here depends on the machine's pace.
use tokio::time::Instant;

use super::compaction::ChangedKeys;
use super::counters::Counters;
use super::database::SharedDatabase;
use super::schema::{Head, JOURNAL, META, META_HEAD, REMOVED, TILES, encode_row, encode_tile, engine, opening};
use super::spaces::RowsInTransaction;
use crate::plan::plan;
use crate::queue::Queue;
use crate::tree::{FullTile, Tree};
use crate::{ApplyError, Batch, Commit, FreeSpace, Key, Natures, StoreError};

/// Most batches in one commit.
const GROUP_BATCHES: usize = 256;
/// A commit takes in no further batch when it has this many bytes.
const GROUP_BYTES: usize = 16_000_000;
/// How long a measured free space is believed.
const SPACE_BELIEVED: Duration = Duration::from_millis(100);

pub(crate) type Answer = Result<Commit, ApplyError>;

/// What waits for the writer.
pub(crate) enum Job {
    /// A batch to apply.
    Write {
        batch: Batch,
        answer: oneshot::Sender<Answer>,
    },
    /// Something to do between two commits.
    Call(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// What the last commit left, kept in memory so that appending reads nothing.
#[derive(Clone)]
pub(crate) struct Committed {
    pub(crate) version: u64,
    pub(crate) tree: Tree,
}

pub(crate) struct Writer {
    pub(crate) database: SharedDatabase,
    pub(crate) queue: Arc<Queue<Job>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) committed: Committed,
    pub(crate) space: SpaceWatch,
    pub(crate) natures: Natures,
    /// Set when a commit failed: what is on disk is unknown then, and only opening the file again can tell.
    pub(crate) failed: Option<StoreError>,
    /// While the file is compacted: where the keys of changed rows are noted.
    pub(crate) changes: Option<ChangedKeys>,
}

/// Batches applied in a transaction that is not committed yet.
struct Applied {
    transaction: WriteTransaction,
    outcomes: Vec<Answer>,
    rows: u64,
    /// Keys of the rows, if they are to be noted.
    changed: Option<Vec<Key>>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        // Also on a panic: whoever waits is told at once that the outcome is unknown, and nobody is taken in any more.
        let _stop = StopOnDrop(Arc::clone(&self.queue));
        while let Some(jobs) = self.queue.take(GROUP_BATCHES, GROUP_BYTES) {
            self.work(jobs);
            self.counters.export(self.queue.len());
        }
    }

    /// Writes what waits now.
    pub(crate) fn work_off(&mut self) {
        loop {
            let jobs = self.queue.take_waiting(GROUP_BATCHES, GROUP_BYTES);
            if jobs.is_empty() {
                return;
            }
            self.work(jobs);
            self.counters.export(self.queue.len());
        }
    }

    fn work(&mut self, jobs: Vec<Job>) {
        let (mut answers, mut batches) = (Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Write { batch, answer } => {
                    batches.push(batch);
                    answers.push(answer);
                }
                Job::Call(call) => call(self),
            }
        }
        if !batches.is_empty() {
            self.write_group(answers, batches);
        }
    }

    fn write_group(&mut self, answers: Vec<oneshot::Sender<Answer>>, batches: Vec<Batch>) {
        let refusal = match &self.failed {
            Some(error) => Some(ApplyError::Broken(error.clone())),
            None => self.space.refusal(),
        };
        let started = Instant::now();
        let outcomes = match refusal {
            Some(refusal) => vec![Err(refusal); batches.len()],
            None => self.commit_group(batches),
        };
        let took = started.elapsed();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counters.last_commit_micros.store(micros, Ordering::Relaxed);
        metrics::histogram!("mihwar_store_commit_seconds").record(took.as_secs_f64());
        self.count(&outcomes);
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever asked may be gone by now; the batch stays.
            answer.send(outcome).ok();
        }
    }

    /// One transaction for all batches. The outcomes are in the order of the batches.
    fn commit_group(&mut self, batches: Vec<Batch>) -> Vec<Answer> {
        let count = batches.len();
        let mut next = self.committed.clone();
        let Applied {
            transaction,
            mut outcomes,
            rows,
            changed,
        } = match self.apply_group(&mut next, batches) {
            Ok(applied) => applied,
            // The transaction was dropped, which undoes it: nothing was applied, and that is certain.
            Err(error) => {
                tracing::error!(%error, "batches could not be written; nothing of them was kept");
                return vec![Err(ApplyError::Broken(error.of_writing())); count];
            }
        };
        if outcomes.iter().all(Result::is_err) {
            if let Err(error) = transaction.abort() {
                tracing::warn!(%error, "a transaction without a change could not be undone");
            }
            return outcomes;
        }
        if let Err(error) = transaction.commit() {
            tracing::error!(%error, "a commit failed; the store takes no more writes until it is opened again");
            self.failed = Some(StoreError::engine("committing")(error.into()).of_writing());
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
                *outcome = Err(ApplyError::Unknown);
            }
            return outcomes;
        }
        if let (Some(changes), Some(changed)) = (&mut self.changes, changed) {
            changes.note(&changed);
        }
        let entries = next.tree.size() - self.committed.tree.size();
        self.committed = next;
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.rows_written.fetch_add(rows, Ordering::Relaxed);
        self.counters.journal_entries.fetch_add(entries, Ordering::Relaxed);
        metrics::counter!("mihwar_store_commits_total").increment(1);
        metrics::counter!("mihwar_store_rows_written_total").increment(rows);
        metrics::counter!("mihwar_store_journal_entries_total").increment(entries);
        outcomes
    }

    fn apply_group(&self, next: &mut Committed, batches: Vec<Batch>) -> Result<Applied, StoreError> {
        let transaction = self.database.begin_write()?;
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut rows = 0;
        let changed = {
            let mut tables = Tables::open(&transaction, self.natures)?;
            tables.changed = self.changes.as_ref().map(|_| Vec::new());
            for batch in batches {
                match tables.apply(next, batch) {
                    // Half of this batch may be in the transaction: give all of it up.
                    Err(ApplyError::Broken(error)) => return Err(error),
                    Err(refused) => outcomes.push(Err(refused)),
                    Ok((commit, written)) => {
                        rows += written;
                        outcomes.push(Ok(commit));
                    }
                }
            }
            let head = Head::to_bytes(next.version, next.tree.frontier());
            let mut meta = transaction.open_table(META).map_err(opening)?;
            meta.insert(META_HEAD, head.as_slice())
                .map_err(engine("writing the head of the journal"))?;
            tables.changed
        };
        Ok(Applied {
            transaction,
            outcomes,
            rows,
            changed,
        })
    }

    fn count(&self, outcomes: &[Answer]) {
        let applied = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        let refused = outcomes.len() as u64 - applied;
        self.counters.batches.fetch_add(applied, Ordering::Relaxed);
        self.counters.refused.fetch_add(refused, Ordering::Relaxed);
        metrics::counter!("mihwar_store_batches_total", "outcome" => "applied").increment(applied);
        metrics::counter!("mihwar_store_batches_total", "outcome" => "refused").increment(refused);
    }
}

struct Tables<'transaction> {
    rows: RowsInTransaction<'transaction>,
    journal: Table<'transaction, u64, &'static [u8]>,
    tiles: Table<'transaction, (u8, u64), &'static [u8]>,
    /// Opened by the first deletion that is noted: most transactions have none.
    removed: Option<Table<'transaction, &'static [u8], u64>>,
    transaction: &'transaction WriteTransaction,
    natures: Natures,
    /// Keys of rows written, if they are to be noted.
    changed: Option<Vec<Key>>,
}

impl<'transaction> Tables<'transaction> {
    fn open(transaction: &'transaction WriteTransaction, natures: Natures) -> Result<Self, StoreError> {
        Ok(Self {
            rows: RowsInTransaction::new(transaction),
            removed: None,
            transaction,
            natures,
            journal: transaction.open_table(JOURNAL).map_err(opening)?,
            tiles: transaction.open_table(TILES).map_err(opening)?,
            changed: None,
        })
    }

    /// Applies one batch on top of those before it, or leaves no trace of it. Gives the number of rows written, too.
    fn apply(&mut self, next: &mut Committed, batch: Batch) -> Result<(Commit, u64), ApplyError> {
        let writes = plan(&self.rows, &batch.guards, batch.edits)?;
        let version = next.version + 1;
        let written = writes.len() as u64;
        if let Some(changed) = &mut self.changed {
            changed.extend(writes.keys().cloned());
        }
        for (key, value) in writes {
            match value {
                Some(value) => self.rows.insert(&key, &encode_row(version, &value))?,
                None => {
                    let was_there = self.rows.remove(&key)?;
                    if was_there && self.natures.of_key(&key).is_kept() {
                        self.note_removed(&key, version)?;
                    }
                }
            }
        }
        let first_sequence = next.tree.size();
        self.append(&mut next.tree, &batch.journal)?;
        next.version = version;
        let commit = Commit {
            version,
            first_sequence,
            tree_size: next.tree.size(),
        };
        Ok((commit, written))
    }

    fn note_removed(&mut self, key: &Key, version: u64) -> Result<(), StoreError> {
        let table = match &mut self.removed {
            Some(table) => table,
            none => none.insert(self.transaction.open_table(REMOVED).map_err(opening)?),
        };
        table
            .insert(key.as_bytes(), version)
            .map_err(engine("noting a deletion"))?;
        Ok(())
    }

    fn append(&mut self, tree: &mut Tree, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut filled = Vec::new();
        for entry in entries {
            self.journal
                .insert(tree.size(), entry.as_slice())
                .map_err(engine("writing the journal"))?;
            tree.append(leaf_hash(entry), &mut filled);
        }
        for FullTile { id, hashes } in filled {
            self.tiles
                .insert((id.level, id.index), encode_tile(&hashes).as_slice())
                .map_err(engine("writing a tile"))?;
        }
        Ok(())
    }
}

/// Looks at the free space now and then.
pub(crate) struct SpaceWatch {
    probe: Arc<dyn FreeSpace>,
    floor: u64,
    measured: Option<(Instant, u64)>,
}

impl SpaceWatch {
    pub(crate) fn new(probe: Arc<dyn FreeSpace>, floor: u64) -> Self {
        Self {
            probe,
            floor,
            measured: None,
        }
    }

    fn refusal(&mut self) -> Option<ApplyError> {
        let free = match self.measured {
            Some((when, free)) if when.elapsed() < SPACE_BELIEVED => free,
            _ => match self.probe.free_bytes() {
                Ok(free) => {
                    self.measured = Some((Instant::now(), free));
                    free
                }
                Err(error) => {
                    // Not knowing is no reason to stop: a full disk is still an error of the commit.
                    tracing::warn!(%error, "the free disk space could not be measured");
                    return None;
                }
            },
        };
        (free < self.floor).then_some(ApplyError::NoSpace {
            free,
            floor: self.floor,
        })
    }
}

struct StopOnDrop(Arc<Queue<Job>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        give_up(&self.0);
    }
}

/// Takes nothing more in and gives up what waits.
pub(crate) fn give_up(queue: &Queue<Job>) {
    queue.close();
    // Dropping the waiting jobs drops their answers, which is an answer.
    while queue.take(usize::MAX, usize::MAX).is_some() {}
}
