//! Where single arrivals line up: those that come at the same time share one look at the store and one transaction, and while
//! one is on its way, as many gather for the next.
//! What one of them cannot digest costs the others nothing: they are taken in one by one then. The line has an end:
//! whoever comes when it is full is told to come again, and whoever went away does not stand in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mihwar_model::{Actor, AttachmentBytes, Details, Draft, InstanceName};
use tokio::sync::oneshot;

use super::{Arrival, Arriving, Intake, Known, Rider, Writing, accept, commit, fill, redaction};
use crate::core::Core;
use crate::fault::Fault;

/// Arrivals that share one transaction.
const TOGETHER_MAX: usize = 256;
/// Transactions in the making at once: while one is being written, the next is put together.
const CLERKS_MAX: usize = 2;

/// Arrivals that may wait: four transactions' worth, a second or less.
const WAITING_MAX: usize = 1_024;
/// Bytes of arrivals that may wait. One alone may have more.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long a clerk waits for those who are taken in one by one. Whoever takes longer, because somebody is being erased, must
/// not keep everybody else waiting.
const STRAGGLING: Duration = Duration::from_millis(500);
/// When whoever finds the line full should come again.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// The line, and who works it off.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Bytes of those who wait.
    bytes: usize,
    clerks: usize,
    /// Of the clerks those who were called and are not there yet.
    coming: usize,
    /// Arrivals that clerks have in hand for a common transaction.
    in_hand: usize,
}

impl Line {
    /// Whether those who wait should have a transaction now. What it costs beside its records (a look at the store, a commit,
    /// a sync) they share; so they gather while another one is on its way, until they are as many as those in it. Whoever is on
    /// its way comes back to the line, so that nobody waits for more than that.
    fn is_worth_a_transaction(&self) -> bool {
        self.waiting.len() >= self.in_hand.max(1)
    }

    /// Calls one more clerk, if one should come.
    fn call(&mut self) -> bool {
        // Those who come already take so many.
        let taken = self.waiting.len() <= self.coming * TOGETHER_MAX;
        let wanted = self.clerks < CLERKS_MAX && !taken && self.is_worth_a_transaction();
        if wanted {
            self.clerks += 1;
            self.coming += 1;
        }
        wanted
    }

    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= WAITING_BYTES_MAX;
        self.waiting.is_empty() || (self.waiting.len() < WAITING_MAX && fits)
    }

    /// The first in line. Whoever gave up waiting is passed over: nothing of it was written.
    fn first(&mut self) -> Option<Waiting> {
        while let Some(waiting) = self.waiting.pop_front() {
            self.bytes = self.bytes.saturating_sub(waiting.bytes);
            if !waiting.answer.is_closed() {
                return Some(waiting);
            }
        }
        None
    }

    /// Takes out whoever gave up waiting.
    fn thin_out(&mut self) {
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
    }
}

struct Waiting {
    actor: Actor,
    instance: InstanceName,
    arrival: Arrival,
    /// About how much memory it takes.
    bytes: usize,
    answer: oneshot::Sender<Result<Intake, Fault>>,
}

impl Waiting {
    const fn arriving(&self) -> Arriving<'_> {
        Arriving {
            actor: &self.actor,
            instance: &self.instance,
            arrival: &self.arrival,
            sets_aside: false,
        }
    }

    fn answer(self, result: Result<Intake, Fault>) {
        // Whoever asked may be gone; the record stays.
        self.answer.send(result).ok();
    }
}

impl Desk {
    /// Takes a draft in; it is durable when this answers. Giving up waiting does not take it back, unless it stands in line
    /// still.
    pub(crate) async fn accept(
        core: &Arc<Core>,
        actor: Actor,
        instance: InstanceName,
        draft: Draft,
    ) -> Result<Intake, Fault> {
        let (answer, answered) = oneshot::channel();
        let bytes = weight(&draft);
        // Before it lines up: one that whoever masks cannot digest, or takes long for, must not keep the others waiting.
        let arrival = redaction::redacted_alone(core, &instance, draft.into()).await?;
        let needs_clerk = core.desk.line_up(Waiting {
            arrival,
            actor,
            instance,
            bytes,
            answer,
        })?;
        if needs_clerk {
            send_clerk(core);
        }
        answered.await.unwrap_or(Err(Fault::Unknown))
    }

