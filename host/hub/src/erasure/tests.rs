//! Erasure over the engine in memory, and on disk where bytes are looked for.

mod damage;
mod over_time;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mihwar_ledger::Signer;
use mihwar_model::{
    Actor, AttachmentBytes, Author, Channel, ContactId, DeadLettered, Delivered, DeliveryId, Draft, DraftAttachment,
    Event, EventBody, FeedbackId, Identifier, InstanceName, Kind, Route, Routed, Tag, Time,
};
use mihwar_store::{
    ApplyError, Batch, Commit, Edit, MemoryStore, Order, RedbSettings, RedbStore, Row, Space, Statistics, Store,
    StoreError, View,
};
use tokio::sync::mpsc;

use super::{EraseRefusal, ErasureReport, erase, find, finish};
use crate::config::Hold;
use crate::core::Core;
use crate::fault::Fault;
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::rows::{self, DeadRow, OutboxRow, ReferenceContent};
use crate::{keys, projection, query, verification};

const START: Time = Time(1_790_000_000_000);
const ORIGIN: &str = "mihwar.example/ledger";

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

fn person(id: &str) -> Identifier {
    Identifier {
        scheme: "email".into(),
        id: id.into(),
    }
}

fn huda() -> Identifier {
    person("huda@example.com")
}

/// Something that somebody said.
fn said(by: &Identifier, id: &str, body: &str) -> Draft {
    Draft {
        external_id: Some(id.to_owned()),
        revision: Some("a".to_owned()),
        kind: Some(Kind::Complaint),
        author: Some(Author {
            name: Some("هدى العلي".to_owned()),
            identifiers: vec![by.clone()],
            ..Author::default()
        }),
        body: body.to_owned(),
        ..Draft::new(Channel::new(tag("form")))
    }
}

fn with_photo(draft: Draft) -> Draft {
    let photo = DraftAttachment {
        name: "صورة الفاتورة.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: None,
        bytes: AttachmentBytes::Inline(vec![7; 100]),
    };
    Draft {
        attachments: vec![photo],
        ..draft
    }
}

struct House {
    core: Core,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    fn over(store: Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(store, &folder.path().join("files"), START);
        Self { core, folder }
    }

    /// The same folder after a restart, some time later.
    fn restarted(self, store: Arc<dyn Store>, millis: i64) -> Self {
        let core = Core::for_tests(store, &self.folder.path().join("files"), START.plus_millis(millis));
        Self {
            core,
            folder: self.folder,
        }
    }

    async fn accept(&self, drafts: Vec<Draft>) -> Vec<Intake> {
        let arrivals: Vec<Arrival> = drafts.into_iter().map(Arrival::from).collect();
        let (form, rider) = (name("form"), Rider::default());
        let accepted = accept(&self.core, &Actor::Console, &form, &arrivals, &rider);
        accepted.await.unwrap().into_iter().flatten().collect()
    }

    async fn rows(&self, space: Space) -> Vec<Row> {
        let view = self.core.store.view().await.unwrap();
        view.scan(keys::all(space), Order::Ascending, 1_000).await.unwrap().rows
    }

    async fn events(&self) -> Vec<EventBody> {
        let view = self.core.store.view().await.unwrap();
        let entries = view.journal(0, 1_000).await.unwrap();
        let body = |bytes: &[u8]| Event::from_bytes(bytes).unwrap().body;
        entries.iter().map(|entry| body(&entry.bytes)).collect()
    }

    async fn write(&self, edits: Vec<Edit>, bodies: Vec<EventBody>) {
        let event = |body| self.core.event(Actor::Hub, body).unwrap();
        let batch = Batch {
            edits,
            journal: bodies.into_iter().map(event).collect(),
            ..Batch::default()
        };
        self.core.store.apply(batch).await.unwrap();
    }

    async fn contact_of(&self, feedback: FeedbackId) -> ContactId {
        let record = query::feedback(&self.core, feedback).await.unwrap();
        record.unwrap().head.contact
    }

    async fn erase(&self, contact: ContactId) -> Result<ErasureReport, EraseRefusal> {
        erase(&self.core, &[], &Actor::Console, contact, &tag("طلب-صاحبها")).await
    }

    /// What `mihwar ledger verify` finds.
    async fn findings(&self) -> Vec<String> {
        let (progress, _told) = mpsc::channel(8);
        let signer = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
        let report = verification::verify(&self.core, &signer, ORIGIN, Vec::new(), progress).await;
        report.unwrap().findings
    }

