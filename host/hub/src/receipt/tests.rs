//! Receipts and consistency proofs over a ledger that grows.

use std::sync::Arc;

use mihwar_ledger::{Checkpoint, Consistency, Receipt, Signer, VerifyingKey};
use mihwar_model::{Actor, Channel, Draft, Event, EventBody, FeedbackId, InstanceName, Tag, Time};
use mihwar_store::{Batch, Edit, MemoryStore, Store};

use super::{ProofRefusal, caught_up, consistency, newest_revision_first, receipt};
use crate::core::Core;
use crate::fault::Fault;
use crate::intake::{Arrival, Intake, Rider, accept};
use crate::{keys, ledger};

const ORIGIN: &str = "محور.example/ledger";

struct House {
    store: Arc<MemoryStore>,
    core: Core,
    _folder: tempfile::TempDir,
}

fn signer() -> Signer {
    Signer::from_seed(ORIGIN, &[8; 32]).unwrap()
}

fn key() -> VerifyingKey {
    signer().verifying_key()
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let core = Core::for_tests(store.clone(), folder.path(), Time(1_790_000_000_000));
        Self {
            store,
            core,
            _folder: folder,
        }
    }

    async fn say(&self, id: &str, revision: &str) -> FeedbackId {
        let draft = Draft {
            external_id: Some(id.to_owned()),
            revision: Some(revision.to_owned()),
            body: format!("التوصيل متأخر، revision {revision}"),
            ..Draft::new(Channel::new(Tag::new("form").unwrap()))
        };
        let form = InstanceName::new("form").unwrap();
        let taken = accept(&self.core, &Actor::Console, &form, &[draft.into()], &Rider::default()).await;
        match taken.unwrap().first() {
            Some(Some(Intake::New { feedback, .. } | Intake::Revised { feedback, .. })) => *feedback,
            other => panic!("{other:?}"),
        }
    }

    async fn sign(&self) -> u64 {
        let note = ledger::checkpoint(&self.core, &signer(), ORIGIN).await.unwrap();
        Checkpoint::open(&note, ORIGIN, &key()).unwrap().0.size
    }

    async fn receipt(&self, id: FeedbackId, size: Option<u64>) -> Result<Receipt, ProofRefusal> {
        receipt(&self.core, &signer(), ORIGIN, id, size).await
    }

    async fn consistency(&self, from: u64, to: Option<u64>) -> Result<Consistency, ProofRefusal> {
        consistency(&self.core, &signer(), ORIGIN, from, to).await
    }
}

fn revision(event: &[u8]) -> Option<u32> {
    match Event::from_bytes(event).unwrap().body {
        EventBody::Received(received) => Some(received.revision),
        _ => None,
    }
}

fn revisions(receipt: &Receipt) -> Vec<Option<u32>> {
    receipt.entries.iter().map(|entry| revision(&entry.event)).collect()
}

#[tokio::test]
async fn a_receipt_begins_with_the_newest_revision_and_holds_elsewhere() {
    let house = House::new();
    let id = house.say("١", "a").await;
    house.say("٢", "a").await;
    assert_eq!(house.say("١", "b").await, id);
    let made = house.receipt(id, None).await.unwrap();
    assert_eq!(revisions(&made), [Some(2), Some(1)]);
    assert_eq!(made.feedback, id.to_string());
    let read = Receipt::from_json(made.to_json().unwrap().as_bytes()).unwrap();
    let checkpoint = read.verify(&key()).unwrap();
    assert_eq!(checkpoint.size, house.store.view().await.unwrap().tree().size());
    // Nothing that the person said or that names them is in it.
    for entry in &made.entries {
        assert!(!String::from_utf8_lossy(&entry.event).contains("التوصيل"));
    }
    // What was signed for it is kept, so that it can be connected with what is signed later.
    house.say("٣", "a").await;
    let bridge = house.consistency(checkpoint.size, None).await.unwrap();
    let (_, later) = bridge.verify(&key()).unwrap();
    read.verify_against(&key(), &later, Some(&bridge)).unwrap();
}