    /// Whether one more clerk should come.
    ///
    /// # Errors
    /// [`Fault::Busy`] when the line is full.
    fn line_up(&self, waiting: Waiting) -> Result<bool, Fault> {
        let mut line = self.line();
        if !line.has_room(waiting.bytes) {
            line.thin_out();
        }
        if !line.has_room(waiting.bytes) {
            return Err(Fault::Busy {
                retry_after: FULL_PAUSE,
            });
        }
        line.bytes += waiting.bytes;
        line.waiting.push_back(waiting);
        Ok(line.call())
    }

    /// A clerk who was called is there.
    fn begin(&self) {
        let mut line = self.line();
        line.coming = line.coming.saturating_sub(1);
    }

    /// The next in line, which a clerk has in hand from now on; one who finds nobody, or too few, goes home.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut line = self.line();
        let mut group = Vec::new();
        if line.is_worth_a_transaction() {
            while group.len() < TOGETHER_MAX
                && let Some(waiting) = line.first()
            {
                group.push(waiting);
            }
        }
        if group.is_empty() {
            line.clerks -= 1;
            return None;
        }
        line.in_hand += group.len();
        Some(group)
    }

    /// A clerk has so many in hand no longer.
    fn put_down(&self, count: usize) {
        let mut line = self.line();
        line.in_hand = line.in_hand.saturating_sub(count);
    }

    /// Whether one more clerk should come, who counts as called then.
    fn call(&self) -> bool {
        self.line().call()
    }

    /// Those for whom there was no room go back to the front.
    fn put_back(&self, rest: Vec<Waiting>) {
        let mut line = self.line();
        for waiting in rest.into_iter().rev() {
            line.bytes += waiting.bytes;
            line.waiting.push_front(waiting);
        }
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.line().waiting.len()
    }

    /// A clerk has fallen with so many in hand: another one should come if anybody waits still.
    fn fallen(&self, count: usize) -> bool {
        let mut line = self.line();
        line.clerks -= 1;
        line.in_hand = line.in_hand.saturating_sub(count);
        line.call()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how much memory a draft takes: what of it can be long.
fn weight(draft: &Draft) -> usize {
    let texts = [Some(&draft.body), draft.body_html.as_ref(), draft.raw.as_ref()];
    let texts = texts.into_iter().flatten().map(String::len);
    let files = draft.attachments.iter().map(|attachment| match &attachment.bytes {
        AttachmentBytes::Inline(bytes) => bytes.len(),
        AttachmentBytes::Blob(_) | AttachmentBytes::Url(_) => 0,
    });
    let details = match &draft.details {
        Details::Other(json) => json.len(),
        _ => 0,
    };
    texts.chain(files).sum::<usize>() + details
}

/// A task of its own: whoever lined up first may go away, and the others must not wait for ever.
fn send_clerk(core: &Arc<Core>) {
    tokio::spawn(work_off(Arc::clone(core)));
}

async fn work_off(core: Arc<Core>) {
    core.desk.begin();
    // A panic must not leave a place that nobody fills again, nor a line that nobody works off.
    let mut clerk = Clerk {
        core: &core,
        in_hand: 0,
    };
    while let Some(group) = core.desk.next() {
        clerk.in_hand = group.len();
        clerk.take_in(group).await;
    }
}

/// Whoever works the line off.
struct Clerk<'a> {
    core: &'a Arc<Core>,
    /// How many the desk counts as in this clerk's hand.
    in_hand: usize,
}

impl Drop for Clerk<'_> {
    fn drop(&mut self) {
        // Those whom the fallen one had taken out of the line learn that the outcome is unknown, so it grows shorter.
        if std::thread::panicking() && self.core.desk.fallen(self.in_hand) {
            send_clerk(self.core);
        }
    }
}

