//! What is still open at one place of the ledger. What needs a later entry to be explained is remembered until that entry
//! comes; what no entry could explain is found at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mihwar_model::{DeliveryId, EventBody, FeedbackId, InstanceName, Route};
use mihwar_store::Key;

use super::VerifyReport;
use crate::fault::UNREADABLE;
use crate::keys;
use crate::status_reports;

/// One revision of a record.
pub(super) type Revision = (FeedbackId, u32);

/// What the store holds of the records that a page of events speaks of.
#[derive(Default)]
pub(super) struct Found {
    /// Contents that are there, of those received in this page.
    pub(super) contents: BTreeSet<Revision>,
    /// Those of them that open.
    pub(super) readable: BTreeSet<Revision>,
    /// Contents that are there, of those withdrawn or erased in this page.
    pub(super) left: BTreeMap<FeedbackId, Vec<u32>>,
    /// Reports that are there, of those made in this page.
    pub(super) reports: BTreeSet<Key>,
    /// Of those withdrawn or erased in this page, which departments' names or reports there are of still.
    pub(super) told: BTreeSet<FeedbackId>,
}

/// What is still open at one place of the ledger.
#[derive(Default)]
pub(super) struct Open {
    /// Received and not yet routed: these wait in the pipeline's queue. With whether their contents open.
    pub(super) unrouted: BTreeMap<Revision, bool>,
    /// Found unreadable before it was routed, and so taken out of the queue. With whether its content opens now.
    pub(super) unread: BTreeMap<Revision, bool>,
    /// Withdrawn or erased before it was routed. Its entry in the queue may be there still, and it is routed once at most: by
    /// whoever had read it before that.
    pub(super) excused: BTreeSet<Revision>,
    /// Received, and the content is gone: to be explained by a withdrawal or an erasure.
    pub(super) gone: BTreeSet<Revision>,
    /// Withdrawn or erased, and a content is there: to be explained by its being received after that.
    pub(super) left: BTreeSet<Revision>,
    /// Reported, and the report is gone: to be explained as above.
    pub(super) unsaid: BTreeSet<(FeedbackId, Key)>,
    /// Withdrawn or erased, and departments' names or reports are there: to be explained by its being delivered after that.
    pub(super) named: BTreeSet<FeedbackId>,
    pub(super) deliveries: OpenDeliveries,
    /// Contents whose being gone was explained.
    pub(super) withdrawn: u64,
}

impl Open {
    pub(super) fn take(&mut self, body: EventBody, found: &Found, report: &mut VerifyReport) {
        match body {
            EventBody::Received(e) => {
                let revision = (e.feedback, e.revision);
                self.unrouted.insert(revision, found.readable.contains(&revision));
                self.unread.remove(&revision);
                self.excused.remove(&revision);
                self.left.remove(&revision);
                if !found.contents.contains(&revision) {
                    self.gone.insert(revision);
                }
            }
            // Taken out of the queue because its content cannot be read.
            EventBody::EnrichmentFailed(e) if e.code == UNREADABLE => {
                let revision = (e.feedback, e.revision);
                if let Some(opens) = self.unrouted.remove(&revision) {
                    self.unread.insert(revision, opens);
                }
            }
            EventBody::Withdrawn(e) => self.destroyed(e.feedback, found),
            EventBody::RecordErased(e) => {
                self.destroyed(e.feedback, found);
                self.begin(e.routes, report);
            }
            EventBody::Routed(e) => {
                let revision = (e.feedback, e.revision);
                if !self.leaves(revision) {
                    report.find(format!(
                        "{} (revision {}) was routed without waiting for it: twice, or without having been received",
                        e.feedback, e.revision
                    ));
                }
                self.begin(e.routes, report);
            }
            EventBody::Delivered(e) => {
                if e.reference.is_some() {
                    self.named.remove(&e.feedback);
                }
                self.end(e.delivery, Place::Outbox, report);
            }
            EventBody::StatusReported(e) => {
                let place = status_reports::place(&e);
                if !found.reports.contains(&place) {
                    self.unsaid.insert((e.feedback, place));
                }
            }
            EventBody::BackFilled(e) => self.begin(e.routes, report),
            EventBody::DeliverySkipped(e) => {
                // An erasure also withholds what was a dead letter.
                let from = self.deliveries.place(e.delivery).unwrap_or(Place::Outbox);
                self.end(e.delivery, from, report);
            }
            EventBody::DeliveryDeadLettered(e) => {
                let was = self.deliveries.put(e.delivery, e.destination, Place::Dead);
                expect(was, Some(Place::Outbox), e.delivery, "becomes a dead letter", report);
            }
            EventBody::DeliveryReplayed(e) => {
                let was = self.deliveries.put(e.delivery, e.destination, Place::Outbox);
                expect(was, Some(Place::Dead), e.delivery, "is replayed", report);
            }
            _ => {}
        }
    }

