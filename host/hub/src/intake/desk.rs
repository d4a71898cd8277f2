//! Where single arrivals line up: those that come at the same time share one look at the store and one transaction.
//! What one of them cannot digest costs the others nothing: they are taken in one by one then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mihwar_model::{Actor, Draft, InstanceName};
use tokio::sync::oneshot;

use super::{Arrival, Arriving, Intake, Known, Rider, Writing, accept, commit, fill};
use crate::core::Core;
use crate::fault::Fault;

/// Arrivals that share one transaction.
const TOGETHER_MAX: usize = 256;
/// Transactions in the making at once: while one is being written, the next is put together.
const CLERKS_MAX: usize = 2;

/// The line, and who works it off.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    clerks: usize,
}

struct Waiting {
    actor: Actor,
    instance: InstanceName,
    arrival: Arrival,
    answer: oneshot::Sender<Result<Intake, Fault>>,
}

impl Waiting {
    const fn arriving(&self) -> Arriving<'_> {
        Arriving {
            actor: &self.actor,
            instance: &self.instance,
            arrival: &self.arrival,
        }
    }

    fn answer(self, result: Result<Intake, Fault>) {
        // Whoever asked may be gone; the record stays.
        self.answer.send(result).ok();
    }
}

impl Desk {
    /// Takes a draft in; it is durable when this answers. Giving up waiting does not take it back.
    pub(crate) async fn accept(
        core: &Arc<Core>,
        actor: Actor,
        instance: InstanceName,
        draft: Draft,
    ) -> Result<Intake, Fault> {
        let (answer, answered) = oneshot::channel();
        let needs_clerk = core.desk.line_up(Waiting {
            actor,
            instance,
            arrival: draft.into(),
            answer,
        });
        if needs_clerk {
            // A task of its own: whoever lined up first may go away, and the others must not wait for ever.
            tokio::spawn(work_off(Arc::clone(core)));
        }
        answered.await.unwrap_or(Err(Fault::Unknown))
    }

    /// Whether one more clerk should come.
    fn line_up(&self, waiting: Waiting) -> bool {
        let mut line = self.line();
        line.waiting.push_back(waiting);
        let wanted = line.clerks < CLERKS_MAX;
        line.clerks += usize::from(wanted);
        wanted
    }

    /// The next in line; a clerk who finds nobody goes home.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut line = self.line();
        let count = line.waiting.len().min(TOGETHER_MAX);
        if count == 0 {
            line.clerks -= 1;
            return None;
        }
        Some(line.waiting.drain(..count).collect())
    }

    /// Those for whom there was no room go back to the front.
    fn put_back(&self, rest: Vec<Waiting>) {
        let mut line = self.line();
        for waiting in rest.into_iter().rev() {
            line.waiting.push_front(waiting);
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work_off(core: Arc<Core>) {
    // A panic must not leave a place that nobody fills again.
    let _place = GoesHome(&core.desk);
    while let Some(group) = core.desk.next() {
        let _first = core.right_of_way.taken();
        take_in(&core, group).await;
    }
}

struct GoesHome<'a>(&'a Desk);

impl Drop for GoesHome<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.line().clerks -= 1;
        }
    }
}

async fn take_in(core: &Core, mut group: Vec<Waiting>) {
    let outcome = if group.len() > 1 {
        together(core, &group).await
    } else {
        Together::OneByOne
    };
    match outcome {
        Together::Taken(results) => {
            core.desk.put_back(group.split_off(results.len()));
            for (waiting, result) in group.into_iter().zip(results) {
                waiting.answer(Ok(result));
            }
        }
        Together::Failed(fault) => group.into_iter().for_each(|waiting| waiting.answer(Err(fault.clone()))),
        Together::OneByOne => {
            let alone = group.into_iter().map(async |waiting| {
                let arrivals = std::slice::from_ref(&waiting.arrival);
                let results = accept(core, &waiting.actor, &waiting.instance, arrivals, &Rider::default()).await;
                waiting.answer(results.and_then(|mut results| results.pop().ok_or(Fault::Contended)));
            });
            futures_util::future::join_all(alone).await;
        }
    }
}

/// What came of a common transaction.
enum Together {
    /// So many of the first in line were taken in, or refused for what they are.
    Taken(Vec<Intake>),
    /// It could not be put together, or others changed what it rests on; nothing was written.
    OneByOne,
    /// The store did not take it, and would take none of them.
    Failed(Fault),
}

async fn together(core: &Core, group: &[Waiting]) -> Together {
    let arriving: Vec<Arriving<'_>> = group.iter().map(Waiting::arriving).collect();
    let Ok(known) = Known::read(core, &arriving).await else {
        return Together::OneByOne;
    };
    let mut writing = Writing::new(core, known);
    let Ok(part) = fill(&mut writing, &arriving) else {
        return Together::OneByOne;
    };
    match commit(core, writing).await {
        Ok(true) => Together::Taken(part.results),
        Ok(false) | Err(Fault::TooLarge(_)) => Together::OneByOne,
        Err(fault) => Together::Failed(fault),
    }
}
