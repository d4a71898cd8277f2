//! Making a new file. redb cannot open one whose making was cut off, so it is made under another name first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend as _;

use super::backend::CountingBackend;
use super::counters::Counters;
use super::database::SharedDatabase;
use crate::file_system::{folder_of, remove_if_there};
use crate::{FileId, FileSystem, OpenedFile, Opening, StoreError};

impl FileId {
    /// Makes sure that `path` still leads to it. Somebody who had it open may have put another file in its place before it
    /// was locked here; then what lies beside it is theirs.
    pub(crate) fn still_at(self, files: &dyn FileSystem, path: &Path) -> Result<(), StoreError> {
        if Self::at(files, path)? == self {
            Ok(())
        } else {
            Err(StoreError::AlreadyOpen { path: path.to_owned() })
        }
    }

    /// Of the file that `path` leads to now.
    pub(crate) fn at(files: &dyn FileSystem, path: &Path) -> Result<Self, StoreError> {
        let found = files.metadata(path).map_err(|error| failed(path, &error))?;
        Ok(found.id)
    }
}

/// Opens the file at `path` for the engine, after making it if need be.
pub(crate) fn backend(files: &dyn FileSystem, path: &Path) -> Result<OpenedFile, StoreError> {
    match files.metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(files, path)?,
        Err(error) => return Err(failed(path, &error)),
    }
    existing(files, path)
}

/// Opens the file at `path` for the engine.
pub(crate) fn existing(files: &dyn FileSystem, path: &Path) -> Result<OpenedFile, StoreError> {
    let file = open(files, path, Opening::Writing)?;
    // The engine would take it for a new one. What was opened is looked at, not the name.
    if file.len().map_err(|error| failed(path, &error))? == 0 {
        return Err(StoreError::corrupt(format!("{} is empty", path.display())));
    }
    Ok(file)
}

/// A new file, for whoever makes a store in a place that nobody looks at yet. What is sealed in it is for its owner alone,
/// in whatever folder it lies.
pub(crate) fn new_file(files: &dyn FileSystem, path: &Path) -> Result<OpenedFile, StoreError> {
    open(files, path, Opening::New)
}

fn make(files: &dyn FileSystem, path: &Path) -> Result<(), StoreError> {
    // Two processes may try at once: each has its own file, and only one gets it into place.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = PathBuf::from(name);
    // Left by a process of the same number that was killed here.
    remove_if_there(files, &unfinished).map_err(|error| failed(&unfinished, &error))?;
    let backend = new_file(files, &unfinished)?;
    let backend = CountingBackend::new(backend, Arc::new(Counters::default()));
    let database = SharedDatabase::open(backend, &unfinished, 0)?;
    database.prepare()?;
    database.close()?;
    let put_in_place = match files.rename_new(&unfinished, path) {
        // Somebody else was faster; whether they have it open is found out next.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => files.remove_file(&unfinished),
        renamed => renamed,
    };
    put_in_place.map_err(|error| failed(path, &error))?;
    // A new file is there after a power cut only when its folder says so.
    let folder = folder_of(path);
    files.sync_folder(&folder).map_err(|error| failed(&folder, &error))
}

fn open(files: &dyn FileSystem, path: &Path, opening: Opening) -> Result<OpenedFile, StoreError> {
    files.open(path, opening).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Engine {
        what: "opening the file",
        reason: format!("{}: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::OsFiles;

    #[test]
    fn the_file_that_was_opened_is_told_from_one_that_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("مخزن.redb"), folder.path().join("آخر.redb"));
        make(&OsFiles, &path).unwrap();
        make(&OsFiles, &other).unwrap();
        let file = existing(&OsFiles, &path).unwrap();
        assert_eq!(FileId::at(&OsFiles, &path), Ok(file.id()));
        // What happens when somebody compacts it between opening and locking.
        OsFiles.rename(&other, &path).unwrap();
        assert_ne!(FileId::at(&OsFiles, &path), Ok(file.id()));
    }
}