    /// Whether a revision may have an entry in the queue.
    pub(super) fn waits(&self, revision: Revision) -> bool {
        self.unrouted.contains_key(&revision) || self.unread.contains_key(&revision) || self.excused.contains(&revision)
    }

    /// A revision is routed. False when it did not wait for it.
    fn leaves(&mut self, revision: Revision) -> bool {
        self.unrouted.remove(&revision).is_some()
            || self.unread.remove(&revision).is_some()
            || self.excused.remove(&revision)
    }

    /// All contents of a record are gone, and something says why.
    fn destroyed(&mut self, feedback: FeedbackId, found: &Found) {
        self.withdrawn += take_all(&mut self.gone, feedback).len() as u64;
        for waiting in [&mut self.unrouted, &mut self.unread] {
            self.excused.extend(take_all_of(waiting, feedback));
        }
        let left = found.left.get(&feedback).into_iter().flatten();
        self.left.extend(left.map(|revision| (feedback, *revision)));
        self.unsaid.retain(|(of, _)| *of != feedback);
        if found.told.contains(&feedback) {
            self.named.insert(feedback);
        }
    }

    fn begin(&mut self, routes: Vec<Route>, report: &mut VerifyReport) {
        for route in routes {
            let was = self.deliveries.put(route.delivery, route.destination, Place::Outbox);
            expect(was, None, route.delivery, "begins", report);
        }
    }

    fn end(&mut self, delivery: DeliveryId, from: Place, report: &mut VerifyReport) {
        let was = self.deliveries.end(delivery);
        expect(was, Some(from), delivery, "ends", report);
    }
}

/// Finds a step of a delivery that cannot follow on where it was.
fn expect(was: Option<Place>, must: Option<Place>, delivery: DeliveryId, step: &str, report: &mut VerifyReport) {
    if was == must {
        return;
    }
    let was = match was {
        None => "is not open",
        Some(Place::Outbox) => "waits",
        Some(Place::Dead) => "is a dead letter",
    };
    report.find(format!(
        "the ledger says that the delivery {delivery} {step}, at a place where it {was}"
    ));
}

/// Takes all revisions of a record out.
fn take_all(from: &mut BTreeSet<Revision>, feedback: FeedbackId) -> Vec<Revision> {
    let all: Vec<Revision> = from.range((feedback, 0)..=(feedback, u32::MAX)).copied().collect();
    for revision in &all {
        from.remove(revision);
    }
    all
}

/// As [`take_all`].
fn take_all_of(from: &mut BTreeMap<Revision, bool>, feedback: FeedbackId) -> Vec<Revision> {
    let all = from.range((feedback, 0)..=(feedback, u32::MAX));
    let all: Vec<Revision> = all.map(|(revision, _)| *revision).collect();
    for revision in &all {
        from.remove(revision);
    }
    all
}

/// Where a delivery without an end has its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Outbox,
    Dead,
}

/// Deliveries without an end. Departments are few: each name is kept once.
#[derive(Default)]
pub(super) struct OpenDeliveries {
    departments: Vec<InstanceName>,
    by_id: HashMap<DeliveryId, (usize, Place)>,
}

impl OpenDeliveries {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.by_id.len() as u64
    }

    /// Notes where a delivery is now; answers where it was.
    fn put(&mut self, delivery: DeliveryId, department: InstanceName, place: Place) -> Option<Place> {
        let known = self.departments.iter().position(|name| *name == department);
        let department = known.unwrap_or_else(|| {
            self.departments.push(department);
            self.departments.len() - 1
        });
        let was = self.by_id.insert(delivery, (department, place));
        was.map(|(_, place)| place)
    }

    /// Where a delivery is now.
    fn place(&self, delivery: DeliveryId) -> Option<Place> {
        self.by_id.get(&delivery).map(|(_, place)| *place)
    }

    /// Forgets a delivery; answers where it was.
    fn end(&mut self, delivery: DeliveryId) -> Option<Place> {
        self.by_id.remove(&delivery).map(|(_, place)| place)
    }

    /// Whether a row of the outbox or of the dead letters is that of an open delivery.
    pub(super) fn expect(&self, key: &Key, place: Place) -> bool {
        let Some(delivery) = keys::last_id(key).map(DeliveryId::from_bytes) else {
            return false;
        };
        let Some((department, expected)) = self.by_id.get(&delivery) else {
            return false;
        };
        let Some(department) = self.departments.get(*department) else {
            return false;
        };
        let row = match place {
            Place::Outbox => keys::outbox(department, delivery),
            Place::Dead => keys::dead(department, delivery),
        };
        *expected == place && row == *key
    }
}