impl Clerk<'_> {
    async fn take_in(&mut self, mut group: Vec<Waiting>) {
        let core = self.core;
        let outcome = if group.len() > 1 {
            together(core, &group).await
        } else {
            Together::OneByOne
        };
        match outcome {
            Together::Taken(results) => {
                core.desk.put_back(group.split_off(results.len()));
                for (waiting, result) in group.into_iter().zip(results) {
                    waiting.answer(of_a_draft(result));
                }
            }
            Together::Failed(fault) => group.into_iter().for_each(|waiting| waiting.answer(Err(fault.clone()))),
            Together::OneByOne => {
                // Nobody gathers meanwhile: these may take long.
                self.put_down();
                if core.desk.call() {
                    send_clerk(core);
                }
                let alone = tokio::spawn(one_by_one(Arc::clone(core), group));
                if let Ok(Err(fallen)) = tokio::time::timeout(STRAGGLING, alone).await {
                    tracing::error!("those who were taken in one by one do not know what became of them: {fallen}");
                }
            }
        }
        self.put_down();
    }

    fn put_down(&mut self) {
        self.core.desk.put_down(std::mem::take(&mut self.in_hand));
    }
}

async fn one_by_one(core: Arc<Core>, group: Vec<Waiting>) {
    let core: &Core = &core;
    let alone = group.into_iter().map(async |waiting| {
        let arrivals = std::slice::from_ref(&waiting.arrival);
        let results = accept(core, &waiting.actor, &waiting.instance, arrivals, &Rider::default()).await;
        waiting.answer(results.and_then(|mut results| of_a_draft(results.pop().flatten())));
    });
    futures_util::future::join_all(alone).await;
}

/// The answer to one who handed in a draft: each draft has a result.
fn of_a_draft(result: Option<Intake>) -> Result<Intake, Fault> {
    result.ok_or(Fault::Contended)
}

/// What came of a common transaction.
enum Together {
    /// So many of the first in line were taken in, or refused for what they are.
    Taken(Vec<Option<Intake>>),
    /// It could not be put together, or others changed what it rests on; nothing was written.
    OneByOne,
    /// The store did not take it, and would take none of them.
    Failed(Fault),
}

