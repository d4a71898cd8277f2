//! Receipts: proofs over the ledger that are handed out, for people who believe nobody.

use mihwar_ledger::{Consistency, Inclusion, MAX_RECEIPT_ENTRIES, Receipt, SignedNote, Signer};
use mihwar_model::{Event, EventBody, FeedbackId};
use mihwar_store::{LedgerProofError, Order, View, prove_consistency, prove_inclusions};
use thiserror::Error;

use crate::core::Core;
use crate::fault::Fault;
use crate::folding::no_event;
use crate::{keys, ledger, projection, query};

/// Why a proof is not made.
#[derive(Debug, Error)]
pub enum ProofRefusal {
    /// There is no such record.
    #[error("there is no such feedback here")]
    NoFeedback,
    /// Nothing was signed at that size.
    #[error("no checkpoint of {size} entries was signed here; {nearest}")]
    NoCheckpoint {
        /// Entries asked for.
        size: u64,
        /// Which sizes near it were signed, in words.
        nearest: String,
    },
    /// The checkpoint was signed before the feedback came in.
    #[error(
        "it came in after that checkpoint, which speaks of {size} entries; ask for a receipt without naming a size"
    )]
    TooOld {
        /// Entries of the checkpoint.
        size: u64,
    },
    /// The sizes are the wrong way round.
    #[error("a ledger of {to} entries did not grow out of one of {from}; name the smaller one first")]
    Order {
        /// Entries of the checkpoint that should be the older one.
        from: u64,
        /// Entries of the checkpoint that should be the newer one.
        to: u64,
    },
    /// Something at rest failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn nearest(below: Option<u64>, above: Option<u64>) -> String {
    match (below, above) {
        (Some(below), Some(above)) => format!("the nearest are of {below} and {above}"),
        (Some(size), None) | (None, Some(size)) => format!("the nearest is of {size}"),
        (None, None) => "there is none yet".to_owned(),
    }
}

