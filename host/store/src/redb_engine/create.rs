//! Making a new file. redb cannot open one whose making was cut off, so it is made under another name first.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::backend::CountingBackend;
use super::counters::Counters;
use super::database::SharedDatabase;
use crate::StoreError;

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Which file something is, whatever names lead to it. As long as the file is open, no other one has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
        }
    }

    /// Makes sure that `path` still leads to it. Somebody who had it open may have put another file in its place before it
    /// was locked here; then what lies beside it is theirs.
    pub(crate) fn still_at(self, path: &Path) -> Result<(), StoreError> {
        if Self::at(path)? == self {
            Ok(())
        } else {
            Err(StoreError::AlreadyOpen { path: path.to_owned() })
        }
    }

    /// Of the file that `path` leads to now.
    pub(crate) fn at(path: &Path) -> Result<Self, StoreError> {
        let file = fs::metadata(path).map_err(|error| failed(path, &error))?;
        Ok(Self::of(&file))
    }
}

/// Opens the file at `path` for the engine, after making it if need be, and tells which one it opened.
pub(crate) fn backend(path: &Path) -> Result<(FileBackend, FileId), StoreError> {
    if !path.try_exists().map_err(|error| failed(path, &error))? {
        make(path)?;
    }
    existing(path)
}

/// Opens the file at `path` for the engine, and tells which one it opened.
pub(crate) fn existing(path: &Path) -> Result<(FileBackend, FileId), StoreError> {
    let (backend, found) = open(path, &mut OpenOptions::new())?;
    // The engine would take it for a new one.
    if found.len() == 0 {
        return Err(StoreError::corrupt(format!("{} is empty", path.display())));
    }
    Ok((backend, FileId::of(&found)))
}

/// A new file, for whoever makes a store in a place that nobody looks at yet.
pub(crate) fn new_file(path: &Path) -> Result<(FileBackend, FileId), StoreError> {
    // What is sealed in it is for its owner alone, in whatever folder it lies.
    let (backend, made) = open(path, OpenOptions::new().create_new(true).mode(0o600))?;
    Ok((backend, FileId::of(&made)))
}

fn make(path: &Path) -> Result<(), StoreError> {
    // Two processes may try at once: each has its own file, and only one gets it into place.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = PathBuf::from(name);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&unfinished, &error));
        }
        // Left by a process of the same number that was killed here.
        _ => {}
    }
    let (backend, _) = new_file(&unfinished)?;
    let backend = CountingBackend::new(backend, Arc::new(Counters::default()));
    let database = SharedDatabase::open(backend, &unfinished, 0)?;
    database.prepare()?;
    database.close()?;
    put_in_place(&unfinished, path).map_err(|error| failed(path, &error))?;
    // A new file is there after a power cut only when its folder says so.
    let folder = folder_of(path);
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed(&folder, &error))
}

fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, unfinished, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Somebody else was faster; whether they have it open is found out next.
        Err(Errno::EXIST) => fs::remove_file(unfinished),
        // A file system that cannot refuse to replace.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(unfinished, path),
        Err(error) => Err(error.into()),
    }
}

/// Opens it, and looks at what was opened rather than at the name, which may lead to another file by now.
fn open(path: &Path, options: &mut OpenOptions) -> Result<(FileBackend, Metadata), StoreError> {
    let opened = options.read(true).write(true).open(path).and_then(|file| {
        let found = file.metadata()?;
        Ok((file, found))
    });
    let (file, found) = opened.map_err(|error| failed(path, &error))?;
    let backend = FileBackend::new(file).map_err(|error| StoreError::engine("opening the file")(error.into()))?;
    Ok((backend, found))
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

    #[test]
    fn the_file_that_was_opened_is_told_from_one_that_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("مخزن.redb"), folder.path().join("آخر.redb"));
        make(&path).unwrap();
        make(&other).unwrap();
        let (_open, id) = existing(&path).unwrap();
        assert_eq!(FileId::at(&path), Ok(id));
        // What happens when somebody compacts it between opening and locking.
        fs::rename(&other, &path).unwrap();
        assert_ne!(FileId::at(&path), Ok(id));
    }
}
