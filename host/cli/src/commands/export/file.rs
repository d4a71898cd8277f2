//! A file that appears under its name once it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::{Builder, NamedTempFile};

/// A file that is being written under another name, beside where it will stand. What is in it is personal: it can be read by
/// its owner alone, whatever stood in its place before. Dropped, it is gone.
pub(super) struct Coming {
    temporary: NamedTempFile,
    path: PathBuf,
    replaces: bool,
}

impl Coming {
    /// Begins a file that will stand at `path`, there in the place of an earlier one only if `force` says so.
    ///
    /// # Errors
    /// Something is there that may not be replaced, or the folder cannot be written to.
    pub(super) fn new(path: &Path, force: bool) -> anyhow::Result<Self> {
        let there = path.symlink_metadata().is_ok();
        ensure!(
            !there || force,
            "{} exists already; give another name, or --force to put this export in its place",
            path.display()
        );
        let path = if there {
            // Behind a link it is the file that is replaced, not the link.
            let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
            ensure!(
                path.is_file(),
                "{} is no ordinary file and is not replaced; leave --out away and redirect the standard output",
                path.display()
            );
            path
        } else {
            std::path::absolute(path).with_context(|| format!("{}", path.display()))?
        };
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let temporary = Builder::new()
            .prefix(".mihwar-export-")
            .suffix(".part")
            .tempfile_in(folder)
            .with_context(|| format!("a file cannot be made in {}", folder.display()))?;
        Ok(Self {
            temporary,
            path,
            replaces: force,
        })
    }

    /// What the file is written through.
    pub(super) fn writer(&self) -> anyhow::Result<File> {
        let file = self.temporary.as_file().try_clone();
        file.with_context(|| format!("{}", self.temporary.path().display()))
    }

    /// Gives it its name, once all of it has been written; answers how long it is.
    ///
    /// # Errors
    /// It is not on the disk, or somebody else has taken the name meanwhile.
    pub(super) fn keep(self) -> anyhow::Result<u64> {
        let Self {
            temporary,
            path,
            replaces,
        } = self;
        let what = || format!("{} was not written", path.display());
        let file = temporary.as_file();
        file.sync_all().with_context(what)?;
        let length = file.metadata().with_context(what)?.len();
        let kept = if replaces {
            temporary.persist(&path)
        } else {
            temporary.persist_noclobber(&path)
        };
        kept.map_err(std::io::Error::from).with_context(what)?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::Coming;

    #[test]
    fn a_file_is_there_once_it_is_whole_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("شكاوى.csv");
        let coming = Coming::new(&path, false).unwrap();
        coming.writer().unwrap().write_all(b"id\r\n").unwrap();
        assert!(!path.exists());
        assert_eq!(coming.keep().unwrap(), 4);
        assert_eq!(std::fs::read(&path).unwrap(), b"id\r\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_stays_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("شكاوى.csv");
        let coming = Coming::new(&path, false).unwrap();
        // Somebody else takes the name meanwhile.
        std::fs::write(&path, "قديم").unwrap();
        coming.keep().unwrap_err();
        Coming::new(&path, false).err().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "قديم");

        let forced = Coming::new(&path, true).unwrap();
        forced.writer().unwrap().write_all("جديد".as_bytes()).unwrap();
        drop(forced);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "قديم", "it was not whole");
        let forced = Coming::new(&path, true).unwrap();
        forced.writer().unwrap().write_all("جديد".as_bytes()).unwrap();
        forced.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "جديد");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn neither_a_link_nor_a_device_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("هنا.csv"), folder.path().join("رابط.csv"));
        std::fs::write(&path, "قديم").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Coming::new(&link, true).unwrap().keep().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        for other in [folder.path(), std::path::Path::new("/dev/null")] {
            let refused = Coming::new(other, true).err().unwrap().to_string();
            assert!(refused.contains("no ordinary file"), "{refused}");
        }
    }
}
