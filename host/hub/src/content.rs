//! Reading personal content back: the row, the file behind it if it was long, the seal, the salt.

use mihwar_model::{AttachmentId, ContactId, Content, FeedbackId};
use mihwar_store::View;

use crate::contact_keys::ContactKeys;
use crate::core::Core;
use crate::fault::Fault;
use crate::keys;
use crate::rows;
use crate::vault::{ContactKey, commitment};

const INLINE: u8 = 0;
const BLOB: u8 = 1;

/// The place that sealed content is bound to.
pub(crate) fn place(feedback: FeedbackId, revision: u32) -> Vec<u8> {
    let mut place = b"content".to_vec();
    place.extend_from_slice(&feedback.to_bytes());
    place.extend_from_slice(&revision.to_be_bytes());
    place
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
        let from_file;
        let sealed = match blob_of(row) {
            Some(id) => {
                from_file = self
                    .blobs
                    .read(id.0)
                    .await
                    .map_err(|error| Fault::Blob(error.to_string()))?;
                &from_file[..]
            }
            None => row.get(1..).unwrap_or_default(),
        };
        let plain = self.vault.open_for(key, &place(feedback, revision), sealed)?;
        let (salt, bytes) = plain.split_first_chunk::<32>().ok_or_else(|| Fault::Damaged {
            what: "content",
            detail: "shorter than its salt".into(),
        })?;
        Ok(Opened {
            content: rows::decode("content", bytes)?,
            commitment: commitment(salt, bytes),
            bytes: bytes.len(),
        })
    }
}
