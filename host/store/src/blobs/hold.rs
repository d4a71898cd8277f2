//! Keeping deleted blobs readable for a while.

use std::io;
use std::sync::Arc;

use redb::StorageBackend as _;
use uuid::Uuid;

use super::error::at;
use super::{BlobError, BlobFolder, HELD, not_destroyed, read_part};
use crate::Opening;

/// Whoever has this can still read every blob that was there when it was made. See [`BlobFolder::hold`].
#[derive(Debug)]
pub struct BlobHold {
    pub(super) folder: BlobFolder,
}

impl BlobHold {
    /// Part of a blob, with the blob's size in bytes: up to `most` bytes from `from` on. `None` when there was no such
    /// blob.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub async fn read(&self, id: Uuid, from: u64, most: u64) -> Result<Option<(u64, Vec<u8>)>, BlobError> {
        // A blob moves from its place to the held ones in one step, and never back.
        let places = [self.folder.path(id), self.folder.root.join(HELD).join(id.to_string())];
        let files = Arc::clone(&self.folder.files);
        self.folder
            .blocking(move || {
                for path in places {
                    let file = match files.open(&path, Opening::Reading) {
                        Ok(file) => file,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(at(&path)(error)),
                    };
                    let size = file.len().map_err(at(&path))?;
                    let length = size.saturating_sub(from).min(most);
                    let bytes = read_part(&file, from, length).map_err(at(&path))?;
                    return Ok(Some((size, bytes)));
                }
                Ok(None)
            })
            .await
    }
}

impl Drop for BlobHold {
    fn drop(&mut self) {
        let mut holds = self.folder.lock_holds();
        *holds = holds.saturating_sub(1);
        if *holds > 0 {
            return;
        }
        // Under the lock, so that nothing is moved there meanwhile. Destroying may take long, so that is done without it.
        let aside = self.folder.put_held_aside();
        drop(holds);
        match aside {
            Ok(aside) => self.folder.destroy(aside),
            Err(error) => not_destroyed(&self.folder.root.join(HELD), &error),
        }
    }
}
