//! The way of a record through a hub without plugins, over the engine in memory.

mod stops;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use mihwar_ledger::{Checkpoint, VerifyingKey, notes_in};
use mihwar_model::{
    Actor, AttachmentBytes, Author, Channel, ContactId, Draft, DraftAttachment, EventBody, FeedbackId, Identifier,
    InstanceName, Kind, Tag, Time,
};
use mihwar_store::{ApplyError, Batch, Commit, Edit, MemoryStore, Order, Statistics, Store, StoreError, View};
use tokio::sync::mpsc;

use crate::backup::RunningBackup;
use crate::config::Config;
use crate::core::Core;
use crate::doors::Doors;
use crate::fault::{Fault, UNREADABLE};
use crate::hub::{Hub, OpenError};
use crate::intake::{Arrival, Intake, Rider};
use crate::{intake, keys, pipeline, projection, query, witness};

struct House {
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
    /// A second later at each opening: the ids of a hub are those of its time.
    now: AtomicI64,
}

impl House {
    fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            folder: tempfile::tempdir().unwrap(),
            now: AtomicI64::new(1_790_000_000_000),
        }
    }

    async fn open(&self, config: &str) -> Result<Hub, OpenError> {
        let now = Time(self.now.fetch_add(1_000, Ordering::Relaxed));
        let core = Core::for_tests(Arc::clone(&self.store), self.folder.path(), now);
        let config = Config::parse("mihwar.toml".as_ref(), config, Vec::new()).unwrap();
        Hub::over(Arc::new(core), config, Doors::real()).await
    }
}

fn complaint(id: &str, revision: &str, kind: Kind) -> Draft {
    Draft {
        external_id: Some(id.to_owned()),
        revision: Some(revision.to_owned()),
        kind: Some(kind),
        body: format!("الشحنة متأخرة، revision {revision}"),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    }
}

async fn accept(hub: &Hub, drafts: Vec<Draft>) -> Vec<FeedbackId> {
    let kiosk = InstanceName::new("kiosk").unwrap();
    let intakes = hub.accept(&Actor::Console, &kiosk, drafts).await.unwrap();
    let id = |intake: &Intake| match intake {
        Intake::New { feedback, .. } | Intake::Revised { feedback, .. } | Intake::Duplicate { feedback, .. } => {
            *feedback
        }
        other => panic!("{other:?}"),
    };
    intakes.iter().map(id).collect()
}

async fn verified(hub: &Hub) -> Vec<String> {
    let (progress, _told) = mpsc::channel(8);
    hub.verify(progress).await.unwrap().findings
}

#[tokio::test]
async fn a_revised_record_is_counted_once_and_routed_revision_by_revision() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let first = accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
    let second = accept(&hub, vec![complaint("١", "b", Kind::Praise)]).await;
    assert_eq!(first, second);
    let shared = &hub.shared;
    assert_eq!(
        pipeline::step(shared, 256).await.unwrap().records,
        1,
        "enrichers answer by the record's id"
    );
    assert_eq!(pipeline::step(shared, 256).await.unwrap().records, 1);
    assert_eq!(pipeline::step(shared, 256).await.unwrap().records, 0);
    let overview = hub.overview().await.unwrap();
    assert_eq!(overview.feedback, 1);
    assert_eq!((overview.by_kind["praise"], overview.by_kind["complaint"]), (1, 0));
    let events = query::history(&shared.core, first[0]).await.unwrap();
    let routed = events.iter().filter_map(|event| match &event.event.body {
        EventBody::Routed(routed) => Some(routed.revision),
        _ => None,
    });
    assert_eq!(routed.collect::<Vec<_>>(), [1, 2]);
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

/// Sizes of the checkpoints in a witness file, each of which has to verify.
fn witnessed(file: &Path, hub: &Hub) -> Vec<u64> {
    let key: VerifyingKey = hub.verifier_key().parse().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let notes = notes_in(&text).into_iter().map(|piece| piece.note.unwrap());
    let sizes = notes.map(|note| Checkpoint::open(&note, key.name(), &key).unwrap().0.size);
    sizes.collect()
}

