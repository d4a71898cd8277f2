//! Building a store and its blobs from backups.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::BackupError;
use super::records::Piece;
use super::replay::{Replayed, Target, Watch, replay};
use crate::Row;
use crate::blobs::place;
use crate::redb_engine::Rebuild;
use crate::tree::{FullTile, Tree};

/// Builds a store at `store` and a folder of blobs at `blobs`, which must not be there, from a full backup and its
/// increments. Every row has the version that it had, and the next commit gets one above them all. What was deleted before
/// the last of them was made is not written even for a moment. All of it is durable when this answers; after an error,
/// what was begun is left behind, for whoever chose the place to remove. Blocks.
///
/// # Errors
/// The first thing that is wrong, with file, chunk and byte; or the disk's.
pub fn restore(
    files: &[impl AsRef<Path>],
    store: &Path,
    blobs: &Path,
    watch: &mut dyn Watch,
) -> Result<Replayed, BackupError> {
    // Contents are sealed; who has how many files is nobody else's business either.
    let made = fs::DirBuilder::new().mode(0o700).create(blobs);
    made.map_err(BackupError::io(blobs.display().to_string()))?;
    let mut target = Restoring {
        rebuild: Rebuild::create(store)?,
        blobs: blobs.to_owned(),
        open: None,
    };
    let replayed = replay(files, &mut target, watch)?;
    target.rebuild.close()?;
    // One call for all of them: a sync for each would take milliseconds, times a million.
    let synced = File::open(blobs).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
    synced.map_err(BackupError::io(blobs.display().to_string()))?;
    Ok(replayed)
}

struct Restoring {
    rebuild: Rebuild,
    blobs: PathBuf,
    /// The blob that is being written.
    open: Option<File>,
}

impl Restoring {
    fn write(&mut self, path: &Path, piece: &Piece) -> io::Result<()> {
        if piece.from == 0 {
            if let Some(folder) = path.parent() {
                make_last(folder)?;
            }
            let mut options = File::options();
            self.open = Some(options.write(true).create_new(true).mode(0o600).open(path)?);
        }
        match &mut self.open {
            Some(file) => file.write_all(&piece.bytes),
            None => Err(io::Error::other("its beginning did not come")),
        }
    }
}

/// Makes a folder, and none above it: where somebody took those away, what goes on here must end and leave nothing.
fn make_last(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl Target for Restoring {
    fn rows(&mut self, rows: Vec<Row>) -> Result<(), BackupError> {
        Ok(self.rebuild.rows(&rows)?)
    }

    fn entries(&mut self, first: u64, entries: Vec<Vec<u8>>, filled: Vec<FullTile>) -> Result<(), BackupError> {
        Ok(self.rebuild.entries(first, &entries, &filled)?)
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), BackupError> {
        let path = place(&self.blobs, piece.id);
        self.write(&path, piece)
            .map_err(BackupError::io(path.display().to_string()))
    }

    fn finish(&mut self, version: u64, tree: &Tree) -> Result<(), BackupError> {
        Ok(self.rebuild.finish(version, tree)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use uuid::Uuid;

    use super::{Piece, Rebuild, Restoring, place};

    #[test]
    fn a_restore_whose_folder_was_taken_away_ends_and_does_not_make_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("ملفات");
        std::fs::create_dir(&blobs).unwrap();
        let mut target = Restoring {
            rebuild: Rebuild::create(&folder.path().join("rows.redb")).unwrap(),
            blobs: blobs.clone(),
            open: None,
        };
        let id = Uuid::from_bytes([3; 16]);
        let piece = Piece {
            id,
            size: Some(4),
            from: 0,
            bytes: b"\x01\x02\x03\x04".to_vec(),
        };
        let path = place(&blobs, id);
        target.write(&path, &piece).unwrap();
        std::fs::remove_dir_all(&blobs).unwrap();
        let failed = target.write(&path, &piece).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::NotFound);
        assert!(!blobs.exists());
    }
}
