//! What a call may borrow: the durable state of its instance, and blobs.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use mihwar_model::{ContactId, InstanceName};
use mihwar_sandbox::{BlobSource, Call, Effects, SourceError, StateSource};
use mihwar_store::{Edit, Order};

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;

/// A call of an instance: it reads its state, and the blobs that are lent to it.
pub(crate) fn call(core: &Arc<Core>, instance: &InstanceName, blobs: Arc<dyn BlobSource>) -> Call {
    let state = InstanceState {
        core: core.clone(),
        instance: instance.clone(),
    };
    Call {
        state: Arc::new(state),
        blobs,
        dry_run: false,
        keys: Arc::default(),
    }
}

/// State writes of a successful call, as edits for the transaction of its records.
pub(crate) fn state_edits(core: &Core, instance: &InstanceName, effects: &Effects) -> Result<Vec<Edit>, Fault> {
    effects
        .state
        .iter()
        .map(|write| {
            let key = keys::state(instance, &write.key);
            Ok(match &write.value {
                Some(value) => {
                    let sealed = core.vault.seal_own(key.as_bytes(), value)?;
                    Edit::Put(key, sealed)
                }
                None => Edit::Delete(key),
            })
        })
        .collect()
}

struct InstanceState {
    core: Arc<Core>,
    instance: InstanceName,
}

fn fault(error: impl std::fmt::Display) -> SourceError {
    SourceError(error.to_string())
}

#[async_trait]
impl StateSource for InstanceState {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let view = self.core.store.view().await.map_err(fault)?;
        let key = keys::state(&self.instance, key);
        let row = view.get(&key).await.map_err(fault)?;
        row.map(|row| self.core.vault.open_own(key.as_bytes(), &row.bytes).map_err(fault))
            .transpose()
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
        let view = self.core.store.view().await.map_err(fault)?;
        let mut range = keys::state_of(&self.instance);
        if let Some(after) = after {
            range = range.after(&keys::state(&self.instance, after));
        }
        let mut entries = Vec::new();
        loop {
            let page = view.scan(range, Order::Ascending, 256).await.map_err(fault)?;
            for row in page.rows {
                let key = keys::state_name(&row.key).ok_or_else(|| fault("a state key is damaged"))?;
                if key.starts_with(prefix) {
                    let value = self
                        .core
                        .vault
                        .open_own(row.key.as_bytes(), &row.value.bytes)
                        .map_err(fault)?;
                    entries.push((key, value));
                    if entries.len() >= limit {
                        return Ok(entries);
                    }
                } else if key.as_str() > prefix {
                    return Ok(entries);
                }
            }
            match page.next {
                Some(next) => range = next,
                None => return Ok(entries),
            }
        }
    }

    async fn used(&self) -> Result<u64, SourceError> {
        let view = self.core.store.view().await.map_err(fault)?;
        let (mut range, mut used) = (keys::state_of(&self.instance), 0);
        loop {
            let page = view.scan(range, Order::Ascending, 1000).await.map_err(fault)?;
            used += page
                .rows
                .iter()
                .map(|row| (row.key.as_bytes().len() + row.value.bytes.len()) as u64)
                .sum::<u64>();
            match page.next {
                Some(next) => range = next,
                None => return Ok(used),
            }
        }
    }
}

/// No blobs.
pub(crate) struct NoBlobs;

#[async_trait]
impl BlobSource for NoBlobs {
    async fn size(&self, _id: &str) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }
    async fn read(&self, _id: &str, _offset: u64, _length: u32) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }
}

/// One file of an import, under one handle.
pub(crate) struct ImportedFile {
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
}

/// The handle of an imported file.
pub(crate) const FILE_HANDLE: &str = "file";

#[async_trait]
impl BlobSource for ImportedFile {
    async fn size(&self, id: &str) -> Result<Option<u64>, SourceError> {
        Ok((id == FILE_HANDLE).then_some(self.size))
    }

    async fn read(&self, id: &str, offset: u64, length: u32) -> Result<Option<Bytes>, SourceError> {
        if id != FILE_HANDLE {
            return Ok(None);
        }
        let file = self.file.clone();
        let room = self.size.saturating_sub(offset).min(u64::from(length));
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(room).unwrap_or_default()];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    n => filled += n,
                }
            }
            bytes.truncate(filled);
            Ok::<_, std::io::Error>(bytes)
        });
        read.await
            .map_err(fault)?
            .map(|bytes| Some(Bytes::from(bytes)))
            .map_err(fault)
    }
}

/// The attachments of the records in a batch, for a department that was granted them.
pub(crate) struct Attachments {
    core: Arc<Core>,
    /// Attachment id and whose it is.
    owners: HashMap<String, ContactId>,
    /// The one that was read last: a plugin reads a long file in pieces.
    last: Mutex<Option<(String, Bytes)>>,
}

impl Attachments {
    pub(crate) fn new(core: Arc<Core>, owners: HashMap<String, ContactId>) -> Self {
        Self {
            core,
            owners,
            last: Mutex::new(None),
        }
    }

    async fn open(&self, id: &str) -> Result<Option<Bytes>, SourceError> {
        let Some(contact) = self.owners.get(id) else {
            return Ok(None);
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, bytes)) = last.filter(|(last, _)| last == id) {
            return Ok(Some(bytes));
        }
        let bytes = self.decrypt(id, contact).await?;
        let kept = bytes.clone().map(|bytes| (id.to_owned(), bytes));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(bytes)
    }

    async fn decrypt(&self, id: &str, contact: &ContactId) -> Result<Option<Bytes>, SourceError> {
        let attachment: mihwar_model::AttachmentId = id.parse().map_err(fault)?;
        let view = self.core.store.view().await.map_err(fault)?;
        let keys = self.core.contact_keys(&*view, vec![*contact]).await.map_err(fault)?;
        let Some(key) = keys.get(*contact).map_err(fault)? else {
            return Ok(None);
        };
        let sealed = self.core.blobs.read(attachment.0).await.map_err(fault)?;
        self.core
            .vault
            .open_for(key, &attachment.to_bytes(), &sealed)
            .map(|bytes| Some(Bytes::from(bytes)))
            .map_err(fault)
    }
}

#[async_trait]
impl BlobSource for Attachments {
    async fn size(&self, id: &str) -> Result<Option<u64>, SourceError> {
        Ok(self.open(id).await?.map(|bytes| bytes.len() as u64))
    }

    async fn read(&self, id: &str, offset: u64, length: u32) -> Result<Option<Bytes>, SourceError> {
        let Some(bytes) = self.open(id).await? else {
            return Ok(None);
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length as usize).min(bytes.len());
        Ok(Some(bytes.slice(start..end)))
    }
}
