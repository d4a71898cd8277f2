//! The files and folders of a simulated disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::cached::{Cached, Cut, FileChange, Names, Naming};

/// Number of a file or folder; none gets that of another one.
pub(super) type NodeId = u64;

const ROOT: NodeId = 0;

/// What lies on a disk of which everything is durable. Folders that are on the way to a file need not be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskImage {
    /// Files by their paths.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Paths of folders.
    pub folders: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
enum Node {
    File(Cached<Vec<u8>, FileChange>),
    Folder(Cached<Names, Naming>),
}

/// Something done to the disk.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A file or folder is made and gets a name.
    Make {
        folder: NodeId,
        name: OsString,
        node: NodeId,
        is_folder: bool,
    },
    Names {
        folder: NodeId,
        naming: Naming,
    },
    File {
        node: NodeId,
        change: FileChange,
    },
    Sync(NodeId),
}

/// What of a disk is looked at.
pub(super) enum Left<'a> {
    /// What a read sees.
    Seen,
    /// What is durable for certain.
    Durable,
    /// What a power cut leaves.
    Cut(Cut<'a>),
}

/// All that lies on a disk.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Folder(Cached::of(Names::new())))]),
            next: ROOT + 1,
        }
    }
}

impl Tree {
    pub(super) fn of(image: &DiskImage) -> Self {
        let mut tree = Self::default();
        for path in &image.folders {
            tree.put(path, None);
        }
        for (path, bytes) in &image.files {
            tree.put(path, Some(bytes.as_slice()));
        }
        tree
    }

    /// Puts a file there, or a folder, with the folders on its way, all of it durable.
    fn put(&mut self, path: &Path, bytes: Option<&[u8]>) {
        let mut folder = ROOT;
        let mut names = names_of(path).peekable();
        while let Some(name) = names.next() {
            let is_last = names.peek().is_none();
            folder = match self.entry(folder, name) {
                Some(node) => node,
                None => self.put_in(folder, name.to_owned(), bytes.filter(|_| is_last)),
            };
        }
    }

    fn put_in(&mut self, folder: NodeId, name: OsString, bytes: Option<&[u8]>) -> NodeId {
        let node = self.next;
        self.apply(Change::Make {
            folder,
            name,
            node,
            is_folder: bytes.is_none(),
        });
        if let Some(bytes) = bytes {
            self.nodes.insert(node, Node::File(Cached::of(bytes.to_vec())));
        }
        self.apply(Change::Sync(folder));
        node
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Make {
                folder,
                name,
                node,
                is_folder,
            } => {
                let made = if is_folder {
                    Node::Folder(Cached::of(Names::new()))
                } else {
                    Node::File(Cached::of(Vec::new()))
                };
                self.nodes.insert(node, made);
                self.next = self.next.max(node + 1);
                self.name(folder, Naming(vec![(name, Some(node))]));
            }
            Change::Names { folder, naming } => self.name(folder, naming),
            Change::File { node, change } => {
                if let Some(Node::File(file)) = self.nodes.get_mut(&node) {
                    file.change(change);
                }
            }
            Change::Sync(node) => match self.nodes.get_mut(&node) {
                Some(Node::File(file)) => file.sync(),
                Some(Node::Folder(folder)) => folder.sync(),
                None => {}
            },
        }
    }

    fn name(&mut self, folder: NodeId, naming: Naming) {
        if let Some(Node::Folder(folder)) = self.nodes.get_mut(&folder) {
            folder.change(naming);
        }
    }

    /// The number of the next file or folder.
    pub(super) fn next(&self) -> NodeId {
        self.next
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut found = ROOT;
        for name in names_of(path) {
            found = self.names(found)?.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(found)
    }

    /// The folder that `path` lies in, and its name there.
    pub(super) fn place(&self, path: &Path) -> io::Result<(NodeId, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names(folder)?;
        Ok((folder, name.to_owned()))
    }

    pub(super) fn entry(&self, folder: NodeId, name: &OsStr) -> Option<NodeId> {
        self.names(folder).ok()?.get(name).copied()
    }

    /// What the names in a folder lead to.
    pub(super) fn names(&self, folder: NodeId) -> io::Result<&Names> {
        match self.nodes.get(&folder) {
            Some(Node::Folder(folder)) => Ok(&folder.visible),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What a file holds.
    pub(super) fn bytes(&self, file: NodeId) -> io::Result<&[u8]> {
        match self.nodes.get(&file) {
            Some(Node::File(file)) => Ok(&file.visible),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_folder(&self, node: NodeId) -> bool {
        self.names(node).is_ok()
    }

    pub(super) fn image(&self, mut left: Left<'_>) -> DiskImage {
        let (mut files, mut folders) = (BTreeMap::new(), BTreeMap::new());
        // In the order in which they were made: names may differ from run to run, and must not change what is drawn.
        for node in self.reachable() {
            match self.nodes.get(&node) {
                Some(Node::File(file)) => {
                    let bytes = what_is_left(file, &mut left, Cached::<Vec<u8>, FileChange>::cut_file);
                    files.insert(node, bytes);
                }
                Some(Node::Folder(folder)) => {
                    let names = what_is_left(folder, &mut left, Cached::<Names, Naming>::cut_folder);
                    folders.insert(node, names);
                }
                None => {}
            }
        }
        let mut image = DiskImage::default();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, folder)) = open.pop() {
            for (name, node) in folders.get(&folder).into_iter().flatten() {
                let path = path.join(name);
                match files.get(node) {
                    Some(bytes) => {
                        image.files.insert(path, bytes.clone());
                    }
                    None => {
                        image.folders.insert(path.clone());
                        open.push((path, *node));
                    }
                }
            }
        }
        image
    }

    /// What a name leads to, or may lead to after a power cut.
    fn reachable(&self) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::from([ROOT]);
        let mut open = vec![ROOT];
        while let Some(node) = open.pop() {
            if let Some(Node::Folder(folder)) = self.nodes.get(&node) {
                open.extend(folder.all_nodes().filter(|node| found.insert(*node)));
            }
        }
        found
    }
}

fn what_is_left<T: Clone, C>(
    of: &Cached<T, C>,
    left: &mut Left<'_>,
    after: impl FnOnce(&Cached<T, C>, &mut Cut<'_>) -> T,
) -> T {
    match left {
        Left::Seen => of.visible.clone(),
        Left::Durable => of.durable.clone(),
        Left::Cut(cut) => after(of, cut),
    }
}

fn names_of(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}
