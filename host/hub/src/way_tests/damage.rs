//! Damage, and what cannot be read for now: it costs what it hits, nothing beside that, and it is found.

use std::fs;
use std::path::{Path, PathBuf};

use mihwar_model::{
    Actor, AttachmentBytes, Author, ContactId, Draft, DraftAttachment, EventBody, FeedbackId, Identifier, InstanceName,
    Kind,
};
use mihwar_store::{Batch, Edit, Order};

use super::{House, accept, complaint, step, verified};
use crate::fault::UNREADABLE;
use crate::hub::Hub;
use crate::intake::{Arrival, Intake, Rider};
use crate::{intake, keys, pipeline, query};

impl House {
    async fn put(&self, edits: Vec<Edit>) {
        let batch = Batch {
            edits,
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn take_back(&self, hub: &Hub, id: &str) {
        let kiosk = InstanceName::new("kiosk").unwrap();
        let taken_back = [Arrival::Withdrawal {
            external_id: id.to_owned(),
        }];
        let core = &hub.shared.core;
        intake::accept(core, &Actor::Console, &kiosk, &taken_back, &Rider::default())
            .await
            .unwrap();
    }
}

/// Of which of the newest records the texts are told.
async fn readable(hub: &Hub) -> Vec<bool> {
    let page = query::feedback_page(&hub.shared.core, &query::FeedbackFilter::default(), None, 10).await;
    let records = page.unwrap().items;
    records.iter().map(|record| record.content.is_some()).collect()
}

#[tokio::test]
async fn one_damaged_text_stops_neither_the_pipeline_nor_a_list_and_is_found() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let ids = accept(
        &hub,
        vec![complaint("1", "a", Kind::Defect), complaint("2", "a", Kind::Enquiry)],
    )
    .await;
    house.put(vec![Edit::Put(keys::content(ids[0], 1), vec![0; 40])]).await;
    assert_eq!(step(&hub).await, 2);
    assert_eq!(step(&hub).await, 0);
    assert_eq!(readable(&hub).await, [true, false]);
    let page = query::feedback_page(&hub.shared.core, &query::FeedbackFilter::default(), None, 10).await;
    let records = page.unwrap().items;
    let told: Vec<_> = records.iter().map(|record| record.is_unreadable).collect();
    assert_eq!(told, [false, true], "damage is not told as erasure");
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(&ids[0].to_string()), "{findings:?}");
}

/// Somebody who is known again, with a photo.
fn from_huda(draft: Draft) -> Draft {
    let huda = Identifier {
        scheme: "crm".into(),
        id: "c-17".into(),
    };
    let photo = DraftAttachment {
        name: "صورة الطرد.png".to_owned(),
        media_type: "image/png".to_owned(),
        size: None,
        bytes: AttachmentBytes::Inline(vec![7; 100]),
    };
    Draft {
        author: Some(Author {
            identifiers: vec![huda],
            ..Author::default()
        }),
        attachments: vec![photo],
        ..draft
    }
}

/// A hub whose first contact's key is damaged, and which has it not in memory. Its records, and that contact.
async fn with_a_damaged_key(house: &House) -> (Hub, Vec<FeedbackId>, ContactId) {
    let hub = house.open("").await.unwrap();
    let drafts = vec![
        from_huda(complaint("١", "a", Kind::Defect)),
        complaint("2", "a", Kind::Enquiry),
    ];
    let ids = accept(&hub, drafts).await;
    let record = query::feedback(&hub.shared.core, ids[0]).await.unwrap().unwrap();
    let contact = record.head.contact;
    house
        .put(vec![Edit::Put(keys::contact_key(contact), vec![0; 60])])
        .await;
    drop(hub);
    (house.open("").await.unwrap(), ids, contact)
}

