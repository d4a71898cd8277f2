//! What the rest of the hub shares with whoever delivers to a department: that something was written for it, how it stands,
//! and how its calls go. One entry for each department; an outbox that nobody works on has none.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mihwar_model::{DeliveryId, InstanceName, Time};
use mihwar_store::{Edit, Key};
use tokio::sync::{Notify, Semaphore};

use super::standing::Standing;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows;

/// Surveys of long backlogs at once: each takes 8 MiB.
const SURVEYS_MAX: usize = 8;
/// Deliveries that are named one by one to whoever looks at the outbox; of more, only that there are some.
const NAMED_MAX: usize = 1_000;
/// Minutes over which failures are counted.
const MINUTES: i64 = 15;

/// The outboxes of all departments that deliveries are made to.
#[derive(Debug)]
pub(crate) struct Outboxes {
    by_name: Mutex<BTreeMap<InstanceName, Arc<Outbox>>>,
    pub(super) surveys: Arc<Semaphore>,
    /// Taken while an outbox is filled up: one at a time, since each looks first at what departments have.
    pub(super) filling: tokio::sync::Mutex<()>,
}

impl Default for Outboxes {
    fn default() -> Self {
        Self {
            by_name: Mutex::default(),
            surveys: Arc::new(Semaphore::new(SURVEYS_MAX)),
            filling: tokio::sync::Mutex::default(),
        }
    }
}

impl Outboxes {
    /// The outbox of a department.
    pub(crate) fn of(&self, name: &InstanceName) -> Arc<Outbox> {
        let mut outboxes = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let outbox = outboxes
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Outbox::new(name)));
        Arc::clone(outbox)
    }

    /// Tells whoever delivers that something was written, or may have been.
    pub(crate) fn tell(&self, written: Written) {
        let outboxes = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, deliveries) in written.0 {
            if let Some(outbox) = outboxes.get(&name) {
                outbox.came(&deliveries);
            }
        }
    }

    /// Has everybody look: something else has changed, such as the configuration.
    pub(crate) fn ring_all(&self) {
        let outboxes = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.values().for_each(|outbox| outbox.bell.notify_one());
    }

    /// Those that hold nothing, as far as those know who work on them.
    pub(super) fn idle(&self) -> Vec<Arc<Outbox>> {
        let outboxes = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = outboxes
            .values()
            .filter(|outbox| outbox.is_idle.load(Ordering::Relaxed));
        idle.cloned().collect()
    }
}

/// Deliveries that a batch puts into outboxes.
#[derive(Debug, Default)]
pub(crate) struct Written(BTreeMap<InstanceName, Vec<DeliveryId>>);

impl Written {
    /// Those of these edits.
    pub(crate) fn by(edits: &[Edit]) -> Self {
        let mut written = Self::default();
        for edit in edits {
            if let Edit::Put(key, _) = edit
                && let Some((name, delivery)) = waiting(key)
            {
                written.0.entry(name).or_default().push(delivery);
            }
        }
        written
    }
}

/// The delivery whose row a key is, if it is one of the outbox.
fn waiting(key: &Key) -> Option<(InstanceName, DeliveryId)> {
    if key.as_bytes().first() != Some(&keys::OUTBOX.0) {
        return None;
    }
    let delivery = keys::last_id(key).map(DeliveryId::from_bytes)?;
    Some((keys::dead_destination(key)?, delivery))
}

/// What was written since whoever delivers looked last.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// The lowest of those that lie beyond what was read.
    pub(super) ahead: Option<DeliveryId>,
    /// Those among what was read.
    pub(super) behind: Vec<DeliveryId>,
    /// There were more of them.
    pub(super) is_more: bool,
    /// What is there now is a backlog from here on.
    pub(super) is_backlog: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Outbox {
    name: InstanceName,
    /// Rung when there is something to look at.
    pub(super) bell: Notify,
    mail: Mutex<(Option<DeliveryId>, Mail)>,
    standing: Mutex<Option<Standing>>,
    /// How often it began anew: under another configuration, or because somebody let it go on.
    beginnings: AtomicU64,
    /// Rung for everybody who waits for something in the feed.
    pub(super) arrived: Notify,
    /// Held while a page of the feed is handed out, or what was handed out is acknowledged.
    pub(super) feeding: tokio::sync::Mutex<()>,
    /// Held while the row of the standing is written.
    pub(super) writing: tokio::sync::Mutex<()>,
    tally: Mutex<Tally>,
    /// Whether nothing waits, as far as whoever works on it knows.
    pub(super) is_idle: AtomicBool,
}

