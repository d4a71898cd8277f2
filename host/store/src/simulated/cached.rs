//! Something with a cache in front of it: what is seen, what is durable, and what was changed in between.

use std::collections::BTreeMap;
use std::ffi::OsString;

use mihwar_model::SplitMix64;

use super::tree::NodeId;

/// A change of a `T`.
pub(super) trait Alter<T> {
    fn apply(&self, to: &mut T);
}

/// A `T` whose changes are durable when it is synced.
#[derive(Clone, Debug)]
pub(super) struct Cached<T, C> {
    /// What a read sees.
    pub(super) visible: T,
    /// What the last sync made durable.
    pub(super) durable: T,
    /// What was done since.
    unsynced: Vec<C>,
}

impl<T: Clone, C: Alter<T>> Cached<T, C> {
    pub(super) fn of(durable: T) -> Self {
        Self {
            visible: durable.clone(),
            durable,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, change: C) {
        change.apply(&mut self.visible);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }
}

/// A change of a file's bytes.
#[derive(Clone, Debug)]
pub(super) enum FileChange {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Alter<Vec<u8>> for FileChange {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(*length, 0),
            Self::Write(start, bytes) => {
                let end = start + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*start..end].copy_from_slice(bytes);
            }
        }
    }
}

/// What the names in a folder lead to.
pub(super) type Names = BTreeMap<OsString, NodeId>;

/// Names of one folder that change together, to what they lead from then on.
#[derive(Clone, Debug)]
pub(super) struct Naming(pub(super) Vec<(OsString, Option<NodeId>)>);

impl Alter<Names> for Naming {
    fn apply(&self, to: &mut Names) {
        for (name, node) in &self.0 {
            match node {
                Some(node) => to.insert(name.clone(), *node),
                None => to.remove(name),
            };
        }
    }
}

/// How a power cut treats what was not synced.
pub(super) struct Cut<'a> {
    numbers: &'a mut SplitMix64,
    sector: usize,
    /// Of a hundred.
    kept: u64,
}

impl<'a> Cut<'a> {
    /// Draws one of any sort: everything from nothing kept to all of it.
    pub(super) fn drawn(numbers: &'a mut SplitMix64) -> Self {
        let sector = if numbers.below(2) == 0 { 512 } else { 4_096 };
        let kept = numbers.below(101);
        Self { numbers, sector, kept }
    }

    fn keeps(&mut self) -> bool {
        self.numbers.below(100) < self.kept
    }

    fn index_below(&mut self, end: usize) -> usize {
        usize::try_from(self.numbers.below(end as u64)).unwrap_or_default()
    }
}

impl Cached<Vec<u8>, FileChange> {
    /// What is left: any sectors of what was not synced, in any order. Of the lengths that the file had meanwhile, any.
    pub(super) fn cut_file(&self, cut: &mut Cut<'_>) -> Vec<u8> {
        let mut length = self.durable.len();
        let mut lengths = vec![length];
        let mut pieces = Vec::new();
        for change in &self.unsynced {
            match change {
                FileChange::Length(changed) => length = *changed,
                FileChange::Write(start, bytes) => {
                    length = length.max(start + bytes.len());
                    cut_up(*start, bytes, cut, &mut pieces);
                }
            }
            if lengths.last() != Some(&length) {
                lengths.push(length);
            }
        }
        for end in (2..=pieces.len()).rev() {
            let other = cut.index_below(end);
            pieces.swap(end - 1, other);
        }
        let mut bytes = self.durable.clone();
        for piece in &pieces {
            piece.apply(&mut bytes);
        }
        let chosen = cut.index_below(lengths.len());
        bytes.resize(lengths.get(chosen).copied().unwrap_or_default(), 0);
        bytes
    }
}

/// The sectors of a write that are kept.
fn cut_up(start: usize, bytes: &[u8], cut: &mut Cut<'_>, pieces: &mut Vec<FileChange>) {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + cut.sector - (start + at) % cut.sector);
        if cut.keeps() {
            pieces.push(FileChange::Write(start + at, bytes[at..end].to_vec()));
        }
        at = end;
    }
}

impl Cached<Names, Naming> {
    /// What is left: each change, or not.
    pub(super) fn cut_folder(&self, cut: &mut Cut<'_>) -> Names {
        let mut names = self.durable.clone();
        for change in &self.unsynced {
            if cut.keeps() {
                change.apply(&mut names);
            }
        }
        names
    }

    /// What names have led to since the last sync.
    pub(super) fn all_nodes(&self) -> impl Iterator<Item = NodeId> {
        let changed = self.unsynced.iter().flat_map(|naming| &naming.0);
        let changed = changed.filter_map(|(_, node)| *node);
        self.durable.values().copied().chain(changed)
    }
}
