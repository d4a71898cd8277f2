//! Walking through the ledger from its beginning: pages are read ahead, and decoded beside whoever works on them. What is
//! held in memory is a few pages, however long the ledger is.

use std::sync::Arc;

use mihwar_model::Event;
use mihwar_store::{JournalEntry, MAX_PAGE_ROWS, StoreError, View};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::fault::Fault;

/// Entries read at once. Few in tests, so that a short history has many pages.
pub(crate) const PAGE: usize = if cfg!(test) { 7 } else { MAX_PAGE_ROWS };
/// Pages that wait for whoever works on them.
const AHEAD: usize = 1;

/// How far long work over the ledger is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageProgress {
    /// What is being done.
    pub stage: String,
    /// How much of it is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
}

/// How long a stage of such work took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// What was done.
    pub stage: String,
    /// What was counted.
    pub unit: String,
    /// How many of them.
    pub count: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Tells whoever listens how far the work is, and keeps how long its stages took.
pub(crate) struct Stages {
    listener: mpsc::Sender<StageProgress>,
    taken: Vec<StageTime>,
    since: Instant,
}

impl Stages {
    pub(crate) fn new(listener: mpsc::Sender<StageProgress>) -> Self {
        Self {
            listener,
            taken: Vec::new(),
            since: Instant::now(),
        }
    }

    pub(crate) fn tell(&self, stage: &str, done: u64, total: u64) {
        // Whoever listens may lag behind; the work does not wait for it.
        drop(self.listener.try_send(StageProgress {
            stage: stage.to_owned(),
            done,
            total,
        }));
    }

    /// A stage is over; the next one begins.
    pub(crate) fn end(&mut self, stage: &str, unit: &str, count: u64) {
        self.taken.push(StageTime {
            stage: stage.to_owned(),
            unit: unit.to_owned(),
            count,
            millis: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        self.since = Instant::now();
    }

    pub(crate) fn taken(self) -> Vec<StageTime> {
        self.taken
    }
}

/// The entries before `until`, page by page. Ends early where the journal does.
pub(crate) fn entries(view: &Arc<dyn View>, until: u64) -> mpsc::Receiver<Result<Vec<JournalEntry>, Fault>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let view = Arc::clone(view);
    tokio::spawn(async move {
        let mut from = 0;
        while from < until {
            let room = usize::try_from(until - from).unwrap_or(usize::MAX).min(PAGE);
            let page = view.journal(from, room).await.map_err(Fault::from);
            match page.as_ref().map(|page| page.last()) {
                Ok(Some(last)) => from = last.sequence.saturating_add(1),
                Ok(None) => return,
                // Told below; there is nothing after it.
                Err(_) => from = until,
            }
            // Nobody walks along any more.
            if sender.send(page).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// What an entry says, or why it says nothing.
pub(crate) type Told = (u64, Result<Event, String>);

/// As [`entries`], decoded.
pub(crate) fn events(view: &Arc<dyn View>, until: u64) -> mpsc::Receiver<Result<Vec<Told>, Fault>> {
    let mut pages = entries(view, until);
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        while let Some(page) = pages.recv().await {
            let told = match page {
                Ok(page) => aside(move || page.iter().map(decode).collect()).await,
                Err(error) => Err(error),
            };
            let is_over = told.is_err();
            if sender.send(told).await.is_err() || is_over {
                return;
            }
        }
    });
    receiver
}

fn decode(entry: &JournalEntry) -> Told {
    (entry.sequence, Event::from_bytes(&entry.bytes))
}

/// Computes on a thread that may be kept busy.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let reason = error.to_string();
        let what = "working through the ledger";
        StoreError::Engine { what, reason }.into()
    })
}
