//! How far an import is, told to whoever listens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::refusals::Refusals;
use crate::rows::ImportRow;

/// How often it is told at most.
const EVERY: Duration = Duration::from_millis(100);

/// How far an import is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// Files in all.
    pub files_total: u64,
    /// Files read to their end.
    pub files_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Bytes read, as far as the plugin says where it is; those of a finished file in any case.
    pub bytes_done: u64,
    /// New records.
    pub new: u64,
    /// New revisions of known records.
    pub revised: u64,
    /// Known already.
    pub duplicates: u64,
    /// Parts that could not become records.
    pub refused: u64,
    /// Whether an interrupted import goes on.
    pub resumed: bool,
}

/// What one file has come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    bytes: u64,
    new: u64,
    revised: u64,
    duplicates: u64,
    refused: u64,
}

impl Share {
    pub(super) const fn of(row: &ImportRow, refusals: &Refusals, bytes: u64) -> Self {
        Self {
            bytes,
            new: row.new,
            revised: row.revised,
            duplicates: row.duplicates,
            refused: refusals.count,
        }
    }
}

/// Adds up what the files of an import come to, and tells it now and then.
pub(super) struct Teller {
    listener: mpsc::Sender<ImportProgress>,
    state: Mutex<State>,
}

struct State {
    progress: ImportProgress,
    told: Option<Instant>,
}

impl Teller {
    pub(super) fn new(listener: mpsc::Sender<ImportProgress>, progress: ImportProgress) -> Self {
        let state = State { progress, told: None };
        Self {
            listener,
            state: Mutex::new(state),
        }
    }

    /// A file has come further: `told` is what it had come to before, and becomes what it has come to.
    pub(super) fn advance(&self, told: &mut Share, now: Share) {
        self.change(|progress| {
            progress.bytes_done += now.bytes.saturating_sub(told.bytes);
            progress.new += now.new.saturating_sub(told.new);
            progress.revised += now.revised.saturating_sub(told.revised);
            progress.duplicates += now.duplicates.saturating_sub(told.duplicates);
            progress.refused += now.refused.saturating_sub(told.refused);
        });
        // A plugin may say that it went back; bytes are not read twice for that.
        let bytes = now.bytes.max(told.bytes);
        *told = Share { bytes, ..now };
    }

    /// A file was read to its end.
    pub(super) fn finish_file(&self) {
        self.change(|progress| progress.files_done += 1);
    }

    fn change(&self, change: impl FnOnce(&mut ImportProgress)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.progress);
        let is_last = state.progress.files_done == state.progress.files_total;
        if is_last || state.told.is_none_or(|told| told.elapsed() >= EVERY) {
            state.told = Some(Instant::now());
            // A listener that went away or lags behind does not hold the import up.
            drop(self.listener.try_send(state.progress.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::{ImportProgress, Share, Teller};

    #[tokio::test]
    async fn two_files_add_up_and_a_step_back_counts_nothing_twice() {
        let (listener, mut told) = mpsc::channel(16);
        let start = ImportProgress {
            files_total: 2,
            bytes_total: 300,
            ..ImportProgress::default()
        };
        let teller = Teller::new(listener, start);
        let (mut first, mut second) = (Share::default(), Share::default());
        let at = |bytes, new| Share {
            bytes,
            new,
            ..Share::default()
        };
        teller.advance(&mut first, at(60, 5));
        teller.advance(&mut first, at(20, 6));
        teller.advance(&mut second, at(10, 1));
        teller.advance(&mut first, at(100, 7));
        teller.finish_file();
        teller.advance(&mut second, at(200, 2));
        teller.finish_file();
        let mut last = told.recv().await.unwrap();
        assert_eq!((last.bytes_done, last.new, last.files_done), (60, 5, 0), "told at once");
        while let Ok(next) = told.try_recv() {
            assert!(next.bytes_done >= last.bytes_done);
            last = next;
        }
        assert_eq!((last.bytes_done, last.new, last.files_done), (300, 9, 2));
    }
}
