//! The rows by which an item is found by what a department calls it. They follow from the references, go with them, and are
//! made of them again.

use std::collections::HashMap;

use mihwar_model::{ContactId, FeedbackId, InstanceName};
use mihwar_store::{Batch, Edit, Guard, Key, Order, Row, View};

use crate::core::Core;
use crate::delivery;
use crate::fault::Fault;
use crate::keys;
use crate::query;
use crate::rows::{self, OutboxRow};

/// Rows read in one go.
const PAGE: usize = 1000;
/// References opened together.
const TOGETHER: usize = 256;

/// What stands for what a department calls an item. Outsiders cannot compute it.
pub(super) fn hash(core: &Core, destination: &InstanceName, reference: &str) -> [u8; 16] {
    core.vault
        .name(&[b"called", destination.as_str().as_bytes(), reference.as_bytes()])
}

/// The rows by which an item that was delivered is found by what the department calls it, for the transaction that keeps
/// the reference; and one that every such transaction writes anew, so that a withdrawal under way at that moment is made again.
pub(crate) fn named(
    core: &Core,
    destination: &InstanceName,
    reference: &str,
    delivered: &OutboxRow,
) -> Result<[Edit; 3], Fault> {
    let [called, name] = rows_of(core, destination, reference, delivered.feedback, delivered.contact)?;
    let mark = Edit::Put(keys::named_mark(delivered.feedback), Vec::new());
    Ok([called, name, mark])
}

fn rows_of(
    core: &Core,
    destination: &InstanceName,
    reference: &str,
    feedback: FeedbackId,
    contact: ContactId,
) -> Result<[Edit; 2], Fault> {
    let hash = hash(core, destination, reference);
    Ok([
        Edit::Put(keys::called(destination, hash, feedback), rows::encode(&contact)?),
        Edit::Put(keys::name_of(feedback, destination, hash), Vec::new()),
    ])
}

/// What destroys all rows of names and reports of one item, for the transaction that destroys its references. A report that
/// comes in between fails a guard.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) guards: Vec<Guard>,
    pub(crate) edits: Vec<Edit>,
}

/// What is stored of the names and reports of an item.
pub(crate) async fn remains(view: &dyn View, feedback: FeedbackId) -> Result<Remains, Fault> {
    let (mut remains, mut range) = (Remains::default(), Some(keys::told_of(feedback)));
    let mark = keys::named_mark(feedback);
    let mut marked = Guard::Absent(mark.clone());
    while let Some(next) = range {
        let page = view.scan(next, Order::Ascending, PAGE).await?;
        for row in page.rows {
            if row.key == mark {
                marked = Guard::At(mark.clone(), row.value.version);
            }
            if let Some(called) = keys::called_of_name(&row.key) {
                remains.edits.push(Edit::Delete(called));
                remains.guards.push(Guard::At(row.key.clone(), row.value.version));
            }
            remains.edits.push(Edit::Delete(row.key));
        }
        range = page.next;
    }
    remains.guards.push(marked);
    Ok(remains)
}

/// Makes the rows anew that references lack, or that say something else than they should. Answers how many references had
/// to be put right. A reference that cannot be opened is passed over, and told.
pub(crate) async fn anew(core: &Core) -> Result<u64, Fault> {
    let (mut mended, mut range) = (0, Some(keys::all(keys::REFERENCE)));
    while let Some(next) = range {
        let view = core.store.view().await?;
        let page = view.scan(next, Order::Ascending, TOGETHER).await?;
        let batch = missing(core, &*view, &page.rows).await?;
        drop(view);
        mended += batch.guards.len() as u64;
        if !batch.edits.is_empty() {
            core.apply_patiently(batch).await?;
        }
        range = page.next;
    }
    Ok(mended)
}

/// What puts the rows of these references right: a guard for each that needs it.
async fn missing(core: &Core, view: &dyn View, references: &[Row]) -> Result<Batch, Fault> {
    let wanted = wanted(core, view, references).await?;
    let places: Vec<Key> = wanted
        .iter()
        .flat_map(|(_, edits)| edits.iter().map(|edit| edit.key().clone()))
        .collect();
    let mut there = view.get_many(&places).await?.into_iter();
    let mut batch = Batch::default();
    for (guard, edits) in wanted {
        let mut is_right = true;
        for edit in &edits {
            let row = there.next().flatten();
            let Edit::Put(_, value) = edit else { continue };
            is_right &= row.is_some_and(|row| row.bytes == *value);
        }
        if !is_right {
            batch.guards.push(guard);
            batch.edits.extend(edits);
        }
    }
    Ok(batch)
}

/// The rows that these references should have, each with a guard of its reference.
async fn wanted(core: &Core, view: &dyn View, references: &[Row]) -> Result<Vec<(Guard, [Edit; 2])>, Fault> {
    let parts = |row: &Row| keys::reference_parts(&row.key);
    let named: Vec<FeedbackId> = references.iter().filter_map(|row| Some(parts(row)?.0)).collect();
    let heads = query::heads(view, named).await?;
    let whose: HashMap<FeedbackId, ContactId> = heads.into_iter().map(|(id, head)| (id, head.contact)).collect();
    let contact_keys = core.contact_keys(view, whose.values().copied().collect()).await?;
    let mut wanted = Vec::with_capacity(references.len());
    for row in references {
        let Some((feedback, destination)) = parts(row) else {
            continue;
        };
        let Some(contact) = whose.get(&feedback).copied() else {
            continue;
        };
        let Some(key) = contact_keys.usable(contact) else {
            continue;
        };
        match delivery::open_reference(core, key, feedback, &destination, &row.value.bytes) {
            Ok(content) => wanted.push((
                Guard::At(row.key.clone(), row.value.version),
                rows_of(core, &destination, &content.reference, feedback, contact)?,
            )),
            Err(error) => tracing::error!(%feedback, %destination, "what it is called there is lost: {error}"),
        }
    }
    Ok(wanted)
}
