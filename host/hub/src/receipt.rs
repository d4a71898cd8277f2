//! Receipts: proofs over the ledger that are handed out, for people who believe nobody.

use std::time::Duration;

use mihwar_ledger::{Consistency, Inclusion, MAX_RECEIPT_ENTRIES, Receipt, SignedNote, Signer};
use mihwar_model::{Event, EventBody, FeedbackId};
use mihwar_store::{LedgerProofError, Order, View, prove_consistency, prove_inclusions};
use thiserror::Error;

use crate::core::Core;
use crate::fault::Fault;
use crate::folding::no_event;
use crate::{keys, ledger, projection, query};

/// When whoever asks for a receipt should come again, while the read models are behind.
const BEHIND_PAUSE: Duration = Duration::from_secs(2);

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

/// The receipt of a record: its newest revision that the checkpoint knows, then everything else that the ledger tells of it,
/// or the newest of that for which there is room.
/// For the checkpoint of `size` entries if one is named, else for the ledger as it is now, which is signed for it.
pub(crate) async fn receipt(
    core: &Core,
    signer: &Signer,
    origin: &str,
    id: FeedbackId,
    size: Option<u64>,
) -> Result<Receipt, ProofRefusal> {
    let (checkpoint, entries) = match size {
        Some(size) => {
            let view = core.store.view().await?;
            let note = kept(&*view, size).await?;
            drop(view);
            (note, proved(core, id, size).await?)
        }
        None => {
            let (head, signed) = ledger::sign(core, signer, origin).await?;
            let size = head.tree().size();
            drop(head);
            // Together: each waits for the disk, and what they write can go there with one sync.
            let (is_kept, entries) = tokio::join!(signed.keep(core), proved(core, id, size));
            is_kept?;
            (SignedNote::parse(&signed.note).map_err(damaged)?, entries?)
        }
    };
    let receipt = Receipt {
        feedback: id.to_string(),
        key: signer.verifying_key(),
        checkpoint,
        entries,
    };
    // What does not hold is not handed out.
    receipt.verify(&receipt.key).map_err(damaged)?;
    Ok(receipt)
}

/// The entries of a record for its receipt, each with its proof for the first `size` entries of the ledger.
async fn proved(core: &Core, id: FeedbackId, size: u64) -> Result<Vec<Inclusion>, ProofRefusal> {
    let view = caught_up(core, size).await?;
    let Some(entries) = newest_revision_first(&*view, id, size, MAX_RECEIPT_ENTRIES).await? else {
        let is_known = query::heads(&*view, vec![id]).await?.contains_key(&id);
        return Err(if is_known {
            ProofRefusal::TooOld { size }
        } else {
            ProofRefusal::NoFeedback
        });
    };
    let indices: Vec<u64> = entries.iter().map(|(index, _)| *index).collect();
    let paths = prove_inclusions(&*view, &indices, size).await?;
    let inclusion = |((index, event), audit_path)| Inclusion {
        index,
        event,
        audit_path,
    };
    Ok(entries.into_iter().zip(paths).map(inclusion).collect())
}

/// A view whose read models know the first `size` entries: what they did not know of a record, its receipt would leave out.
///
/// # Errors
/// [`Fault::Busy`] while they are behind.
async fn caught_up(core: &Core, size: u64) -> Result<Box<dyn View>, Fault> {
    projection::catch_up_for_readers(core).await?;
    let view = core.store.view().await?;
    let (position, _) = projection::position(&*view).await?;
    if position < size {
        return Err(Fault::Busy {
            retry_after: BEHIND_PAUSE,
        });
    }
    Ok(view)
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

/// The entries of a record before `size`, at most `most`: its newest revision comes first, then the newest others, in their
/// order. `None` when none of them is a revision.
async fn newest_revision_first(
    view: &dyn View,
    id: FeedbackId,
    size: u64,
    most: usize,
) -> Result<Option<Vec<(u64, Vec<u8>)>>, Fault> {
    let (mut newest, mut others, mut before) = (None, Vec::new(), size);
    while newest.is_none() || others.len() + 1 < most {
        let sequences = query::sequences_before(view, id, before, most).await?;
        let Some(last) = sequences.last() else { break };
        before = *last;
        for sequence in sequences {
            for entry in view.journal(sequence, 1).await? {
                let event = Event::from_bytes(&entry.bytes).map_err(|detail| no_event(sequence, &detail))?;
                if newest.is_none() && matches!(event.body, EventBody::Received(_)) {
                    newest = Some((entry.sequence, entry.bytes));
                } else if others.len() + 1 < most {
                    others.push((entry.sequence, entry.bytes));
                }
            }
        }
    }
    Ok(newest.map(|newest| std::iter::once(newest).chain(others.into_iter().rev()).collect()))
}

#[cfg(test)]
mod tests;
