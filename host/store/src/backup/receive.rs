//! A backup that comes in, put into a file: whole and checked, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::BackupError;
use super::format::{Counts, Header};
use super::frame::{EPILOGUE_BYTES, read_epilogue};
use super::read::{Item, Reader};

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
    let (part, file) = Part::create(path)?;
    let place = part.0.display().to_string();
    let tee = Tee {
        input,
        output: BufWriter::with_capacity(1 << 20, file),
    };
    let mut reader = Reader::begin(tee, shown.clone())?;
    let counts = loop {
        if let Item::End(counts) = reader.next()? {
            break counts;
        }
        progress(reader.offset());
    };
    let (header, bytes) = (reader.header().clone(), reader.offset());
    let output = reader.into_input().output;
    let file = output
        .into_inner()
        .map_err(|error| BackupError::io(place.as_str())(error.into_error()))?;
    file.sync_all().map_err(BackupError::io(place))?;
    match renameat_with(CWD, &part.0, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(BackupError::Exists { path: path.to_owned() }),
        // A file system that cannot refuse to replace.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&part.0, path).map_err(BackupError::io(shown.as_str()))?,
        Err(error) => return Err(BackupError::io(shown)(error.into())),
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::io(folder.display().to_string()))?;
    Ok(Received { header, counts, bytes })
}

/// The file that is not finished. It is removed when this is dropped, unless it has got its name.
struct Part(PathBuf);

/// Number of the next one in this process.
static PARTS: AtomicU64 = AtomicU64::new(0);

impl Part {
    /// Makes one beside `path` that no other call has, in whatever process, and that was not there before.
    fn create(path: &Path) -> Result<(Self, File), BackupError> {
        loop {
            let number = PARTS.fetch_add(1, Ordering::Relaxed);
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}-{number}.part", std::process::id()));
            let part = PathBuf::from(name);
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
            match opened {
                Ok(file) => return Ok((Self(part), file)),
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BackupError::io(part.display().to_string())(error)),
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.0.display(), "an unfinished backup could not be removed: {error}");
        }
    }
}

/// Writes what is read.
pub(super) struct Tee<R> {
    input: R,
    output: BufWriter<File>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.output.write_all(bytes.get(..read).unwrap_or_default())?;
        Ok(read)
    }
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
