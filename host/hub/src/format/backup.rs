//! The copy of the store's file that is made before an upgrade. The other files of a folder keep their contents in an
//! upgrade, so it is all that the way back needs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mihwar_store::{FolderSpace, FreeSpace};

use super::STORE_FILE;
use super::note::{Note, sync_folder};
use super::refusal::{FormatError, at};

/// Copied between two reports. The system shares the blocks instead, where the file system can.
const PIECE_BYTES: u64 = 64 << 20;

/// Told how many bytes are copied, and out of how many.
type Told<'a> = dyn FnMut(u64, u64) + Send + 'a;

/// What the name of a backup's folder begins with; the format that the upgrade leads to follows.
const FOLDER: &str = "backup-before-format-";

/// Where the backup before an upgrade to a format lies.
pub(super) fn folder_before(data: &Path, to: u32) -> PathBuf {
    data.join(format!("{FOLDER}{to}"))
}

/// The backups that upgrades left in a data folder, whole or not, by name.
///
/// # Errors
/// What the system says.
pub(crate) fn left_in(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(FOLDER) {
            left.push(entry.path());
        }
    }
    left.sort_unstable();
    Ok(left)
}

/// Refuses when a backup of another upgrade is in the way.
pub(super) fn check_place(data: &Path, to: u32) -> Result<(), FormatError> {
    let path = folder_before(data, to);
    if path.try_exists().map_err(at(&path))? {
        return Err(FormatError::BackupInTheWay { path });
    }
    Ok(())
}

/// What an older hub copied, on its way to its own format, is the backup on the way to this hub's, too: it gets its name.
/// May be done twice.
pub(super) fn take_over(data: &Path, begun: u32, to: u32) -> Result<(), FormatError> {
    let (old, new) = (folder_before(data, begun), folder_before(data, to));
    remove_folder(&old.with_extension("unfinished"))?;
    if !old.try_exists().map_err(at(&old))? {
        return Ok(());
    }
    check_place(data, to)?;
    fs::rename(&old, &new).map_err(at(&old))?;
    sync_folder(data)
}

fn remove_folder(path: &Path) -> Result<(), FormatError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Refuses when the disk has no room for a backup that is not there yet.
pub(super) fn check_room(data: &Path, to: u32, floor: u64) -> Result<(), FormatError> {
    let path = folder_before(data, to);
    if path.try_exists().map_err(at(&path))? {
        return Ok(());
    }
    let store = data.join(STORE_FILE);
    let copy = fs::metadata(&store).map_err(at(&store))?.len();
    let free = FolderSpace(data.to_owned()).free_bytes().map_err(at(data))?;
    if free < copy.saturating_add(floor) {
        let place = data.to_owned();
        return Err(FormatError::NoRoom {
            place,
            copy,
            floor,
            free,
        });
    }
    Ok(())
}

/// Copies the store's file, which nobody may write to meanwhile. The backup is there as a whole, or not at all; one that
/// is there already is from before this upgrade was cut off, and stays.
pub(super) async fn make(data: &Path, from: u32, to: u32, tell: &mut Told<'_>) -> Result<(), FormatError> {
    let path = folder_before(data, to);
    if path.try_exists().map_err(at(&path))? {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    remove_folder(&unfinished)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&unfinished)
        .map_err(at(&unfinished))?;
    let copy = unfinished.join(STORE_FILE);
    copy_file(&data.join(STORE_FILE), &copy, tell)
        .await
        .map_err(at(&copy))?;
    Note::at(from).write(&unfinished)?;
    let words = unfinished.join("READ-ME.txt");
    new_file(&words)
        .and_then(|mut file| {
            file.write_all(way_back(from, to).as_bytes())
                .and_then(|()| file.sync_all())
        })
        .map_err(at(&words))?;
    sync_folder(&unfinished)?;
    fs::rename(&unfinished, &path).map_err(at(&path))?;
    sync_folder(data)
}

fn way_back(from: u32, to: u32) -> String {
    format!(
        "The store of this data folder as it was before mihwar {} brought it from format {from} to format {to}.\n\n\
         The way back to the older version: stop the hub, copy mihwar.redb and FORMAT from here over those of the data\n\
         folder, start the older version. What came in since the upgrade is lost by it, and so are files that were\n\
         destroyed since. The copy is whole: it was made of a store that was closed in order.\n\n\
         When you no longer need this folder, delete it; the hub never does.\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

async fn copy_file(from: &Path, to: &Path, tell: &mut Told<'_>) -> io::Result<()> {
    let mut from = File::open(from)?;
    let total = from.metadata()?.len();
    let mut to = new_file(to)?;
    let mut done = 0;
    tell(done, total);
    loop {
        let copied = io::copy(&mut (&mut from).take(PIECE_BYTES), &mut to)?;
        if copied == 0 {
            return to.sync_all();
        }
        done += copied;
        tell(done, total);
        // Lets a signal be heard between two pieces.
        tokio::task::yield_now().await;
    }
}
