//! A full backup and its increments, gone through from the first row to the last file.

use std::collections::HashSet;
use std::path::Path;

use mihwar_ledger::{Frontier, leaf_hash};
use uuid::Uuid;

use super::BackupError;
use super::format::Header;
use super::merge::{Source, merge, open};
use super::read::Item;
use super::records::Piece;
use crate::tree::{FullTile, Tree};
use crate::{Nature, Row};

/// Rows and entries are handed on when they are this many bytes.
const PORTION_BYTES: usize = 8_000_000;

/// Looks on while backups are gone through.
pub trait Watch {
    /// A row of the state that the last of them holds.
    fn row(&mut self, row: &Row);

    /// The tree of the ledger after each entry.
    fn tree(&mut self, tree: &Frontier);

    /// How many bytes of all files were read, of how many.
    fn progress(&mut self, done: u64, total: u64);
}

/// What a full backup and its increments come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// What the last of them says of itself.
    pub header: Header,
    /// Rows that the state has.
    pub rows: u64,
    /// Journal entries.
    pub entries: u64,
    /// Blobs.
    pub files: u64,
    /// Bytes of the blobs.
    pub file_bytes: u64,
    /// Blobs that the backups lack because the store lacked them.
    pub files_missing: u64,
    /// Bytes of the backups.
    pub bytes: u64,
}

/// Where it all goes.
pub(super) trait Target {
    fn rows(&mut self, rows: Vec<Row>) -> Result<(), BackupError>;
    fn entries(&mut self, first: u64, entries: Vec<Vec<u8>>, filled: Vec<FullTile>) -> Result<(), BackupError>;
    fn piece(&mut self, piece: &Piece) -> Result<(), BackupError>;
    fn finish(&mut self, version: u64, tree: &Tree) -> Result<(), BackupError>;
}

/// Looks at everything and keeps nothing.
struct Nowhere;

impl Target for Nowhere {
    fn rows(&mut self, _: Vec<Row>) -> Result<(), BackupError> {
        Ok(())
    }

    fn entries(&mut self, _: u64, _: Vec<Vec<u8>>, _: Vec<FullTile>) -> Result<(), BackupError> {
        Ok(())
    }

    fn piece(&mut self, _: &Piece) -> Result<(), BackupError> {
        Ok(())
    }

    fn finish(&mut self, _: u64, _: &Tree) -> Result<(), BackupError> {
        Ok(())
    }
}

/// Goes through a full backup and its increments, in their order: every hash, every count, the order of the rows, that
/// every file is whole, and that the entries hash to the root that each of them names. Blocks.
///
/// # Errors
/// The first thing that is wrong, with file, chunk and byte.
pub fn verify(files: &[impl AsRef<Path>], watch: &mut dyn Watch) -> Result<Replayed, BackupError> {
    replay(files, &mut Nowhere, watch)
}

/// Goes through everything and hands it to `target`.
pub(super) fn replay(
    files: &[impl AsRef<Path>],
    target: &mut dyn Target,
    watch: &mut dyn Watch,
) -> Result<Replayed, BackupError> {
    let sources = open(files)?;
    let Some(header) = sources.last().map(|source| source.header().clone()) else {
        return Err(BackupError::Order {
            file: String::new(),
            what: "no backup was named".into(),
        });
    };
    let mut total = 0;
    for path in files {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(BackupError::io(path.display().to_string()))?;
        total += metadata.len();
    }
    let mut replay = Replay {
        target,
        watch,
        total,
        live: HashSet::new(),
        tree: Tree::default(),
        done: Replayed {
            header,
            rows: 0,
            entries: 0,
            files: 0,
            file_bytes: 0,
            files_missing: 0,
            bytes: total,
        },
    };
    replay.run(sources)?;
    Ok(replay.done)
}

struct Replay<'a> {
    target: &'a mut dyn Target,
    watch: &'a mut dyn Watch,
    total: u64,
    /// Blobs that the state has and that have not come yet.
    live: HashSet<Uuid>,
    tree: Tree,
    done: Replayed,
}

