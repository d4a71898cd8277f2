//! Rebuilding after damage, after being cut off, and beside the fold that goes along with the writes.

mod facets;
mod passed_over;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mihwar_model::{
    Actor, Attempted, Channel, ContactCreated, ContactId, DeadLettered, Delivered, DeliveryId, Enriched,
    EnrichmentFailed, Event, EventBody, FeedbackId, InstanceName, Kind, Received, RecordErased, Replayed, Route,
    Routed, Skipped, Tag, ThreadId, Time, Withdrawn,
};
use mihwar_store::{
    ApplyError, Batch, Commit, Edit, Guard, Key, MemoryStore, Order, Row, Space, Statistics, Store, StoreError, View,
};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::compare::{Difference, compare};
use super::mending::{Mending, mark};
use super::{Anew, ModelReport, RebuildReport, SideStores, finish, rebuild};
use crate::core::Core;
use crate::doors::Doors;
use crate::fault::Fault;
use crate::{keys, projection, rows};

const START: Time = Time(1_790_000_000_000);

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn id(number: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    bytes
}

fn record(number: usize) -> FeedbackId {
    FeedbackId::from_bytes(id(number))
}

/// A history told by numbers: whatever they are, it is one that a hub could have.
#[derive(Default)]
struct Teller {
    /// Newest revision of each record.
    records: Vec<u32>,
    /// Record and department of each delivery.
    deliveries: Vec<(FeedbackId, InstanceName)>,
    events: Vec<EventBody>,
}

impl Teller {
    fn received(&mut self, record: usize, revision: u32, kind: Option<Kind>, detail: u8) {
        self.events.push(EventBody::Received(Received {
            feedback: FeedbackId::from_bytes(id(record)),
            revision,
            contact: ContactId::from_bytes(id(usize::from(detail % 3))),
            instance: name(if detail.is_multiple_of(2) { "form" } else { "mail" }),
            channel: Channel::new(Tag::new("form").unwrap()),
            kind,
            occurred_at: None,
            thread: detail
                .is_multiple_of(4)
                .then(|| ThreadId::from_bytes(id(usize::from(detail % 5)))),
            language: None,
            scores: vec![],
            tags: vec![Tag::new("شحن").unwrap(), Tag::new("late").unwrap()],
            attachments: vec![],
            call: None,
            body_chars: u32::from(detail),
            commitment: [detail; 32],
            masked: None,
        }));
    }

    fn routed(&mut self, feedback: FeedbackId, revision: u32, detail: u8) {
        let departments = if detail.is_multiple_of(3) {
            vec!["billing", "service"]
        } else {
            vec!["service"]
        };
        let mut routes = Vec::new();
        for department in departments {
            let delivery = DeliveryId::from_bytes(id(self.deliveries.len()));
            self.deliveries.push((feedback, name(department)));
            routes.push(Route {
                delivery,
                destination: name(department),
                rule: "قاعدة unhappy".into(),
            });
        }
        self.events.push(EventBody::Routed(Routed {
            feedback,
            revision,
            routes,
            rules: 7,
            failed: None,
        }));
    }

    fn of_delivery(&mut self, which: u8, sort: u8) {
        let Some(number) = usize::from(which).checked_rem(self.deliveries.len()) else {
            return;
        };
        let (feedback, destination) = self.deliveries[number].clone();
        let delivery = DeliveryId::from_bytes(id(number));
        let attempt = u32::from(which) + 1;
        self.events.push(match sort {
            0 => EventBody::Delivered(Delivered {
                delivery,
                feedback,
                destination,
                attempt,
                reference: None,
            }),
            1 => EventBody::DeliveryFailed(Attempted {
                delivery,
                feedback,
                destination,
                attempt,
                code: "http-503".into(),
                retry_at: Time(START.0 + 60_000),
            }),
            2 => EventBody::DeliverySkipped(Skipped {
                delivery,
                feedback,
                destination,
                attempt,
            }),
            3 => EventBody::DeliveryDeadLettered(DeadLettered {
                delivery,
                feedback,
                destination,
                attempts: attempt,
                code: "refused".into(),
            }),
            _ => EventBody::DeliveryReplayed(Replayed {
                delivery,
                feedback,
                destination,
            }),
        });
    }

    /// Withdrawn, or erased, and then departments are told.
    fn gone(&mut self, feedback: FeedbackId, detail: u8) {
        if detail.is_multiple_of(2) {
            self.events.push(EventBody::Withdrawn(Withdrawn { feedback }));
            return;
        }
        let delivery = DeliveryId::from_bytes(id(self.deliveries.len()));
        self.deliveries.push((feedback, name("billing")));
        self.events.push(EventBody::RecordErased(RecordErased {
            feedback,
            reason: Tag::new("طلب").unwrap(),
            routes: vec![Route {
                delivery,
                destination: name("billing"),
                rule: "erasure".into(),
            }],
        }));
    }