#[tokio::test]
async fn checkpoints_are_kept_outside_one_for_each_size() {
    let (house, outside) = (House::new(), tempfile::tempdir().unwrap());
    let file = outside.path().join("شاهد.txt");
    let config = format!("[ledger]\nwitness-file = \"{}\"\n", file.display());
    let hub = house.open(&config).await.unwrap();
    for id in ["١", "١", "٢"] {
        accept(&hub, vec![complaint(id, "a", Kind::Complaint)]).await;
        witness::keep(&hub.shared, &file).await;
    }
    let size = house.store.view().await.unwrap().tree().size();
    let sizes = witnessed(&file, &hub);
    assert!(
        sizes.len() == 2 && sizes.is_sorted() && sizes.last() == Some(&size),
        "{sizes:?}"
    );
    let checks = hub.readiness().await;
    assert!(
        checks.iter().any(|check| check.name == "witness file" && check.ok),
        "{checks:?}"
    );
}

#[tokio::test]
async fn a_hub_that_runs_keeps_its_last_head_outside_when_it_stops() {
    let (house, outside) = (House::new(), tempfile::tempdir().unwrap());
    let file = outside.path().join("شاهد.txt");
    let config = format!(
        "[ledger]\nwitness-file = \"{}\"\nwitness-every = \"9h\"\n",
        file.display()
    );
    let hub = house.open(&config).await.unwrap();
    hub.start();
    accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
    let size = house.store.view().await.unwrap().tree().size();
    hub.close().await.unwrap();
    let sizes = witnessed(&file, &hub);
    assert!(sizes.is_sorted() && sizes.last() >= Some(&size), "{sizes:?}");
}

#[tokio::test]
async fn a_head_that_cannot_be_kept_outside_is_told_to_who_asks_how_the_hub_is() {
    let (house, outside) = (House::new(), tempfile::tempdir().unwrap());
    let file = outside.path().join("not-mounted/witness.txt");
    let config = format!("[ledger]\nwitness-file = \"{}\"\n", file.display());
    let hub = house.open(&config).await.unwrap();
    witness::keep(&hub.shared, &file).await;
    let checks = hub.readiness().await;
    let witness = checks.iter().find(|check| check.name == "witness file").unwrap();
    assert!(
        !witness.ok && !witness.vital && witness.detail.contains("not-mounted"),
        "{witness:?}"
    );
}

#[tokio::test]
async fn who_watches_the_hub_sees_it_as_it_is_and_makes_it_do_nothing() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
    for _ in 0..2 {
        let watched = hub.overview_as_it_is().await.unwrap();
        assert_eq!(watched.feedback, 0);
        assert!(watched.unfolded > 0, "{watched:?}");
    }
    let read = hub.overview().await.unwrap();
    assert_eq!((read.feedback, read.unfolded), (1, 0));
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
    let damage = Batch {
        edits: vec![Edit::Put(keys::content(ids[0], 1), vec![0; 40])],
        ..Batch::default()
    };
    house.store.apply(damage).await.unwrap();
    assert_eq!(pipeline::step(&hub.shared, 256).await.unwrap().records, 2);
    assert_eq!(pipeline::step(&hub.shared, 256).await.unwrap().records, 0);
    let page = query::feedback_page(&hub.shared.core, &query::FeedbackFilter::default(), None, 10)
        .await
        .unwrap();
    let readable = |record: &query::FeedbackRecord| record.content.is_some();
    assert_eq!(page.items.iter().map(readable).collect::<Vec<_>>(), [true, false]);
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(&ids[0].to_string()), "{findings:?}");
}

