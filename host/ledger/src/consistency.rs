//! That an older checkpoint of a ledger is the beginning of a newer one, as a document that anybody can check.

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::{Checkpoint, CheckpointError, Hash, SignedNote, VerifyError, VerifyingKey, verify_consistency};

/// What the key `format` of a consistency proof says.
pub const CONSISTENCY_FORMAT: &str = "mihwar-consistency/1";

/// Two signed checkpoints of one ledger, and the hashes which show that the newer one only appended to the older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// The key that the ledger says is its own. Whoever checks takes it from elsewhere.
    pub key: VerifyingKey,
    /// The smaller checkpoint.
    pub old: SignedNote,
    /// The larger checkpoint.
    pub new: SignedNote,
    /// As of RFC 9162, section 2.1.4.
    pub proof: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    format: String,
    verifier_key: String,
    old: String,
    new: String,
    proof: Vec<String>,
}

/// Why evidence about a ledger shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// A checkpoint is not signed by the key, or no checkpoint.
    #[error("the {which} checkpoint does not verify: {why}")]
    Checkpoint {
        /// Which of the document's checkpoints.
        which: &'static str,
        /// What is wrong with it.
        why: CheckpointError,
    },
    /// An entry is not in the tree that was signed.
    #[error("entry {index} is not in the ledger that the checkpoint speaks of: {why}")]
    Entry {
        /// The entry's place in the ledger, from 0.
        index: u64,
        /// Where the proof fails.
        why: VerifyError,
    },
    /// The newer tree did not grow out of the older one.
    #[error("the ledger of {new} entries did not grow out of the one of {old}: {why}")]
    Growth {
        /// Entries of the older tree.
        old: u64,
        /// Entries of the newer tree.
        new: u64,
        /// Where the proof fails.
        why: VerifyError,
    },
    /// Checkpoints of different ledgers.
    #[error("one checkpoint is of the ledger {one:?} and the other of {other:?}")]
    OtherLedger {
        /// Origin of the one.
        one: String,
        /// Origin of the other.
        other: String,
    },
    /// Two histories of the same length.
    #[error(
        "there are two checkpoints of {size} entries with different roots: the history was rewritten. Keep both, they are \
         the evidence"
    )]
    Forked {
        /// Entries that both speak of.
        size: u64,
    },
    /// The checkpoint is older than what it should cover.
    #[error(
        "the checkpoint is of a shorter history: it speaks of {size} entries, and this is entry {index} (counted from 0), \
         which came later; take a newer checkpoint"
    )]
    Shorter {
        /// The entry's place in the ledger, from 0.
        index: u64,
        /// Entries that the checkpoint speaks of.
        size: u64,
    },
    /// Nothing connects two checkpoints.
    #[error(
        "nothing shows that the ledger of {new} entries grew out of the one of {old}: a consistency proof is needed"
    )]
    Unconnected {
        /// Entries of the smaller checkpoint.
        old: u64,
        /// Entries of the larger checkpoint.
        new: u64,
    },
}

impl Consistency {
    /// The document.
    ///
    /// # Errors
    /// Cannot fail in practice: every part has a JSON form.
    pub fn to_json(&self) -> Result<String, DocumentError> {
        let wire = Wire {
            format: CONSISTENCY_FORMAT.to_owned(),
            verifier_key: self.key.to_string(),
            old: self.old.to_string(),
            new: self.new.to_string(),
            proof: document::to_texts(&self.proof),
        };
        document::write(&wire, false)
    }

    /// Reads what [`Consistency::to_json`] wrote. Nothing is verified yet.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        let wire: Wire = document::read(text, CONSISTENCY_FORMAT)?;
        Ok(Self {
            key: document::key(&wire.verifier_key)?,
            old: document::note("old", &wire.old)?,
            new: document::note("new", &wire.new)?,
            proof: document::path("proof", &wire.proof)?,
        })
    }

    /// Checks both signatures by `key` and the proof between them. Answers the older and the newer checkpoint.
    ///
    /// # Errors
    /// Any [`EvidenceError`]: the document shows nothing then.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(Checkpoint, Checkpoint), EvidenceError> {
        let old = open("older", &self.old, key)?;
        let new = open("newer", &self.new, key)?;
        verify_consistency(old.size, new.size, &old.root, &new.root, &self.proof).map_err(|why| {
            EvidenceError::Growth {
                old: old.size,
                new: new.size,
                why,
            }
        })?;
        Ok((old, new))
    }
}

/// Opens a checkpoint by `key`, whose name is the ledger's origin.
pub(crate) fn open(which: &'static str, note: &SignedNote, key: &VerifyingKey) -> Result<Checkpoint, EvidenceError> {
    let opened = Checkpoint::open(&note.to_string(), key.name(), key);
    opened
        .map(|(checkpoint, _)| checkpoint)
        .map_err(|why| EvidenceError::Checkpoint { which, why })
}

/// Checks that two checkpoints, both of them verified, are of one history: they are the same, or `bridge`, which was
/// verified too, leads from the one to the other.
///
/// # Errors
/// [`EvidenceError::OtherLedger`], [`EvidenceError::Forked`] or [`EvidenceError::Unconnected`].
pub fn connect(
    one: &Checkpoint,
    other: &Checkpoint,
    bridge: Option<&(Checkpoint, Checkpoint)>,
) -> Result<(), EvidenceError> {
    if one.origin != other.origin {
        return Err(EvidenceError::OtherLedger {
            one: one.origin.clone(),
            other: other.origin.clone(),
        });
    }
    if one.size == other.size {
        return if one.root == other.root {
            Ok(())
        } else {
            Err(EvidenceError::Forked { size: one.size })
        };
    }
    let (old, new) = if one.size < other.size {
        (one, other)
    } else {
        (other, one)
    };
    let Some((bridge_old, bridge_new)) = bridge else {
        return Err(EvidenceError::Unconnected {
            old: old.size,
            new: new.size,
        });
    };
    for (held, end) in [(old, bridge_old), (new, bridge_new)] {
        if held.size == end.size && held.root != end.root {
            return Err(EvidenceError::Forked { size: held.size });
        }
        if held.size != end.size {
            return Err(EvidenceError::Unconnected {
                old: old.size,
                new: new.size,
            });
        }
    }
    Ok(())
}
