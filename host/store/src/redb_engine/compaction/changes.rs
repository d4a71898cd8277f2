//! Which rows the writer changed while their file was copied: keys only, in a file without a name.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use redb::StorageBackend as _;

use crate::file_system::remove_if_there;
use crate::{FileSystem, Key, OpenedFile, Opening};

/// Keys in the order in which they were changed, as often as they were.
pub(crate) struct ChangedKeys {
    file: BufWriter<Stream>,
    count: u64,
    /// What went wrong first. The list is of no use then; the writer goes on.
    failed: Option<io::Error>,
}

impl ChangedKeys {
    /// Starts a list in a file that has a name only for a moment, so that its room is given back however the process ends.
    pub(crate) fn create(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        // Left by a process that was killed in that moment.
        remove_if_there(files, path)?;
        let file = files.open(path, Opening::New)?;
        files.remove_file(path)?;
        Ok(Self {
            file: BufWriter::new(Stream { file, at: 0 }),
            count: 0,
            failed: None,
        })
    }

    /// Adds the keys of a commit.
    pub(crate) fn note(&mut self, keys: &[Key]) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = keys.iter().try_for_each(|key| self.append(key.as_bytes())) {
            self.failed = Some(error);
        }
        self.count += keys.len() as u64;
    }

    fn append(&mut self, key: &[u8]) -> io::Result<()> {
        let length = u32::try_from(key.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(key)
    }

    /// Ends the list, to be read.
    pub(crate) fn finish(mut self) -> io::Result<KeyList> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.file.flush()?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.at = 0;
        Ok(KeyList {
            file: BufReader::new(file),
            count: self.count,
        })
    }
}

/// A file that is written from its beginning on, and then read.
struct Stream {
    file: OpenedFile,
    /// Where it goes on.
    at: u64,
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len()?.saturating_sub(self.at);
        let count = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        self.file.read(self.at, out.get_mut(..count).unwrap_or_default())?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A finished list.
pub(crate) struct KeyList {
    file: BufReader<Stream>,
    count: u64,
}

impl KeyList {
    /// Keys in the list, each as often as it was changed.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Up to `limit` more keys, each once and in their order. None at the end.
    pub(crate) fn next(&mut self, limit: usize) -> io::Result<Option<Vec<Key>>> {
        let mut keys = Vec::new();
        while keys.len() < limit && !self.file.fill_buf()?.is_empty() {
            let mut length = [0; 4];
            self.file.read_exact(&mut length)?;
            let mut key = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX)];
            self.file.read_exact(&mut key)?;
            keys.push(Key::from_bytes(key));
        }
        keys.sort();
        keys.dedup();
        Ok((!keys.is_empty()).then_some(keys))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file_system::OsFiles;

    #[test]
    fn keys_come_back_once_each_and_the_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "بقايا").unwrap();
        let key = |text: &str| Key::from_bytes(text.as_bytes().to_vec());
        let mut changes = ChangedKeys::create(&OsFiles, &path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        changes.note(&[key("ب"), key("a")]);
        changes.note(&[key("ب"), key("")]);
        let mut list = changes.finish().unwrap();
        assert_eq!(list.count(), 4);
        assert_eq!(list.next(3).unwrap(), Some(vec![key("a"), key("ب")]));
        assert_eq!(list.next(3).unwrap(), Some(vec![key("")]));
        assert_eq!(list.next(3).unwrap(), None);
    }
}
