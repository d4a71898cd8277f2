//! Reports over the engine in memory: kept once, found by name, gone with their item.

use std::sync::Arc;

use mihwar_ledger::Signer;
use mihwar_model::{
    Actor, Author, Channel, ContactId, Delivered, DeliveryId, Draft, EventBody, FeedbackId, Identifier, InstanceName,
    Route, Routed, Tag, Time,
};
use mihwar_sandbox::contract::types::{StatusUpdate, WorkState};
use mihwar_store::{Batch, Edit, MemoryStore, Order, Row, Space, Store};
use tokio::sync::mpsc;

use super::{Reported, StatusRecord, anew, named, plan, told};
use crate::core::Core;
use crate::erasure::erase;
use crate::fault::Fault;
use crate::intake::{Arrival, Intake, accept};
use crate::rows::{self, OutboxRow, ReferenceContent, ReportRow};
use crate::{intake, keys, query, verification};

const START: Time = Time(1_790_000_000_000);
const ORIGIN: &str = "mihwar.example/ledger";

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn update(reference: &str, state: WorkState, after: i64) -> StatusUpdate {
    StatusUpdate {
        external_ref: reference.to_owned(),
        state,
        note: Some("أُعيد المبلغ إلى هدى".to_owned()),
        url: Some("https://tickets.example/7".to_owned()),
        changed_at: START.0 - 3_600_000 + after,
    }
}

struct House {
    core: Core,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let core = Core::for_tests(store, &folder.path().join("files"), START);
        Self { core, _folder: folder }
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

    async fn rows(&self, space: Space) -> Vec<Row> {
        let view = self.core.store.view().await.unwrap();
        view.scan(keys::all(space), Order::Ascending, 1_000).await.unwrap().rows
    }

    async fn take(&self, arrival: Arrival) -> Option<Intake> {
        let (form, rider) = (name("form"), intake::Rider::default());
        let taken = accept(&self.core, &Actor::Console, &form, &[arrival], &rider).await;
        taken.unwrap().pop().unwrap()
    }

