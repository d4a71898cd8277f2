//! Receipts: everything that somebody needs who wants to see, on another machine and without the hub, that a piece of
//! feedback is in a ledger that was signed.

use serde::{Deserialize, Serialize};

use crate::consistency::{self, Consistency, EvidenceError};
use crate::document::{self, DocumentError};
use crate::{Checkpoint, Hash, SignedNote, VerifyingKey, leaf_hash, verify_inclusion};

/// What the key `format` of a receipt says.
pub const RECEIPT_FORMAT: &str = "mihwar-receipt/1";
/// Entries that one receipt may have.
pub const MAX_RECEIPT_ENTRIES: usize = 1_000;

/// One entry of the ledger and its way up to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Place in the ledger, from 0.
    pub index: u64,
    /// The entry's bytes, as they were hashed.
    pub event: Vec<u8>,
    /// The siblings on the way to the root, from the bottom up.
    pub audit_path: Vec<Hash>,
}

/// A signed checkpoint, and entries that are proved to be in it. What the entries say is not looked at here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The piece of feedback that the entries tell of: its id.
    pub feedback: String,
    /// The key that the ledger says is its own. Whoever checks takes it from elsewhere.
    pub key: VerifyingKey,
    /// The checkpoint that the audit paths lead to, with every cosignature.
    pub checkpoint: SignedNote,
    /// The entries; the first is the one that the receipt is about. At least one, at most [`MAX_RECEIPT_ENTRIES`].
    pub entries: Vec<Inclusion>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    feedback: String,
    verifier_key: String,
    checkpoint: String,
    entries: Vec<EntryWire>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryWire {
    index: u64,
    event: String,
    leaf_hash: String,
    audit_path: Vec<String>,
}

impl Inclusion {
    fn to_wire(&self) -> EntryWire {
        EntryWire {
            index: self.index,
            event: document::to_base64(&self.event),
            leaf_hash: leaf_hash(&self.event).to_base64(),
            audit_path: document::to_texts(&self.audit_path),
        }
    }

    fn from_wire(place: usize, wire: &EntryWire) -> Result<Self, DocumentError> {
        let event = document::bytes(format_args!("entries[{place}].event"), &wire.event)?;
        let leaf = format!("entries[{place}].leaf_hash");
        if document::hash(&leaf, &wire.leaf_hash)? != leaf_hash(&event) {
            return Err(DocumentError::field(leaf, "not the hash of this event"));
        }
        Ok(Self {
            index: wire.index,
            event,
            audit_path: document::path(format_args!("entries[{place}].audit_path"), &wire.audit_path)?,
        })
    }
}

impl Receipt {
    /// The document, over many lines.
    ///
    /// # Errors
    /// Cannot fail in practice: every part has a JSON form.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        document::write(&self.wire(), false)
    }

    /// The same document on one line: as short as it can be, for a QR code.
    ///
    /// # Errors
    /// As [`Receipt::to_json`].
    pub fn to_short_json(&self) -> Result<String, DocumentError> {
        document::write(&self.wire(), true)
    }

    /// The receipt of its first entry alone.
    #[must_use]
    pub fn of_first_entry(&self) -> Self {
        Self {
            entries: self.entries.first().cloned().into_iter().collect(),
            ..self.clone()
        }
    }

    fn wire(&self) -> Wire {
        Wire {
            format: RECEIPT_FORMAT.to_owned(),
            feedback: self.feedback.clone(),
            verifier_key: self.key.to_string(),
            checkpoint: self.checkpoint.to_string(),
            entries: self.entries.iter().map(Inclusion::to_wire).collect(),
        }
    }

    /// Reads what [`Receipt::to_json`] or [`Receipt::to_short_json`] wrote. Nothing is verified yet but that every leaf hash
    /// is the one of its event.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        let wire: Wire = document::read(text, RECEIPT_FORMAT)?;
        let count = wire.entries.len();
        if count == 0 || count > MAX_RECEIPT_ENTRIES {
            let why = format!("{count} of them, but a receipt has 1 to {MAX_RECEIPT_ENTRIES}");
            return Err(DocumentError::field("entries", why));
        }
        let entries = wire.entries.iter().enumerate();
        Ok(Self {
            feedback: wire.feedback,
            key: document::key(&wire.verifier_key)?,
            checkpoint: document::note("checkpoint", &wire.checkpoint)?,
            entries: entries
                .map(|(place, entry)| Inclusion::from_wire(place, entry))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Checks that `key` signed the receipt's own checkpoint and that every entry is in the tree of it. Answers that
    /// checkpoint. It says nothing yet about a checkpoint that somebody else holds: see [`Receipt::verify_against`].
    ///
    /// # Errors
    /// Any [`EvidenceError`]: the receipt shows nothing then.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Checkpoint, EvidenceError> {
        let checkpoint = consistency::open("receipt's", &self.checkpoint, key)?;
        for entry in &self.entries {
            let leaf = leaf_hash(&entry.event);
            verify_inclusion(&leaf, entry.index, checkpoint.size, &entry.audit_path, &checkpoint.root).map_err(
                |why| EvidenceError::Entry {
                    index: entry.index,
                    why,
                },
            )?;
        }
        Ok(checkpoint)
    }

    /// As [`Receipt::verify`]; besides, that the first entry is in the history of `held`, a checkpoint that the caller
    /// trusts. When that is not the receipt's own, `bridge` has to connect the two.
    ///
    /// # Errors
    /// Any [`EvidenceError`]: the receipt shows nothing then.
    pub fn verify_against(
        &self,
        key: &VerifyingKey,
        held: &Checkpoint,
        bridge: Option<&Consistency>,
    ) -> Result<Checkpoint, EvidenceError> {
        let own = self.verify(key)?;
        let first = self.entries.first().map_or(0, |entry| entry.index);
        if first >= held.size {
            return Err(EvidenceError::Shorter {
                index: first,
                size: held.size,
            });
        }
        let bridge = bridge.map(|bridge| bridge.verify(key)).transpose()?;
        consistency::connect(&own, held, bridge.as_ref())?;
        Ok(own)
    }
}
