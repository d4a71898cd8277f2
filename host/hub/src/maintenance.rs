//! Looking after the store's file as a whole.

use mihwar_store::{Integrity, RedbStore, StoreError};

use crate::config::Config;
use crate::fault::Fault;
use crate::hub::{Hub, OpenError, STORE};

impl Hub {
    /// Reads the whole store of a data folder that nobody serves, and compares every page with its checksum and the ledger
    /// with its root. Needs no key and changes nothing. Takes as long as reading the file does.
    ///
    /// # Errors
    /// [`OpenError::NoHub`], [`OpenError::AlreadyServed`], or [`OpenError::Store`] with the first damage that was found.
    pub async fn check_integrity(config: &Config) -> Result<Integrity, OpenError> {
        let folder = config.data.clone();
        let path = folder.join(STORE);
        if !path.exists() {
            return Err(OpenError::NoHub { path: folder });
        }
        let checked = tokio::task::spawn_blocking(move || RedbStore::check_integrity(path)).await;
        match checked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(StoreError::AlreadyOpen { .. })) => Err(OpenError::AlreadyServed { path: folder }),
            Ok(Err(error)) => Err(OpenError::Store(error)),
            Err(error) => Err(OpenError::Fault(Fault::Blob(error.to_string()))),
        }
    }
}
