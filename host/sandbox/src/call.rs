//! What the hub lends to one call, and what it gets back.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::effects::{Cost, Effects};

/// What one call may use.
#[derive(Clone)]
pub struct Call {
    /// The instance's durable state as it is before the call.
    pub state: Arc<dyn StateSource>,
    /// Stored blobs that the call may read.
    pub blobs: Arc<dyn BlobSource>,
    /// True: no outside effect is wanted; only GET and HEAD leave the host.
    pub dry_run: bool,
    /// Keys by which requests are told apart in [`Effects::told`], such as the ids of what is handed over.
    pub keys: Arc<BTreeSet<String>>,
}

impl Call {
    /// A call that finds no state and no blobs: for tests, `validate` and dry runs.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            state: Arc::new(Nothing),
            blobs: Arc::new(Nothing),
            dry_run: false,
            keys: Arc::default(),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Call")
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// A storage fault behind a [`StateSource`] or [`BlobSource`]. The plugin sees its text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Reads the durable state of one instance. Writes come back in [`Effects`].
#[async_trait]
pub trait StateSource: Send + Sync {
    /// The value of a key.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError>;
    /// Keys that start with `prefix` and come after `after`, ordered by key, at most `limit`.
    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, SourceError>;
    /// Bytes of all keys and values.
    async fn used(&self) -> Result<u64, SourceError>;
}

/// Reads blobs that the call may see. New ones come back in [`Effects`].
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// Length in bytes; `None` when there is no such blob.
    async fn size(&self, id: &str) -> Result<Option<u64>, SourceError>;
    /// Up to `length` bytes from `offset`; fewer at the end. `None` when there is no such blob.
    async fn read(&self, id: &str, offset: u64, length: u32) -> Result<Option<Bytes>, SourceError>;
}

struct Nothing;

#[async_trait]
impl StateSource for Nothing {
    async fn get(&self, _key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(None)
    }
    async fn scan(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
        Ok(Vec::new())
    }
    async fn used(&self) -> Result<u64, SourceError> {
        Ok(0)
    }
}

#[async_trait]
impl BlobSource for Nothing {
    async fn size(&self, _id: &str) -> Result<Option<u64>, SourceError> {
        Ok(None)
    }
    async fn read(&self, _: &str, _: u64, _: u32) -> Result<Option<Bytes>, SourceError> {
        Ok(None)
    }
}

/// A call that succeeded.
#[derive(Debug)]
pub struct Done<T> {
    /// What the plugin returned.
    pub value: T,
    /// What it wants kept.
    pub effects: Effects,
    /// What it cost.
    pub cost: Cost,
}