    /// Something that Huda said, and that billing was given and calls so.
    async fn delivered(&self, number: u8, reference: &str) -> (FeedbackId, ContactId) {
        let draft = Draft {
            external_id: Some(number.to_string()),
            author: Some(Author {
                identifiers: vec![Identifier {
                    scheme: "tel".into(),
                    id: "+966501234567".into(),
                }],
                ..Author::default()
            }),
            body: "خُصم المبلغ مرتين".to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let Some(Intake::New { feedback, .. }) = self.take(draft.into()).await else {
            panic!("it is known already")
        };
        let contact = query::feedback(&self.core, feedback)
            .await
            .unwrap()
            .unwrap()
            .head
            .contact;
        let (billing, delivery) = (name("billing"), DeliveryId::from_bytes([number; 16]));
        let row = OutboxRow {
            feedback,
            revision: 1,
            contact,
            attempts: 0,
            due: START,
            rule: "فاتورة".to_owned(),
            attempts_before_replay: 0,
            erased: None,
        };
        let key = self.core.contact_keys_now(vec![contact]).await.unwrap();
        let content = ReferenceContent {
            reference: reference.to_owned(),
            url: None,
        };
        let salted = [vec![0; 32], rows::encode(&content).unwrap()].concat();
        let place = [b"reference".as_slice(), &feedback.to_bytes(), b"billing"].concat();
        let sealed = self.core.vault.seal_for(key.usable(contact).unwrap(), &place, &salted);
        let mut edits = vec![
            Edit::Delete(keys::queue(feedback, 1)),
            Edit::Put(keys::reference(feedback, &billing), sealed.unwrap()),
        ];
        edits.extend(named(&self.core, &billing, reference, &row).unwrap());
        let routed = EventBody::Routed(Routed {
            feedback,
            revision: 1,
            routes: vec![Route {
                delivery,
                destination: billing.clone(),
                rule: "فاتورة".into(),
            }],
            rules: 1,
            failed: None,
        });
        let delivered = EventBody::Delivered(Delivered {
            delivery,
            feedback,
            destination: billing,
            attempt: 1,
            reference: Some([1; 32]),
        });
        self.write(edits, vec![routed, delivered]).await;
        (feedback, contact)
    }

    async fn write_down(&self, reported: &Reported) -> Result<(), Fault> {
        let billing = name("billing");
        let actor = Actor::Instance(billing.clone());
        accept(&self.core, &actor, &billing, &[], &reported.rider)
            .await
            .map(drop)
    }

    /// Billing reports. Answers how many events that made, and what was refused.
    async fn report(&self, updates: &[StatusUpdate]) -> (usize, Vec<String>) {
        let reported = plan(&self.core, &name("billing"), updates).await.unwrap();
        self.write_down(&reported).await.unwrap();
        let refused = reported.refused.iter().map(|(_, problems)| problems[0].to_string());
        (reported.rider.events.len(), refused.collect())
    }

    async fn told(&self, feedback: FeedbackId) -> Vec<StatusRecord> {
        let history = query::history(&self.core, feedback).await.unwrap();
        told(&self.core, &history).await.unwrap()
    }

    async fn findings(&self) -> Vec<String> {
        let (progress, _told) = mpsc::channel(8);
        let signer = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
        let report = verification::verify(&self.core, &signer, ORIGIN, Vec::new(), progress).await;
        report.unwrap().findings
    }
}

#[tokio::test]
async fn a_report_is_kept_once_and_the_newest_by_the_departments_clock_counts() {
    let house = House::new();
    let (feedback, _) = house.delivered(1, "تذكرة-٧").await;
    let resolved = update("تذكرة-٧", WorkState::Resolved, 2_000);
    let open = update("تذكرة-٧", WorkState::Open, 1_000);
    assert_eq!(house.report(&[resolved.clone(), resolved.clone()]).await, (1, vec![]));
    // The older one comes later; then both are sent once more, by whoever recorded them.
    assert_eq!(house.report(std::slice::from_ref(&open)).await, (1, vec![]));
    assert_eq!(house.report(&[open, resolved]).await, (0, vec![]));
    let told = house.told(feedback).await;
    let shown: Vec<_> = told.iter().map(|one| (one.state.as_str(), one.is_current)).collect();
    assert_eq!(shown, [("resolved", true), ("open", false)]);
    assert_eq!(told[0].note.as_deref(), Some("أُعيد المبلغ إلى هدى"));
    assert_eq!(told[0].url.as_deref(), Some("https://tickets.example/7"));
    assert_eq!(
        (told[0].changed_at, told[0].reported_at),
        (START.plus_millis(-3_598_000), START)
    );
    assert_eq!(house.findings().await, Vec::<String>::new());
    // What the department said stands in no event.
    let view = house.core.store.view().await.unwrap();
    for entry in view.journal(0, 100).await.unwrap() {
        assert!(!String::from_utf8_lossy(&entry.bytes).contains("هدى"));
    }
}

#[tokio::test]
async fn a_report_about_an_item_that_nobody_was_handed_is_refused_and_waits_only_while_something_is_on_its_way() {
    let house = House::new();
    let (feedback, contact) = house.delivered(1, "تذكرة-٧").await;
    let billing = name("billing");
    let stranger = update("تذكرة-٨", WorkState::Open, 0);
    let reported = plan(&house.core, &billing, std::slice::from_ref(&stranger))
        .await
        .unwrap();
    assert!(!reported.may_be_early && reported.rider.events.is_empty());
    assert!(reported.refused[0].1[0].message.contains("no item"), "{reported:?}");
    // What another department calls so is not billing's.
    let elsewhere = plan(&house.core, &name("service"), &[update("تذكرة-٧", WorkState::Open, 0)]).await;
    assert_eq!(elsewhere.unwrap().refused.len(), 1);
    let waiting = OutboxRow {
        feedback,
        revision: 1,
        contact,
        attempts: 0,
        due: START,
        rule: "فاتورة".to_owned(),
        attempts_before_replay: 0,
        erased: None,
    };
    let place = keys::outbox(&billing, DeliveryId::from_bytes([9; 16]));
    house
        .write(vec![Edit::Put(place, rows::encode(&waiting).unwrap())], Vec::new())
        .await;
    assert!(plan(&house.core, &billing, &[stranger]).await.unwrap().may_be_early);
}

#[tokio::test]
async fn items_that_are_called_the_same_are_reported_about_together_and_none_without_end() {
    let house = House::new();
    let (one, _) = house.delivered(1, "queue-1").await;
    let (other, _) = house.delivered(2, "queue-1").await;
    assert_eq!(
        house.report(&[update("queue-1", WorkState::InProgress, 0)]).await,
        (2, vec![])
    );
    for feedback in [one, other] {
        assert_eq!(house.told(feedback).await[0].state.as_str(), "in-progress");
    }
    let many: Vec<StatusUpdate> = (1..10)
        .map(|after| update("queue-1", WorkState::Reopened, after))
        .collect();
    let (kept, refused) = house.report(&many).await;
    assert_eq!((kept, refused.len()), (2 * 3, 6), "four of each item in all");
}

#[tokio::test]
async fn more_reports_than_fit_into_one_transaction_are_kept_all_the_same() {
    let house = House::new();
    let (one, _) = house.delivered(1, "queue-1").await;
    let (other, _) = house.delivered(2, "queue-1").await;
    let long = |after| StatusUpdate {
        note: Some("هدى ".repeat(400)),
        ..update("queue-1", WorkState::Reopened, after)
    };
    let many: Vec<StatusUpdate> = (0..4).map(long).collect();
    let (in_the_last, refused) = house.report(&many).await;
    assert!(
        (1..8).contains(&in_the_last) && refused.is_empty(),
        "{in_the_last}, {refused:?}"
    );
    for feedback in [one, other] {
        assert_eq!(house.told(feedback).await.len(), 4);
    }
    assert_eq!(house.report(&many).await, (0, vec![]), "all are known");
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_said_goes_with_its_person_and_the_facts_stay() {
    let house = House::new();
    let (feedback, contact) = house.delivered(1, "تذكرة-٧").await;
    house.report(&[update("تذكرة-٧", WorkState::Resolved, 0)]).await;
    erase(&house.core, &[], &Actor::Console, contact, &Tag::new("طلب").unwrap())
        .await
        .unwrap();
    assert!(house.rows(keys::CALLED).await.is_empty() && house.rows(keys::TOLD).await.is_empty());
    let told = house.told(feedback).await;
    assert_eq!(
        (told[0].state.as_str(), &told[0].note, &told[0].url),
        ("resolved", &None, &None)
    );
    assert_eq!(house.findings().await, Vec::<String>::new());
    // The department closes its copy and says so: it was told of an item that the hub does not know any more.
    let (kept, refused) = house.report(&[update("تذكرة-٧", WorkState::Rejected, 5_000)]).await;
    assert!(kept == 0 && refused.len() == 1, "{refused:?}");
}

#[tokio::test]
async fn what_was_said_goes_with_an_item_that_its_source_takes_back() {
    let house = House::new();
    let (feedback, _) = house.delivered(1, "تذكرة-٧").await;
    let (kept, _) = house.delivered(2, "ticket-8").await;
    let both = [
        update("تذكرة-٧", WorkState::Open, 0),
        update("ticket-8", WorkState::Open, 0),
    ];
    house.report(&both).await;
    let late = plan(
        &house.core,
        &name("billing"),
        &[update("تذكرة-٧", WorkState::Resolved, 9)],
    )
    .await;
    let withdrawal = Arrival::Withdrawal {
        external_id: "1".to_owned(),
    };
    assert!(house.take(withdrawal).await.is_none());
    let raced = house.write_down(&late.unwrap()).await;
    assert!(matches!(raced, Err(Fault::Contended)), "{raced:?}");
    assert_eq!(
        (house.rows(keys::CALLED).await.len(), house.rows(keys::TOLD).await.len()),
        (1, 3),
        "of the other item: its name, twice, and that it has one"
    );
    assert!(house.told(feedback).await[0].note.is_none() && house.told(kept).await[0].note.is_some());
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn rows_that_are_gone_or_changed_are_found_and_names_are_made_anew() {
    let house = House::new();
    let (feedback, contact) = house.delivered(1, "تذكرة-٧").await;
    house.report(&[update("تذكرة-٧", WorkState::Open, 0)]).await;
    let called = house.rows(keys::CALLED).await.remove(0);
    house
        .write(vec![Edit::Put(called.key.clone(), "صف تالف".into())], Vec::new())
        .await;
    let findings = house.findings().await;
    assert!(
        findings.len() == 1 && findings[0].contains("doctor --rebuild"),
        "{findings:?}"
    );
    let next = update("تذكرة-٧", WorkState::Resolved, 7);
    assert_eq!(house.report(std::slice::from_ref(&next)).await.1.len(), 1);
    assert_eq!(anew(&house.core).await.unwrap(), 1);
    assert_eq!(anew(&house.core).await.unwrap(), 0, "nothing is left to be put right");
    assert_eq!(house.rows(keys::CALLED).await.remove(0).value.bytes, called.value.bytes);
    assert_eq!(house.report(&[next]).await, (1, vec![]));
    let silent = ReportRow {
        contact,
        words: Vec::new(),
    };
    let reports = house.rows(keys::TOLD).await;
    let report = reports.last().unwrap().key.clone();
    for (edit, what) in [
        (Edit::Put(report.clone(), rows::encode(&silent).unwrap()), "another one"),
        (Edit::Put(report.clone(), "صف تالف".into()), "is damaged"),
        (Edit::Delete(report.clone()), "gone"),
    ] {
        house.write(vec![edit], Vec::new()).await;
        let findings = house.findings().await;
        assert!(
            findings.len() == 1 && findings[0].contains(what),
            "{what}: {findings:?}"
        );
    }
    assert_eq!(house.told(feedback).await.len(), 2, "the story is told all the same");
}