impl Outbox {
    fn new(name: &InstanceName) -> Self {
        Self {
            name: name.clone(),
            bell: Notify::new(),
            arrived: Notify::new(),
            feeding: tokio::sync::Mutex::default(),
            mail: Mutex::default(),
            standing: Mutex::default(),
            beginnings: AtomicU64::new(0),
            writing: tokio::sync::Mutex::default(),
            tally: Mutex::default(),
            is_idle: AtomicBool::new(false),
        }
    }

    /// Whose it is.
    pub(super) const fn name(&self) -> &InstanceName {
        &self.name
    }

    /// These were written.
    pub(super) fn came(&self, deliveries: &[DeliveryId]) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let (reached, mail) = &mut *mail;
        for delivery in deliveries {
            if Some(*delivery) > *reached {
                mail.ahead = Some(mail.ahead.map_or(*delivery, |lowest| lowest.min(*delivery)));
            } else if mail.behind.len() < NAMED_MAX {
                mail.behind.push(*delivery);
            } else {
                mail.is_more = true;
            }
        }
        self.bell.notify_one();
        self.arrived.notify_waiters();
    }

    /// Whatever is there is to be looked for anew; if it `is_backlog`, behind what comes from now on.
    pub(super) fn look_again(&self, is_backlog: bool) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        mail.1.is_more = true;
        mail.1.is_backlog |= is_backlog;
        self.bell.notify_one();
    }

    /// What was told could not be looked at: whatever is there is looked for anew with the next look, and none is made sooner.
    pub(super) fn missed(&self) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).1.is_more = true;
    }

    /// Takes what was written since the last time.
    pub(super) fn take_mail(&self) -> Mail {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut mail.1)
    }

    /// Rows up to here have been read; none of them with nothing.
    pub(super) fn reached(&self, reached: Option<DeliveryId>) {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner).0 = reached;
    }

    /// How the department stands, if that was read.
    pub(crate) fn known_standing(&self) -> Option<Standing> {
        self.standing_now().clone()
    }

    /// How the department stands. Read once; what cannot be read counts as open.
    pub(crate) async fn standing(&self, core: &Core) -> Result<Standing, Fault> {
        if let Some(known) = self.known_standing() {
            return Ok(known);
        }
        let key = keys::delivery_standing(&self.name);
        let row = core.store.get_many(std::slice::from_ref(&key)).await?.pop().flatten();
        let read = match row.map(|row| rows::decode::<Standing>("how a department stands", &row.bytes)) {
            Some(Ok(standing)) => standing,
            Some(Err(error)) => {
                tracing::error!(destination = %self.name, "{error}; it counts as open");
                Standing::default()
            }
            None => Standing::default(),
        };
        Ok(self.standing_now().get_or_insert(read).clone())
    }

    /// The edit that writes how the department stands.
    pub(super) fn edit(&self, standing: &Standing) -> Result<Edit, Fault> {
        Ok(Edit::Put(keys::delivery_standing(&self.name), rows::encode(standing)?))
    }

    /// The department stands so, as is written already.
    pub(super) fn stands(&self, standing: Standing) {
        *self.standing_now() = Some(standing);
    }

    /// Calls that are under way say nothing of how the department stands from now on.
    pub(super) fn begin_anew(&self) {
        self.beginnings.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells calls that began before [`Outbox::begin_anew`] from later ones.
    pub(super) fn beginnings(&self) -> u64 {
        self.beginnings.load(Ordering::Relaxed)
    }

    fn standing_now(&self) -> MutexGuard<'_, Option<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many attempts were made, of which so many failed.
    pub(super) fn count(&self, now: Time, attempts: u64, failures: u64) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.count(now, attempts, failures);
    }

    /// Attempts of the last quarter of an hour, and how many of them failed. Since the start, at most.
    pub(crate) fn lately(&self, now: Time) -> (u64, u64) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).lately(now)
    }
}