    /// The record leaves the queue and waits for these departments.
    async fn route(&self, feedback: FeedbackId, contact: ContactId, to: &[(&str, u8)]) {
        let mut edits = vec![Edit::Delete(keys::queue(feedback, 1))];
        let mut routes = Vec::new();
        for (department, number) in to {
            let delivery = DeliveryId::from_bytes([*number; 16]);
            let row = rows::encode(&waiting(feedback, contact)).unwrap();
            edits.push(Edit::Put(keys::outbox(&name(department), delivery), row));
            routes.push(Route {
                delivery,
                destination: name(department),
                rule: "فاتورة".into(),
            });
        }
        let routed = Routed {
            feedback,
            revision: 1,
            routes,
            rules: 1,
        };
        self.write(edits, vec![EventBody::Routed(routed)]).await;
    }
}

fn waiting(feedback: FeedbackId, contact: ContactId) -> OutboxRow {
    OutboxRow {
        feedback,
        revision: 1,
        contact,
        attempts: 0,
        due: START,
        rule: "فاتورة".to_owned(),
        attempts_before_replay: 0,
        erased: None,
    }
}

fn id(intake: &Intake) -> FeedbackId {
    match intake {
        Intake::New { feedback, .. } | Intake::Revised { feedback, .. } | Intake::Duplicate { feedback, .. } => {
            *feedback
        }
        other => panic!("{other:?}"),
    }
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            _ => 1,
        })
        .sum()
}

/// Two records of Huda's, one of somebody else's. The first is delivered to billing and waits for the service, the second
/// is a dead letter.
async fn story(house: &House) -> (Vec<FeedbackId>, ContactId) {
    let long = "الطابور طويل والموظف واحد. ".repeat(3_000);
    let taken = house
        .accept(vec![
            with_photo(said(&huda(), "1", &long)),
            said(&huda(), "2", "The invoice is wrong"),
            said(&person("salem@example.com"), "3", "شكرًا لكم"),
        ])
        .await;
    let ids: Vec<FeedbackId> = taken.iter().map(id).collect();
    let contact = house.contact_of(ids[0]).await;
    house.route(ids[0], contact, &[("billing", 1), ("service", 2)]).await;
    house.route(ids[1], contact, &[("billing", 3)]).await;
    let (billing, feedback) = (name("billing"), ids[0]);
    let key = house.core.contact_keys_now(vec![contact]).await.unwrap();
    let content = ReferenceContent {
        reference: "تذكرة-٧".into(),
        url: None,
    };
    let salted = [vec![0; 32], rows::encode(&content).unwrap()].concat();
    let place = [b"reference".as_slice(), &feedback.to_bytes(), b"billing"].concat();
    let sealed = house.core.vault.seal_for(key.usable(contact).unwrap(), &place, &salted);
    let (first, dead) = (DeliveryId::from_bytes([1; 16]), DeliveryId::from_bytes([3; 16]));
    let letter = DeadRow {
        entry: OutboxRow {
            attempts: 3,
            ..waiting(ids[1], contact)
        },
        code: "refused".into(),
        reason: vec![9; 40],
        at: START,
    };
    let edits = vec![
        Edit::Delete(keys::outbox(&billing, first)),
        Edit::Put(keys::reference(feedback, &billing), sealed.unwrap()),
        Edit::Delete(keys::outbox(&billing, dead)),
        Edit::Put(keys::dead(&billing, dead), rows::encode(&letter).unwrap()),
    ];
    let events = vec![
        EventBody::Delivered(Delivered {
            delivery: first,
            feedback,
            destination: billing.clone(),
            attempt: 1,
            reference: None,
        }),
        EventBody::DeliveryDeadLettered(DeadLettered {
            delivery: dead,
            feedback: ids[1],
            destination: billing,
            attempts: 3,
            code: "refused".into(),
        }),
    ];
    house.write(edits, events).await;
    (ids, contact)
}

