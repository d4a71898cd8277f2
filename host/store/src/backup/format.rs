//! Header, footer, and the state that a backup holds.

use std::fmt;
use std::str::FromStr;

use mihwar_ledger::Hash;
use mihwar_model::Time;
use minicbor::{Decode, Encode};

use crate::Natures;

/// The state of a store at one commit: what an increment goes on from. As text it is four fields with dots between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which store it was. A restored one is another: its versions go their own way.
    pub lineage: [u8; 16],
    /// Version of the last commit.
    pub version: u64,
    /// Number of journal entries.
    pub entries: u64,
    /// Root of the ledger's tree over them.
    pub root: Hash,
}

impl fmt::Display for Mark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lineage = u128::from_be_bytes(self.lineage);
        write!(out, "{lineage:032x}.{}.{}.{}", self.version, self.entries, self.root)
    }
}

/// A text that is no mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the state of a backup: should be 32 hexadecimal digits, two numbers and 64 hexadecimal digits, with dots between"
)]
pub struct MarkTextError;

impl FromStr for Mark {
    type Err = MarkTextError;

    fn from_str(text: &str) -> Result<Self, MarkTextError> {
        let fields: Vec<&str> = text.split('.').collect();
        let [lineage, version, entries, root] = fields[..] else {
            return Err(MarkTextError);
        };
        if lineage.len() != 32 {
            return Err(MarkTextError);
        }
        let mark = Self {
            lineage: u128::from_str_radix(lineage, 16)
                .map_err(|_| MarkTextError)?
                .to_be_bytes(),
            version: version.parse().map_err(|_| MarkTextError)?,
            entries: entries.parse().map_err(|_| MarkTextError)?,
            root: Hash::from_hex(root).map_err(|_| MarkTextError)?,
        };
        // One state, one text.
        if mark.to_string() == text {
            Ok(mark)
        } else {
            Err(MarkTextError)
        }
    }
}

/// Whose ledger it is; what a reader without any key can compare checkpoints with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The ledger's origin.
    pub origin: String,
    /// The public key of its checkpoints, in the text form of signed notes.
    pub verifier_key: String,
}

/// What a backup says of itself before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose it is.
    pub owner: Owner,
    /// When it was made, by the clock of the hub.
    pub made_at: Time,
    /// Version of the program that made it.
    pub made_by: String,
    /// What becomes of each space's rows.
    pub natures: Natures,
    /// The state that it holds.
    pub state: Mark,
    /// The state that it goes on from, if it is an increment.
    pub since: Option<Mark>,
}

/// As the header is written.
#[derive(Encode, Decode)]
struct WrittenHeader {
    #[n(0)]
    origin: String,
    #[n(1)]
    verifier_key: String,
    #[n(2)]
    made_at: Time,
    #[n(3)]
    made_by: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    natures: Vec<u8>,
    #[n(5)]
    state: String,
    #[n(6)]
    since: Option<String>,
}

impl Header {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let written = WrittenHeader {
            origin: self.owner.origin.clone(),
            verifier_key: self.owner.verifier_key.clone(),
            made_at: self.made_at,
            made_by: self.made_by.clone(),
            natures: self.natures.to_bytes(),
            state: self.state.to_string(),
            since: self.since.map(|since| since.to_string()),
        };
        minicbor::to_vec(written).map_err(|error| error.to_string())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let written: WrittenHeader = minicbor::decode(bytes).map_err(|error| error.to_string())?;
        let mark = |text: &str| Mark::from_str(text).map_err(|error| error.to_string());
        Ok(Self {
            owner: Owner {
                origin: written.origin,
                verifier_key: written.verifier_key,
            },
            made_at: written.made_at,
            made_by: written.made_by,
            natures: Natures::from_bytes(&written.natures).ok_or("its table of spaces is none")?,
            state: mark(&written.state)?,
            since: written.since.as_deref().map(mark).transpose()?,
        })
    }
}

/// What is in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Rows.
    #[n(0)]
    pub rows: u64,
    /// Keys of rows that were deleted.
    #[n(1)]
    pub removed: u64,
    /// Journal entries.
    #[n(2)]
    pub entries: u64,
    /// Blobs.
    #[n(3)]
    pub files: u64,
    /// Bytes of the blobs.
    #[n(4)]
    pub file_bytes: u64,
    /// Blobs that should have been there and were not: the store was damaged already.
    #[n(5)]
    pub files_missing: u64,
}

impl Counts {
    pub(super) fn to_bytes(self) -> Result<Vec<u8>, String> {
        minicbor::to_vec(self).map_err(|error| error.to_string())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        minicbor::decode(bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;
    use mihwar_ledger::leaf_hash;

    #[test]
    fn a_mark_has_one_text_and_reads_it_back() {
        let mark = Mark {
            lineage: [7; 16],
            version: 12,
            entries: 3,
            root: leaf_hash("شكوى".as_bytes()),
        };
        let text = mark.to_string();
        assert_eq!(text.parse(), Ok(mark));
        for wrong in [
            "",
            "a.b.c.d",
            "مرحبا",
            &text.to_uppercase(),
            &format!("{text}."),
            &text.replace(".12.", ".+12."),
        ] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
        }
    }
}
