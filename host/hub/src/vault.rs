//! Keys and sealed things. Every contact has a key of its own; the contact's content is sealed with it,
//! and it is sealed with the hub's master key. Destroying the contact's key destroys the content.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
pub(crate) use mihwar_ledger::commitment;
use mihwar_model::{ContactId, Identifier, InstanceName, Randomness, ThreadId};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// A sealed thing that does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VaultError {
    /// Damaged, or sealed with another key or for another place.
    #[error("{what} does not open: it is damaged or was sealed under another master key")]
    Unreadable {
        /// What was to be opened.
        what: &'static str,
    },
    /// The cipher refused to seal (a message beyond its length limit).
    #[error("{what} cannot be sealed: it is too long")]
    TooLong {
        /// What was to be sealed.
        what: &'static str,
    },
}

const NONCE_BYTES: usize = 24;
/// Bytes that a nonce and the cipher's tag add to what is sealed.
pub(crate) const SEAL_BYTES: usize = NONCE_BYTES + 16;
/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 32;
/// Bytes of a content's nonce that are random and lie in its row.
const CONTENT_NONCE_BYTES: usize = 12;
/// Keys of contacts kept in memory; they are asked for again and again while a conversation goes on.
const KEYS_KEPT_MAX: usize = 16_384;

/// The key of one contact.
#[derive(Clone)]
pub(crate) struct ContactKey(Arc<Zeroizing<[u8; 32]>>);

/// The random half of a content's nonce. The other half is the end of its place, which the row's key tells: the random half
/// of its id, and its revision.
pub(crate) type ContentNonce = [u8; CONTENT_NONCE_BYTES];

/// Seals and opens; makes keyed hashes and commitments.
pub(crate) struct Vault {
    randomness: Arc<dyn Randomness>,
    /// Seals contact keys.
    wrapping: Zeroizing<[u8; 32]>,
    /// Seals what belongs to the hub: raw requests, plugin state, its own signing key.
    sealing: Zeroizing<[u8; 32]>,
    /// Keyed hashes of identifiers and external ids.
    naming: Zeroizing<[u8; 32]>,
    kept: Mutex<Kept>,
}

/// Keys of contacts in memory.
#[derive(Default)]
struct Kept {
    keys: HashMap<ContactId, ContactKey>,
    /// Those that were destroyed since the start. Whoever reads an older state of the store finds them still.
    destroyed: HashSet<ContactId>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    pub(crate) fn new(master: &[u8; 32], randomness: Arc<dyn Randomness>) -> Self {
        Self {
            randomness,
            wrapping: derive(master, b"mihwar contact keys"),
            sealing: derive(master, b"mihwar hub content"),
            naming: derive(master, b"mihwar keyed names"),
            kept: Mutex::default(),
        }
    }

    /// A key of 32 bytes for one purpose of the hub, derived from the master key.
    pub(crate) fn purpose_key(&self, purpose: &[u8]) -> [u8; 32] {
        *derive(&self.sealing, purpose)
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.randomness.fill(&mut bytes);
        bytes
    }

    /// A new key for a contact, and the sealed form to store.
    pub(crate) fn new_contact_key(&self, contact: ContactId) -> Result<(ContactKey, Vec<u8>), VaultError> {
        let key = Zeroizing::new(self.random::<32>());
        let sealed = self.seal(&self.wrapping, &contact.to_bytes(), &*key, "a contact key")?;
        let key = ContactKey(Arc::new(key));
        self.keep(contact, &key);
        Ok((key, sealed))
    }

