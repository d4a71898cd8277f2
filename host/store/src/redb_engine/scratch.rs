//! Stores for rows that can be computed again: they ask the disk for room and for nothing else.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use redb::backends::FileBackend;

use crate::StoreError;

/// What becomes of a store's rows when the process ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// They stay: every commit is synced.
    #[default]
    Durable,
    /// They are gone: nothing is synced, and nothing is prepared for opening the file again.
    Scratch,
}

/// Name of the file for the moment in which it has one.
const NAME: &str = "scratch.redb";

/// A new file in `folder` that has no name there: its room is given back when it is closed, however the process ends. Others
/// may do the same in the same folder: each gets a file of its own.
pub(crate) fn nameless(folder: &Path) -> Result<FileBackend, StoreError> {
    let path = folder.join(NAME);
    let failed = |error: io::Error| StoreError::Engine {
        what: "making a file for a while",
        reason: format!("{}: {error}", path.display()),
    };
    let file = loop {
        // Left by a process that was killed between the next two steps, or somebody else's between them.
        take_name(&path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let made = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(file) => break file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    };
    take_name(&path).map_err(failed)?;
    FileBackend::new(file).map_err(|error| StoreError::engine("opening the file")(error.into()))
}

/// Removes the name, whichever file has it; whoever made that file has it open. It may be gone already.
fn take_name(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_get_a_file_each_and_leave_no_name() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        nameless(folder.path()).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