/// Somebody who is known again, with a photo.
fn from_huda(draft: Draft) -> Draft {
    let huda = Identifier {
        scheme: "email".into(),
        id: "huda@example.com".into(),
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
    let damage = Batch {
        edits: vec![Edit::Put(keys::contact_key(contact), vec![0; 60])],
        ..Batch::default()
    };
    house.store.apply(damage).await.unwrap();
    drop(hub);
    (house.open("").await.unwrap(), ids, contact)
}

#[tokio::test]
async fn what_comes_of_a_contact_with_a_damaged_key_is_refused_and_nothing_beside_it() {
    let house = House::new();
    let (hub, _, _) = with_a_damaged_key(&house).await;
    let kiosk = InstanceName::new("kiosk").unwrap();
    let revised = || complaint("١", "b", Kind::Defect);
    let page = vec![
        revised(),
        complaint("3", "a", Kind::Praise),
        from_huda(complaint("4", "a", Kind::Praise)),
        complaint("5", "a", Kind::Praise),
    ];
    let intakes = hub.accept(&Actor::Console, &kiosk, page).await.unwrap();
    for (n, intake) in intakes.iter().enumerate() {
        match intake {
            Intake::Refused { problems } => assert!(n % 2 == 0 && problems[0].message.contains("key"), "{problems:?}"),
            kept => assert!(n % 2 == 1 && matches!(kept, Intake::New { .. }), "{kept:?}"),
        }
    }
    // Alone, and in the line where single ones share a transaction.
    let console = Actor::Console;
    let alone = |draft| hub.accept(&console, &kiosk, vec![draft]);
    let (bad, good) = tokio::join!(alone(revised()), alone(complaint("6", "a", Kind::Praise)));
    assert!(matches!(bad.unwrap()[0], Intake::Refused { .. }));
    assert!(matches!(good.unwrap()[0], Intake::New { .. }));
    let view = house.store.view().await.unwrap();
    let queued = view.scan(keys::all(keys::QUEUE), Order::Ascending, 10).await.unwrap();
    assert_eq!(queued.rows.len(), 5, "nothing is kept of what was refused");
}

#[tokio::test]
async fn one_damaged_contact_key_costs_what_its_contact_said_and_nobody_else() {
    let house = House::new();
    let (hub, ids, contact) = with_a_damaged_key(&house).await;
    let core = &hub.shared.core;
    assert_eq!(pipeline::step(&hub.shared, 256).await.unwrap().records, 2);
    let page = query::feedback_page(core, &query::FeedbackFilter::default(), None, 10)
        .await
        .unwrap();
    let readable = |record: &query::FeedbackRecord| record.content.is_some();
    assert_eq!(page.items.iter().map(readable).collect::<Vec<_>>(), [true, false]);
    let events = query::history(core, ids[0]).await.unwrap();
    let failed = |event: &query::LedgerEvent| matches!(&event.event.body, EventBody::EnrichmentFailed(failed) if failed.code == UNREADABLE);
    assert!(events.iter().any(failed));
    let findings = verified(&hub).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains(&contact.to_string()), "{findings:?}");
    // Whoever takes it back is heard.
    let kiosk = InstanceName::new("kiosk").unwrap();
    let taken_back = [Arrival::Withdrawal {
        external_id: "١".to_owned(),
    }];
    intake::accept(core, &Actor::Console, &kiosk, &taken_back, &Rider::default())
        .await
        .unwrap();
    let view = house.store.view().await.unwrap();
    assert!(view.get(&keys::content(ids[0], 1)).await.unwrap().is_none());
    // Its photo went with it, by what the ledger tells of it; and nothing is left that could not be read.
    let kept = view.scan(keys::all(keys::FILE), Order::Ascending, 10).await.unwrap();
    assert!(kept.rows.is_empty(), "{:?}", kept.rows);
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_queue_entry_is_found() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let ids = accept(&hub, vec![complaint("1", "a", Kind::Suggestion)]).await;
    let loss = Batch {
        edits: vec![Edit::Delete(keys::queue(ids[0], 1))],
        ..Batch::default()
    };
    house.store.apply(loss).await.unwrap();
    let findings = verified(&hub).await;
    assert!(findings[0].contains("neither routed"), "{findings:?}");
}

