//! Figures that several threads add to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::scratch::Keeping;
use crate::Statistics;

/// Counts since the store was opened. Each is exported as a metric as well.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) keeping: Keeping,
    pub(crate) fsyncs: AtomicU64,
    pub(crate) file_bytes: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) rows_written: AtomicU64,
    pub(crate) journal_entries: AtomicU64,
    /// Duration of the last commit in microseconds, to tell a writer how long to stay away.
    pub(crate) last_commit_micros: AtomicU64,
    /// Files opened so far; each has the number that was next.
    files: AtomicU64,
    /// The file in use.
    current_file: AtomicU64,
    open_views: Mutex<OpenViews>,
}

#[derive(Debug, Default)]
struct OpenViews {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

impl Counters {
    /// Those of a store that keeps its rows like this.
    pub(crate) fn of(keeping: Keeping) -> Self {
        Self {
            keeping,
            ..Self::default()
        }
    }

    pub(crate) fn statistics(&self, queue_depth: usize) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (open_views, oldest_view) = self.views_open();
        Statistics {
            commits: get(&self.commits),
            fsyncs: get(&self.fsyncs),
            batches: get(&self.batches),
            refused: get(&self.refused),
            rows_written: get(&self.rows_written),
            journal_entries: get(&self.journal_entries),
            queue_depth: queue_depth as u64,
            file_bytes: get(&self.file_bytes),
            open_views,
            oldest_view,
        }
    }

    /// A number for a file that is opened.
    pub(crate) fn number_file(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a file is in use, is to be, or was.
    pub(crate) fn compare_file(&self, number: u64) -> std::cmp::Ordering {
        number.cmp(&self.current_file.load(Ordering::Relaxed))
    }

    /// The file opened last, of this length, is in use from now on.
    pub(crate) fn use_newest_file(&self, length: u64) {
        let newest = self.files.load(Ordering::Relaxed).saturating_sub(1);
        self.current_file.store(newest, Ordering::Relaxed);
        self.file_bytes.store(length, Ordering::Relaxed);
    }

    /// Exports what is a state rather than a count.
    pub(crate) fn export(&self, queue_depth: usize) {
        let now = self.statistics(queue_depth);
        let oldest = now.oldest_view.unwrap_or_default();
        metrics::gauge!("mihwar_store_oldest_view_seconds").set(oldest.as_secs_f64());
        // A gauge is a float; figures beyond 2^53 do not occur here.
        #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
        {
            metrics::gauge!("mihwar_store_open_views").set(now.open_views as f64);
            metrics::gauge!("mihwar_store_queue_depth").set(now.queue_depth as f64);
            metrics::gauge!("mihwar_store_file_bytes").set(now.file_bytes as f64);
        }
    }

    fn views_open(&self) -> (u64, Option<Duration>) {
        let views = self.lock_views();
        // Numbers are given in the order of opening, so the first is the oldest.
        let oldest = views.since.values().next().map(Instant::elapsed);
        (views.since.len() as u64, oldest)
    }

    fn lock_views(&self) -> MutexGuard<'_, OpenViews> {
        self.open_views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a view as open for as long as it lives.
pub(crate) struct OpenView {
    number: u64,
    counters: Arc<Counters>,
}

impl OpenView {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        let mut views = counters.lock_views();
        let number = views.next;
        views.next += 1;
        views.since.insert(number, Instant::now());
        drop(views);
        Self { number, counters }
    }
}

impl Drop for OpenView {
    fn drop(&mut self) {
        self.counters.lock_views().since.remove(&self.number);
    }
}
