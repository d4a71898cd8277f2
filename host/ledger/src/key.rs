//! Ed25519 keys of signed notes, with their names and ids.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};

use crate::{NoteError, NoteSignature, SignedNote, note};

/// Signature type byte of Ed25519 in the signed-note format.
const ED25519: u8 = 0x01;

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Key names are not empty and hold neither white space, `+` nor control characters.
    #[error("the key name {name:?} is empty or holds white space, a plus sign or a control character")]
    Name {
        /// Name as given.
        name: String,
    },
    /// The text is not `name+id+base64`.
    #[error("a verifier key has the form name+id+base64, with an id of 8 hex digits")]
    Form,
    /// Another algorithm than Ed25519.
    #[error("the key's algorithm byte is {algorithm:#04x}; only Ed25519 (0x01) is understood")]
    Algorithm {
        /// Algorithm byte as given.
        algorithm: u8,
    },
    /// The 32 bytes are not a usable Ed25519 public key.
    #[error("the public key is not a usable Ed25519 key")]
    PublicKey,
    /// The id is not the one that name and key have: one of the three was altered.
    #[error("the key id is {given}, but name and key make it {computed}")]
    Id {
        /// Id in the text.
        given: String,
        /// Id that name and key make.
        computed: String,
    },
}

/// Signs notes under a name. The private key is wiped from memory when this is dropped.
pub struct Signer {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl Signer {
    /// A signer from a name (by custom the log's origin) and the 32 bytes of an Ed25519 seed.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        })
    }

    /// The public half, to hand out.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(self.name.clone(), self.key.verifying_key())
    }

    /// A signature line for a note's text.
    #[must_use]
    pub fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature {
            name: self.name.clone(),
            key_id: self.verifying_key().id,
            bytes: self.key.sign(text.as_bytes()).to_bytes().to_vec(),
        }
    }

    /// A note over `text` with this signer's signature.
    ///
    /// # Errors
    /// When the text cannot be a note's: see [`SignedNote::new`].
    pub fn sign_note(&self, text: &str) -> Result<SignedNote, NoteError> {
        let mut note = SignedNote::new(text)?;
        note.add(self.sign(text));
        Ok(note)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer({})", self.name)
    }
}

/// The public half of a [`Signer`]. Its text form is `name+id+base64`, which other tools for signed notes read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: String, key: ed25519_dalek::VerifyingKey) -> Self {
        let id = key_id(&name, key.as_bytes());
        Self { name, id, key }
    }

    /// A key from its name and the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError::Name`] or [`KeyError::PublicKey`].
    pub fn from_public_key(name: &str, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::PublicKey)?;
        // Under a key of small order one signature can fit many texts.
        if key.is_weak() {
            return Err(KeyError::PublicKey);
        }
        Ok(Self::new(name.to_owned(), key))
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key: the first 4 bytes of SHA-256 over name, line feed, algorithm byte and public key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is by this key (same name and id) and holds for `text`.
    #[must_use]
    pub fn accepts(&self, text: &str, signature: &NoteSignature) -> bool {
        signature.name == self.name
            && signature.key_id == self.id
            && ed25519_dalek::Signature::from_slice(&signature.bytes)
                .is_ok_and(|bytes| self.key.verify_strict(text.as_bytes(), &bytes).is_ok())
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(out, "{}+{}+{}", self.name, id_text(self.id), STANDARD.encode(key))
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // Base64 may hold a plus sign, so only the first two separate.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let key = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (&algorithm, key) = key.split_first().ok_or(KeyError::Form)?;
        if algorithm != ED25519 {
            return Err(KeyError::Algorithm { algorithm });
        }
        let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::PublicKey)?;
        let key = Self::from_public_key(name, key)?;
        let computed = id_text(key.id);
        if id != computed {
            return Err(KeyError::Id {
                given: id.to_owned(),
                computed,
            });
        }
        Ok(key)
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    if note::is_key_name(name) {
        return Ok(());
    }
    Err(KeyError::Name { name: name.to_owned() })
}

fn key_id(name: &str, public_key: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([b'\n', ED25519]);
    hasher.update(public_key);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
    [a, b, c, d]
}

fn id_text(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
