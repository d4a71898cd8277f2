//! A simulated disk as a file system, and its open files.

use std::io;
use std::path::Path;
use std::sync::MutexGuard;

use redb::StorageBackend;

use super::cached::FileChange;
use super::tree::{Change, NodeId};
use super::{Kind, SimulatedDisk, State};
use crate::{FileId, FileMetadata, FileSystem, OpenedFile, Opening};

/// The files of one life.
#[derive(Debug)]
pub(super) struct Files {
    disk: SimulatedDisk,
    life: u64,
}

impl Files {
    pub(super) fn new(disk: SimulatedDisk, life: u64) -> Self {
        Self { disk, life }
    }

    fn begin(&self, kind: Kind) -> io::Result<MutexGuard<'_, State>> {
        self.disk.operation(self.life, kind)
    }
}

impl FileSystem for Files {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<OpenedFile> {
        let node = if opening == Opening::New {
            self.begin(Kind::Growth)?.make(path, false)?
        } else {
            let state = self.begin(Kind::Look)?;
            let node = state.tree.find(path)?;
            state.tree.bytes(node)?;
            node
        };
        let file = File {
            disk: self.disk.clone(),
            life: self.life,
            node,
        };
        Ok(OpenedFile::new(file, id_of(node)))
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        let state = self.begin(Kind::Look)?;
        let node = state.tree.find(path)?;
        let length = state.tree.bytes(node).map_or(0, |bytes| bytes.len() as u64);
        Ok(FileMetadata {
            id: id_of(node),
            length,
            room: length,
        })
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<FileMetadata> {
        self.metadata(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Kind::Change)?.rename(from, to, true)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Kind::Change)?.rename(from, to, false)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(Kind::Change)?;
        let node = state.tree.find(path)?;
        state.tree.bytes(node)?;
        state.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.begin(Kind::Growth)?.make(path, true).map(|_node| ())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(Kind::Change)?;
        let node = state.tree.find(path)?;
        state.empty(node)?;
        state.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(Kind::Change)?;
        let node = state.tree.find(path)?;
        state.tree.names(node)?;
        state.sync(node);
        Ok(())
    }
}

fn id_of(node: NodeId) -> FileId {
    FileId { device: 0, inode: node }
}

/// An open file.
#[derive(Debug)]
struct File {
    disk: SimulatedDisk,
    life: u64,
    node: NodeId,
}

impl File {
    fn begin(&self, kind: Kind) -> io::Result<MutexGuard<'_, State>> {
        self.disk.operation(self.life, kind)
    }

    fn changed(&self, change: FileChange) -> Change {
        Change::File {
            node: self.node,
            change,
        }
    }
}