/// Attempts and failures by minute.
#[derive(Debug, Default)]
struct Tally(VecDeque<(i64, u64, u64)>);

impl Tally {
    fn count(&mut self, now: Time, attempts: u64, failures: u64) {
        let minute = now.0.div_euclid(60_000);
        self.forget_before(minute);
        match self.0.back_mut().filter(|(last, ..)| *last == minute) {
            Some((_, all, failed)) => {
                *all += attempts;
                *failed += failures;
            }
            None => self.0.push_back((minute, attempts, failures)),
        }
    }

    fn lately(&mut self, now: Time) -> (u64, u64) {
        self.forget_before(now.0.div_euclid(60_000));
        let (mut all, mut failed) = (0, 0);
        for (_, attempts, failures) in &self.0 {
            all += attempts;
            failed += failures;
        }
        (all, failed)
    }

    /// Minutes that are over, and those that a clock which was ahead has counted.
    fn forget_before(&mut self, minute: i64) {
        self.0.retain(|(then, ..)| *then > minute - MINUTES && *then <= minute);
    }
}

#[cfg(test)]
mod tests {
    use mihwar_model::{ContactId, DeliveryId, FeedbackId, InstanceName, Time};
    use mihwar_store::Edit;

    use super::{NAMED_MAX, Outboxes, Written};
    use crate::keys;

    fn name(text: &str) -> InstanceName {
        InstanceName::new(text).unwrap()
    }

    fn delivery(number: u8) -> DeliveryId {
        DeliveryId::from_bytes([number; 16])
    }

    #[test]
    fn only_those_hear_of_a_batch_for_whom_something_is_in_it() {
        let outboxes = Outboxes::default();
        let (billing, service) = (outboxes.of(&name("billing")), outboxes.of(&name("service")));
        billing.reached(Some(delivery(5)));
        let edits = [
            Edit::Put(keys::outbox(&name("billing"), delivery(7)), vec![1]),
            Edit::Put(keys::outbox(&name("billing"), delivery(9)), vec![1]),
            Edit::Put(keys::outbox(&name("billing"), delivery(2)), vec![1]),
            Edit::Put(keys::outbox(&name("nobody"), delivery(2)), vec![1]),
            Edit::Delete(keys::outbox(&name("service"), delivery(3))),
            Edit::Put(keys::dead(&name("service"), delivery(3)), vec![1]),
            Edit::Put(keys::contact_key(ContactId::from_bytes([1; 16])), vec![1]),
            Edit::Delete(keys::queue(FeedbackId::from_bytes([1; 16]), 1)),
        ];
        outboxes.tell(Written::by(&edits));
        let mail = billing.take_mail();
        assert_eq!((mail.ahead, mail.behind), (Some(delivery(7)), vec![delivery(2)]));
        assert!(!mail.is_more && billing.take_mail().ahead.is_none());
        let mail = service.take_mail();
        assert!(mail.ahead.is_none() && mail.behind.is_empty());
    }

    #[test]
    fn what_is_told_takes_no_more_memory_than_a_page() {
        let outboxes = Outboxes::default();
        let billing = outboxes.of(&name("billing"));
        billing.reached(Some(delivery(200)));
        for _ in 0..=NAMED_MAX {
            billing.came(&[delivery(3)]);
        }
        let mail = billing.take_mail();
        assert!(mail.is_more && mail.behind.len() == NAMED_MAX);
    }

    #[test]
    fn failures_count_for_a_quarter_of_an_hour() {
        let outboxes = Outboxes::default();
        let billing = outboxes.of(&name("billing"));
        let at = |minutes: i64| Time(1_790_000_000_000).plus_millis(minutes * 60_000);
        billing.count(at(0), 10, 10);
        billing.count(at(0), 10, 0);
        billing.count(at(14), 5, 1);
        assert_eq!(billing.lately(at(14)), (25, 11));
        assert_eq!(billing.lately(at(15)), (5, 1));
        billing.count(at(-60), 1, 0);
        assert_eq!(billing.lately(at(-60)), (1, 0), "the clock was put back");
    }
}
