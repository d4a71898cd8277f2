//! The way on from a damaged log: what is told, what is kept, and what the ledger says afterwards.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mihwar_model::{
    Actor, Channel, ContactErased, ContactId, Draft, Event, EventBody, FeedbackId, InstanceName, Tag, Time,
};
use mihwar_store::{Batch, Edit, LogExamined, LostGroup, Reached, RedbSettings, RedbStore, Store};
use tokio::sync::mpsc;

use super::{SalvageReport, in_folder};
use crate::config::Config;
use crate::core::Core;
use crate::doors::Doors;
use crate::format::STORE_FILE;
use crate::hub::{Hub, OpenError};
use crate::intake::Intake;
use crate::keys;

const START: i64 = 1_790_000_000_000;

/// A hub over the real engine, with the files of its own folder. Each draws ids of its own time.
async fn hub(folder: &Path, start: i64) -> (Hub, Arc<RedbStore>) {
    let settings = RedbSettings {
        free_space_floor: 0,
        natures: keys::NATURES,
        ..RedbSettings::default()
    };
    let store = Arc::new(RedbStore::open(folder.join(STORE_FILE), settings).unwrap());
    let files = folder.join("blobs");
    fs::create_dir_all(&files).unwrap();
    let core = Core::for_tests(store.clone(), &files, Time(start));
    let config = Config::parse("mihwar.toml".as_ref(), "", Vec::new()).unwrap();
    let hub = Hub::over(Arc::new(core), config, Doors::real()).await.unwrap();
    (hub, store)
}

async fn accept(hub: &Hub, id: &str) -> FeedbackId {
    let draft = Draft {
        external_id: Some(id.to_owned()),
        body: "لم تصل الشحنة".to_owned(),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    };
    let kiosk = InstanceName::new("kiosk").unwrap();
    let taken = hub.accept(&Actor::Console, &kiosk, vec![draft]).await.unwrap();
    let Intake::New { feedback, .. } = taken[0] else {
        panic!("{taken:?}");
    };
    feedback
}

async fn size(store: &RedbStore) -> u64 {
    store.view().await.unwrap().tree().size()
}

async fn findings(hub: &Hub) -> Vec<String> {
    let (progress, _told) = mpsc::channel(8);
    hub.verify(progress).await.unwrap().findings
}

fn log_of(folder: &Path) -> std::path::PathBuf {
    folder.join(format!("{STORE_FILE}.wal"))
}

/// Where groups begin in a log.
fn groups(log: &[u8]) -> Vec<usize> {
    let places = (4_096..log.len()).step_by(4_096);
    places.filter(|at| log[*at..].starts_with(b"mihwarL1")).collect()
}

struct Left {
    folder: tempfile::TempDir,
    /// Entries of the ledger before the damage, and at the checkpoint behind it.
    kept: u64,
    signed: u64,
    last: FeedbackId,
}

