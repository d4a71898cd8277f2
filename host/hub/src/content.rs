//! Reading personal content back: the row, the file behind it if it was long, the seal, the salt.

use mihwar_model::{AttachmentId, ContactId, Content, FeedbackId};
use mihwar_store::View;

use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::packing;
use crate::rows;
use crate::vault::{ContactKey, ContentNonce, SALT_BYTES, Vault, VaultError, commitment};

/// Sealed bytes with their nonce. A content has its salt before it in the seal.
const INLINE: u8 = 0;
/// As [`INLINE`], in a file.
const BLOB: u8 = 1;
/// A packed content. Its nonce is half as long, and its salt follows from that.
const PACKED: u8 = 2;

/// The place that sealed content is bound to.
pub(crate) fn place(feedback: FeedbackId, revision: u32) -> Vec<u8> {
    let mut place = b"content".to_vec();
    place.extend_from_slice(&feedback.to_bytes());
    place.extend_from_slice(&revision.to_be_bytes());
    place
}

/// Packs and seals a content for its place.
pub(crate) fn packed_row(
    vault: &Vault,
    key: &ContactKey,
    place: &[u8],
    nonce: &ContentNonce,
    plain: &[u8],
) -> Result<Vec<u8>, VaultError> {
    let sealed = vault.seal_content(key, place, nonce, &packing::pack(plain))?;
    let mut row = Vec::with_capacity(1 + nonce.len() + sealed.len());
    row.push(PACKED);
    row.extend_from_slice(nonce);
    row.extend_from_slice(&sealed);
    Ok(row)
}

/// Nonce and sealed bytes of a row that [`packed_row`] made.
fn packed_in(row: &[u8]) -> Option<(&ContentNonce, &[u8])> {
    match row.split_first() {
        Some((&PACKED, rest)) => rest.split_first_chunk(),
        _ => None,
    }
}

pub(crate) fn inline_row(sealed: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(sealed.len() + 1);
    row.push(INLINE);
    row.extend_from_slice(sealed);
    row
}

pub(crate) fn blob_row(id: AttachmentId, bytes: usize) -> Vec<u8> {
    let mut row = vec![BLOB];
    row.extend_from_slice(&id.to_bytes());
    row.extend_from_slice(&(bytes as u64).to_be_bytes());
    row
}

/// The file that a content row stands for, if it is not inline.
pub(crate) fn blob_of(row: &[u8]) -> Option<AttachmentId> {
    match row.split_first() {
        Some((&BLOB, rest)) => rest.first_chunk::<16>().map(|id| AttachmentId::from_bytes(*id)),
        _ => None,
    }
}

/// How many bytes reading this row brings into memory.
pub(crate) fn weight(row: &[u8]) -> usize {
    match row.split_first() {
        Some((&BLOB, rest)) => rest
            .last_chunk::<8>()
            .map_or(0, |n| usize::try_from(u64::from_be_bytes(*n)).unwrap_or(usize::MAX)),
        _ => row.len(),
    }
}

/// Content with the commitment that its bytes give.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) content: Content,
    pub(crate) commitment: [u8; 32],
    /// How long it is.
    pub(crate) bytes: usize,
}

impl Opened {
    fn of(salt: &[u8; 32], bytes: &[u8]) -> Result<Self, Fault> {
        Ok(Self {
            content: rows::decode("content", bytes)?,
            commitment: commitment(salt, bytes),
            bytes: bytes.len(),
        })
    }
}

impl Core {
    /// Opens the content of one revision. `None` when it is gone: withdrawn or erased.
    pub(crate) async fn content(
        &self,
        view: &dyn View,
        feedback: FeedbackId,
        revision: u32,
        contact: ContactId,
    ) -> Result<Option<Opened>, Fault> {
        let Some(row) = view.get(&keys::content(feedback, revision)).await? else {
            return Ok(None);
        };
        let keys = self.contact_keys(view, vec![contact]).await?;
        self.open_with(&keys, contact, feedback, revision, &row.bytes).await
    }