    fn tell(&mut self, (sort, which, detail): (u8, u8, u8)) {
        let kind = [None, Some(Kind::Complaint), Some(Kind::Praise)][usize::from(detail % 3)];
        let Some(record) = usize::from(which)
            .checked_rem(self.records.len())
            .filter(|_| sort % 14 > 2)
        else {
            self.records.push(1);
            self.received(self.records.len() - 1, 1, kind, detail);
            return;
        };
        let (feedback, revision) = (FeedbackId::from_bytes(id(record)), self.records[record]);
        match sort % 14 {
            3 => {
                self.records[record] += 1;
                self.received(record, revision + 1, kind, detail);
            }
            4 | 5 => self.events.push(EventBody::Enriched(Enriched {
                feedback,
                revision,
                instance: name("language"),
                language: None,
                kind,
                sentiment: Some(f64::from(detail) / 255.0),
                tags_added: vec![Tag::new("عاجل").unwrap()],
                tags_removed: vec![],
                attributes: vec![],
                routes: vec![],
                quarantine: None,
            })),
            6 | 7 => self.routed(feedback, revision, detail),
            sort @ 8..=12 => self.of_delivery(which, sort - 8),
            _ if detail % 3 == 0 => self.gone(feedback, detail),
            _ if detail % 3 == 1 => self.events.push(EventBody::EnrichmentFailed(EnrichmentFailed {
                feedback,
                revision,
                instance: name("language"),
                code: "trap".into(),
            })),
            _ => self.events.push(EventBody::ContactCreated(ContactCreated {
                contact: ContactId::from_bytes(id(usize::from(which))),
                identifiers: 2,
            })),
        }
    }
}

fn history(told: &[(u8, u8, u8)]) -> Vec<EventBody> {
    let mut teller = Teller::default();
    told.iter().for_each(|step| teller.tell(*step));
    teller.events
}

/// A history that has everything in it, always the same.
fn usual() -> Vec<EventBody> {
    let told: Vec<_> = (0..120_u8)
        .map(|step| (step.wrapping_mul(37), step.wrapping_mul(11), step.wrapping_mul(73)))
        .collect();
    history(&told)
}

async fn put(store: &dyn Store, edits: Vec<Edit>) {
    let batch = Batch {
        edits,
        ..Batch::default()
    };
    store.apply(batch).await.unwrap();
}

async fn happen(store: &dyn Store, events: Vec<EventBody>) {
    let journal = (0..).zip(events).map(|(number, body)| {
        let event = Event {
            at: Time(START.0 + number),
            actor: Actor::Hub,
            body,
        };
        event.to_bytes().unwrap()
    });
    let batch = Batch {
        journal: journal.collect(),
        ..Batch::default()
    };
    store.apply(batch).await.unwrap();
}

struct House {
    core: Core,
    _folder: tempfile::TempDir,
}

impl House {
    fn over(store: Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(store, folder.path(), START);
        Self { core, _folder: folder }
    }

    /// A hub in which all of this happened, and whose read models are as far as that.
    async fn after(events: Vec<EventBody>) -> Self {
        let house = Self::over(Arc::new(MemoryStore::new()));
        happen(&*house.core.store, events).await;
        projection::catch_up(&house.core).await.unwrap();
        house
    }

    async fn rebuild(&self) -> Result<RebuildReport, Fault> {
        let (listener, _told) = mpsc::channel(8);
        rebuild(&self.core, listener).await
    }

    async fn view(&self) -> Arc<dyn View> {
        Arc::from(self.core.store.view().await.unwrap())
    }

    async fn rows(&self, space: Space) -> Vec<Row> {
        let page = self.view().await.scan(keys::all(space), Order::Ascending, 1000).await;
        page.unwrap().rows
    }

    /// Whether every read model is what the whole ledger gives.
    async fn is_right(&self) -> bool {
        let view = self.view().await;
        let size = view.tree().size();
        let anew = Anew::fold(&self.core, &view, size, |_| {}).await.unwrap();
        let models = compare(&*view, &anew, None, |_| {}).await.unwrap();
        assert!(
            models.iter().all(|model| model.rows > 0),
            "nothing was compared: {models:?}"
        );
        models.iter().all(|model| model.differences() == 0)
    }

