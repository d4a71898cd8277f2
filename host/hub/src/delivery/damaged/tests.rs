//! Damaged rows of deliveries: each costs itself, and comes back by what the ledger tells.

use std::sync::Arc;

use mihwar_model::{
    Actor, Author, Channel, DeliveryId, Draft, EventBody, Identifier, InstanceName, Route, Routed, Tag, Time,
};
use mihwar_store::{Batch, Edit, MemoryStore, Order, Store};
use tokio::sync::mpsc;

use super::super::outbox::{Due, entries, read};
use super::{CODE, Damaged, dead_entry, set_aside};
use crate::config::Config;
use crate::core::Core;
use crate::delivery::{ReplaySelection, replay};
use crate::doors::Doors;
use crate::hub::Hub;
use crate::intake::Intake;
use crate::keys;
use crate::query::{self, DeliveryFilter};
use crate::rows::{DeliveryState, ErasureNotice, OutboxRow, encode};

const START: Time = Time(1_790_000_000_000);

fn billing() -> InstanceName {
    InstanceName::new("billing").unwrap()
}

fn delivery(number: u8) -> DeliveryId {
    DeliveryId::from_bytes([number; 16])
}

/// What the outbox shows.
struct Looked {
    due: Vec<Due>,
    damaged: Vec<Damaged>,
}

struct House {
    store: Arc<MemoryStore>,
    hub: Hub,
    _folder: tempfile::TempDir,
}

impl House {
    /// Two records, and a delivery of each that waits: 1 and 2.
    async fn new() -> Self {
        let (store, folder) = (Arc::new(MemoryStore::new()), tempfile::tempdir().unwrap());
        let core = Core::for_tests(store.clone(), folder.path(), START);
        let config = Config::parse("mihwar.toml".as_ref(), "", Vec::new()).unwrap();
        let hub = Hub::over(Arc::new(core), config, Doors::real()).await.unwrap();
        let house = Self {
            store,
            hub,
            _folder: folder,
        };
        for number in [1, 2] {
            house.route(number).await;
        }
        house
    }

    fn core(&self) -> &Core {
        &self.hub.shared.core
    }

