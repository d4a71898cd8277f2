//! Erasure: a contact, with all that it said, or records whose time is over. Records come first, a transaction for some
//! hundred of them: contents, what departments call them, what waits for a department; each leaves an event, and a delivery
//! for every department that may have it. The contact's key comes last, with the event that is the certificate. That an
//! erasure has begun is a row: one that was cut off goes on at the next start.

mod identifiers;
mod open;
mod records;
pub(crate) mod retention;
#[cfg(test)]
mod tests;

use std::time::Duration;

use mihwar_model::{Actor, ContactErased, ContactId, Event, EventBody, FeedbackId, Tag, Time};
use mihwar_store::{Batch, Edit, Guard, Key, Order, View};
use serde::Serialize;
use thiserror::Error;

use crate::config::Hold;
use crate::core::Core;
use crate::fault::Fault;
use crate::head_row;
use crate::keys::{self, Lookup};
use crate::projection;
use crate::query;
use crate::rows::{self, ErasedRow, ErasingRow, Head};

use open::Open;
pub(crate) use records::RULE as NOTICE_RULE;
use records::{Condemned, Destroyed};

/// Records looked at together. Few in tests, so that an erasure is several transactions.
const PAGE: usize = if cfg!(test) { 2 } else { 500 };
/// Rows counted together.
const COUNTED: usize = 10_000;
/// How often an erasure looks again when others changed what it rests on: a replay of dead letters, say.
const ATTEMPTS_MAX: u32 = 16;
/// How long an erasure waits for what is on its way of its contact: somebody waits for the answer.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });
/// When an erasure that was cut off tries again to have its turn.
const PAUSE: Duration = Duration::from_millis(50);

/// An erasure that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasureReport {
    /// Who is erased.
    pub contact: ContactId,
    /// When.
    pub at: Time,
    /// Who had it done.
    pub by: Actor,
    /// Why.
    pub reason: Tag,
    /// Pieces of feedback that the ledger tells of as theirs.
    pub records: u64,
    /// Contents destroyed now, one for each revision; the others were gone before.
    pub contents: u64,
    /// Stored files destroyed now.
    pub files: u64,
    /// Deliveries that are not made any more.
    pub withheld: u64,
    /// Deliveries that tell departments to destroy their copies.
    pub told: u64,
    /// Where the ledger has the certificate.
    pub sequence: u64,
}

