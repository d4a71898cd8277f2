//! One upgrade of a folder at a time: two would write each other's backup.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::refusal::{FormatError, at};

/// The locked file in the data folder. It is there while an upgrade works, and after one that was killed.
const LOCK: &str = "upgrade.lock";

/// Whoever has this is the only one who upgrades the folder. A kill ends it, too.
#[derive(Debug)]
pub(super) struct Alone {
    path: PathBuf,
    _lock: File,
}

impl Alone {
    /// `None` while somebody else upgrades the folder.
    pub(super) fn in_folder(data: &Path) -> Result<Option<Self>, FormatError> {
        let path = data.join(LOCK);
        loop {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            let lock = options.open(&path).map_err(at(&path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            }
            // Whoever had it may have removed the file after it was opened here: it keeps nobody away then.
            let locked = lock.metadata().map_err(at(&path))?.ino();
            match fs::metadata(&path) {
                Ok(there) if there.ino() == locked => return Ok(Some(Self { path, _lock: lock })),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // Removed while it is locked, so that it is nobody else's.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), "the lock of an upgrade could not be removed, and does no harm: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Alone, LOCK};

    #[test]
    fn only_one_at_a_time_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let first = Alone::in_folder(folder.path()).unwrap().unwrap();
        assert!(Alone::in_folder(folder.path()).unwrap().is_none());
        drop(first);
        assert!(!folder.path().join(LOCK).exists());
        assert!(Alone::in_folder(folder.path()).unwrap().is_some());
    }
}