    async fn route(&self, number: u8) {
        let draft = Draft {
            external_id: Some(number.to_string()),
            author: Some(Author {
                identifiers: vec![Identifier {
                    scheme: "crm".into(),
                    id: format!("c-{number}"),
                }],
                ..Author::default()
            }),
            body: "الفاتورة خاطئة".to_owned(),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let kiosk = InstanceName::new("kiosk").unwrap();
        let taken = self.hub.accept(&Actor::Console, &kiosk, vec![draft]).await.unwrap();
        let Intake::New { feedback, .. } = taken[0] else {
            panic!("{taken:?}");
        };
        let record = query::feedback(self.core(), feedback).await.unwrap().unwrap();
        let routed = Routed {
            feedback,
            revision: 1,
            routes: vec![Route {
                delivery: delivery(number),
                destination: billing(),
                rule: "فاتورة invoice".into(),
            }],
            rules: 1,
            failed: None,
        };
        let row = OutboxRow {
            feedback,
            revision: 1,
            contact: record.head.contact,
            attempts: 0,
            due: START,
            rule: "فاتورة invoice".into(),
            attempts_before_replay: 0,
            erased: None,
        };
        let batch = Batch {
            edits: vec![
                Edit::Delete(keys::queue(feedback, 1)),
                Edit::Put(keys::outbox(&billing(), delivery(number)), encode(&row).unwrap()),
            ],
            journal: vec![self.core().event(Actor::Hub, EventBody::Routed(routed)).unwrap()],
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn put(&self, edit: Edit) {
        let batch = Batch {
            edits: vec![edit],
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn looked(&self) -> Looked {
        let view = self.store.view().await.unwrap();
        let page = view
            .scan(keys::outbox_of(&billing()), Order::Ascending, 100)
            .await
            .unwrap();
        let mut damaged = Vec::new();
        let known = entries(&page.rows, &self.core().passed_over, &mut damaged);
        let row = |id| {
            page.rows
                .iter()
                .find(|row| keys::last_id(&row.key) == Some(id))
                .unwrap()
        };
        let due = known
            .iter()
            .map(|entry| read(entry.id, &row(entry.id.to_bytes()).value).unwrap());
        let due = due.collect();
        Looked { due, damaged }
    }

    async fn due(&self) -> Vec<DeliveryId> {
        self.looked().await.due.iter().map(|due| due.delivery).collect()
    }

    async fn findings(&self) -> Vec<String> {
        let (progress, _told) = mpsc::channel(8);
        self.hub.verify(progress).await.unwrap().findings
    }

    async fn replayed(&self, which: ReplaySelection) -> u64 {
        replay(self.core(), &Actor::Console, &which).await.unwrap()
    }
}

#[tokio::test]
async fn a_damaged_row_of_the_outbox_becomes_a_dead_letter_that_is_whole() {
    let house = House::new().await;
    let place = keys::outbox(&billing(), delivery(1));
    let sound = house.store.get_many(std::slice::from_ref(&place)).await.unwrap();
    let sound = crate::rows::decode::<OutboxRow>("a row", &sound[0].as_ref().unwrap().bytes).unwrap();
    house.put(Edit::Put(place.clone(), "صف تالف".into())).await;
    let findings = house.findings().await;
    assert!(
        findings.len() == 1 && findings[0].contains(&delivery(1).to_string()),
        "{findings:?}"
    );
    let looked = house.looked().await;
    assert_eq!(looked.damaged.len(), 1);
    assert_eq!(house.due().await, [delivery(2)], "the other one goes on");
    assert_eq!(set_aside(house.core(), &billing(), looked.damaged).await.unwrap(), 1);
    assert!(house.looked().await.damaged.is_empty());
    assert_eq!(house.findings().await, Vec::<String>::new());
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        ..DeliveryFilter::default()
    };
    let dead = query::delivery_page(house.core(), &filter, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].delivery, dead[0].last_code.as_deref()),
        (delivery(1), Some(CODE))
    );
    assert!(dead[0].reason.as_ref().unwrap().contains("damaged"), "{dead:?}");
    assert_eq!(house.replayed(ReplaySelection::Id(delivery(1))).await, 1);
    let looked = house.looked().await;
    assert_eq!(looked.due.len(), 2);
    assert_eq!(
        looked.due[0].row,
        OutboxRow {
            due: looked.due[0].row.due,
            ..sound
        }
    );
    assert_eq!(house.findings().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_dead_letter_is_sent_again_by_what_the_ledger_tells() {
    let house = House::new().await;
    let places = [1, 2].map(|number| keys::outbox(&billing(), delivery(number)));
    for place in places {
        house.put(Edit::Put(place, "صف تالف".into())).await;
    }
    let damaged = house.looked().await.damaged;
    assert_eq!(set_aside(house.core(), &billing(), damaged).await.unwrap(), 2);
    let dead = keys::dead(&billing(), delivery(2));
    house.put(Edit::Put(dead, vec![1])).await;
    // One that the ledger does not know holds up none of the others.
    let stray = keys::dead(&billing(), delivery(9));
    house.put(Edit::Put(stray.clone(), vec![1])).await;
    assert_eq!(house.replayed(ReplaySelection::All).await, 2);
    assert_eq!(house.due().await, [delivery(1), delivery(2)]);
    assert!(house.core().passed_over.holds(&stray));
    assert!(dead_entry(&[1]).is_err());
}

#[tokio::test]
async fn a_department_hears_of_an_erasure_also_where_the_row_that_says_so_is_damaged() {
    let house = House::new().await;
    let due = house.looked().await.due;
    let first = due.iter().find(|due| due.delivery == delivery(1)).unwrap();
    // It was tried, so the department may have it.
    let tried = OutboxRow {
        attempts: 1,
        ..first.row.clone()
    };
    let place = keys::outbox(&billing(), delivery(1));
    house.put(Edit::Put(place, encode(&tried).unwrap())).await;
    let why = Tag::new("request").unwrap();
    let erased = house.hub.contact_erase(&Actor::Console, tried.contact, &why).await;
    assert_eq!(erased.unwrap().told, 1);
    let due = house.looked().await.due;
    let notice = due.iter().find(|due| due.row.erased.is_some()).unwrap().delivery;
    house
        .put(Edit::Put(keys::outbox(&billing(), notice), "صف تالف".into()))
        .await;
    let damaged = house.looked().await.damaged;
    assert_eq!(set_aside(house.core(), &billing(), damaged).await.unwrap(), 1);
    // Its dead letter is damaged, too.
    house.put(Edit::Put(keys::dead(&billing(), notice), vec![1])).await;
    assert_eq!(house.replayed(ReplaySelection::Id(notice)).await, 1);
    let due = house.looked().await.due;
    let again = due.iter().find(|due| due.delivery == notice).unwrap();
    let nameless = ErasureNotice { reference: Vec::new() };
    assert_eq!(
        (again.row.feedback, &again.row.erased),
        (tried.feedback, &Some(nameless))
    );
}

#[tokio::test]
async fn a_damaged_row_that_the_ledger_does_not_know_is_passed_over_and_named() {
    let house = House::new().await;
    let stray = keys::outbox(&billing(), delivery(9));
    house.put(Edit::Put(stray.clone(), "صف تالف".into())).await;
    let damaged = house.looked().await.damaged;
    assert_eq!(set_aside(house.core(), &billing(), damaged).await.unwrap(), 0);
    assert!(house.looked().await.damaged.is_empty(), "told once");
    assert_eq!(house.due().await.len(), 2);
    let checks = house.hub.readiness().await;
    let told = checks.iter().find(|check| check.name == "stored rows").unwrap();
    assert!(
        !told.ok && !told.vital && told.detail.contains(&stray.to_string()),
        "{told:?}"
    );
}