#[tokio::test]
async fn a_receipt_for_an_older_checkpoint_knows_what_was_there_then() {
    let house = House::new();
    house.say("١", "a").await;
    let before = house.sign().await;
    let id = house.say("٢", "a").await;
    let then = house.sign().await;
    house.say("٢", "b").await;
    let now = house.sign().await;
    assert_eq!(
        revisions(&house.receipt(id, Some(now)).await.unwrap()),
        [Some(2), Some(1)]
    );
    let older = house.receipt(id, Some(then)).await.unwrap();
    assert_eq!(revisions(&older), [Some(1)]);
    assert_eq!(older.verify(&key()).unwrap().size, then);
    let refused = house.receipt(id, Some(before)).await.unwrap_err();
    assert!(
        matches!(refused, ProofRefusal::TooOld { size } if size == before),
        "{refused}"
    );
}

#[tokio::test]
async fn where_there_is_no_room_for_all_the_newest_is_told() {
    let house = House::new();
    let mut id = house.say("١", "a").await;
    for revision in ["b", "c", "d"] {
        id = house.say("١", revision).await;
    }
    let form = InstanceName::new("form").unwrap();
    let withdrawal = [Arrival::Withdrawal {
        external_id: "١".to_owned(),
    }];
    accept(&house.core, &Actor::Console, &form, &withdrawal, &Rider::default())
        .await
        .unwrap();
    let all = house.receipt(id, None).await.unwrap();
    assert_eq!(revisions(&all), [Some(4), Some(1), Some(2), Some(3), None]);
    let view = house.store.view().await.unwrap();
    for (most, told) in [
        (1, vec![Some(4)]),
        (2, vec![Some(4), None]),
        (3, vec![Some(4), Some(3), None]),
    ] {
        let entries = newest_revision_first(&*view, id, view.tree().size(), most).await;
        let entries = entries.unwrap().unwrap();
        let seen: Vec<_> = entries.iter().map(|(_, event)| revision(event)).collect();
        assert_eq!(seen, told, "{most}");
    }
}

#[tokio::test]
async fn what_there_is_not_is_refused_with_what_there_is() {
    let house = House::new();
    let nothing = house.consistency(1, Some(2)).await.unwrap_err();
    assert!(nothing.to_string().contains("there is none yet"), "{nothing}");
    let id = house.say("١", "a").await;
    let first = house.sign().await;
    house.say("٢", "a").await;
    house.say("٣", "a").await;
    let second = house.sign().await;
    let unknown = house.receipt(FeedbackId::from_bytes([1; 16]), None).await.unwrap_err();
    assert!(matches!(unknown, ProofRefusal::NoFeedback), "{unknown}");
    let unsigned = house.receipt(id, Some(first + 1)).await.unwrap_err().to_string();
    assert!(
        unsigned.contains(&format!("the nearest are of {first} and {second}")),
        "{unsigned}"
    );
    let beyond = house.consistency(second + 1, Some(second)).await.unwrap_err();
    assert!(matches!(beyond, ProofRefusal::Order { .. }), "{beyond}");
    let unsigned = house.consistency(first + 1, None).await.unwrap_err();
    assert!(matches!(unsigned, ProofRefusal::NoCheckpoint { .. }), "{unsigned}");
    assert!(house.consistency(first, Some(first)).await.is_ok());
    assert!(house.consistency(first, Some(second)).await.is_ok());
}

#[tokio::test]
async fn a_proof_that_would_not_hold_is_not_handed_out() {
    let house = House::new();
    let id = house.say("١", "a").await;
    let size = house.sign().await;
    let forged = Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: mihwar_ledger::Hash::of_empty_tree(),
        extensions: Vec::new(),
    };
    let note = forged.sign(&signer()).unwrap().to_string();
    let batch = Batch {
        edits: vec![Edit::Put(keys::checkpoint(size), note.into_bytes())],
        ..Batch::default()
    };
    house.store.apply(batch).await.unwrap();
    let refused = house.receipt(id, Some(size)).await.unwrap_err();
    assert!(
        matches!(refused, ProofRefusal::Fault(Fault::Damaged { .. })),
        "{refused}"
    );
}

#[tokio::test]
async fn while_the_read_models_are_behind_there_is_no_receipt_with_half_of_it() {
    let house = House::new();
    house.say("١", "a").await;
    let size = house.sign().await;
    assert!(caught_up(&house.core, size).await.is_ok());
    let behind = caught_up(&house.core, size + 1).await;
    assert!(matches!(behind, Err(Fault::Busy { .. })), "they know {size} entries");
}
