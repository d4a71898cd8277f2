//! What tests of deliveries stand on: a hub's core under a clock of its own, and a department that does as it is told.

mod scripted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use mihwar_ledger::Signer;
use mihwar_model::{
    Actor, Author, Channel, Clock, ContactId, DeliveryId, Draft, Event, EventBody, FeedbackId, Identifier,
    InstanceName, Kind, ManualClock, Route, Routed, Tag, Time,
};
use mihwar_store::{
    ApplyError, Batch, Commit, Edit, MemoryStore, Order, Row, Space, Statistics, Store, StoreError, View,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::department::Department;
use super::line::{Line, Next};
use super::registry::Written;
use crate::core::Core;
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::rows::{self, OutboxRow};
use crate::{keys, query, verification};
pub(super) use scripted::{Answer, Call, Scripted, all, taken, trap};

pub(super) const START: Time = Time(1_790_000_000_000);
pub(super) const ORIGIN: &str = "mihwar.example/ledger";

pub(super) fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

pub(super) fn billing() -> InstanceName {
    name("billing")
}

/// A store in memory that counts who looks at it and who writes, and fails once if it is told to.
#[derive(Default)]
pub(super) struct Watched {
    inner: MemoryStore,
    pub(super) views: AtomicUsize,
    pub(super) writes: AtomicUsize,
    /// The next look at it fails.
    pub(super) is_blind: AtomicBool,
    /// What is written next is written, and nobody hears of it.
    pub(super) is_mute: AtomicBool,
}

#[async_trait]
impl Store for Watched {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.views.fetch_add(1, Ordering::Relaxed);
        if self.is_blind.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Engine {
                what: "reading",
                reason: "القرص مشغول".into(),
            });
        }
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let commit = self.inner.apply(batch).await?;
        match self.is_mute.swap(false, Ordering::Relaxed) {
            true => Err(ApplyError::Unknown),
            false => Ok(commit),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

pub(super) struct House {
    pub(super) core: Arc<Core>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<Watched>,
    folder: tempfile::TempDir,
    starts: u64,
}

impl House {
    pub(super) fn new() -> Self {
        Self::at(START)
    }

    pub(super) fn at(start: Time) -> Self {
        let (store, clock) = (Arc::new(Watched::default()), Arc::new(ManualClock::at(start)));
        let folder = tempfile::tempdir().unwrap();
        let core = Core::with_clock(store.clone(), folder.path(), clock.clone(), 3);
        Self {
            core: Arc::new(core),
            clock,
            store,
            folder,
            starts: 1,
        }
    }

    /// The same folder after a start: nothing is known any more that was not written.
    pub(super) fn restart(&mut self) {
        self.starts += 1;
        let mut core = Core::with_clock(
            self.store.clone(),
            self.folder.path(),
            self.clock.clone(),
            self.starts + 2,
        );
        // As a start of the hub does it: what it makes is newer than all that is there. A start takes its time.
        self.clock.advance_millis(2);
        core.ids = core.ids.after(self.clock.now());
        self.core = Arc::new(core);
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn go_to(&self, time: Time) {
        self.clock.advance_millis(time.0 - self.clock.now().0);
    }

    /// Somebody says something.
    pub(super) async fn said(&self, who: &str, body: &str, kind: Kind) -> FeedbackId {
        let author = Author {
            identifiers: vec![Identifier {
                scheme: "crm".into(),
                id: who.into(),
            }],
            ..Author::default()
        };
        let draft = Draft {
            kind: Some(kind),
            author: Some(author),
            body: body.to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let (arrivals, rider) = ([Arrival::from(draft)], Rider::default());
        let taken = accept(&self.core, &Actor::Console, &name("kiosk"), &arrivals, &rider).await;
        match taken.unwrap().pop().flatten() {
            Some(Intake::New { feedback, .. }) => feedback,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn contact_of(&self, feedback: FeedbackId) -> ContactId {
        query::feedback(&self.core, feedback)
            .await
            .unwrap()
            .unwrap()
            .head
            .contact
    }

    /// A record leaves the queue and waits for these departments.
    pub(super) async fn route(&self, feedback: FeedbackId, to: &[&str]) -> Vec<DeliveryId> {
        let contact = self.contact_of(feedback).await;
        let mut edits = vec![Edit::Delete(keys::queue(feedback, 1))];
        let mut routes = Vec::new();
        for department in to {
            let delivery = DeliveryId(self.core.ids.next());
            let row = OutboxRow {
                feedback,
                revision: 1,
                contact,
                attempts: 0,
                due: self.now(),
                rule: "شكاوى".into(),
                attempts_before_replay: 0,
                erased: None,
            };
            edits.push(Edit::Put(
                keys::outbox(&name(department), delivery),
                rows::encode(&row).unwrap(),
            ));
            routes.push(Route {
                delivery,
                destination: name(department),
                rule: "شكاوى".into(),
            });
        }
        let deliveries = routes.iter().map(|route| route.delivery).collect();
        let routed = Routed {
            feedback,
            revision: 1,
            routes,
            rules: 1,
            failed: None,
        };
        self.write(edits, vec![EventBody::Routed(routed)]).await;
        deliveries
    }

    /// Somebody says something that waits for billing.
    pub(super) async fn waits(&self, who: &str) -> DeliveryId {
        let feedback = self
            .said(who, "الفاتورة خاطئة, the invoice is wrong", Kind::Complaint)
            .await;
        self.route(feedback, &["billing"]).await[0]
    }

    pub(super) async fn write(&self, edits: Vec<Edit>, bodies: Vec<EventBody>) {
        let event = |body| self.core.event(Actor::Hub, body).unwrap();
        let written = Written::by(&edits);
        let batch = Batch {
            edits,
            journal: bodies.into_iter().map(event).collect(),
            ..Batch::default()
        };
        self.core.store.apply(batch).await.unwrap();
        self.core.tell_written(written);
    }

    pub(super) async fn rows(&self, space: Space) -> Vec<Row> {
        let view = self.store.inner.view().await.unwrap();
        view.scan(keys::all(space), Order::Ascending, 10_000)
            .await
            .unwrap()
            .rows
    }

    /// Deliveries in a space, in the order of their ids.
    pub(super) async fn deliveries(&self, space: Space) -> Vec<DeliveryId> {
        let rows = self.rows(space).await;
        let id = |row: &Row| DeliveryId::from_bytes(keys::last_id(&row.key).unwrap());
        rows.iter().map(id).collect()
    }

    pub(super) async fn waiting(&self, delivery: DeliveryId) -> OutboxRow {
        let key = keys::outbox(&billing(), delivery);
        let view = self.store.inner.view().await.unwrap();
        rows::decode("a row", &view.get(&key).await.unwrap().unwrap().bytes).unwrap()
    }

    pub(super) async fn events(&self) -> Vec<EventBody> {
        let view = self.store.inner.view().await.unwrap();
        let entries = view.journal(0, 100_000).await.unwrap();
        let body = |bytes: &[u8]| Event::from_bytes(bytes).unwrap().body;
        entries.iter().map(|entry| body(&entry.bytes)).collect()
    }

    /// What `mihwar ledger verify` finds.
    pub(super) async fn findings(&self) -> Vec<String> {
        let (progress, _told) = mpsc::channel(8);
        let signer = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
        let report = verification::verify(&self.core, &signer, ORIGIN, Vec::new(), progress).await;
        report.unwrap().findings
    }
}

/// Works on a line until there is nothing to do at this moment. Answers when there is.
pub(super) async fn work(line: &mut Line<'_>, department: &Arc<Scripted>) -> Next {
    let (stop, department) = (CancellationToken::new(), department.clone() as Arc<dyn Department>);
    for _ in 0..10_000 {
        let next = line.turn(&department).await.unwrap();
        if line.is_flying() {
            let landed = line.land().await;
            line.settle(&*department, landed, &stop).await.unwrap();
        } else if next != Next::Again {
            return next;
        }
    }
    panic!("it comes to no rest");
}

/// Works on a line, from one moment at which there is something to do to the next, up to a time.
pub(super) async fn work_until(house: &House, line: &mut Line<'_>, department: &Arc<Scripted>, until: Time) {
    for _ in 0..100_000 {
        match work(line, department).await {
            Next::At(time) if time < until => house.go_to(time.max(house.now().plus_millis(1))),
            _ => {
                house.go_to(until);
                work(line, department).await;
                return;
            }
        }
    }
    panic!("it comes to no end");
}

/// How often each delivery was handed over.
pub(super) fn often(calls: &[Call]) -> BTreeMap<DeliveryId, usize> {
    let mut often = BTreeMap::new();
    for id in calls.iter().flat_map(|call| &call.ids) {
        *often.entry(*id).or_default() += 1;
    }
    often
}
