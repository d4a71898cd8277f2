//! Every finding, each from the damage that makes it.

mod beside;

use std::sync::Arc;

use async_trait::async_trait;
use mihwar_ledger::{Checkpoint, Frontier, Hash, Signer, TileId};
use mihwar_model::{
    Actor, Channel, ContactCreated, ContactId, Draft, Event, EventBody, FeedbackId, InstanceName, Tag, Time,
};
use mihwar_store::{
    ApplyError, Batch, Commit, Edit, JournalEntry, Key, KeyRange, MemoryStore, Natures, Order, Page, Statistics, Store,
    StoreError, Versioned, View,
};
use tokio::sync::mpsc;

use super::{VerifyReport, WitnessedHead, verify, verify_ledger};
use crate::core::Core;
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::{keys, ledger, projection};

const START: Time = Time(1_790_000_000_000);
const ORIGIN: &str = "mihwar.example/ledger";

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[8; 32]).unwrap()
}

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

/// What is wrong with a store as it is read.
#[derive(Clone)]
enum Bend {
    /// This entry says something else.
    Entry(u64),
    /// This entry is not there.
    Hole(u64),
    /// This tile holds other hashes.
    OtherTile(TileId),
    /// This tile is not there.
    NoTile(TileId),
}

struct Bent {
    inner: Arc<MemoryStore>,
    bend: Bend,
}

#[async_trait]
impl Store for Bent {
    async fn view(&self) -> Result<Box<dyn View>, StoreError> {
        Ok(Box::new(BentView {
            inner: self.inner.view().await?,
            bend: self.bend.clone(),
        }))
    }