#[tokio::test]
async fn a_damaged_contact_key_keeps_out_revisions_and_nothing_that_is_said_for_the_first_time() {
    let house = House::new();
    let (hub, _, damaged) = with_a_damaged_key(&house).await;
    let kiosk = InstanceName::new("kiosk").unwrap();
    let revised = |revision: &str| complaint("١", revision, Kind::Defect);
    let page = vec![
        revised("b"),
        complaint("3", "a", Kind::Praise),
        from_huda(complaint("4", "a", Kind::Praise)),
        revised("a"),
    ];
    let intakes = hub.accept(&Actor::Console, &kiosk, page).await.unwrap();
    assert!(
        matches!(&intakes[0], Intake::Damaged { problem } if problem.message.contains("key")),
        "{intakes:?}"
    );
    assert!(matches!(intakes[1], Intake::New { .. }), "{intakes:?}");
    let Intake::New { feedback: hers, .. } = intakes[2] else {
        panic!("{intakes:?}");
    };
    assert!(matches!(intakes[3], Intake::Duplicate { .. }), "it is there already");
    // Alone, and in the line where single ones share a transaction.
    let console = Actor::Console;
    let alone = |draft| hub.accept(&console, &kiosk, vec![draft]);
    let again = from_huda(complaint("5", "a", Kind::Praise));
    let (bad, good) = tokio::join!(alone(revised("b")), alone(again));
    assert!(matches!(bad.unwrap()[0], Intake::Damaged { .. }));
    let Intake::New { feedback: later, .. } = good.unwrap()[0] else {
        panic!("it is new");
    };
    // She is somebody new, once.
    let (mut contacts, core) = (Vec::new(), &hub.shared.core);
    for id in [hers, later] {
        let record = query::feedback(core, id).await.unwrap().unwrap();
        assert!(record.content.is_some());
        contacts.push(record.head.contact);
    }
    assert!(contacts[0] == contacts[1] && contacts[0] != damaged, "{contacts:?}");
    let view = house.store.view().await.unwrap();
    let queued = view.scan(keys::all(keys::QUEUE), Order::Ascending, 10).await.unwrap();
    assert_eq!(queued.rows.len(), 5, "nothing is kept of what was refused");
}

#[tokio::test]
async fn one_damaged_contact_key_costs_what_its_contact_said_and_nobody_else() {
    let house = House::new();
    let (hub, ids, contact) = with_a_damaged_key(&house).await;
    let core = &hub.shared.core;
    assert_eq!(step(&hub).await, 2);
    assert_eq!(readable(&hub).await, [true, false]);
    let events = query::history(core, ids[0]).await.unwrap();
    let failed = |event: &query::LedgerEvent| matches!(&event.event.body, EventBody::EnrichmentFailed(failed) if failed.code == UNREADABLE);
    assert!(events.iter().any(failed));
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(&contact.to_string()), "{findings:?}");
    // Whoever takes it back is heard.
    house.take_back(&hub, "١").await;
    let view = house.store.view().await.unwrap();
    assert!(view.get(&keys::content(ids[0], 1)).await.unwrap().is_none());
    // Its photo went with it, by what the ledger tells of it; and nothing is left that could not be read.
    let kept = view.scan(keys::all(keys::FILE), Order::Ascending, 10).await.unwrap();
    assert!(kept.rows.is_empty(), "{:?}", kept.rows);
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_taken_back_unread_leaves_no_file_however_often_it_was_revised() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let mut ids = Vec::new();
    for revision in 0..30 {
        let revised = from_huda(complaint("١", &revision.to_string(), Kind::Defect));
        ids = accept(&hub, vec![revised]).await;
        assert_eq!(step(&hub).await, 1);
    }
    let core = &hub.shared.core;
    let told = query::history(core, ids[0]).await.unwrap();
    assert!(told.len() < 60, "a reader is not told of all");
    let contact = query::feedback(core, ids[0]).await.unwrap().unwrap().head.contact;
    let damaged = Edit::Put(keys::contact_key(contact), vec![0; 60]);
    house.put(vec![damaged]).await;
    drop(hub);
    let hub = house.open("").await.unwrap();
    house.take_back(&hub, "١").await;
    let view = house.store.view().await.unwrap();
    let kept = view.scan(keys::all(keys::FILE), Order::Ascending, 100).await.unwrap();
    assert!(kept.rows.is_empty(), "{} files are left", kept.rows.len());
}

#[tokio::test]
async fn a_lost_queue_entry_is_found() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let ids = accept(&hub, vec![complaint("1", "a", Kind::Suggestion)]).await;
    house.put(vec![Edit::Delete(keys::queue(ids[0], 1))]).await;
    let findings = verified(&hub).await;
    assert!(findings[0].contains("neither routed"), "{findings:?}");
}

/// The only stored file.
fn file_below(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find_map(|path| if path.is_dir() { file_below(&path) } else { Some(path) })
}