#[tokio::test]
async fn a_rebuild_that_was_cut_off_is_finished_by_the_next_start() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    accept(
        &hub,
        (0..5)
            .map(|n| complaint(&n.to_string(), "a", Kind::Complaint))
            .collect(),
    )
    .await;
    projection::catch_up(&hub.shared.core).await.unwrap();
    // The mark is set, and some rows are not as they should be: as a kill leaves it.
    let cut = Batch {
        edits: vec![
            Edit::Put(keys::setting("read-models-mending"), Vec::new()),
            Edit::Add(keys::count("kind", "complaint"), 3),
        ],
        ..Batch::default()
    };
    house.store.apply(cut).await.unwrap();
    drop(hub);
    let hub = house.open("").await.unwrap();
    assert_eq!(hub.overview().await.unwrap().by_kind["complaint"], 5);
    assert_eq!(verified(&hub).await, Vec::<String>::new());
}

/// A store that nothing is written to any more.
struct WritesNothing(Arc<dyn Store>, ApplyError);

#[async_trait]
impl Store for WritesNothing {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        self.0.view().await
    }

    async fn apply(&self, _: Batch) -> Result<Commit, ApplyError> {
        Err(self.1.clone())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }

    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

#[tokio::test]
async fn below_the_floor_a_hub_is_backed_up_and_verified_all_the_same() {
    let mut house = House::new();
    let hub = house.open("").await.unwrap();
    accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
    drop(hub);
    let below = ApplyError::NoSpace { free: 1, floor: 2 };
    house.store = Arc::new(WritesNothing(Arc::clone(&house.store), below));
    let hub = house.open("").await.unwrap();
    let RunningBackup {
        mut chunks,
        no_increment,
    } = hub.backup(None).await.unwrap();
    assert!(no_increment.unwrap().contains("free some space"));
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        bytes.extend(chunk);
    }
    let file = house.folder.path().join("نسخة.mbk");
    let received = mihwar_store::backup::receive(bytes.as_slice(), &file, |_| {}).unwrap();
    assert!(received.counts.entries > 0);
    let (progress, _told) = mpsc::channel(8);
    let report = hub.verify(progress).await.unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!((report.contents, report.read_model_rows), (1, 0));
    assert!(report.read_models_unchecked.is_some() && !report.is_complete());
}

#[tokio::test]
async fn on_a_failing_disk_a_hub_is_backed_up_but_not_called_verified() {
    let stopped = StoreError::Stopped {
        reason: "القرص".to_owned(),
    };
    for failure in [ApplyError::Unknown, ApplyError::Broken(stopped)] {
        let mut house = House::new();
        let hub = house.open("").await.unwrap();
        accept(&hub, vec![complaint("١", "a", Kind::Complaint)]).await;
        drop(hub);
        house.store = Arc::new(WritesNothing(Arc::clone(&house.store), failure));
        let hub = house.open("").await.unwrap();
        assert!(hub.backup(None).await.is_ok());
        let (progress, _told) = mpsc::channel(8);
        let refused = hub.verify(progress).await.unwrap_err();
        assert!(matches!(refused, Fault::Stopped(_) | Fault::Unknown), "{refused}");
    }
}

#[tokio::test]
async fn a_ledger_is_not_renamed() {
    let house = House::new();
    drop(house.open("[ledger]\norigin = \"a.example/ledger\"").await.unwrap());
    let error = house
        .open("\n[ledger]\norigin = \"b.example/ledger\"")
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("mihwar.toml:3") && said.contains("a.example/ledger"),
        "{said}"
    );
    house.open("[ledger]\norigin = \"a.example/ledger\"").await.unwrap();
}