async fn together(core: &Core, group: &[Waiting]) -> Together {
    let _first = core.right_of_way.taken(group.len());
    let arriving: Vec<Arriving<'_>> = group.iter().map(Waiting::arriving).collect();
    let Ok(known) = Known::read(core, &arriving).await else {
        return Together::OneByOne;
    };
    let Some(_working) = core.turns.work_with_all(known.contacts()) else {
        return Together::OneByOne;
    };
    let mut writing = Writing::new(core, known);
    let Ok(part) = fill(&mut writing, &arriving) else {
        return Together::OneByOne;
    };
    match commit(core, writing).await {
        Ok(true) => Together::Taken(part.results),
        // A file that cannot be written is that of one, or of some. Files come before the transaction.
        Ok(false) | Err(Fault::TooLarge(_) | Fault::Blob(_) | Fault::Full(_)) => Together::OneByOne,
        Err(fault) => Together::Failed(fault),
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{Channel, Tag};

    use super::*;

    type Answer = oneshot::Receiver<Result<Intake, Fault>>;

    fn waiting(bytes: usize) -> (Waiting, Answer) {
        let (answer, answered) = oneshot::channel();
        let draft = Draft {
            body: "لم يصل الطلب".to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let waiting = Waiting {
            actor: Actor::Console,
            instance: InstanceName::new("form").unwrap(),
            bytes,
            arrival: draft.into(),
            answer,
        };
        (waiting, answered)
    }

    fn line_up(desk: &Desk, bytes: usize) -> Result<Answer, Fault> {
        let (waiting, answered) = waiting(bytes);
        desk.line_up(waiting).map(|_| answered)
    }

    fn worked_off(desk: &Desk) -> usize {
        desk.begin();
        let mut worked = 0;
        while let Some(group) = desk.next() {
            worked += group.len();
            desk.put_down(group.len());
        }
        worked
    }

    /// So many line up. Answers how many clerks are called.
    fn come(desk: &Desk, count: usize, asking: &mut Vec<Answer>) -> usize {
        let mut called = 0;
        for _ in 0..count {
            let (waiting, answered) = waiting(9);
            called += usize::from(desk.line_up(waiting).unwrap());
            asking.push(answered);
        }
        called
    }

    fn taken(desk: &Desk) -> Option<usize> {
        desk.next().map(|group| group.len())
    }

    #[test]
    fn while_a_transaction_is_on_its_way_as_many_gather_for_the_next() {
        let (desk, mut asking) = (Desk::default(), Vec::new());
        assert_eq!(come(&desk, 10, &mut asking), 1, "whoever comes takes all of them");
        desk.begin();
        assert_eq!(taken(&desk), Some(10));
        assert_eq!(come(&desk, 9, &mut asking), 0);
        assert_eq!(come(&desk, 1, &mut asking), 1);
        desk.begin();
        assert_eq!(taken(&desk), Some(10));
        assert_eq!(come(&desk, 50, &mut asking), 0, "there are no more clerks");
        desk.put_down(10);
        assert_eq!(taken(&desk), Some(50));
        assert_eq!(come(&desk, 7, &mut asking), 0);
        // Too few beside those fifty: whoever has them comes back.
        desk.put_down(10);
        assert_eq!(taken(&desk), None);
        desk.put_down(50);
        assert_eq!(taken(&desk), Some(7));
    }

    #[test]
    fn nobody_gathers_behind_those_who_may_take_long() {
        let (desk, mut asking) = (Desk::default(), Vec::new());
        assert_eq!(come(&desk, 5, &mut asking), 1);
        desk.begin();
        assert_eq!(taken(&desk), Some(5));
        assert_eq!(come(&desk, 2, &mut asking), 0);
        desk.put_down(5);
        assert!(desk.call(), "another one comes to those two");
        desk.begin();
        assert_eq!(taken(&desk), Some(2));
        assert_eq!(come(&desk, 1, &mut asking), 0);
    }

    #[test]
    fn whoever_waited_behind_one_that_fell_gets_another() {
        let (desk, mut asking) = (Desk::default(), Vec::new());
        assert_eq!(come(&desk, 20, &mut asking), 1);
        desk.begin();
        assert_eq!(taken(&desk), Some(20));
        assert_eq!(come(&desk, 3, &mut asking), 0);
        assert!(desk.fallen(20));
        desk.begin();
        assert_eq!(taken(&desk), Some(3));
    }

    #[test]
    fn a_full_line_sends_away_and_whoever_left_does_not_stand_in_it() {
        let desk = Desk::default();
        let mut asking: Vec<Answer> = (0..WAITING_MAX).map(|_| line_up(&desk, 9).unwrap()).collect();
        assert!(matches!(line_up(&desk, 9), Err(Fault::Busy { .. })));
        asking.truncate(WAITING_MAX / 2);
        asking.push(line_up(&desk, 9).unwrap());
        // These leave from a line that is not full.
        asking.truncate(300);
        assert_eq!(worked_off(&desk), 300);
        assert_eq!(desk.line().bytes, 0);
    }

    #[test]
    fn bytes_fill_the_line_too_but_one_alone_is_always_taken() {
        let desk = Desk::default();
        let large = line_up(&desk, WAITING_BYTES_MAX + 1).unwrap();
        assert!(matches!(line_up(&desk, 0), Err(Fault::Busy { .. })));
        assert_eq!(worked_off(&desk), 1);
        drop(large);
        let _small = line_up(&desk, WAITING_BYTES_MAX / 2).unwrap();
        let _other = line_up(&desk, WAITING_BYTES_MAX / 2).unwrap();
        assert!(matches!(line_up(&desk, 1), Err(Fault::Busy { .. })));
        assert_eq!(worked_off(&desk), 2);
    }
}
