//! Items that cannot be kept because what the hub has of them is damaged, and that their source does not tell again: each is
//! set aside whole, as a stored request that became a dead letter is. Replayed, it goes into intake as it is.

use std::sync::Arc;

use mihwar_model::{AttachmentBytes, EventBody, FieldProblem, InboundId, InstanceName, Time};
use mihwar_store::Edit;
use minicbor::bytes::ByteVec;

use super::dead::Dead;
use super::{SealedFile, sealed};
use crate::core::Core;
use crate::fault::Fault;
use crate::intake::{Arrival, Files};
use crate::rows::{InboxRow, Item};

/// What stands in the place of an endpoint: how it came.
const POLLED: &str = "poll";
/// Code of such dead letters.
const CODE: &str = "damaged";
/// The latest time that an id can begin with.
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// A dead letter in the making.
pub(crate) struct Letter {
    pub(crate) row: Edit,
    pub(crate) event: EventBody,
    /// The file that it needs, if it is long.
    pub(crate) file: Option<SealedFile>,
}

/// The id under which an item is set aside: the same whenever its source tells the same. It begins with the item's own
/// time, and else names nothing. Those of withdrawals lie behind all others: letters are replayed in the order of their ids,
/// and what was taken back must not come in again behind its withdrawal.
pub(crate) fn item_id(core: &Core, instance: &InstanceName, arrival: &Arrival) -> InboundId {
    let millis = |at: Time| u64::try_from(at.0).unwrap_or(0).min(MILLIS_MAX);
    let (sort, revision, millis) = match arrival {
        Arrival::Draft { draft, .. } => {
            let at = draft.occurred_at.map_or(0, millis);
            (b"draft".as_slice(), draft.revision.as_deref(), at)
        }
        Arrival::Withdrawal { .. } => (b"withdrawal".as_slice(), None, MILLIS_MAX),
    };
    let mut bytes = core.vault.name(&[
        b"item",
        instance.as_str().as_bytes(),
        sort,
        arrival.external_id().unwrap_or_default().as_bytes(),
        revision.unwrap_or_default().as_bytes(),
    ]);
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = (bytes[6] & 0x0F) | 0x80; // UUID version 8: "custom"
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    InboundId::from_bytes(bytes)
}

/// Makes a dead letter of an item, for the transaction that cannot keep it.
pub(crate) fn item_letter(
    core: &Core,
    id: InboundId,
    instance: &InstanceName,
    arrival: &Arrival,
    problem: &FieldProblem,
) -> Result<Letter, Fault> {
    let request = InboxRow {
        instance: instance.clone(),
        endpoint: POLLED.to_owned(),
        method: String::new(),
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
        verified: None,
        received_at: core.clock.now(),
        item: Some(item(arrival)),
    };
    let (stored, file) = sealed(core, id, &request)?;
    let reason = format!("{}: {problem}", arrival.external_id().unwrap_or_default());
    let dead = Dead {
        id,
        stored: &stored,
        request: &request,
        code: CODE,
        reason: &reason,
    };
    Ok(Letter {
        row: dead.put(core)?,
        event: dead.told(),
        file,
    })
}

fn item(arrival: &Arrival) -> Item {
    match arrival {
        Arrival::Draft {
            draft,
            files,
            redaction,
        } => {
            let named = draft
                .attachments
                .iter()
                .filter_map(|attachment| match &attachment.bytes {
                    AttachmentBytes::Blob(handle) => {
                        let bytes = files.get(handle)?;
                        Some((handle.clone(), ByteVec::from(bytes.to_vec())))
                    }
                    _ => None,
                });
            Item::Draft(draft.clone(), named.collect(), redaction.masked().to_vec())
        }
        Arrival::Withdrawal { external_id } => Item::Withdrawal(external_id.clone()),
    }
}

/// An item that was set aside, for intake.
pub(super) fn arrival(item: Item) -> Arrival {
    match item {
        Item::Draft(draft, files, masked) => {
            let files = files.into_iter();
            let files: Files = files
                .map(|(handle, bytes)| (handle, Vec::<u8>::from(bytes).into()))
                .collect();
            Arrival::masked_before(*draft, Arc::new(files), masked)
        }
        Item::Withdrawal(external_id) => Arrival::Withdrawal { external_id },
    }
}