    /// Damage of every sort, in every read model but the position. Answers how many rows of each sort and what the first
    /// lost head is.
    async fn damage(&self) -> FeedbackId {
        let heads = self.rows(keys::HEAD).await;
        let lost = FeedbackId::from_bytes(keys::last_id(&heads[0].key).unwrap());
        let mut edits = vec![Edit::Delete(heads[0].key.clone()), Edit::Delete(heads[2].key.clone())];
        edits.push(Edit::Put(heads[1].key.clone(), b"nonsense".to_vec()));
        let stranger = FeedbackId::from_bytes([0xEE; 16]);
        edits.push(Edit::Put(keys::history(stranger, 3), Vec::new()));
        edits.push(Edit::Put(keys::history(stranger, 4), Vec::new()));
        let history = self.rows(keys::HISTORY).await;
        edits.push(Edit::Put(history[0].key.clone(), b"x".to_vec()));
        let deliveries = self.rows(keys::DELIVERY).await;
        edits.push(Edit::Delete(deliveries[0].key.clone()));
        edits.push(Edit::Put(deliveries[1].key.clone(), deliveries[2].value.bytes.clone()));
        let index = self.rows(keys::OF_CONTACT).await;
        edits.push(Edit::Delete(index[0].key.clone()));
        edits.push(Edit::Add(keys::count("kind", "complaint"), 5));
        edits.push(Edit::Add(keys::count("instance", "غريب"), 1));
        put(&*self.core.store, edits).await;
        lost
    }
}

fn of<'a>(report: &'a RebuildReport, model: &str) -> &'a ModelReport {
    report.models.iter().find(|found| found.model == model).unwrap()
}

fn figures(report: &ModelReport) -> [u64; 3] {
    [report.missing, report.different, report.surplus]
}

#[tokio::test]
async fn damage_is_named_and_mended_and_a_second_run_finds_nothing() {
    let house = House::after(usual()).await;
    assert!(house.is_right().await);
    let lost = house.damage().await;
    assert!(!house.is_right().await);
    let report = house.rebuild().await.unwrap();
    assert_eq!(figures(of(&report, "head")), [2, 1, 0]);
    assert_eq!(figures(of(&report, "history")), [0, 1, 2]);
    assert_eq!(figures(of(&report, "delivery")), [1, 1, 0]);
    assert_eq!(figures(of(&report, "of contact")), [1, 0, 0]);
    assert_eq!(figures(of(&report, "count")), [0, 1, 1]);
    assert_eq!(figures(of(&report, "position")), [0, 0, 0]);
    assert_eq!(report.mended, 11);
    assert_eq!(of(&report, "head").examples[0], format!("missing: feedback {lost}"));
    assert_eq!(of(&report, "count").examples[0], "too many: instance غريب");
    assert_eq!(of(&report, "count").examples[1], "different: kind complaint");
    assert!(house.is_right().await);
    let again = house.rebuild().await.unwrap();
    assert_eq!((again.mended, again.events), (0, report.events));
    assert!(again.models.iter().all(|model| model.examples.is_empty()));
}

#[tokio::test]
async fn everything_lost_is_made_again() {
    let house = House::after(usual()).await;
    let mut lost = Vec::new();
    for space in keys::READ_MODELS {
        lost.extend(house.rows(space).await.into_iter().map(|row| Edit::Delete(row.key)));
    }
    let count = lost.len() as u64;
    put(&*house.core.store, lost).await;
    let report = house.rebuild().await.unwrap();
    assert_eq!(report.mended, count);
    assert!(report.models.iter().all(|model| model.missing == model.rows));
    assert!(house.is_right().await);
}

#[tokio::test]
async fn a_position_that_cannot_be_is_put_right() {
    let size = usual().len() as u64;
    let put_there = |position: u64| Edit::Put(keys::position(), rows::encode(&position).unwrap());
    for wrong in [
        Edit::Delete(keys::position()),
        put_there(size + 9),
        put_there(size - 5),
        put_there(0),
        Edit::Put(keys::position(), "هراء".into()),
    ] {
        let house = House::after(usual()).await;
        put(&*house.core.store, vec![wrong.clone()]).await;
        house.rebuild().await.unwrap();
        let (position, _) = projection::position(&*house.view().await).await.unwrap();
        assert_eq!(position, size, "{wrong:?}");
        assert!(house.is_right().await, "{wrong:?}");
    }
}

#[tokio::test]
async fn read_models_that_are_behind_are_not_called_damaged() {
    let house = House::after(usual()).await;
    happen(&*house.core.store, usual()).await;
    let report = house.rebuild().await.unwrap();
    assert_eq!((report.mended, report.events), (0, usual().len() as u64));
    let (position, _) = projection::position(&*house.view().await).await.unwrap();
    assert_eq!(position, 2 * usual().len() as u64, "they catch up afterwards");
}