impl StorageBackend for File {
    fn len(&self) -> io::Result<u64> {
        let state = self.begin(Kind::Look)?;
        Ok(state.tree.bytes(self.node)?.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.begin(Kind::Look)?;
        if out.is_empty() {
            return Ok(());
        }
        // A damaged file makes an engine read at any place.
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let found = state.tree.bytes(self.node)?.get(start..end);
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let change = self.changed(FileChange::Length(length));
        self.begin(Kind::Growth)?.change(change);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.begin(Kind::Change)?.sync(self.node);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let mut state = self.begin(Kind::Write)?;
        let is_torn = std::mem::take(&mut state.is_torn);
        let done = if is_torn { &data[..data.len() / 2] } else { data };
        state.change(self.changed(FileChange::Write(start, done.to_vec())));
        if is_torn {
            return Err(io::Error::other("the disk died half-way through a write"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mihwar_model::SplitMix64;

    use super::*;
    use crate::DiskFault;

    const CUTS: u64 = 300;

    fn write(files: &dyn FileSystem, path: &str, bytes: &[u8]) -> OpenedFile {
        let file = files.open(Path::new(path), Opening::New).unwrap();
        file.write(0, bytes).unwrap();
        file
    }

    /// What a file may hold after a power cut; nothing where it is not there.
    fn possible(disk: &SimulatedDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
        let numbers = &mut SplitMix64::new(7);
        let cuts = (0..CUTS).map(|_| disk.after_power_cut(numbers));
        cuts.map(|image| image.files.get(Path::new(path)).cloned()).collect()
    }

    #[test]
    fn bytes_and_names_are_durable_each_by_its_own_sync() {
        let disk = SimulatedDisk::default();
        let files = disk.files();
        files.make_folder(Path::new("/مجلد")).unwrap();
        let file = write(&*files, "/مجلد/ملف", "شكوى".as_bytes());
        assert!(disk.after_the_worst_power_cut().folders.is_empty());
        files.sync_folder(Path::new("/مجلد")).unwrap();
        files.sync_folder(Path::new("/")).unwrap();
        let empty = disk.after_the_worst_power_cut();
        assert_eq!(empty.files.get(Path::new("/مجلد/ملف")), Some(&Vec::new()));
        file.sync_data().unwrap();
        assert_eq!(disk.after_the_worst_power_cut(), disk.after_kill());
        assert_eq!(possible(&disk, "/مجلد/ملف").len(), 1);
    }

    #[test]
    fn a_rename_in_a_folder_is_one_step_and_between_two_folders_two() {
        let disk = SimulatedDisk::default();
        let files = disk.files();
        files.make_folder(Path::new("/b")).unwrap();
        for (path, bytes) in [("/old", b"1"), ("/new", b"2")] {
            write(&*files, path, bytes).sync_data().unwrap();
        }
        files.sync_folder(Path::new("/")).unwrap();
        files.rename(Path::new("/new"), Path::new("/old")).unwrap();
        let numbers = &mut SplitMix64::new(1);
        for image in (0..CUTS).map(|_| disk.after_power_cut(numbers)) {
            let found: Vec<&[u8]> = image.files.values().map(Vec::as_slice).collect();
            assert!(found == [b"2"] || found == [b"2", b"1"], "{found:?}");
        }
        files.sync_folder(Path::new("/")).unwrap();
        files.rename(Path::new("/old"), Path::new("/b/old")).unwrap();
        let counts: BTreeSet<usize> = (0..CUTS).map(|_| disk.after_power_cut(numbers).files.len()).collect();
        assert_eq!(counts, BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn bytes_that_were_not_synced_are_torn_and_those_before_them_are_not() {
        let disk = SimulatedDisk::default();
        let file = write(&*disk.files(), "/ملف", &[1; 8_192]);
        file.sync_data().unwrap();
        disk.files().sync_folder(Path::new("/")).unwrap();
        file.write(4_096, &[2; 4_096]).unwrap();
        let found = possible(&disk, "/ملف");
        assert!(found.len() > 2, "nothing is torn");
        for bytes in found.into_iter().flatten() {
            assert_eq!((bytes.len(), &bytes[..4_096]), (8_192, &[1; 4_096][..]));
        }
    }

    #[test]
    fn a_recording_passes_all_that_was_done_in_its_order() {
        let disk = SimulatedDisk::default();
        disk.record();
        let files = disk.files();
        let file = write(&*files, "/ملف", b"1");
        disk.mark(1);
        file.sync_data().unwrap();
        files.sync_folder(Path::new("/")).unwrap();
        disk.mark(2);
        let mut recording = disk.recorded();
        let mut durable = Vec::new();
        while recording.advance() {
            durable.push((recording.marked(), recording.after_the_worst_power_cut().files.len()));
        }
        assert_eq!(durable, [(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (2, 1)]);
    }

    #[test]
    fn a_killed_process_leaves_what_is_not_synced_and_can_do_nothing_more() {
        let disk = SimulatedDisk::default().with(DiskFault::ShortFrom(2));
        let files = disk.files();
        let file = files.open(Path::new("/ملف"), Opening::New).unwrap();
        assert!(file.write(0, b"1234").is_err() && file.sync_data().is_err());
        disk.kill();
        assert!(files.sync_folder(Path::new("/")).is_err(), "the life before");
        disk.files().sync_folder(Path::new("/")).unwrap();
        let image = disk.after_kill();
        assert_eq!(image.files.get(Path::new("/ملف")), Some(&b"12".to_vec()));
        let durable = disk.after_the_worst_power_cut();
        assert_eq!(durable.files.get(Path::new("/ملف")), Some(&Vec::new()));
        assert_eq!(SimulatedDisk::of(&image).after_the_worst_power_cut(), image);
    }
}