#[tokio::test]
async fn what_cannot_be_read_now_is_routed_when_it_can_and_holds_up_nobody() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let long = Draft {
        body: "الطابور طويل والموظف واحد. ".repeat(3_000),
        ..complaint("١", "a", Kind::Complaint)
    };
    let ids = accept(&hub, vec![long, complaint("2", "a", Kind::Praise)]).await;
    let file = file_below(house.folder.path()).unwrap();
    let elsewhere = house.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    // A folder in its place fails to be read as a disk or a table of open files does: not by being missing.
    fs::create_dir(&file).unwrap();
    let mut aside = pipeline::Aside::default();
    let first = pipeline::step(&hub.shared, 256, &mut aside).await.unwrap();
    assert_eq!(first.records, 1, "the other one goes on");
    let second = pipeline::step(&hub.shared, 256, &mut aside).await.unwrap();
    assert_eq!(second.records, 0, "not tried again at once");
    assert_eq!(readable(&hub).await, [true, false]);
    let findings = verified(&hub).await;
    assert!(
        findings.len() == 1 && findings[0].contains(&ids[0].to_string()),
        "{findings:?}"
    );
    fs::remove_dir(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    assert_eq!(step(&hub).await, 1, "it has kept its place");
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_somebody_says_later_does_not_overtake_what_cannot_be_read_now() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let from_huda = |draft| Draft {
        attachments: Vec::new(),
        ..from_huda(draft)
    };
    let long = Draft {
        body: "اتصلت ثلاث مرات ولم يرد أحد. ".repeat(3_000),
        ..complaint("١", "a", Kind::Complaint)
    };
    let ids = accept(
        &hub,
        vec![from_huda(long), from_huda(complaint("2", "a", Kind::Defect))],
    )
    .await;
    accept(
        &hub,
        vec![
            from_huda(complaint("١", "b", Kind::Complaint)),
            complaint("3", "a", Kind::Praise),
        ],
    )
    .await;
    let file = file_below(house.folder.path()).unwrap();
    let elsewhere = house.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    fs::create_dir(&file).unwrap();
    let mut aside = pipeline::Aside::default();
    let mut left = 0;
    for _ in 0..3 {
        left += pipeline::step(&hub.shared, 256, &mut aside).await.unwrap().records;
    }
    assert_eq!(left, 1, "somebody else's");
    fs::remove_dir(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    // Once more in its order, as after a start.
    while step(&hub).await > 0 {}
    let mut routed = Vec::new();
    for id in ids {
        for told in query::history(&hub.shared.core, id).await.unwrap() {
            if let EventBody::Routed(event) = told.event.body {
                routed.push((told.sequence, event.feedback, event.revision));
            }
        }
    }
    let [first, second, other] = routed[..] else {
        panic!("{routed:?}");
    };
    assert_eq!([first.2, second.2], [1, 2], "in the order in which it was said");
    assert!(first < other, "{routed:?}");
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_was_given_up_and_can_be_read_is_found() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let ids = accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
    let place = keys::content(ids[0], 1);
    let sound = house.store.view().await.unwrap().get(&place).await.unwrap().unwrap();
    house.put(vec![Edit::Put(place.clone(), vec![0; 40])]).await;
    assert_eq!(step(&hub).await, 1);
    // Somebody has put it right.
    house.put(vec![Edit::Put(place, sound.bytes)]).await;
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].contains(&ids[0].to_string()) && findings[0].contains("was given to nobody"),
        "{findings:?}"
    );
    house.take_back(&hub, "١").await;
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_queue_entry_is_passed_over_and_found() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let ids = accept(
        &hub,
        vec![complaint("١", "a", Kind::Complaint), complaint("2", "a", Kind::Praise)],
    )
    .await;
    let entry = keys::queue(ids[0], 1);
    let other = house.store.view().await.unwrap().get(&keys::queue(ids[1], 1)).await;
    let other = other.unwrap().unwrap();
    house.put(vec![Edit::Put(entry.clone(), "صف تالف".into())]).await;
    assert_eq!(step(&hub).await, 1, "the other one goes on");
    assert_eq!(step(&hub).await, 0);
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].contains(&ids[0].to_string()) && findings[0].contains("is damaged"),
        "{findings:?}"
    );
    // That of another record is none of this one either.
    house.put(vec![Edit::Put(entry, other.bytes)]).await;
    assert_eq!(step(&hub).await, 0);
    assert_eq!(verified(&hub).await.len(), 1);
}
