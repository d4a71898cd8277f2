//! Proofs as JSON texts that leave the hub: how they are read when they come from anybody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::{Hash, SignedNote, VerifyingKey};

/// More than a receipt with as many entries as one may have; bounds the memory that a hostile file can cause.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 8_000_000;
/// Hashes of a proof: a tree of 2^64 leaves has 64 levels, and a consistency proof names at most one more.
const MAX_PATH: usize = 65;

/// Why a file is not the document that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Longer than is read.
    #[error("it is {size} bytes long; at most {MAX_DOCUMENT_BYTES} are read")]
    TooLong {
        /// Size in bytes.
        size: usize,
    },
    /// It ends before its end.
    #[error("it ends in the middle, in line {line}: it was cut short; get it again")]
    Cut {
        /// Line of the end, from 1.
        line: usize,
    },
    /// No JSON.
    #[error("it is no JSON (line {line}, column {column}): it is damaged, or something else")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// JSON, but not of this format.
    #[error("it is not of the format {expected}, which its key \"format\" would say")]
    Foreign {
        /// The format that was asked for.
        expected: &'static str,
    },
    /// The same sort of document in a form that this version does not know.
    #[error("it is of the format {found}; this version reads {expected}: use a newer one")]
    Version {
        /// What the file says.
        found: String,
        /// The format that was asked for.
        expected: &'static str,
    },
    /// The same sort of document in a form that is not read any more.
    #[error("it is of the older format {found}; this version reads {expected}: have it made again")]
    Older {
        /// What the file says.
        found: String,
        /// The format that was asked for.
        expected: &'static str,
    },
    /// A field is missing, unknown or not what it should be.
    #[error("it is damaged: {what}")]
    Field {
        /// Which, and what is wrong.
        what: String,
    },
}

impl DocumentError {
    pub(crate) fn field(name: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Field {
            what: format!("{name}: {why}"),
        }
    }

    pub(crate) fn of(error: &serde_json::Error) -> Self {
        match error.classify() {
            Category::Eof => Self::Cut { line: error.line() },
            Category::Data => Self::Field {
                what: error.to_string(),
            },
            Category::Syntax | Category::Io => Self::NotJson {
                line: error.line(),
                column: error.column(),
            },
        }
    }
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

/// The format that a document says it has; `None` when it says none.
///
/// # Errors
/// When it is too long or no JSON.
pub fn document_format(text: &[u8]) -> Result<Option<String>, DocumentError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLong { size: text.len() });
    }
    match serde_json::from_slice::<Format>(text) {
        Ok(Format { format }) => Ok(Some(format)),
        Err(error) if error.is_data() => Ok(None),
        Err(error) => Err(DocumentError::of(&error)),
    }
}

/// Reads a document of the format `expected`, which is `SORT/VERSION`.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8], expected: &'static str) -> Result<T, DocumentError> {
    let found = document_format(text)?.ok_or(DocumentError::Foreign { expected })?;
    if found != expected {
        return Err(other_format(found, expected));
    }
    serde_json::from_slice(text).map_err(|error| DocumentError::of(&error))
}

/// Why a document of the format `found` is not read as one of the format `expected`.
fn other_format(found: String, expected: &'static str) -> DocumentError {
    let parts = |format: &str| {
        let (sort, version) = format.split_once('/')?;
        Some((sort.to_owned(), version.parse::<u32>().ok()))
    };
    match (parts(&found), parts(expected)) {
        (Some((sort, version)), Some((wanted, current))) if sort == wanted => match (version, current) {
            (Some(version), Some(current)) if version < current => DocumentError::Older { found, expected },
            _ => DocumentError::Version { found, expected },
        },
        _ => DocumentError::Foreign { expected },
    }
}

/// Writes a document: for people over many lines, or on one.
pub(crate) fn write(document: &impl Serialize, on_one_line: bool) -> Result<String, DocumentError> {
    let written = if on_one_line {
        serde_json::to_string(document)
    } else {
        serde_json::to_string_pretty(document).map(|text| text + "\n")
    };
    written.map_err(|error| DocumentError::of(&error))
}

pub(crate) fn key(text: &str) -> Result<VerifyingKey, DocumentError> {
    text.parse::<VerifyingKey>()
        .map_err(|error| DocumentError::field("verifier_key", error))
}

pub(crate) fn note(name: &str, text: &str) -> Result<SignedNote, DocumentError> {
    SignedNote::parse(text).map_err(|error| DocumentError::field(name, error))
}

pub(crate) fn bytes(name: impl std::fmt::Display, text: &str) -> Result<Vec<u8>, DocumentError> {
    STANDARD
        .decode(text)
        .map_err(|_| DocumentError::field(name, "no base64"))
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn hash(name: impl std::fmt::Display, text: &str) -> Result<Hash, DocumentError> {
    Hash::from_base64(text).map_err(|error| DocumentError::field(name, error))
}

pub(crate) fn path(name: impl std::fmt::Display, hashes: &[String]) -> Result<Vec<Hash>, DocumentError> {
    if hashes.len() > MAX_PATH {
        return Err(DocumentError::field(
            name,
            format!("{} hashes, but a proof has at most {MAX_PATH}", hashes.len()),
        ));
    }
    let hashes = hashes.iter().enumerate();
    hashes
        .map(|(place, text)| hash(format!("{name}[{place}]"), text))
        .collect()
}

pub(crate) fn to_texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_base64).collect()
}
