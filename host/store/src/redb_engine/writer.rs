//! The one that writes, on a thread of its own unless the store works inline. It takes what is waiting, applies each batch
//! in one shared transaction, makes that durable once, and answers everybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redb::{Durability, WriteTransaction};
use tokio::sync::oneshot;
// Measures simulated time where there is a simulation, so that nothing decided here depends on the machine's pace.
use tokio::time::Instant;

use super::applying::{Notes, Tables};
use super::compaction::ChangedKeys;
use super::counters::Counters;
use super::database::SharedDatabase;
use super::log::{AppendError, Log};
use crate::queue::Queue;
use crate::tree::Tree;
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
    /// What makes batches durable until the file itself is; none where nothing is to be.
    pub(crate) log: Option<Log>,
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
    ///
    /// # Errors
    /// As [`Writer::finish`].
    pub(crate) fn run(mut self) -> Result<(), StoreError> {
        // Also on a panic: whoever waits is told at once that the outcome is unknown, and nobody is taken in any more.
        let _stop = StopOnDrop(Arc::clone(&self.queue));
        while let Some(jobs) = self.queue.take(GROUP_BATCHES, GROUP_BYTES) {
            self.work(jobs);
            self.counters.export(self.queue.len());
        }
        self.finish()
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

    /// Makes the file durable and ends the log, so that the file alone is the store.
    ///
    /// # Errors
    /// An engine failure: what was acknowledged is in the log, and comes back when the store is opened.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        // After a failure only opening it again can tell what there is.
        let Some(log) = self.log.take().filter(|_| self.failed.is_none()) else {
            return Ok(());
        };
        self.database.checkpoint(None)?;
        if let Err(error) = log.end() {
            tracing::warn!(%error, "the log of the closed store could not be removed; it is of no use any more");
        }
        Ok(())
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
        let is_logged = self.log.as_ref().is_some_and(Log::has_room);
        let Applied {
            transaction,
            mut outcomes,
            rows,
            changed,
        } = match self.apply_group(&mut next, batches, is_logged) {
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
        if let Err(error) = self.make_durable(transaction, &next, is_logged) {
            tracing::error!(%error, "a commit failed; the store takes no more writes until it is opened again");
            self.failed = Some(error.of_writing());
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

    /// Makes a transaction durable, by the log or by a durable commit of the file, and visible.
    fn make_durable(
        &mut self,
        mut transaction: WriteTransaction,
        next: &Committed,
        is_logged: bool,
    ) -> Result<(), StoreError> {
        let is_logged = is_logged && self.append_to_log()?;
        if is_logged {
            transaction
                .set_durability(Durability::None)
                .map_err(|error| StoreError::Engine {
                    what: "committing",
                    reason: error.to_string(),
                })?;
        }
        transaction
            .commit()
            .map_err(|error| StoreError::engine("committing")(error.into()))?;
        if let Some(log) = self.log.as_mut().filter(|_| !is_logged) {
            log.restart(next);
        }
        Ok(())
    }

    /// Whether the group is durable in the log; if not, nothing of it is there.
    fn append_to_log(&mut self) -> Result<bool, StoreError> {
        let Some(log) = &mut self.log else {
            return Ok(false);
        };
        match log.append(self.committed.version) {
            Ok(()) => Ok(true),
            Err(AppendError::Nothing(error)) => {
                tracing::debug!(%error, "the log cannot take a group; the file is made durable instead");
                Ok(false)
            }
            Err(AppendError::Unknown(error)) => Err(StoreError::Engine {
                what: "writing the log",
                reason: error.to_string(),
            }),
        }
    }

    fn apply_group(
        &mut self,
        next: &mut Committed,
        batches: Vec<Batch>,
        is_logged: bool,
    ) -> Result<Applied, StoreError> {
        let transaction = self.database.begin_write()?;
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut rows = 0;
        let mut notes = Notes {
            natures: self.natures,
            changed: self.changes.as_ref().map(|_| Vec::new()),
            frame: self.log.as_mut().filter(|_| is_logged).map(Log::begin_frame),
        };
        {
            let mut tables = Tables::open(&transaction)?;
            for batch in batches {
                match tables.apply(next, batch, &mut notes) {
                    // Half of this batch may be in the transaction: give all of it up.
                    Err(ApplyError::Broken(error)) => return Err(error),
                    Err(refused) => outcomes.push(Err(refused)),
                    Ok((commit, written)) => {
                        rows += written;
                        outcomes.push(Ok(commit));
                    }
                }
            }
            tables.finish(next)?;
        }
        Ok(Applied {
            changed: notes.changed,
            transaction,
            outcomes,
            rows,
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