    async fn apply(&self, batch: Batch) -> Result<Commit, ApplyError> {
        self.inner.apply(batch).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

struct BentView {
    inner: Box<dyn View>,
    bend: Bend,
}

#[async_trait]
impl View for BentView {
    fn version(&self) -> u64 {
        self.inner.version()
    }

    fn tree(&self) -> &Frontier {
        self.inner.tree()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.inner.get_many(keys).await
    }

    async fn scan(&self, range: KeyRange, order: Order, limit: usize) -> Result<Page, StoreError> {
        self.inner.scan(range, order, limit).await
    }

    async fn journal(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, StoreError> {
        let mut entries = self.inner.journal(from, limit).await?;
        match self.bend {
            Bend::Hole(hole) => entries.retain(|entry| entry.sequence != hole),
            Bend::Entry(bent) => entries
                .iter_mut()
                .filter(|entry| entry.sequence == bent)
                .for_each(|entry| entry.bytes = "كلام آخر".into()),
            Bend::OtherTile(_) | Bend::NoTile(_) => {}
        }
        Ok(entries)
    }

    fn natures(&self) -> &Natures {
        self.inner.natures()
    }

    async fn removed(&self, range: KeyRange, limit: usize) -> Result<Page, StoreError> {
        self.inner.removed(range, limit).await
    }

    async fn tile(&self, id: TileId) -> Result<Vec<Hash>, StoreError> {
        match self.bend {
            Bend::NoTile(missing) if missing == id => Err(StoreError::Corrupt {
                what: format!("tile {id:?} is missing"),
            }),
            Bend::OtherTile(bent) if bent == id => {
                let mut hashes = self.inner.tile(id).await?;
                hashes[1] = Hash::of_empty_tree();
                Ok(hashes)
            }
            _ => self.inner.tile(id).await,
        }
    }
}

struct House {
    store: Arc<MemoryStore>,
    core: Core,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let core = Core::for_tests(store.clone(), folder.path(), START);
        Self { store, core, folder }
    }

    /// With two full tiles and a begun one.
    async fn long() -> Self {
        let house = Self::new();
        let body = |number: u32| {
            EventBody::ContactCreated(ContactCreated {
                contact: ContactId::from_bytes([9; 16]),
                identifiers: number,
            })
        };
        house.happen((0..600).map(body)).await;
        projection::catch_up(&house.core).await.unwrap();
        house
    }

    async fn happen(&self, bodies: impl IntoIterator<Item = EventBody>) {
        let event = |body| self.core.event(Actor::Hub, body).unwrap();
        let journal = bodies.into_iter().map(event).collect();
        let batch = Batch {
            journal,
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn put(&self, edits: Vec<Edit>) {
        let batch = Batch {
            edits,
            ..Batch::default()
        };
        self.store.apply(batch).await.unwrap();
    }

    async fn accept(&self, arrivals: &[Arrival]) -> Vec<FeedbackId> {
        let taken = accept(&self.core, &Actor::Console, &name("form"), arrivals, &Rider::default()).await;
        let id = |intake: &Intake| match intake {
            Intake::New { feedback, .. } | Intake::Revised { feedback, .. } => *feedback,
            other => panic!("{other:?}"),
        };
        taken.unwrap().iter().flatten().map(id).collect()
    }

    async fn verified(&self) -> VerifyReport {
        verified(&self.core).await
    }

    async fn bent(&self, bend: Bend) -> (VerifyReport, VerifyReport) {
        let inner = Arc::clone(&self.store);
        let core = Core::for_tests(Arc::new(Bent { inner, bend }), self.folder.path(), START);
        let (listener, _told) = mpsc::channel(1);
        let quick = verify_ledger(&core, &signer(), ORIGIN, Vec::new(), listener)
            .await
            .unwrap();
        (verified(&core).await, quick)
    }
}

async fn verified(core: &Core) -> VerifyReport {
    let (listener, _told) = mpsc::channel(1);
    verify(core, &signer(), ORIGIN, Vec::new(), listener).await.unwrap()
}

fn draft(id: &str, revision: &str) -> Arrival {
    Draft {
        external_id: Some(id.to_owned()),
        revision: Some(revision.to_owned()),
        body: format!("وصلت متأخرة, revision {revision}"),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    }
    .into()
}

fn withdrawal(id: &str) -> Arrival {
    Arrival::Withdrawal {
        external_id: id.to_owned(),
    }
}

/// That each of these is told, and nothing else.
fn told(report: &VerifyReport, parts: &[&str]) {
    let findings = &report.findings;
    assert!(!report.ok || parts.is_empty(), "{findings:?}");
    assert_eq!(findings.len(), parts.len(), "{findings:?}");
    for part in parts {
        let found = findings.iter().filter(|finding| finding.contains(part));
        assert_eq!(found.count(), 1, "{part}: {findings:?}");
    }
}

#[tokio::test]
async fn a_sound_ledger_is_told_stage_by_stage() {
    let house = House::long().await;
    ledger::checkpoint(&house.core, &signer(), ORIGIN).await.unwrap();
    let (listener, _told) = mpsc::channel(1);
    let quick = verify_ledger(&house.core, &signer(), ORIGIN, Vec::new(), listener)
        .await
        .unwrap();
    let whole = house.verified().await;
    for report in [&quick, &whole] {
        told(report, &[]);
        assert_eq!((report.events, report.tiles, report.checkpoints), (600, 1, 1));
        assert_eq!(report.root, house.store.view().await.unwrap().tree().root().to_base64());
    }
    let stages = |report: &VerifyReport| -> Vec<(String, u64)> {
        let stages = report.stages.iter();
        stages.map(|stage| (stage.stage.clone(), stage.count)).collect()
    };
    assert_eq!(stages(&quick), [("ledger".to_owned(), 600)]);
    let expected = [
        ("ledger", 600),
        ("contents", 600),
        ("read models: folding", 600),
        ("read models: comparing", 1),
    ];
    assert_eq!(stages(&whole), expected.map(|(stage, count)| (stage.to_owned(), count)));
}

/// What a checkpoint of now would say.
async fn head(house: &House) -> WitnessedHead {
    let view = house.store.view().await.unwrap();
    WitnessedHead {
        size: view.tree().size(),
        root: view.tree().root(),
    }
}

async fn against(house: &House, heads: &[WitnessedHead]) -> VerifyReport {
    let (listener, _told) = mpsc::channel(1);
    verify_ledger(&house.core, &signer(), ORIGIN, heads.to_vec(), listener)
        .await
        .unwrap()
}

/// A hub that took in a bad rating, and one whose store was written anew without it: every entry, tile and checkpoint of it
/// fits, since whoever did it has the key. Only what was kept elsewhere tells.
#[tokio::test]
async fn a_rewritten_history_that_fits_itself_is_caught_by_what_was_kept_outside() {
    let (honest, doctored) = (House::new(), House::new());
    for (house, second) in [(&honest, "تقييم سيئ"), (&doctored, "تقييم جيد")] {
        for external_id in ["١", second, "٣"] {
            house.accept(&[draft(external_id, "a")]).await;
            ledger::checkpoint(&house.core, &signer(), ORIGIN).await.unwrap();
        }
    }
    let mut kept = vec![head(&honest).await];
    honest.accept(&[draft("٤", "a")]).await;
    doctored.accept(&[draft("٤", "a"), draft("٥", "a")]).await;
    kept.insert(0, head(&honest).await);
    let report = against(&honest, &kept).await;
    told(&report, &[]);
    assert_eq!(report.witnessed, 2);
    told(&against(&doctored, &[]).await, &[]);
    let caught = against(&doctored, &kept).await;
    assert_eq!((caught.ok, caught.witnessed), (false, 2));
    for head in &kept {
        let told = format!(
            "the checkpoint of {} entries that was kept outside has another root",
            head.size
        );
        assert!(
            caught
                .findings
                .contains(&format!("{told}: history was rewritten after it was signed")),
            "{caught:?}"
        );
    }
    // A hub that was put back to an earlier state has lost what came after it.
    let empty = House::new();
    told(&against(&empty, &[head(&empty).await]).await, &[]);
    let cut = |head: &WitnessedHead| format!("speaks of {} entries, but there are 0: history was cut", head.size);
    let cut: Vec<String> = kept.iter().map(cut).collect();
    let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
    told(&against(&empty, &kept).await, &cut);
}

#[tokio::test]
async fn an_empty_ledger_with_its_checkpoint_is_sound() {
    let house = House::new();
    ledger::checkpoint(&house.core, &signer(), ORIGIN).await.unwrap();
    let report = house.verified().await;
    told(&report, &[]);
    assert_eq!((report.events, report.checkpoints), (0, 1));
}

#[tokio::test]
async fn an_altered_entry_is_found_by_hash_and_by_tile() {
    let house = House::long().await;
    let (whole, quick) = house.bent(Bend::Entry(5)).await;
    told(&quick, &["hash to", "tile 0 of level 1"]);
    told(
        &whole,
        &[
            "hash to",
            "tile 0 of level 1",
            "entry 5 is no event",
            "cannot be made anew",
        ],
    );
    let (_, quick) = house.bent(Bend::Entry(599)).await;
    told(&quick, &["hash to"]);
}

#[tokio::test]
async fn a_missing_entry_is_found() {
    let house = House::long().await;
    let (whole, quick) = house.bent(Bend::Hole(300)).await;
    told(&quick, &["entry 300 is missing", "hash to", "tile 0 of level 1"]);
    assert!(
        whole
            .findings
            .iter()
            .any(|finding| finding.contains("cannot be made anew"))
    );
    let (_, quick) = house.bent(Bend::Hole(599)).await;
    told(&quick, &["entry 599 of 600 is missing", "hash to"]);
}

#[tokio::test]
async fn stored_tiles_are_compared() {
    let house = House::long().await;
    let tile = TileId { level: 1, index: 0 };
    let (whole, quick) = house.bent(Bend::OtherTile(tile)).await;
    told(
        &quick,
        &["tile 0 of level 1 of the stored tree is not what the entries give"],
    );
    told(&whole, &["tile 0 of level 1"]);
    let (_, quick) = house.bent(Bend::NoTile(tile)).await;
    told(&quick, &["is missing"]);
}

#[tokio::test]
async fn checkpoints_of_another_history_are_found() {
    let house = House::long().await;
    ledger::checkpoint(&house.core, &signer(), ORIGIN).await.unwrap();
    let signed = |size: u64| {
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: Hash::of_empty_tree(),
            extensions: Vec::new(),
        };
        let note = checkpoint.sign(&signer()).unwrap().to_string();
        Edit::Put(keys::checkpoint(size), note.into_bytes())
    };
    house.put(vec![signed(300), signed(700)]).await;
    house.put(vec![Edit::Put(keys::checkpoint(400), "توقيع".into())]).await;
    let report = house.verified().await;
    let rewritten = "the signed checkpoint at 300 entries has another root";
    told(
        &report,
        &[rewritten, "speaks of 700 entries, but there are 600", "does not verify"],
    );
    assert_eq!(report.checkpoints, 2);
}

#[tokio::test]
async fn what_was_withdrawn_is_gone_and_may_come_back() {
    let house = House::new();
    house.accept(&[draft("١", "a"), draft("2", "a")]).await;
    assert!(house.accept(&[withdrawal("١"), withdrawal("2")]).await.is_empty());
    house.accept(&[draft("١", "b")]).await;
    let report = house.verified().await;
    told(&report, &[]);
    assert_eq!((report.contents, report.contents_gone), (1, 2));
}

#[tokio::test]
async fn content_that_is_gone_without_a_word_is_found() {
    let house = House::new();
    let ids = house.accept(&[draft("1", "a"), draft("2", "a")]).await;
    house.put(vec![Edit::Delete(keys::content(ids[1], 1))]).await;
    let report = house.verified().await;
    told(&report, &[&format!("the content of {} (revision 1) is gone", ids[1])]);
    assert_eq!(report.contents, 1);
}

#[tokio::test]
async fn content_that_is_there_after_its_withdrawal_is_found() {
    let house = House::new();
    let ids = house.accept(&[draft("1", "a")]).await;
    let row = house.store.view().await.unwrap().get(&keys::content(ids[0], 1)).await;
    house.accept(&[withdrawal("1")]).await;
    house
        .put(vec![Edit::Put(keys::content(ids[0], 1), row.unwrap().unwrap().bytes)])
        .await;
    told(
        &house.verified().await,
        &["was withdrawn or erased, but is still there"],
    );
}

#[tokio::test]
async fn content_other_than_what_was_received_is_found() {
    let house = House::new();
    house.accept(&[draft("1", "a")]).await;
    let entries = house.store.view().await.unwrap().journal(0, 10).await.unwrap();
    let received = entries
        .iter()
        .find_map(|entry| match Event::from_bytes(&entry.bytes).unwrap().body {
            EventBody::Received(received) => Some(received),
            _ => None,
        });
    let mut received = received.unwrap();
    received.commitment = [0; 32];
    house.happen([EventBody::Received(received)]).await;
    told(&house.verified().await, &["is not what was received"]);
}

#[tokio::test]
async fn content_whose_key_is_gone_is_found() {
    let house = House::new();
    house.accept(&[draft("1", "a")]).await;
    let view = house.store.view().await.unwrap();
    let page = view
        .scan(keys::all(keys::CONTACT_KEY), Order::Ascending, 10)
        .await
        .unwrap();
    drop(view);
    house
        .put(page.rows.into_iter().map(|row| Edit::Delete(row.key)).collect())
        .await;
    // One that has not kept the key in memory.
    let core = Core::for_tests(house.store.clone(), house.folder.path(), START);
    told(&verified(&core).await, &["its contact's key is gone"]);
}

#[tokio::test]
async fn read_models_that_differ_are_named_and_a_rebuild_mends_them() {
    let house = House::new();
    let ids = house.accept(&[draft("1", "a"), draft("2", "a")]).await;
    projection::catch_up(&house.core).await.unwrap();
    house.put(vec![Edit::Delete(keys::head(ids[0]))]).await;
    let report = house.verified().await;
    told(
        &report,
        &["the read model \"head\" is not what the ledger gives: 1 rows missing"],
    );
    let finding = &report.findings[0];
    assert!(
        finding.contains(&ids[0].to_string()) && finding.contains("mihwar doctor --rebuild"),
        "{finding}"
    );
    let (listener, _told) = mpsc::channel(1);
    crate::rebuild::rebuild(&house.core, listener).await.unwrap();
    told(&house.verified().await, &[]);
}
