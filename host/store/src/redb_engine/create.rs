//! Making a new file. redb cannot open one whose making was cut off, so it is made under another name first.

use std::fs::{self, File, OpenOptions};
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

/// Opens the file at `path` for the engine, after making it if need be.
pub(crate) fn backend(path: &Path) -> Result<FileBackend, StoreError> {
    if !path.try_exists().map_err(|error| failed(path, &error))? {
        make(path)?;
    }
    existing(path)
}

/// Which file `path` leads to.
pub(crate) fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let file = fs::metadata(path).map_err(|error| failed(path, &error))?;
    Ok((file.dev(), file.ino()))
}

/// Opens the file at `path` for the engine.
pub(crate) fn existing(path: &Path) -> Result<FileBackend, StoreError> {
    // The engine would take it for a new one.
    if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Err(StoreError::corrupt(format!("{} is empty", path.display())));
    }
    open(path, &mut OpenOptions::new())
}

/// A new file, for whoever makes a store in a place that nobody looks at yet.
pub(crate) fn new_file(path: &Path) -> Result<FileBackend, StoreError> {
    open(path, OpenOptions::new().create_new(true).mode(0o600))
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
    // What is sealed in it is for its owner alone, in whatever folder it lies.
    let backend = open(&unfinished, OpenOptions::new().create_new(true).mode(0o600))?;
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

fn open(path: &Path, options: &mut OpenOptions) -> Result<FileBackend, StoreError> {
    let file = options
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed(path, &error))?;
    FileBackend::new(file).map_err(|error| StoreError::engine("opening the file")(error.into()))
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Engine {
        what: "opening the file",
        reason: format!("{}: {error}", path.display()),
    }
}