#[tokio::test]
async fn nothing_of_a_person_is_left_departments_are_told_and_every_proof_holds() {
    let house = House::new();
    let (ids, contact) = story(&house).await;
    assert_eq!(house.findings().await, Vec::<String>::new());
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(contact));
    let report = house.erase(contact).await.unwrap();
    let counts = (
        report.records,
        report.contents,
        report.files,
        report.withheld,
        report.told,
    );
    // The service never had the first one; billing may have both.
    assert_eq!(counts, (2, 2, 2, 2, 2), "{report:?}");

    assert_eq!(house.rows(keys::CONTENT).await.len(), 1);
    assert_eq!(house.rows(keys::CONTACT_KEY).await.len(), 1);
    assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1);
    for space in [keys::REFERENCE, keys::DEAD, keys::FILE, keys::DOOMED, keys::ERASING] {
        assert!(house.rows(space).await.is_empty(), "{space:?}");
    }
    assert_eq!(files_below(&house.folder.path().join("files")), 0);
    assert_eq!(find(&house.core, &huda()).await.unwrap(), None);
    assert!(house.core.vault.kept_contact_key(contact).is_none());
    let told = house.rows(keys::OUTBOX).await;
    let told: Vec<OutboxRow> = told
        .iter()
        .map(|row| rows::decode("an outbox row", &row.value.bytes).unwrap())
        .collect();
    let named = |row: &OutboxRow| (row.feedback, !row.erased.as_ref().unwrap().reference.is_empty());
    assert_eq!(
        told.iter().map(named).collect::<Vec<_>>(),
        [(ids[0], true), (ids[1], false)]
    );

    assert_eq!(house.findings().await, Vec::<String>::new());
    let sequence = usize::try_from(report.sequence).unwrap();
    match &house.events().await[sequence] {
        EventBody::ContactErased(erased) => assert_eq!((erased.contact, erased.records), (contact, 2)),
        other => panic!("{other:?}"),
    }
    let record = query::feedback(&house.core, ids[0]).await.unwrap().unwrap();
    assert!(record.content.is_none() && record.head.erased_at == Some(START));
    let deliveries = query::deliveries_of(&house.core, ids[0]).await.unwrap();
    let states: Vec<_> = deliveries
        .iter()
        .map(|one| (one.state.as_str(), one.rule.as_str()))
        .collect();
    assert_eq!(
        states,
        [("delivered", "فاتورة"), ("skipped", "فاتورة"), ("waiting", "erasure")]
    );
}

#[tokio::test]
async fn what_an_erased_person_said_does_not_come_back_and_the_person_may() {
    let house = House::new();
    let (ids, contact) = story(&house).await;
    house.erase(contact).await.unwrap();
    let size = house.events().await.len();
    let revised = Draft {
        revision: Some("b".to_owned()),
        ..said(&huda(), "1", "نص جديد")
    };
    let again = house.accept(vec![said(&huda(), "1", "x"), revised]).await;
    let known = Intake::Duplicate {
        feedback: ids[0],
        revision: 1,
    };
    assert_eq!(again, [known.clone(), known]);
    assert_eq!(house.events().await.len(), size, "nothing is written");
    let fresh = house.accept(vec![said(&huda(), "4", "عدت إليكم")]).await;
    assert!(matches!(fresh[0], Intake::New { .. }));
    let newcomer = house.contact_of(id(&fresh[0])).await;
    assert_ne!(newcomer, contact);
    assert_eq!(find(&house.core, &huda()).await.unwrap(), Some(newcomer));
}

#[tokio::test]
async fn who_is_held_worked_with_unknown_or_erased_is_refused_and_nothing_changes() {
    let house = House::new();
    let (_, contact) = story(&house).await;
    projection::catch_up(&house.core).await.unwrap();
    let version = house.core.store.view().await.unwrap().version();
    let hold = Hold {
        contact,
        reason: "قضية ١٢".to_owned(),
    };
    let held = erase(&house.core, &[hold], &Actor::Console, contact, &tag("request")).await;
    assert!(held.unwrap_err().to_string().contains("قضية ١٢"));
    let working = house.core.turns.work_with([contact]);
    assert!(matches!(house.erase(contact).await, Err(EraseRefusal::OnItsWay(_))));
    drop(working);
    let unknown = ContactId::from_bytes([9; 16]);
    assert!(matches!(house.erase(unknown).await, Err(EraseRefusal::Unknown(_))));
    assert_eq!(house.core.store.view().await.unwrap().version(), version);
    house.erase(contact).await.unwrap();
    projection::catch_up(&house.core).await.unwrap();
    let version = house.core.store.view().await.unwrap().version();
    assert!(matches!(
        house.erase(contact).await,
        Err(EraseRefusal::Already { at: START, .. })
    ));
    assert_eq!(house.core.store.view().await.unwrap().version(), version);
}

