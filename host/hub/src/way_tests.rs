//! The way of a record through a hub without plugins, over the engine in memory.

mod damage;
mod rules;
mod stops;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use mihwar_ledger::{Checkpoint, VerifyingKey, notes_in};
use mihwar_model::{Actor, Channel, Draft, Event, EventBody, FeedbackId, InstanceName, Kind, Tag, Time};
use mihwar_store::{ApplyError, Batch, Commit, Edit, MemoryStore, Order, Statistics, Store, StoreError, View};
use tokio::sync::mpsc;

use crate::backup::RunningBackup;
use crate::config::Config;
use crate::core::Core;
use crate::doors::Doors;
use crate::fault::Fault;
use crate::hub::{Hub, OpenError};
use crate::intake::Intake;
use crate::rows::{self, QueueRow};
use crate::{keys, pipeline, projection, query, witness};

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

/// One step of the pipeline, as after a start. Answers how many records left the queue.
async fn step(hub: &Hub) -> usize {
    let aside = &mut pipeline::Aside::default();
    pipeline::step(&hub.shared, 256, aside).await.unwrap().records
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
    assert_eq!(step(&hub).await, 1, "enrichers answer by the record's id");
    assert_eq!(step(&hub).await, 1);
    assert_eq!(step(&hub).await, 0);
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

#[tokio::test]
async fn an_entry_of_the_queue_names_its_event_and_one_that_holds_it_as_they_once_did_is_routed_too() {
    let house = House::new();
    let hub = house.open("").await.unwrap();
    let both = vec![complaint("١", "a", Kind::Complaint), complaint("2", "a", Kind::Praise)];
    let ids = accept(&hub, both).await;
    let view = house.store.view().await.unwrap();
    let queued = view.scan(keys::all(keys::QUEUE), Order::Ascending, 10).await.unwrap();
    let lengths: Vec<usize> = queued.rows.iter().map(|row| row.value.bytes.len()).collect();
    assert_eq!(lengths, [8, 8]);
    let is_first = |bytes: &[u8]| {
        let event = Event::from_bytes(bytes).unwrap();
        matches!(event.body, EventBody::Received(received) if received.feedback == ids[0])
    };
    let mut entries = view.journal(0, 100).await.unwrap();
    entries.retain(|entry| is_first(&entry.bytes));
    drop(view);
    let row = rows::encode(&QueueRow {
        event: entries.remove(0).bytes,
    });
    let older = Batch {
        edits: vec![Edit::Put(keys::queue(ids[0], 1), row.unwrap())],
        ..Batch::default()
    };
    house.store.apply(older).await.unwrap();
    assert_eq!(verified(&hub).await, Vec::<String>::new());
    assert_eq!(step(&hub).await, 2);
    assert_eq!(step(&hub).await, 0);
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
