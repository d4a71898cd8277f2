//! How much room the disk has left.

use std::io;
use std::path::PathBuf;

/// Tells the free space where a store lies. A door, so that a test can fill a disk without filling one.
pub trait FreeSpace: Send + Sync + 'static {
    /// Bytes that this process may still write.
    ///
    /// # Errors
    /// What the operating system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// Asks the file system that holds a folder.
#[derive(Clone, Debug)]
pub struct FolderSpace(
    /// The folder.
    pub PathBuf,
);

impl FreeSpace for FolderSpace {
    fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.0)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
