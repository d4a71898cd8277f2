//! Signing the ledger: the key, checkpoints, and when they are made.

use std::sync::Arc;
use std::time::Duration;

use mihwar_ledger::{Checkpoint, Signer};
use mihwar_model::{Event, EventBody, Route, Time};
use mihwar_store::{ApplyError, Batch, Edit, Guard, Key, Order, View};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::vault::VaultError;

/// Where the signing key lies, sealed.
pub(crate) fn seed_key() -> Key {
    keys::setting("ledger-signing-seed")
}

/// The key that signs checkpoints: made once, sealed in the store.
pub(crate) async fn signer(core: &Core, origin: &str) -> Result<Signer, Fault> {
    let key = seed_key();
    let place = key.as_bytes();
    loop {
        if let Some(row) = core.store.view().await?.get(&key).await? {
            let seed = core.vault.open_own(place, &row.bytes)?;
            let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| VaultError::Unreadable {
                what: "the signing key",
            })?;
            // C2SP tlog-checkpoint: the log's key bears the name of its origin.
            return Signer::from_seed(origin, &seed).map_err(|error| Fault::Encoding(error.to_string()));
        }
        let sealed = core.vault.seal_own(place, &core.vault.random::<32>())?;
        let batch = Batch {
            guards: vec![Guard::Absent(key.clone())],
            edits: vec![Edit::Put(key.clone(), sealed)],
            ..Batch::default()
        };
        match core.store.apply(batch).await {
            Ok(_) | Err(ApplyError::Stale(_)) => {}
            Err(ApplyError::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Signs the present head and keeps the note.
pub(crate) async fn checkpoint(core: &Core, signer: &Signer, origin: &str) -> Result<String, Fault> {
    let (_, note) = sign_head(core, signer, origin).await?;
    Ok(note)
}

/// As [`checkpoint`], with the view whose head it is.
pub(crate) async fn sign_head(core: &Core, signer: &Signer, origin: &str) -> Result<(Box<dyn View>, String), Fault> {
    let (view, signed) = sign(core, signer, origin).await?;
    signed.keep(core).await?;
    Ok((view, signed.note))
}

/// A signed head that may not be on disk yet. It must not be handed out before [`SignedHead::keep`] has ended: whoever holds
/// it may ask for a proof from it one day.
#[must_use]
pub(crate) struct SignedHead {
    pub(crate) note: String,
    size: u64,
    is_kept: bool,
}

impl SignedHead {
    /// Makes it durable.
    pub(crate) async fn keep(&self, core: &Core) -> Result<(), Fault> {
        if self.is_kept {
            return Ok(());
        }
        let edit = Edit::Put(keys::checkpoint(self.size), self.note.clone().into_bytes());
        core.apply_patiently(Batch {
            edits: vec![edit],
            ..Batch::default()
        })
        .await
    }
}

/// Signs the present head, and answers with the view whose head it is.
pub(crate) async fn sign(core: &Core, signer: &Signer, origin: &str) -> Result<(Box<dyn View>, SignedHead), Fault> {
    let view = core.store.view().await?;
    let tree = view.tree();
    let size = tree.size();
    if let Some(known) = view.get(&keys::checkpoint(size)).await? {
        let note = String::from_utf8_lossy(&known.bytes).into_owned();
        let signed = Checkpoint::open(&note, origin, &signer.verifying_key());
        return match signed {
            // Nobody may hold two signatures of one size. The next entry makes it another one.
            Ok((signed, _)) if signed.root != tree.root() => Err(Fault::Damaged {
                what: "the ledger",
                detail: format!("it was signed at {size} entries before, with another root"),
            }),
            _ => {
                let is_kept = true;
                Ok((view, SignedHead { note, size, is_kept }))
            }
        };
    }
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        size,
        root: tree.root(),
        extensions: Vec::new(),
    };
    let note = checkpoint
        .sign(signer)
        .map_err(|error| Fault::Encoding(error.to_string()))?
        .to_string();
    let is_kept = false;
    Ok((view, SignedHead { note, size, is_kept }))
}

/// The newest checkpoint that was signed; only where there is none yet, one is made.
pub(crate) async fn newest_checkpoint(core: &Core, signer: &Signer, origin: &str) -> Result<String, Fault> {
    let view = core.store.view().await?;
    let last = view.scan(keys::all(keys::CHECKPOINT), Order::Descending, 1).await?;
    match last.rows.first() {
        Some(row) => Ok(String::from_utf8_lossy(&row.value.bytes).into_owned()),
        None => checkpoint(core, signer, origin).await,
    }
}

/// Entries from `first` on: as many as there are, at most `count`.
pub(crate) async fn entries(core: &Core, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let view = core.store.view().await?;
    let mut entries = Vec::new();
    while entries.len() < count {
        let from = first.saturating_add(entries.len() as u64);
        let page = view.journal(from, count - entries.len()).await?;
        if page.is_empty() {
            break;
        }
        entries.extend(page.into_iter().map(|entry| entry.bytes));
    }
    Ok(entries)
}

/// Signs the ledger again and again while it grows.
pub(crate) async fn run(
    core: Arc<Core>,
    signer: Arc<Signer>,
    origin: String,
    every: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = checkpoint(&core, &signer, &origin).await {
            tracing::warn!("the ledger could not be signed: {error}");
        }
    }
}

/// Entries at the end of the ledger that are looked at for the newest moment.
const NEWEST_AMONG: usize = 1_000;

/// The newest moment that the end of the ledger tells of, by its events' times and by the ids in them: the clock may
/// have stepped back in between. An entry that cannot be read is passed over here; verification names it.
pub(crate) async fn newest_moment(view: &dyn View) -> Result<Time, Fault> {
    let from = view.tree().size().saturating_sub(NEWEST_AMONG as u64);
    let entries = view.journal(from, NEWEST_AMONG).await?;
    let events = entries.iter().filter_map(|entry| Event::from_bytes(&entry.bytes).ok());
    let moments = events.map(|event| {
        let named = match &event.body {
            EventBody::Received(received) => Some(received.feedback.made_at()),
            EventBody::Routed(routed) | EventBody::BackFilled(routed) => newest_delivery(&routed.routes),
            EventBody::RecordErased(erased) => newest_delivery(&erased.routes),
            _ => None,
        };
        named.map_or(event.at, |named| named.max(event.at))
    });
    Ok(moments.max().unwrap_or(Time(0)))
}

/// When the last of these deliveries was made, by its id.
fn newest_delivery(routes: &[Route]) -> Option<Time> {
    routes.iter().map(|route| route.delivery.made_at()).max()
}
