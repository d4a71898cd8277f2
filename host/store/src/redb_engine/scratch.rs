//! Stores for rows that can be computed again: they ask the disk for room and for nothing else.

use std::fs::{self, OpenOptions};
use std::io;
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

/// A new file in `folder` that has no name there: its room is given back when it is closed, however the process ends.
pub(crate) fn nameless(folder: &Path) -> Result<FileBackend, StoreError> {
    let path = folder.join(NAME);
    let failed = |error: io::Error| StoreError::Engine {
        what: "making a file for a while",
        reason: format!("{}: {error}", path.display()),
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        // Left by a process that was killed between the next two steps.
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    fs::remove_file(&path).map_err(failed)?;
    FileBackend::new(file).map_err(|error| StoreError::engine("opening the file")(error.into()))
}