    /// The key of a contact if it is at hand without reading the store.
    pub(crate) fn kept_contact_key(&self, contact: ContactId) -> Option<ContactKey> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys
            .get(&contact)
            .cloned()
    }

    pub(crate) fn open_contact_key(&self, contact: ContactId, sealed: &[u8]) -> Result<ContactKey, VaultError> {
        let key = self.read_contact_key(contact, sealed)?;
        self.keep(contact, &key);
        Ok(key)
    }

    /// As [`Vault::open_contact_key`], without keeping the key in memory.
    pub(crate) fn read_contact_key(&self, contact: ContactId, sealed: &[u8]) -> Result<ContactKey, VaultError> {
        let what = "a contact key";
        let plain = Zeroizing::new(open(&self.wrapping, &contact.to_bytes(), sealed, what)?);
        let bytes: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| VaultError::Unreadable { what })?;
        Ok(ContactKey(Arc::new(Zeroizing::new(bytes))))
    }

    fn keep(&self, contact: ContactId, key: &ContactKey) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.destroyed.contains(&contact) {
            return;
        }
        if kept.keys.len() >= KEYS_KEPT_MAX {
            kept.keys.clear();
        }
        kept.keys.insert(contact, key.clone());
    }

    /// Forgets the key of a contact for good: it was destroyed in the store.
    pub(crate) fn forget_contact_key(&self, contact: ContactId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.destroyed.insert(contact);
        kept.keys.remove(&contact);
    }

    /// Seals bytes of a contact for one place; they open in no other place.
    pub(crate) fn seal_for(&self, key: &ContactKey, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.seal(&key.0, place, plain, "content")
    }

    pub(crate) fn open_for(&self, key: &ContactKey, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        open(&key.0, place, sealed, "content")
    }

    /// Seals a content for its place. What is sealed by one nonce must not be sealed by it again: it comes from
    /// [`Vault::random`], new for each content.
    pub(crate) fn seal_content(
        &self,
        key: &ContactKey,
        place: &[u8],
        nonce: &ContentNonce,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        encrypt(&key.0, &content_nonce(place, nonce), place, plain, "content")
    }

    pub(crate) fn open_content(
        &self,
        key: &ContactKey,
        place: &[u8],
        nonce: &ContentNonce,
        sealed: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        decrypt(&key.0, &content_nonce(place, nonce), place, sealed, "content")
    }

    /// The salt of a content's commitment: a random number to everybody who lacks the contact's key or the nonce. Both go
    /// when the content is destroyed: the one with the contact, the other with the row.
    pub(crate) fn content_salt(&self, key: &ContactKey, place: &[u8], nonce: &ContentNonce) -> [u8; SALT_BYTES] {
        *derive(&key.0, &[b"mihwar content salt".as_slice(), nonce, place].concat())
    }

    /// Seals bytes that belong to the hub.
    pub(crate) fn seal_own(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.seal(&self.sealing, place, plain, "a row of the hub")
    }

    pub(crate) fn open_own(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        open(&self.sealing, place, sealed, "a row of the hub")
    }

    fn seal(&self, key: &[u8; 32], place: &[u8], plain: &[u8], what: &'static str) -> Result<Vec<u8>, VaultError> {
        let nonce = self.random::<NONCE_BYTES>();
        let sealed = encrypt(key, &nonce, place, plain, what)?;
        let mut bytes = Vec::with_capacity(NONCE_BYTES + sealed.len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// The keyed hash by which a person is known again.
    pub(crate) fn identifier_hash(&self, identifier: &Identifier) -> [u8; 16] {
        self.name(&[b"identifier", identifier.scheme.as_bytes(), identifier.id.as_bytes()])
    }

    /// The keyed hash by which an item of a source is known again.
    pub(crate) fn external_hash(&self, external_id: &str) -> [u8; 16] {
        self.name(&[b"external", external_id.as_bytes()])
    }

    /// The keyed hash of a caller's idempotency key.
    pub(crate) fn idempotency_hash(&self, caller: &[u8], key: &str) -> [u8; 16] {
        self.name(&[b"idempotency", caller, key.as_bytes()])
    }

    /// What stands for a source's mark of a revision: a short keyed hash of it, 0 if it has none.
    pub(crate) fn revision_mark(&self, revision: Option<&str>) -> u64 {
        match revision {
            None | Some("") => 0,
            Some(revision) => self.revision_hash(revision),
        }
    }

    /// What stood for no mark in rows that older versions wrote.
    pub(crate) fn former_revision_mark(&self) -> u64 {
        self.revision_hash("")
    }

    fn revision_hash(&self, revision: &str) -> u64 {
        let hash = self.name(&[b"revision", revision.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = hash;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The conversation's id: a keyed hash, so that every part of it finds the same one without a lookup.
    pub(crate) fn thread(&self, instance: &InstanceName, thread: &str) -> ThreadId {
        let mut bytes = self.name(&[b"thread", instance.as_str().as_bytes(), thread.as_bytes()]);
        bytes[6] = (bytes[6] & 0x0F) | 0x80; // UUID version 8: "custom"
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        ThreadId::from_bytes(bytes)
    }

    /// A keyed hash of any parts, for names that must not be readable.
    pub(crate) fn name(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = keyed(&self.naming);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let full = mac.finalize().into_bytes();
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        short
    }
}

fn open(key: &[u8; 32], place: &[u8], sealed: &[u8], what: &'static str) -> Result<Vec<u8>, VaultError> {
    let (nonce, body) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(VaultError::Unreadable { what })?;
    decrypt(key, nonce, place, body, what)
}

fn content_nonce(place: &[u8], random: &ContentNonce) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    let (front, back) = nonce.split_at_mut(CONTENT_NONCE_BYTES);
    front.copy_from_slice(random);
    // The place of a content is longer than this; of a shorter one nothing would be taken.
    if let Some(end) = place.last_chunk::<{ NONCE_BYTES - CONTENT_NONCE_BYTES }>() {
        back.copy_from_slice(end);
    }
    nonce
}

fn encrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    place: &[u8],
    plain: &[u8],
    what: &'static str,
) -> Result<Vec<u8>, VaultError> {
    XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad: place })
        .map_err(|_| VaultError::TooLong { what })
}

fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    place: &[u8],
    body: &[u8],
    what: &'static str,
) -> Result<Vec<u8>, VaultError> {
    XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: place })
        .map_err(|_| VaultError::Unreadable { what })
}

#[expect(
    clippy::expect_used,
    reason = "32 bytes are within HKDF-SHA256's range, and any key length fits HMAC"
)]
fn derive(master: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, master)
        .expand(purpose, key.as_mut_slice())
        .expect("32 bytes are in range");
    key
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{ContactId, Identifier, InstanceName, SeededRandomness};

    use super::Vault;

    fn vault(master: u8) -> Vault {
        Vault::new(&[master; 32], Arc::new(SeededRandomness::new(1)))
    }

    #[test]
    fn content_opens_in_its_place_under_its_key_only() {
        let vault = vault(1);
        let contact = ContactId::from_bytes([1; 16]);
        let (key, sealed_key) = vault.new_contact_key(contact).unwrap();
        let (other, _) = vault.new_contact_key(ContactId::from_bytes([2; 16])).unwrap();
        let sealed = vault.seal_for(&key, b"here", "نص الشكوى".as_bytes()).unwrap();
        assert_eq!(vault.open_for(&key, b"here", &sealed).unwrap(), "نص الشكوى".as_bytes());
        assert!(vault.open_for(&key, b"there", &sealed).is_err());
        assert!(vault.open_for(&other, b"here", &sealed).is_err());
        let again = Vault::new(&[1; 32], Arc::new(SeededRandomness::new(9)));
        let reopened = again.open_contact_key(contact, &sealed_key).unwrap();
        assert_eq!(
            again.open_for(&reopened, b"here", &sealed).unwrap(),
            "نص الشكوى".as_bytes()
        );
        assert!(
            Vault::new(&[2; 32], Arc::new(SeededRandomness::new(9)))
                .open_contact_key(contact, &sealed_key)
                .is_err()
        );
        let mut damaged = sealed;
        damaged[30] ^= 1;
        assert!(vault.open_for(&key, b"here", &damaged).is_err());
        assert!(vault.open_for(&key, b"here", &damaged[..10]).is_err());
    }

    #[test]
    fn a_destroyed_key_is_not_kept_again_by_whoever_still_reads_it() {
        let vault = vault(1);
        let contact = ContactId::from_bytes([1; 16]);
        let (_, sealed) = vault.new_contact_key(contact).unwrap();
        assert!(vault.kept_contact_key(contact).is_some());
        vault.forget_contact_key(contact);
        assert!(vault.open_contact_key(contact, &sealed).is_ok());
        assert!(vault.kept_contact_key(contact).is_none());
    }

    #[test]
    fn a_content_opens_in_its_place_by_its_nonce_only_and_so_does_its_salt() {
        let vault = vault(1);
        let (key, _) = vault.new_contact_key(ContactId::from_bytes([1; 16])).unwrap();
        let (other, _) = vault.new_contact_key(ContactId::from_bytes([2; 16])).unwrap();
        let (here, there) = (b"content of this record, 1", b"content of this record, 2");
        let (nonce, another) = ([3; 12], [4; 12]);
        let sealed = vault.seal_content(&key, here, &nonce, "نص".as_bytes()).unwrap();
        assert_eq!(sealed.len(), "نص".len() + 16);
        assert_eq!(
            vault.open_content(&key, here, &nonce, &sealed).unwrap(),
            "نص".as_bytes()
        );
        assert!(vault.open_content(&key, there, &nonce, &sealed).is_err());
        assert!(vault.open_content(&key, here, &another, &sealed).is_err());
        assert!(vault.open_content(&other, here, &nonce, &sealed).is_err());
        let salt = vault.content_salt(&key, here, &nonce);
        assert_eq!(vault.content_salt(&key, here, &nonce), salt);
        assert_ne!(vault.content_salt(&key, there, &nonce), salt);
        assert_ne!(vault.content_salt(&key, here, &another), salt);
        assert_ne!(vault.content_salt(&other, here, &nonce), salt);
        // Each place has nonces of its own, whatever is drawn.
        assert_ne!(super::content_nonce(here, &nonce), super::content_nonce(there, &nonce));
    }

    #[test]
    fn keyed_names_keep_their_parts_apart() {
        let vault = vault(3);
        let name = |scheme: &str, id: &str| {
            vault.identifier_hash(&Identifier {
                scheme: scheme.into(),
                id: id.into(),
            })
        };
        assert_eq!(name("tel", "+9665"), name("tel", "+9665"));
        assert_ne!(name("tel", "+9665"), name("te", "l+9665"));
        assert_ne!(
            name("tel", "+9665"),
            Vault::new(&[4; 32], Arc::new(SeededRandomness::new(1))).identifier_hash(&Identifier {
                scheme: "tel".into(),
                id: "+9665".into()
            })
        );
        let instance = InstanceName::new("mail").unwrap();
        assert_eq!(vault.thread(&instance, "<a@b>"), vault.thread(&instance, "<a@b>"));
    }
}
