//! A backup that comes in, put into a file: whole and checked, or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::BackupError;
use super::format::{Counts, Header};
use super::frame::{EPILOGUE_BYTES, read_epilogue};
use super::read::{Item, Reader};
use crate::new_file::{NewFile, Tee};

/// A backup that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says of itself.
    pub header: Header,
    /// What is in it.
    pub counts: Counts,
    /// Its size.
    pub bytes: u64,
}

/// Writes a backup to `path`: beside it first, every chunk checked on the way, then synced, then under its name. Blocks.
/// `progress` hears how many bytes came.
///
/// # Errors
/// [`BackupError::Exists`]; [`BackupError::Stopped`] when the hub gave up; else what is wrong with the bytes or the disk.
/// Nothing is left then; except that a backup which got its name, and whose folder could then not be synced, stays there.
/// It is whole, and a power cut may undo its name. A process that is killed leaves `<path>.<number>-<number>.part`.
pub fn receive(input: impl Read, path: &Path, mut progress: impl FnMut(u64)) -> Result<Received, BackupError> {
    let shown = path.display().to_string();
    if fs::symlink_metadata(path).is_ok() {
        return Err(BackupError::Exists { path: path.to_owned() });
    }
    let file = NewFile::create(path).map_err(BackupError::io(shown.as_str()))?;
    let mut reader = Reader::begin(Tee::new(input, file), shown.clone())?;
    let counts = loop {
        if let Item::End(counts) = reader.next()? {
            break counts;
        }
        progress(reader.offset());
    };
    let (header, bytes) = (reader.header().clone(), reader.offset());
    let finished = reader.into_input().into_file().finish(false);
    finished.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: path.to_owned() },
        _ => BackupError::io(shown)(error),
    })?;
    Ok(Received { header, counts, bytes })
}

/// The header of a backup. What follows it is not looked at.
///
/// # Errors
/// It is no backup, or damaged there.
pub fn header(path: &Path) -> Result<Header, BackupError> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(BackupError::io(shown.as_str()))?;
    Ok(Reader::begin(file, shown)?.header().clone())
}

/// The header of a backup that an increment shall go on from. Looks only at its beginning and its end; damage between is
/// found by [`super::verify`].
///
/// # Errors
/// As [`header`], or the end is missing.
pub fn previous(path: &Path) -> Result<Header, BackupError> {
    let found = header(path)?;
    let shown = path.display().to_string();
    let end = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        let mut end = [0; EPILOGUE_BYTES];
        file.seek(SeekFrom::Start(length.saturating_sub(EPILOGUE_BYTES as u64)))?;
        file.read_exact(&mut end)?;
        Ok((length, end))
    });
    let (length, end) = end.map_err(BackupError::io(shown.as_str()))?;
    match read_epilogue(&end) {
        Some(footer) if footer < length => Ok(found),
        _ => Err(BackupError::Unended { file: shown }),
    }
}