impl From<mihwar_store::StoreError> for ProofRefusal {
    fn from(error: mihwar_store::StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<LedgerProofError> for ProofRefusal {
    fn from(error: LedgerProofError) -> Self {
        match error {
            LedgerProofError::Store(error) => error.into(),
            // Sizes and entries are those of the store itself: that they do not fit is its damage.
            other => damaged(other),
        }
    }
}

/// The ledger's own parts contradict each other.
fn damaged(detail: impl std::fmt::Display) -> ProofRefusal {
    ProofRefusal::Fault(Fault::Damaged {
        what: "the ledger",
        detail: detail.to_string(),
    })
}

/// The receipt of a record: its newest revision that the checkpoint knows, then everything else that the ledger tells of it.
/// For the checkpoint of `size` entries if one is named, else for the ledger as it is now, which is signed for it.
pub(crate) async fn receipt(
    core: &Core,
    signer: &Signer,
    origin: &str,
    id: FeedbackId,
    size: Option<u64>,
) -> Result<Receipt, ProofRefusal> {
    projection::catch_up_for_readers(core).await?;
    let (view, note) = signed(core, signer, origin, size).await?;
    let size = size.unwrap_or_else(|| view.tree().size());
    let sequences = query::sequences(&*view, id, MAX_RECEIPT_ENTRIES).await?;
    if sequences.is_empty() {
        return Err(ProofRefusal::NoFeedback);
    }
    let known = sequences.into_iter().filter(|sequence| *sequence < size);
    let entries = newest_revision_first(&*view, known.collect()).await?;
    let entries = entries.ok_or(ProofRefusal::TooOld { size })?;
    let indices: Vec<u64> = entries.iter().map(|(index, _)| *index).collect();
    let paths = prove_inclusions(&*view, &indices, size).await?;
    let inclusion = |((index, event), audit_path)| Inclusion {
        index,
        event,
        audit_path,
    };
    let receipt = Receipt {
        feedback: id.to_string(),
        key: signer.verifying_key(),
        checkpoint: note,
        entries: entries.into_iter().zip(paths).map(inclusion).collect(),
    };
    // What does not hold is not handed out.
    receipt.verify(&receipt.key).map_err(damaged)?;
    Ok(receipt)
}

/// That the checkpoint of `to` entries (left out: the ledger as it is now) only appended to the one of `from`.
pub(crate) async fn consistency(
    core: &Core,
    signer: &Signer,
    origin: &str,
    from: u64,
    to: Option<u64>,
) -> Result<Consistency, ProofRefusal> {
    let (view, new) = signed(core, signer, origin, to).await?;
    let to = to.unwrap_or_else(|| view.tree().size());
    if from > to {
        return Err(ProofRefusal::Order { from, to });
    }
    let consistency = Consistency {
        key: signer.verifying_key(),
        old: kept(&*view, from).await?,
        new,
        proof: prove_consistency(&*view, from, to).await?,
    };
    consistency.verify(&consistency.key).map_err(damaged)?;
    Ok(consistency)
}

/// The checkpoint of this size, with a view that shows as much at least.
async fn signed(
    core: &Core,
    signer: &Signer,
    origin: &str,
    size: Option<u64>,
) -> Result<(Box<dyn View>, SignedNote), ProofRefusal> {
    match size {
        None => {
            let (view, note) = ledger::sign_head(core, signer, origin).await?;
            let note = SignedNote::parse(&note).map_err(damaged)?;
            Ok((view, note))
        }
        Some(size) => {
            let view = core.store.view().await?;
            let note = kept(&*view, size).await?;
            Ok((view, note))
        }
    }
}

/// The checkpoint that was signed when the ledger had this size.
async fn kept(view: &dyn View, size: u64) -> Result<SignedNote, ProofRefusal> {
    let key = keys::checkpoint(size);
    if let Some(row) = view.get(&key).await? {
        return SignedNote::parse(&String::from_utf8_lossy(&row.bytes)).map_err(damaged);
    }
    let all = || keys::all(keys::CHECKPOINT);
    let below = view.scan(all().before(&key), Order::Descending, 1).await?;
    let above = view.scan(all().after(&key), Order::Ascending, 1).await?;
    let size_of = |page: mihwar_store::Page| page.rows.first().and_then(|row| keys::last_number(&row.key));
    Err(ProofRefusal::NoCheckpoint {
        size,
        nearest: nearest(size_of(below), size_of(above)),
    })
}

/// The entries of a record, of which the newest revision comes first; `None` when none of them is one.
async fn newest_revision_first(view: &dyn View, sequences: Vec<u64>) -> Result<Option<Vec<(u64, Vec<u8>)>>, Fault> {
    let mut entries = Vec::with_capacity(sequences.len());
    let mut newest = None;
    for sequence in sequences {
        for entry in view.journal(sequence, 1).await? {
            let event = Event::from_bytes(&entry.bytes).map_err(|detail| no_event(sequence, &detail))?;
            if matches!(event.body, EventBody::Received(_)) {
                newest = Some(entries.len());
            }
            entries.push((entry.sequence, entry.bytes));
        }
    }
    let Some(newest) = newest else { return Ok(None) };
    let first = entries.remove(newest);
    entries.insert(0, first);
    Ok(Some(entries))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_ledger::{Checkpoint, Consistency, Receipt, Signer, VerifyingKey};
    use mihwar_model::{Actor, Channel, Draft, Event, EventBody, FeedbackId, InstanceName, Tag, Time};
    use mihwar_store::{Batch, Edit, MemoryStore, Store};

    use super::{ProofRefusal, consistency, receipt};
    use crate::core::Core;
    use crate::fault::Fault;
    use crate::intake::{Intake, Rider, accept};
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

    fn revisions(receipt: &Receipt) -> Vec<Option<u32>> {
        let revision = |bytes: &[u8]| match Event::from_bytes(bytes).unwrap().body {
            EventBody::Received(received) => Some(received.revision),
            _ => None,
        };
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
}