/// Why a contact is not erased. Nothing was changed.
#[derive(Debug, Error)]
pub enum EraseRefusal {
    /// Nobody of this id was ever heard from.
    #[error("the hub knows no contact {0}")]
    Unknown(ContactId),
    /// It was done before.
    #[error("contact {contact} was erased already, at {at}")]
    Already {
        /// Who.
        contact: ContactId,
        /// When.
        at: Time,
    },
    /// A legal hold is on it.
    #[error("contact {contact} is under a legal hold ({reason}): take the [[hold]] out of the configuration first")]
    Held {
        /// Who.
        contact: ContactId,
        /// What the configuration says.
        reason: String,
    },
    /// Something of the contact comes in or goes out at this moment.
    #[error("something of contact {0} is being taken in or handed to a department at this moment: try again")]
    OnItsWay(ContactId),
    /// Storage failed. What was begun goes on at the next start.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where a contact stands.
enum Standing {
    Unknown,
    Known,
    Erased(Time),
}

/// Erases a contact.
pub(crate) async fn erase(
    core: &Core,
    holds: &[Hold],
    by: &Actor,
    contact: ContactId,
    reason: &Tag,
) -> Result<ErasureReport, EraseRefusal> {
    if let Some(hold) = held(holds, contact) {
        let reason = hold.reason.clone();
        return Err(EraseRefusal::Held { contact, reason });
    }
    let erasing = core.turns.erase_in_turn(contact, PATIENCE).await;
    if !erasing.covers(contact) {
        return Err(EraseRefusal::OnItsWay(contact));
    }
    match standing(core, contact).await? {
        Standing::Unknown => Err(EraseRefusal::Unknown(contact)),
        Standing::Erased(at) => Err(EraseRefusal::Already { contact, at }),
        Standing::Known => {
            let wanted = ErasingRow {
                by: by.clone(),
                reason: reason.clone(),
            };
            Ok(carry_out(core, contact, wanted).await?)
        }
    }
}

fn held(holds: &[Hold], contact: ContactId) -> Option<&Hold> {
    holds.iter().find(|hold| hold.contact == contact)
}

/// Carries erasures to their end that were cut off. One that cannot be is told, and holds up no other. Answers how many came
/// to their end.
pub(crate) async fn finish(core: &Core, holds: &[Hold]) -> Result<u64, Fault> {
    let mut finished = 0;
    let mut range = Some(keys::all(keys::ERASING));
    while let Some(next) = range {
        let page = core.store.view().await?.scan(next, Order::Ascending, PAGE).await?;
        for contact in page.rows.iter().filter_map(|row| keys::last_id(&row.key)) {
            let contact = ContactId::from_bytes(contact);
            if held(holds, contact).is_some() {
                tracing::warn!(%contact, "an erasure that was cut off does not go on: a legal hold came in between");
                continue;
            }
            match go_on(core, contact).await {
                Ok(went_on) => finished += u64::from(went_on),
                Err(error) => {
                    tracing::error!(%contact, "an erasure that was cut off could not be carried to its end: {error}");
                }
            }
        }
        range = page.next;
    }
    Ok(finished)
}

/// Carries an erasure to its end that was cut off, as soon as nothing of its contact is on its way. False when somebody else
/// has done that meanwhile.
async fn go_on(core: &Core, contact: ContactId) -> Result<bool, Fault> {
    let erasing = loop {
        let erasing = core.turns.erase_in_turn(contact, PATIENCE).await;
        if erasing.covers(contact) {
            break erasing;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let row = core.store.view().await?.get(&keys::erasing(contact)).await?;
    let Some(row) = row else { return Ok(false) };
    carry_out(core, contact, rows::decode("an erasure", &row.bytes)?).await?;
    drop(erasing);
    Ok(true)
}

async fn standing(core: &Core, contact: ContactId) -> Result<Standing, Fault> {
    projection::catch_up(core).await?;
    let view = core.store.view().await?;
    if let Some(row) = view.get(&keys::erased(contact)).await? {
        let row: ErasedRow = rows::decode("an erased contact", &row.bytes)?;
        return Ok(Standing::Erased(row.at));
    }
    // Of a contact whose key is lost there may be records still.
    let has_key = view.get(&keys::contact_key(contact)).await?.is_some();
    let records = view
        .scan(Lookup::Contact(contact).entries(), Order::Ascending, 1)
        .await?;
    Ok(if has_key || !records.rows.is_empty() {
        Standing::Known
    } else {
        Standing::Unknown
    })
}

/// Erases a contact with which nobody works, from wherever an earlier attempt was cut off.
async fn carry_out(core: &Core, contact: ContactId, wanted: ErasingRow) -> Result<ErasureReport, Fault> {
    // Whatever was handed to the writer before this is in the store after it, also if nobody waited for it.
    core.apply_patiently(Batch {
        edits: vec![Edit::Put(keys::erasing(contact), rows::encode(&wanted)?)],
        ..Batch::default()
    })
    .await?;
    projection::catch_up(core).await?;
    // The contents tell it, as long as they are there.
    let known_by = identifiers::of(core, contact).await?;
    let mut destroyed = Destroyed::default();
    for _ in 0..ATTEMPTS_MAX {
        match destroy_records(core, contact, &wanted, &mut destroyed).await {
            Err(Fault::Contended) => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let report = certify(core, contact, wanted, known_by, destroyed).await?;
                let ErasureReport { records, sequence, .. } = report;
                tracing::info!(%contact, records, sequence, "a contact was erased");
                return Ok(report);
            }
        }
    }
    Err(Fault::Contended)
}

/// Destroys what is left of a contact's records.
async fn destroy_records(
    core: &Core,
    contact: ContactId,
    wanted: &ErasingRow,
    destroyed: &mut Destroyed,
) -> Result<(), Fault> {
    projection::catch_up(core).await?;
    let open = Open::read(&*core.store.view().await?, |entry| entry.contact == contact).await?;
    let mut range = Some(Lookup::Contact(contact).entries());
    while let Some(next) = range {
        let view = core.store.view().await?;
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        let condemned = heads(&*view, page.rows.iter().filter_map(|row| keys::last_id(&row.key)))
            .await?
            .into_iter()
            .filter(|head| head.erased_at.is_none())
            .map(|head| Condemned {
                head,
                reason: wanted.reason.clone(),
            });
        let condemned: Vec<Condemned> = condemned.collect();
        drop(view);
        records::destroy(core, &wanted.by, &condemned, &open, destroyed).await?;
        range = page.next;
    }
    Ok(())
}

/// Heads of these records, in the order of their ids.
async fn heads(view: &dyn View, ids: impl Iterator<Item = [u8; 16]>) -> Result<Vec<Head>, Fault> {
    let found = query::heads(view, ids.map(FeedbackId::from_bytes).collect()).await?;
    let mut heads: Vec<Head> = found.into_values().collect();
    heads.sort_unstable_by_key(|head| head.feedback);
    Ok(heads)
}

/// As [`heads`], without those that are damaged, which are told; and whether there are such.
async fn sound_heads(view: &dyn View, ids: impl Iterator<Item = [u8; 16]>) -> Result<(Vec<Head>, bool), Fault> {
    let mut ids: Vec<FeedbackId> = ids.map(FeedbackId::from_bytes).collect();
    ids.sort_unstable();
    let places: Vec<Key> = ids.iter().map(|id| keys::head(*id)).collect();
    let (mut sound, mut is_damaged) = (Vec::with_capacity(ids.len()), false);
    for (id, row) in ids.into_iter().zip(view.get_many(&places).await?) {
        match row.map(|row| head_row::decode(id, &row.bytes)) {
            Some(Ok(head)) => sound.push(head),
            Some(Err(error)) => {
                tracing::error!(feedback = %id, "what is known of it cannot be read: {error}; run: mihwar doctor --rebuild");
                is_damaged = true;
            }
            None => {}
        }
    }
    Ok((sound, is_damaged))
}

/// Destroys the key of a contact of which nothing else is left, and the rows by which it is known again. From here on
/// nothing of it can be read, and nothing comes back.
async fn certify(
    core: &Core,
    contact: ContactId,
    wanted: ErasingRow,
    known_by: Vec<Key>,
    destroyed: Destroyed,
) -> Result<ErasureReport, Fault> {
    let ErasingRow { by, reason } = wanted;
    let view = core.store.view().await?;
    let records = count(&*view, contact).await?;
    let place = keys::contact_key(contact);
    let key_as_it_is = match view.get(&place).await? {
        Some(row) => Guard::At(place.clone(), row.version),
        None => Guard::Absent(place.clone()),
    };
    drop(view);
    let at = core.clock.now();
    let body = EventBody::ContactErased(ContactErased {
        contact,
        records,
        reason: reason.clone(),
    });
    let event = Event {
        at,
        actor: by.clone(),
        body,
    };
    let row = ErasedRow {
        at,
        by: by.clone(),
        reason: reason.clone(),
        records,
    };
    let mut batch = Batch {
        guards: vec![key_as_it_is, Guard::Absent(keys::erased(contact))],
        edits: vec![
            Edit::Delete(place),
            Edit::Delete(keys::erasing(contact)),
            Edit::Put(keys::erased(contact), rows::encode(&row)?),
        ],
        journal: vec![event.to_bytes().map_err(Fault::Encoding)?],
    };
    batch.edits.extend(known_by.into_iter().map(Edit::Delete));
    let commit = core.commit_patiently(batch).await?;
    core.vault.forget_contact_key(contact);
    core.wake.notify();
    Ok(ErasureReport {
        contact,
        at,
        by,
        reason,
        records,
        contents: destroyed.contents,
        files: destroyed.files,
        withheld: destroyed.withheld,
        told: destroyed.told,
        sequence: commit.first_sequence,
    })
}

async fn count(view: &dyn View, contact: ContactId) -> Result<u64, Fault> {
    let (mut records, mut range) = (0, Some(Lookup::Contact(contact).entries()));
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, COUNTED).await?;
        records += page.rows.len() as u64;
        range = page.next;
    }
    Ok(records)
}

/// The contact that is known by an identifier.
pub(crate) async fn find(core: &Core, identifier: &mihwar_model::Identifier) -> Result<Option<ContactId>, Fault> {
    let place = keys::identifier(core.vault.identifier_hash(identifier));
    let row = core.store.view().await?.get(&place).await?;
    row.map(|row| rows::decode("an identifier", &row.bytes)).transpose()
}

/// Whether nothing of a contact is left but its key. The read models must have seen all.
async fn has_nothing_left(view: &dyn View, contact: ContactId) -> Result<bool, Fault> {
    let mut range = Some(Lookup::Contact(contact).entries());
    while let Some(next) = range {
        // What came last is there still most of the time.
        let page = view.scan(next, Order::Descending, PAGE).await?;
        let ids = page.rows.iter().filter_map(|row| keys::last_id(&row.key));
        let (heads, is_damaged) = sound_heads(view, ids).await?;
        // Whether one that is damaged was erased, nobody can tell: its contact stays, and nobody else has to because of it.
        if is_damaged || heads.iter().any(|head| head.erased_at.is_none()) {
            return Ok(false);
        }
        range = page.next;
    }
    Ok(true)
}