/// What a kill leaves of a hub with three records and a checkpoint, of which the second record's group is damaged.
async fn left() -> Left {
    let (live, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (hub, store) = hub(live.path(), START).await;
    let lineage = Batch {
        edits: vec![Edit::Put(keys::lineage(), vec![7; 16])],
        ..Batch::default()
    };
    store.apply(lineage).await.unwrap();
    accept(&hub, "١").await;
    let kept = size(&store).await;
    let whole = groups(&fs::read(log_of(live.path())).unwrap()).len();
    accept(&hub, "2").await;
    let last = accept(&hub, "3").await;
    hub.checkpoint().await.unwrap();
    let signed = size(&store).await;
    for name in [STORE_FILE.to_owned(), format!("{STORE_FILE}.wal")] {
        fs::copy(live.path().join(&name), folder.path().join(&name)).unwrap();
    }
    let mut log = fs::read(log_of(folder.path())).unwrap();
    let damaged = groups(&log)[whole];
    log[damaged + 120] ^= 1;
    fs::write(log_of(folder.path()), log).unwrap();
    Left {
        folder,
        kept,
        signed,
        last,
    }
}

fn examined(folder: &Path) -> SalvageReport {
    in_folder(folder, false).unwrap().unwrap()
}

#[tokio::test]
async fn what_is_lost_is_told_before_anything_is_changed() {
    let left = left().await;
    let folder = left.folder.path();
    let log = fs::read(log_of(folder)).unwrap();
    let report = examined(folder);
    assert!(!report.done && !report.unknown && !report.aside.exists());
    assert_eq!((report.entries_kept, report.groups_lost), (left.kept, 2));
    assert_eq!(
        (report.records.as_slice(), report.records_untold),
        (&[left.last][..], 0)
    );
    assert_eq!(report.checkpoints, [left.signed]);
    assert!(report.kept_until.is_some() && report.lost_until.is_some());
    assert!(report.entries_lost > 0 && report.entries_lost < left.signed - left.kept);
    assert!(fs::read(log_of(folder)).unwrap() == log);
    let lines = report.lines().join("\n");
    for part in [
        format!("entries from number {} on", left.kept),
        format!("A checkpoint was signed at {} entries", left.signed),
        left.last.to_string(),
        "is to be set aside".to_owned(),
    ] {
        assert!(lines.contains(&part), "{part}: {lines}");
    }
}

#[tokio::test]
async fn afterwards_the_hub_opens_and_its_ledger_says_that_it_was_cut() {
    let left = left().await;
    let folder = left.folder.path();
    let log = fs::read(log_of(folder)).unwrap();
    let report = in_folder(folder, true).unwrap().unwrap();
    assert!(report.done);
    assert!(fs::read(&report.aside).unwrap() == log);
    let note = fs::read_to_string(report.note.as_ref().unwrap()).unwrap();
    assert!(note.contains(&left.last.to_string()), "{note}");
    assert_eq!(in_folder(folder, true).unwrap(), None, "there is nothing more to do");

    let (hub, store) = hub(folder, START + 1_000).await;
    assert_eq!(size(&store).await, left.kept);
    let told = findings(&hub).await;
    assert!(told.len() == 1 && told[0].contains("history was cut"), "{told:?}");
    // No increment goes on from a backup of what is lost.
    let lineage = store.get_many(&[keys::lineage()]).await.unwrap();
    assert_eq!(lineage, [None]);
    // The sources send again what was lost. The size that was signed is not signed a second time.
    for id in ["2", "3"] {
        accept(&hub, id).await;
    }
    assert_eq!(size(&store).await, left.signed);
    let refused = hub.checkpoint().await.unwrap_err().to_string();
    assert!(refused.contains("with another root"), "{refused}");
    let told = findings(&hub).await;
    assert!(told.len() == 1 && told[0].contains("history was rewritten"), "{told:?}");
    accept(&hub, "4").await;
    hub.checkpoint().await.unwrap();
}

#[test]
fn whoever_was_erased_behind_the_damage_is_named() {
    let contact = ContactId::from_bytes([7; 16]);
    let erased = Event {
        at: Time(START),
        actor: Actor::Console,
        body: EventBody::ContactErased(ContactErased {
            contact,
            records: 2,
            reason: Tag::new("طلب-صاحبها").unwrap(),
        }),
    };
    let before = Reached { version: 3, entries: 5 };
    let found = LogExamined {
        stored: before,
        whole: before,
        groups: 0,
        last_entry: None,
        damage: Some("تالف".to_owned()),
        beyond: vec![LostGroup {
            at: 8_192,
            before: 4,
            last: 5,
            rows: Vec::new(),
            entries: vec![erased.to_bytes().unwrap()],
        }],
        log: None,
        aside: "mihwar.redb.wal.damaged-07070707".into(),
    };
    let report = SalvageReport::of(&found, true);
    assert_eq!(report.erased, [contact]);
    let lines = report.lines().join("\n");
    assert!(
        lines.contains(&format!("Contacts erased in those groups: {contact}")) && lines.contains("erasures"),
        "{lines}"
    );
}

#[tokio::test]
async fn without_a_damaged_log_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let refused = in_folder(folder.path(), true).unwrap_err();
    assert!(matches!(refused, OpenError::NoHub { .. }), "{refused}");
    let (hub, store) = hub(folder.path(), START).await;
    let refused = in_folder(folder.path(), true).unwrap_err();
    assert!(matches!(refused, OpenError::AlreadyServed { .. }), "{refused}");
    accept(&hub, "١").await;
    store.close().await.unwrap();
    assert_eq!(in_folder(folder.path(), true).unwrap(), None);
}
