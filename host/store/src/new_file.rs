//! Files that get their name when they are whole.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A file that is being written beside the name that it will have, for its owner alone. Dropped before [`NewFile::finish`] it
/// is removed; a process that is killed leaves `<path>.<number>-<number>.part`.
pub struct NewFile {
    path: PathBuf,
    part: Part,
    output: BufWriter<File>,
}

impl fmt::Debug for NewFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl NewFile {
    /// Begins a file that will be called `path`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let (part, file) = Part::create(path)?;
        Ok(Self {
            path: path.to_owned(),
            part,
            output: BufWriter::with_capacity(1 << 20, file),
        })
    }

    /// Makes it durable and gives it its name. Blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is something of that name and it shall not be replaced, else what the disk
    /// says. Nothing is left then; except that a file which got its name, and whose folder could then not be synced, stays
    /// there. It is whole, and a power cut may undo its name.
    pub fn finish(self, replace: bool) -> io::Result<()> {
        let Self { path, part, output } = self;
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        if replace {
            fs::rename(&part.0, &path)?;
        } else {
            match renameat_with(CWD, &part.0, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                // A file system that cannot refuse to replace.
                Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&part.0, &path)?,
                Err(error) => return Err(error.into()),
            }
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The file that is not finished. It is removed when this is dropped, unless it has got its name.
struct Part(PathBuf);

/// Number of the next one in this process.
static PARTS: AtomicU64 = AtomicU64::new(0);

impl Part {
    /// Makes one beside `path` that no other call has, in whatever process, and that was not there before.
    fn create(path: &Path) -> io::Result<(Self, File)> {
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
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.0.display(), "an unfinished file could not be removed: {error}");
        }
    }
}

/// Reads, and writes what is read to a file.
#[derive(Debug)]
pub struct Tee<R> {
    input: R,
    file: NewFile,
}

impl<R> Tee<R> {
    /// Nothing was read yet.
    pub fn new(input: R, file: NewFile) -> Self {
        Self { input, file }
    }

    /// The file with everything that was read.
    pub fn into_file(self) -> NewFile {
        self.file
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes)?;
        self.file.write_all(bytes.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{ErrorKind, Read, Write};

    use super::{NewFile, Tee};

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        names.map(name).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_replaces_nothing_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("نسخة");
        let begun = |text: &str| {
            let mut file = NewFile::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let first = begun("أولى");
        assert!(!path.exists());
        first.finish(false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "أولى");
        let refused = begun("ثانية").finish(false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        drop(begun("ثالثة"));
        assert_eq!(names(&folder), ["نسخة"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "أولى");
        begun("رابعة").finish(true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "رابعة");
        assert_eq!(names(&folder), ["نسخة"]);
    }

    #[test]
    fn what_is_read_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("نسخة");
        let mut tee = Tee::new("محور".as_bytes(), NewFile::create(&path).unwrap());
        let mut text = String::new();
        tee.read_to_string(&mut text).unwrap();
        tee.into_file().finish(false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
