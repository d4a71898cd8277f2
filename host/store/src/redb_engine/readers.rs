//! Where blocking reads are made: on threads, or in the task that asks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::containment::contained;
use crate::StoreError;
use crate::queue::Queue;

type Job = Box<dyn FnOnce() + Send>;

/// Where reads are sent.
#[derive(Clone)]
pub(crate) enum Readers {
    /// Reads wait in line without limit: whoever waits holds a future, and those are limited above.
    Threads(Arc<Queue<Job>>),
    /// Reads are made where they are asked for, until this says that the store is closed.
    Inline(Arc<AtomicBool>),
}

impl Readers {
    /// Starts the threads. They end when the queue is closed and empty.
    pub(crate) fn start(count: usize) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let queue = Arc::new(Queue::<Job>::new(usize::MAX, usize::MAX));
        let readers = Self::Threads(Arc::clone(&queue));
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || read_until_closed(&queue));
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // Lets go of those that were started.
                    readers.close();
                    return Err(error);
                }
            }
        }
        Ok((readers, threads))
    }

    /// Readers without threads.
    pub(crate) fn inline() -> Self {
        Self::Inline(Arc::default())
    }

    pub(crate) fn close(&self) {
        match self {
            Self::Threads(queue) => queue.close(),
            Self::Inline(closed) => closed.store(true, Ordering::Relaxed),
        }
    }

    /// Runs `read` where reads are made.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Self::Threads(queue) => on_a_thread(queue, read).await,
            Self::Inline(closed) if closed.load(Ordering::Relaxed) => Err(StoreError::Closed),
            Self::Inline(_) => contained("reading", read),
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    queue: &Queue<Job>,
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move || {
        // Whoever asked may be gone by now.
        if !answer.is_closed() {
            answer.send(contained("reading", read)).ok();
        }
    });
    queue.push(job, 0).map_err(|_| StoreError::Closed)?;
    answered.await.unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> StoreError {
    StoreError::Engine {
        what: "reading",
        reason: "the reader panicked, as it does when the file is damaged; its message is in the log".to_owned(),
    }
}

fn read_until_closed(queue: &Queue<Job>) {
    while let Some(jobs) = queue.take(1, usize::MAX) {
        for job in jobs {
            // Dropping an answer that nobody wants any more can panic, too; that must not cost the readers their thread.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a read panicked; the file may be damaged");
            }
        }
    }
}