#[tokio::test]
async fn a_rebuild_gives_way_to_somebody_who_writes_read_models_meanwhile() {
    let house = House::after(usual()).await;
    let (_, version) = projection::position(&*house.view().await).await.unwrap();
    let mut mending = Mending::new(&house.core, projection::guard(version), false);
    let stranger = house.rows(keys::HEAD).await.remove(0);
    mending.take(Difference::Surplus(stranger)).await.unwrap();
    happen(&*house.core.store, usual()).await;
    projection::catch_up(&house.core).await.unwrap();
    assert!(matches!(mending.finish().await, Err(Fault::Contended)));
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_changes_nothing() {
    let house = House::after(usual()).await;
    house.damage().await;
    let nonsense = Batch {
        journal: vec![b"no event".to_vec()],
        edits: vec![Edit::Delete(keys::position())],
        ..Batch::default()
    };
    house.core.store.apply(nonsense).await.unwrap();
    let before = house.view().await.version();
    assert!(matches!(house.rebuild().await, Err(Fault::Damaged { .. })));
    assert_eq!(house.view().await.version(), before);
}

#[tokio::test]
async fn the_store_beside_is_a_file_without_a_name() {
    let mut house = House::after(usual()).await;
    let folder = tempfile::tempdir().unwrap();
    house.core.side_stores = SideStores::in_folder(Doors::real().disk, folder.path().to_owned(), 0);
    house.damage().await;
    assert_eq!(house.rebuild().await.unwrap().mended, 11);
    assert!(house.is_right().await);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A store that takes so many batches and then no more, as when the process ends there.
struct Ending {
    inner: Arc<MemoryStore>,
    left: AtomicUsize,
}

#[async_trait]
impl Store for Ending {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            return Err(StoreError::Closed.into());
        }
        self.inner.apply(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

#[tokio::test]
async fn cut_off_anywhere_the_next_start_puts_it_right() {
    let mut cuts = 0;
    loop {
        let inner = Arc::new(MemoryStore::new());
        let house = House::over(inner.clone());
        happen(&*inner, usual()).await;
        projection::catch_up(&house.core).await.unwrap();
        house.damage().await;
        let ending = Ending {
            inner: inner.clone(),
            left: AtomicUsize::new(cuts),
        };
        let outcome = House::over(Arc::new(ending)).rebuild().await;
        let is_marked = house.view().await.get(&mark()).await.unwrap().is_some();
        assert_eq!(is_marked, outcome.is_err() && cuts > 0, "after {cuts} pieces");
        finish(&house.core).await.unwrap();
        assert!(house.view().await.get(&mark()).await.unwrap().is_none());
        // Before the first piece, nothing had begun: it is as damaged as it was.
        assert_eq!(house.is_right().await, cuts > 0, "after {cuts} pieces");
        if outcome.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(
        cuts >= 4,
        "the damage was mended in {cuts} pieces; more are needed here"
    );
}

#[test]
fn a_guard_of_rows_that_were_never_folded_is_absence() {
    assert_eq!(projection::guard(None), Guard::Absent(keys::position()));
    assert_eq!(projection::guard(Some(4)), Guard::At(keys::position(), 4));
}

/// All read models, as they are and as they are made anew up to the same event.
async fn both(house: &House) -> (Vec<(Key, Vec<u8>)>, Vec<(Key, Vec<u8>)>) {
    let view = house.view().await;
    let (position, _) = projection::position(&*view).await.unwrap();
    let anew = Anew::fold(&house.core, &view, position, |_| {}).await.unwrap();
    let anew = anew.view().await.unwrap();
    let (mut there, mut expected) = (Vec::new(), Vec::new());
    for space in keys::READ_MODELS {
        for (view, found) in [(&*view, &mut there), (&*anew, &mut expected)] {
            let page = view.scan(keys::all(space), Order::Ascending, 10_000).await.unwrap();
            assert!(page.next.is_none());
            found.extend(page.rows.into_iter().map(|row| (row.key, row.value.bytes)));
        }
    }
    (there, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn folded_along_and_folded_anew_are_the_same(
        told in prop::collection::vec(any::<(u8, u8, u8)>(), 1..150),
        steps in prop::collection::vec(1_u64..40, 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (there, expected) = runtime.block_on(async {
            let house = House::over(Arc::new(MemoryStore::new()));
            happen(&*house.core.store, history(&told)).await;
            let mut until = 0;
            for step in steps {
                until += step;
                projection::advance(&house.core.store, until, projection::EVENTS_MAX).await.unwrap();
            }
            both(&house).await
        });
        prop_assert_eq!(there, expected);
    }
}