impl Replay<'_> {
    fn run(&mut self, mut sources: Vec<Source>) -> Result<(), BackupError> {
        self.rows(&mut sources)?;
        for at in 0..sources.len() {
            self.entries(&mut sources, at)?;
        }
        self.target.finish(self.done.header.state.version, &self.tree)?;
        for at in 0..sources.len() {
            self.files(&mut sources, at)?;
        }
        self.done.files_missing = self.live.len() as u64;
        self.watch.progress(self.total, self.total);
        Ok(())
    }

    fn tell(&mut self, sources: &[Source]) {
        let done = sources.iter().map(Source::offset).sum();
        self.watch.progress(done, self.total);
    }

    fn rows(&mut self, sources: &mut [Source]) -> Result<(), BackupError> {
        let natures = self.done.header.natures;
        let (mut portion, mut bytes) = (Vec::new(), 0);
        merge(sources, &natures, |row, sources| {
            self.watch.row(&row);
            self.done.rows += 1;
            if natures.of_key(&row.key) == Nature::Filed
                && let Some(id) = super::write::blob_of(&row.key)
            {
                self.live.insert(id);
            }
            bytes += row.key.as_bytes().len() + row.value.bytes.len();
            portion.push(row);
            if bytes >= PORTION_BYTES {
                bytes = 0;
                self.target.rows(std::mem::take(&mut portion))?;
                self.tell(sources);
            }
            Ok(())
        })?;
        self.target.rows(portion)?;
        self.tell(sources);
        Ok(())
    }

    fn entries(&mut self, sources: &mut [Source], at: usize) -> Result<(), BackupError> {
        let mut portion = Portion::from(self.tree.size());
        while let Item::Entries(entries) = sources[at].behind()? {
            for entry in std::mem::take(entries) {
                self.tree.append(leaf_hash(&entry), &mut portion.filled);
                self.watch.tree(self.tree.frontier());
                portion.bytes += entry.len();
                portion.entries.push(entry);
            }
            sources[at].pass();
            if portion.bytes >= PORTION_BYTES {
                let full = std::mem::replace(&mut portion, Portion::from(self.tree.size()));
                self.target.entries(full.first, full.entries, full.filled)?;
            }
            self.tell(sources);
        }
        self.target.entries(portion.first, portion.entries, portion.filled)?;
        self.done.entries = self.tree.size();
        let (state, root) = (sources[at].header().state, self.tree.frontier().root());
        if self.tree.size() != state.entries || root != state.root {
            return Err(sources[at].damaged(format!(
                "its {} entries have the root {root}, but it speaks of {} with {}",
                self.tree.size(),
                state.entries,
                state.root
            )));
        }
        Ok(())
    }

    fn files(&mut self, sources: &mut [Source], at: usize) -> Result<(), BackupError> {
        // The blob that is being written; pieces of others belong to rows that are gone again.
        let mut wanted = None;
        while let Item::Pieces(pieces) = sources[at].behind()? {
            for piece in std::mem::take(pieces) {
                if piece.from == 0 && piece.size.is_some() {
                    wanted = self.live.take(&piece.id);
                    self.done.files += u64::from(wanted.is_some());
                }
                if wanted == Some(piece.id) && piece.size.is_some() {
                    self.done.file_bytes += piece.bytes.len() as u64;
                    self.target.piece(&piece)?;
                }
            }
            sources[at].pass();
            self.tell(sources);
        }
        // Readers give nothing but rows, entries, files and the end, in this order.
        Ok(())
    }
}

/// Entries on their way.
struct Portion {
    first: u64,
    entries: Vec<Vec<u8>>,
    filled: Vec<FullTile>,
    bytes: usize,
}

impl Portion {
    fn from(first: u64) -> Self {
        Self {
            first,
            entries: Vec::new(),
            filled: Vec::new(),
            bytes: 0,
        }
    }
}
