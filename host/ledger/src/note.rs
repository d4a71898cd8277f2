//! Signed notes (C2SP signed-note): a text, an empty line, and signature lines that anybody may add to.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::VerifyingKey;

/// An em dash and a space open every signature line.
pub(crate) const SIGNATURE_MARK: &str = "\u{2014} ";
/// More than any log with witnesses carries; bounds the work that a hostile note can cause.
const MAX_SIGNATURES: usize = 100;
const MAX_NOTE_BYTES: usize = 1_000_000;

/// Why a text is not a signed note, or does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than is read.
    #[error("the note is {size} bytes long; at most {MAX_NOTE_BYTES} are read")]
    TooLong {
        /// Size in bytes.
        size: usize,
    },
    /// The text part is empty or does not end with a line feed.
    #[error("a note's text ends with a line feed")]
    TextEnd,
    /// A control character other than the line feed.
    #[error("a note holds no control character except the line feed, but there is one in line {line}")]
    ControlCharacter {
        /// Line number, from 1.
        line: usize,
    },
    /// No empty line followed by signatures.
    #[error("there is no empty line with signature lines after it")]
    NoSignatures,
    /// A line after the empty line is not a signature line.
    #[error("signature line {line} is not an em dash, a key name and base64 of at least 5 bytes")]
    SignatureLine {
        /// Number among the signature lines, from 1.
        line: usize,
    },
    /// More signatures than are read.
    #[error("the note has more than {MAX_SIGNATURES} signature lines")]
    TooManySignatures,
    /// None of the signatures is by this key.
    #[error("the note has no signature by {key}")]
    NotSigned {
        /// Name and id of the key that was looked for.
        key: String,
    },
    /// The signature by this key does not fit the text.
    #[error("the signature by {key} does not fit the text")]
    BadSignature {
        /// Name and id of the key.
        key: String,
    },
}

/// One signature line: whose it is, and bytes whose meaning depends on the key. Lines by unknown keys (cosignatures of
/// witnesses, other algorithms) are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: [u8; 4],
    /// The signature itself; 64 bytes for Ed25519.
    pub bytes: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, blob) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let blob = STANDARD.decode(blob).ok()?;
        let (key_id, bytes) = blob.split_first_chunk::<4>()?;
        if !is_key_name(name) || bytes.is_empty() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            key_id: *key_id,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [self.key_id.as_slice(), &self.bytes].concat();
        write!(out, "{SIGNATURE_MARK}{} {}", self.name, STANDARD.encode(blob))
    }
}

/// A text with signatures. `Display` gives the form that is published; [`SignedNote::parse`] reads it back unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note without signatures yet.
    ///
    /// # Errors
    /// When the text does not end with a line feed, holds another control character or is too long.
    pub fn new(text: &str) -> Result<Self, NoteError> {
        check_text(text)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: Vec::new(),
        })
    }

    /// Reads a note. Nothing is verified yet.
    ///
    /// # Errors
    /// When the form is wrong; the error says where.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { size: note.len() });
        }
        // The last empty line separates: a text may hold empty lines, signatures cannot.
        let (head, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let text = format!("{head}\n");
        check_text(&text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let signature = NoteSignature::parse(line);
            signatures.push(signature.ok_or(NoteError::SignatureLine { line: number + 1 })?);
        }
        Ok(Self { text, signatures })
    }

    /// The text that is signed, with its final line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines in the order of the note, verified or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line at the end.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Checks that the note is signed by `key`. Signatures by other keys are not looked at.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] without a signature by that name and id; [`NoteError::BadSignature`] when one of them
    /// does not fit the text.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        let mut own = self
            .signatures
            .iter()
            .filter(|line| line.name == key.name() && line.key_id == key.id())
            .peekable();
        let name = || format!("{}+{:08x}", key.name(), u32::from_be_bytes(key.id()));
        if own.peek().is_none() {
            return Err(NoteError::NotSigned { key: name() });
        }
        if own.all(|line| key.accepts(&self.text, line)) {
            return Ok(());
        }
        Err(NoteError::BadSignature { key: name() })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(out, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong { size: text.len() });
    }
    if !text.ends_with('\n') {
        return Err(NoteError::TextEnd);
    }
    for (number, line) in text.split('\n').enumerate() {
        if line.chars().any(|character| character < ' ') {
            return Err(NoteError::ControlCharacter { line: number + 1 });
        }
    }
    Ok(())
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|character| character == '+' || character.is_whitespace() || character < ' ')
}
