//! A hub's core with a person's story in it.

use std::path::Path;
use std::sync::Arc;

use mihwar_ledger::Signer;
use mihwar_model::{
    Actor, AttachmentBytes, Author, Channel, ContactId, DeadLettered, Delivered, DeliveryId, Draft, DraftAttachment,
    Event, EventBody, FeedbackId, Identifier, InstanceName, Kind, Route, Routed, Tag, Time,
};
use mihwar_store::{Batch, Edit, MemoryStore, Order, Row, Space, Store};
use tokio::sync::mpsc;

use crate::core::Core;
use crate::erasure::{EraseRefusal, ErasureReport, erase};
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::rows::{self, DeadRow, OutboxRow, ReferenceContent};
use crate::{keys, query, verification};

pub(super) const START: Time = Time(1_790_000_000_000);
pub(super) const ORIGIN: &str = "mihwar.example/ledger";

pub(super) fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

pub(super) fn person(id: &str) -> Identifier {
    Identifier {
        scheme: "email".into(),
        id: id.into(),
    }
}

pub(super) fn huda() -> Identifier {
    person("huda@example.com")
}

/// Something that somebody said.
pub(super) fn said(by: &Identifier, id: &str, body: &str) -> Draft {
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

pub(super) fn with_photo(draft: Draft) -> Draft {
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

pub(super) struct House {
    pub(super) core: Core,
    pub(super) folder: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    pub(super) fn over(store: Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core = Core::for_tests(store, &folder.path().join("files"), START);
        Self { core, folder }
    }

    /// The same folder after a restart, some time later.
    pub(super) fn restarted(self, store: Arc<dyn Store>, millis: i64) -> Self {
        let core = Core::for_tests(store, &self.folder.path().join("files"), START.plus_millis(millis));
        Self {
            core,
            folder: self.folder,
        }
    }

    pub(super) async fn accept(&self, drafts: Vec<Draft>) -> Vec<Intake> {
        let arrivals: Vec<Arrival> = drafts.into_iter().map(Arrival::from).collect();
        let (form, rider) = (name("form"), Rider::default());
        let accepted = accept(&self.core, &Actor::Console, &form, &arrivals, &rider);
        accepted.await.unwrap().into_iter().flatten().collect()
    }

    pub(super) async fn rows(&self, space: Space) -> Vec<Row> {
        let view = self.core.store.view().await.unwrap();
        view.scan(keys::all(space), Order::Ascending, 1_000).await.unwrap().rows
    }

    pub(super) async fn events(&self) -> Vec<EventBody> {
        let view = self.core.store.view().await.unwrap();
        let entries = view.journal(0, 1_000).await.unwrap();
        let body = |bytes: &[u8]| Event::from_bytes(bytes).unwrap().body;
        entries.iter().map(|entry| body(&entry.bytes)).collect()
    }

    pub(super) async fn write(&self, edits: Vec<Edit>, bodies: Vec<EventBody>) {
        let event = |body| self.core.event(Actor::Hub, body).unwrap();
        let batch = Batch {
            edits,
            journal: bodies.into_iter().map(event).collect(),
            ..Batch::default()
        };
        self.core.store.apply(batch).await.unwrap();
    }

    pub(super) async fn contact_of(&self, feedback: FeedbackId) -> ContactId {
        let record = query::feedback(&self.core, feedback).await.unwrap();
        record.unwrap().head.contact
    }

    pub(super) async fn erase(&self, contact: ContactId) -> Result<ErasureReport, EraseRefusal> {
        erase(&self.core, &[], &Actor::Console, contact, &tag("طلب-صاحبها")).await
    }

    /// What `mihwar ledger verify` finds.
    pub(super) async fn findings(&self) -> Vec<String> {
        let (progress, _told) = mpsc::channel(8);
        let signer = Signer::from_seed(ORIGIN, &[8; 32]).unwrap();
        let report = verification::verify(&self.core, &signer, ORIGIN, Vec::new(), progress).await;
        report.unwrap().findings
    }

    /// The record leaves the queue and waits for these departments.
    pub(super) async fn route(&self, feedback: FeedbackId, contact: ContactId, to: &[(&str, u8)]) {
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
            failed: None,
        };
        self.write(edits, vec![EventBody::Routed(routed)]).await;
    }
}

pub(super) fn waiting(feedback: FeedbackId, contact: ContactId) -> OutboxRow {
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

pub(super) fn id(intake: &Intake) -> FeedbackId {
    match intake {
        Intake::New { feedback, .. } | Intake::Revised { feedback, .. } | Intake::Duplicate { feedback, .. } => {
            *feedback
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn files_below(folder: &Path) -> usize {
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
pub(super) async fn story(house: &House) -> (Vec<FeedbackId>, ContactId) {
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