#[tokio::test]
async fn an_anonymous_person_and_one_whose_contents_are_gone_are_erased_whole() {
    let house = House::new();
    let anonymous = Draft {
        author: None,
        ..said(&huda(), "1", "بلا اسم")
    };
    let taken = house.accept(vec![anonymous, said(&huda(), "2", "باسم")]).await;
    let nobody = house.contact_of(id(&taken[0])).await;
    house.erase(nobody).await.unwrap();
    assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1, "hers stays");
    let contact = house.contact_of(id(&taken[1])).await;
    let back = [Arrival::Withdrawal {
        external_id: "2".to_owned(),
    }];
    let (form, rider) = (name("form"), Rider::default());
    accept(&house.core, &Actor::Console, &form, &back, &rider)
        .await
        .unwrap();
    house.erase(contact).await.unwrap();
    assert!(house.rows(keys::IDENTIFIER).await.is_empty());
    assert!(house.rows(keys::CONTACT_KEY).await.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

/// A store whose disk fails at one write, and at all that follow.
struct Failing {
    inner: Arc<MemoryStore>,
    /// Writes before that.
    left: AtomicUsize,
}

#[async_trait]
impl Store for Failing {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.inner.view().await
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.inner.apply(batch).await,
            Err(_) => Err(ApplyError::Unknown),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

#[tokio::test]
async fn an_erasure_that_is_cut_off_at_any_write_is_carried_to_its_end() {
    for writes in 0.. {
        assert!(writes < 100, "an erasure of seven records takes no end");
        let store = Arc::new(MemoryStore::new());
        let house = House::over(store.clone());
        let (_, contact) = story(&house).await;
        let more = (10..15).map(|number| said(&huda(), &number.to_string(), "وما زلت أنتظر"));
        house.accept(more.collect()).await;
        projection::catch_up(&house.core).await.unwrap();
        let failing = Failing {
            inner: store.clone(),
            left: AtomicUsize::new(writes),
        };
        let house = house.restarted(Arc::new(failing), 1_000);
        let is_done = match house.erase(contact).await {
            Ok(_) => true,
            Err(error) => {
                assert!(matches!(error, EraseRefusal::Fault(Fault::Unknown)), "{error}");
                false
            }
        };
        let house = house.restarted(store, 2_000);
        assert_eq!(house.findings().await, Vec::<String>::new(), "after {writes} writes");
        let finished = finish(&house.core, &[]).await.unwrap();
        if !is_done && finished == 0 {
            // Nothing had begun.
            house.erase(contact).await.unwrap();
        }
        assert_eq!(house.rows(keys::CONTENT).await.len(), 1, "after {writes} writes");
        assert_eq!(house.rows(keys::CONTACT_KEY).await.len(), 1);
        assert_eq!(house.rows(keys::IDENTIFIER).await.len(), 1);
        let certificates = house.events().await;
        let certificates = certificates
            .iter()
            .filter(|event| matches!(event, EventBody::ContactErased(erased) if erased.records == 7));
        assert_eq!(certificates.count(), 1, "after {writes} writes");
        let erased: BTreeSet<FeedbackId> = house
            .events()
            .await
            .iter()
            .filter_map(|event| match event {
                EventBody::RecordErased(erased) => Some(erased.feedback),
                _ => None,
            })
            .collect();
        assert_eq!(erased.len(), 7);
        assert_eq!(house.findings().await, Vec::<String>::new(), "after {writes} writes");
        if is_done {
            return;
        }
    }
}

fn bytes_below(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            bytes_below(&entry.path(), all);
        } else {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
}

fn holds(all: &[u8], wanted: &[u8]) -> bool {
    all.windows(wanted.len()).any(|bytes| bytes == wanted)
}

#[tokio::test]
async fn after_a_compaction_not_even_the_sealed_key_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RedbSettings {
        free_space_floor: 0,
        natures: keys::NATURES,
        ..RedbSettings::default()
    };
    let store = Arc::new(RedbStore::open(folder.path().join("mihwar.redb"), settings).unwrap());
    let house = House::over(store.clone());
    let (ids, contact) = story(&house).await;
    let view = store.view().await.unwrap();
    let key = view.get(&keys::contact_key(contact)).await.unwrap().unwrap().bytes;
    let content = view.get(&keys::content(ids[1], 1)).await.unwrap().unwrap().bytes;
    drop(view);
    house.erase(contact).await.unwrap();
    store.compact(Box::new(|_| {})).await.unwrap();
    store.close().await.unwrap();
    let mut all = Vec::new();
    bytes_below(folder.path(), &mut all);
    bytes_below(house.folder.path(), &mut all);
    assert!(!all.is_empty());
    // Without the head of the row, which many have in common.
    for sealed in [&key, &content] {
        assert!(!holds(&all, &sealed[16..48]));
    }
    for plain in [
        "هدى",
        "huda@example.com",
        "الطابور",
        "invoice is wrong",
        "تذكرة-٧",
        "الفاتورة.png",
    ] {
        assert!(!holds(&all, plain.as_bytes()), "{plain}");
    }
}
