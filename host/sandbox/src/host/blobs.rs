//! `blobs`: stored ones are read through the call, new ones live in memory until it returns.

use bytes::Bytes;

use crate::contract::blobs::{BlobError, Host};
use crate::effects::NewBlob;
use crate::failure::cut;
use crate::host::CallState;

/// Most new blobs of one call.
const MOST: usize = 1024;
/// Most bytes of one read.
const READ_BYTES: u32 = 8 << 20;

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn storage(error: crate::call::SourceError) -> BlobError {
    BlobError::Storage(error.to_string())
}

impl Host for CallState {
    async fn put(&mut self, media_type: String, bytes: Vec<u8>) -> Result<String, BlobError> {
        self.keep_blob(media_type, bytes.into())
    }

    async fn size(&mut self, id: String) -> Result<u64, BlobError> {
        if let Some(blob) = self.own_blob(&id) {
            return Ok(u64::try_from(blob.len()).unwrap_or(u64::MAX));
        }
        self.call
            .blobs
            .size(&id)
            .await
            .map_err(storage)?
            .ok_or(BlobError::NotFound)
    }

    async fn read(&mut self, id: String, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        self.read_blob(&id, offset, length).await.map(|bytes| bytes.to_vec())
    }
}

impl CallState {
    /// Takes a new blob, within the call's quota.
    pub(super) fn keep_blob(&mut self, media_type: String, bytes: Bytes) -> Result<String, BlobError> {
        let quota = self.bound.limits.blobs;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > quota {
            return Err(BlobError::TooLarge(quota));
        }
        let total = self.blob_bytes.saturating_add(length);
        if total > quota || self.blobs.len() >= MOST {
            return Err(BlobError::QuotaExceeded(quota));
        }
        self.blob_bytes = total;
        let id = format!("new:{}", self.blobs.len());
        self.blobs.push(NewBlob {
            id: id.clone(),
            media_type: cut(media_type, 256),
            bytes,
        });
        Ok(id)
    }

    /// Bytes of a blob, at most 8 MiB at once.
    pub(super) async fn read_blob(&self, id: &str, offset: u64, length: u32) -> Result<Bytes, BlobError> {
        let length = length.min(READ_BYTES);
        if let Some(blob) = self.own_blob(id) {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(blob.len());
            let to = from
                .saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
                .min(blob.len());
            return Ok(blob.slice(from..to));
        }
        let bytes = self.call.blobs.read(id, offset, length).await.map_err(storage)?;
        bytes.ok_or(BlobError::NotFound)
    }

    fn own_blob(&self, id: &str) -> Option<&Bytes> {
        let at: usize = id.strip_prefix("new:")?.parse().ok()?;
        self.blobs.get(at).map(|blob| &blob.bytes)
    }
}