    /// Opens a content whose row was read, with the key of its contact among `keys`. `None` when that was erased.
    pub(crate) async fn open_with(
        &self,
        keys: &ContactKeys,
        contact: ContactId,
        feedback: FeedbackId,
        revision: u32,
        row: &[u8],
    ) -> Result<Option<Opened>, Fault> {
        match keys.get(contact)? {
            Some(key) => self.open_content(key, feedback, revision, row).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn open_content(
        &self,
        key: &ContactKey,
        feedback: FeedbackId,
        revision: u32,
        row: &[u8],
    ) -> Result<Opened, Fault> {
        let (salt, bytes) = self.open_salted(key, feedback, revision, row).await?;
        Opened::of(&salt, &bytes)
    }

    /// The salt of a content and its bytes, as its entry commits to them.
    pub(crate) async fn open_salted(
        &self,
        key: &ContactKey,
        feedback: FeedbackId,
        revision: u32,
        row: &[u8],
    ) -> Result<([u8; SALT_BYTES], Vec<u8>), Fault> {
        let place = place(feedback, revision);
        if let Some((nonce, sealed)) = packed_in(row) {
            let packed = self.vault.open_content(key, &place, nonce, sealed)?;
            let plain = packing::unpack(&packed).ok_or_else(|| Fault::Damaged {
                what: "content",
                detail: "not as it is packed".into(),
            })?;
            return Ok((self.vault.content_salt(key, &place, nonce), plain));
        }
        let from_file;
        let sealed = match blob_of(row) {
            Some(id) => {
                from_file = self.blobs.read(id.0).await?;
                &from_file[..]
            }
            None => row.get(1..).unwrap_or_default(),
        };
        let plain = self.vault.open_for(key, &place, sealed)?;
        let (salt, bytes) = plain.split_first_chunk::<SALT_BYTES>().ok_or_else(|| Fault::Damaged {
            what: "content",
            detail: "shorter than its salt".into(),
        })?;
        Ok((*salt, bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mihwar_model::{ContactId, Content, FeedbackId, Time};
    use mihwar_store::MemoryStore;

    use super::{inline_row, packed_row, place};
    use crate::core::Core;
    use crate::rows;
    use crate::vault::commitment;

    #[tokio::test]
    async fn contents_open_whether_they_are_packed_or_from_before_that() {
        let folder = tempfile::tempdir().unwrap();
        let start = Time(1_790_000_000_000);
        let core = Core::for_tests(Arc::new(MemoryStore::new()), folder.path(), start);
        let (key, _) = core.vault.new_contact_key(ContactId::from_bytes([1; 16])).unwrap();
        let feedback = FeedbackId::from_bytes([2; 16]);
        let content = Content {
            body: "لم يصلني المبلغ بعد. I am still waiting for my money.".into(),
            ..Content::default()
        };
        let (plain, place) = (rows::encode(&content).unwrap(), place(feedback, 1));
        let nonce = core.vault.random();
        let salt = core.vault.content_salt(&key, &place, &nonce);
        let packed = packed_row(&core.vault, &key, &place, &nonce, &plain).unwrap();
        let salted = [salt.as_slice(), &plain].concat();
        let unpacked = inline_row(&core.vault.seal_for(&key, &place, &salted).unwrap());
        assert!(packed.len() + 60 < unpacked.len(), "{} bytes", packed.len());
        for row in [&packed, &unpacked] {
            let opened = core.open_content(&key, feedback, 1, row).await.unwrap();
            assert_eq!(opened.content, content);
            assert_eq!(opened.commitment, commitment(&salt, &plain));
            // In the place of another revision it is damage.
            let moved = core.open_content(&key, feedback, 2, row).await.unwrap_err();
            assert!(moved.is_damage(), "{moved}");
        }
        let short = core.open_content(&key, feedback, 1, &packed[..9]).await;
        assert!(short.unwrap_err().is_damage());
    }
}
