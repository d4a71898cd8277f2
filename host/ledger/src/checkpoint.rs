//! Checkpoints (C2SP tlog-checkpoint): what a log signs to say "this is my tree".

use crate::{Hash, NoteError, SignedNote, Signer, VerifyingKey};

/// Origin, size and root of a log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Unique name of the log, by custom a URL without scheme.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Further lines, opaque here. Not empty, without line feeds.
    pub extensions: Vec<String>,
}

/// Why a text is not a checkpoint, or does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note, or not signed by the key asked for.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text has fewer than three lines, or its last line is not ended.
    #[error("a checkpoint has an origin, a size and a root, each in a line of its own")]
    Lines,
    /// The first line is empty, or not the log that was asked for.
    #[error("the origin is {found:?}, expected {expected:?}")]
    Origin {
        /// Origin in the checkpoint.
        found: String,
        /// Origin that was asked for.
        expected: String,
    },
    /// The second line is not a decimal number without leading zeros that fits 64 bits.
    #[error("the size {text:?} in line 2 is not a decimal number without leading zeros below 2^64")]
    Size {
        /// Line 2.
        text: String,
    },
    /// The third line is not base64 of 32 bytes.
    #[error("the root {text:?} in line 3 is not base64 of 32 bytes")]
    Root {
        /// Line 3.
        text: String,
    },
    /// An extension line is empty or holds a line feed.
    #[error("line {line} is empty; extension lines are not")]
    Extension {
        /// Line number, from 1.
        line: usize,
    },
}

impl Checkpoint {
    /// The text that is signed.
    ///
    /// # Errors
    /// When the origin or an extension cannot be a line of its own.
    pub fn to_text(&self) -> Result<String, CheckpointError> {
        if self.origin.is_empty() || self.origin.contains('\n') {
            return Err(CheckpointError::Lines);
        }
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64());
        for (number, line) in self.extensions.iter().enumerate() {
            if line.is_empty() || line.contains('\n') {
                return Err(CheckpointError::Extension { line: number + 4 });
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    /// Reads the text of a checkpoint, without signatures.
    ///
    /// # Errors
    /// When the form is wrong; the error names the line.
    pub fn from_text(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() {
            return Err(CheckpointError::Lines);
        }
        let mut extensions = Vec::new();
        for (number, line) in lines.enumerate() {
            if line.is_empty() {
                return Err(CheckpointError::Extension { line: number + 4 });
            }
            extensions.push(line.to_owned());
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: parse_size(size)?,
            root: Hash::from_base64(root).map_err(|_| CheckpointError::Root { text: root.to_owned() })?,
            extensions,
        })
    }

    /// Signs the checkpoint. `Display` of the note is what is published.
    ///
    /// # Errors
    /// When origin or extensions are not fit for a note.
    pub fn sign(&self, signer: &Signer) -> Result<SignedNote, CheckpointError> {
        Ok(signer.sign_note(&self.to_text()?)?)
    }

    /// Reads a published checkpoint of the log `origin` and verifies the log's signature. Other signatures are kept in
    /// the note and not judged.
    ///
    /// # Errors
    /// Any [`CheckpointError`]: nothing in the text may be believed then.
    pub fn open(published: &str, origin: &str, key: &VerifyingKey) -> Result<(Self, SignedNote), CheckpointError> {
        let note = SignedNote::parse(published)?;
        note.verify(key)?;
        let checkpoint = Self::from_text(note.text())?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin {
                found: checkpoint.origin,
                expected: origin.to_owned(),
            });
        }
        Ok((checkpoint, note))
    }
}

fn parse_size(text: &str) -> Result<u64, CheckpointError> {
    let error = || CheckpointError::Size { text: text.to_owned() };
    let canonical = text == "0" || !text.starts_with('0');
    // `parse` alone would accept a plus sign.
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error());
    }
    text.parse().map_err(|_| error())
}
