//! Reading a bundle, piece by piece; nothing in it is believed.

use std::collections::VecDeque;
use std::io::Read;

use super::files::{Files, one_line};
use super::group::split;
use super::{
    BundleError, CHECKPOINT, KEY, MAX_CONTENT_BYTES, MAX_ENTRY_BYTES, MAX_MISSING_BYTES, MissingContent, TEXTS,
    checkpoints_name, content_name, entries_name, long_entries_name, missing_name, tile_name,
};
use crate::{
    Checkpoint, Frontier, Hash, SignedNote, TILE_WIDTH, TileAddress, TileId, Tiling, VerifyingKey, connect,
    consistency, leaf_hash, notes_in,
};

/// Bytes of the files at the beginning: texts, key and checkpoint.
const HEAD_FILE_BYTES_MAX: u64 = 1_000_000;
/// Bytes of the checkpoints that were kept over one group of entries.
const CHECKPOINTS_BYTES_MAX: u64 = 16_000_000;

/// A bundle that is being read: signed by a key, and not yet known to hold what was signed. It is whole, and holds exactly the
/// entries of its checkpoint, when [`Bundle::events`] or [`Bundle::next_piece`] has come to its end without an error. In
/// memory are at most 256 entries.
#[derive(Debug)]
pub struct Bundle<R> {
    files: Files<R>,
    key: VerifyingKey,
    checkpoint: Checkpoint,
    note: SignedNote,
    frontier: Frontier,
    tiling: Tiling,
    /// Kept checkpoints of entries that come next, from the smallest to the largest, and whose they are.
    due: VecDeque<(Checkpoint, String)>,
    /// Checkpoints from elsewhere, likewise.
    held: VecDeque<Checkpoint>,
    kept: u64,
    /// Files with content of the last group of entries; `None` when no more may come.
    contents: Option<u64>,
    over: bool,
}

/// A part of what a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Entries that follow those before: at least one, at most 256.
    Entries {
        /// Place of the first in the ledger, from 0.
        first: u64,
        /// Their bytes as they were hashed.
        entries: Vec<Vec<u8>>,
    },
    /// Personal content that belongs to the entries before: lines of JSON, which are not looked at here. Only in bundles that
    /// were exported with content.
    Content(Vec<u8>),
    /// Which content of the entries before is not there, though it should be: in the order of the entries, at least one, at
    /// most one of each entry. After all content of these entries.
    Missing(Vec<MissingContent>),
}

impl<R: Read> Bundle<R> {
    /// Begins to read a bundle. Its checkpoint must be signed by `key`; without one, by the key that the bundle says is the
    /// ledger's own, which then has to be compared with one from elsewhere ([`Bundle::key`]).
    ///
    /// # Errors
    /// It is no bundle, is damaged, or is signed by another key.
    pub fn begin(input: R, key: Option<&VerifyingKey>) -> Result<Self, BundleError> {
        let mut files = Files::begin(input)?;
        for (name, _) in TEXTS {
            files.expect(name, HEAD_FILE_BYTES_MAX)?;
        }
        let own = files.expect_text(KEY, HEAD_FILE_BYTES_MAX)?;
        let own: VerifyingKey = one_line(&own).parse().map_err(BundleError::Key)?;
        let key = key.unwrap_or(&own).clone();
        let text = files.expect_text(CHECKPOINT, HEAD_FILE_BYTES_MAX)?;
        let note = SignedNote::parse(&text).map_err(|error| BundleError::damaged(CHECKPOINT, error.to_string()))?;
        let checkpoint = consistency::open("bundle's", &note, &key)?;
        if key != own {
            return Err(BundleError::damaged(
                KEY,
                "it is another one than that which signed the bundle",
            ));
        }
        Ok(Self {
            files,
            key,
            checkpoint,
            note,
            frontier: Frontier::new(),
            tiling: Tiling::new(),
            due: VecDeque::new(),
            held: VecDeque::new(),
            kept: 0,
            contents: None,
            over: false,
        })
    }

    /// The key that signed: the one that was asked for, or the bundle's own.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Which ledger this is, its entries and their root, as they were signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The same as it was signed, with every cosignature.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Entries that were read and compared until now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Checkpoints that the hub had kept and that were read until now; each speaks of the entries that the bundle has.
    #[must_use]
    pub fn kept_checkpoints(&self) -> u64 {
        self.kept
    }

    /// Demands that the entries are also those of `held`, a checkpoint from elsewhere whose signature was verified. To be
    /// called before anything is read. A smaller one speaks of the first entries alone.
    ///
    /// # Errors
    /// It is of another ledger or a longer history, or of as many entries with another root. That fewer entries have another
    /// root shows while they are read, as [`BundleError::Root`].
    pub fn compare_with(&mut self, held: Checkpoint) -> Result<(), BundleError> {
        let size = self.checkpoint.size;
        if held.origin != self.checkpoint.origin || held.size == size {
            connect(&held, &self.checkpoint, None)?;
        }
        if held.size > size {
            return Err(BundleError::Shorter { size, held: held.size });
        }
        if self.frontier.size() > 0 {
            let what = "a checkpoint to compare with has to be there before entries are read".to_owned();
            return Err(BundleError::Unfit { what });
        }
        let place = self.held.partition_point(|other| other.size <= held.size);
        self.held.insert(place, held);
        Ok(())
    }

    /// The entries from the first to the last, with their places from 0. The first error ends them; only when they ended
    /// without one are they what was signed. Personal content is passed over.
    pub fn events(&mut self) -> Events<'_, R> {
        Events {
            bundle: self,
            next: 0,
            entries: Vec::new().into_iter(),
        }
    }

    /// What the bundle was read from.
    #[must_use]
    pub fn into_input(self) -> R {
        self.files.into_input()
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Any [`BundleError`]; nothing comes after one.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, BundleError> {
        if self.over {
            return Ok(None);
        }
        let piece = self.piece();
        self.over = !matches!(piece, Ok(Some(_)));
        piece
    }

    fn piece(&mut self) -> Result<Option<Piece>, BundleError> {
        let (done, size) = (self.frontier.size(), self.checkpoint.size);
        if let Some(last) = done.checked_sub(1)
            && let Some(piece) = self.said(last)?
        {
            return Ok(Some(piece));
        }
        if done < size || size == 0 {
            self.read_kept(done)?;
            self.judge()?;
        }
        if done == size {
            if size == 0 {
                // There was no last entry at which it would have been compared.
                self.compare_root(&self.checkpoint, "the bundle's checkpoint")?;
            }
            self.files.end().map_err(|error| self.or_beyond(error))?;
            return Ok(None);
        }
        self.contents = Some(0);
        self.entries().map(Some)
    }

    /// What was said by the group of entries that ends with `last`, and then what of that is missing.
    fn said(&mut self, last: u64) -> Result<Option<Piece>, BundleError> {
        let Some(part) = self.contents else {
            return Ok(None);
        };
        let name = content_name(last, part);
        if let Some(content) = self.files.take_if(&name, MAX_CONTENT_BYTES as u64)? {
            self.contents = Some(part + 1);
            return Ok(Some(Piece::Content(content)));
        }
        self.contents = None;
        let name = missing_name(last);
        match self.files.take_if(&name, MAX_MISSING_BYTES as u64)? {
            Some(text) => Ok(Some(Piece::Missing(MissingContent::read_all(&name, &text, last)?))),
            None => Ok(None),
        }
    }

    /// The checkpoints that were kept over the group of entries from `first` on, if there are any.
    fn read_kept(&mut self, first: u64) -> Result<(), BundleError> {
        let name = checkpoints_name(first);
        let Some(bytes) = self.files.take_if(&name, CHECKPOINTS_BYTES_MAX)? else {
            return Ok(());
        };
        let last = self.checkpoint.size.min(first.saturating_add(TILE_WIDTH as u64));
        // The smallest size that the next one may have.
        let mut least = if first == 0 { 0 } else { first + 1 };
        for piece in notes_in(&String::from_utf8_lossy(&bytes)) {
            let place = format!("line {}", piece.line);
            let note = piece.note.and_then(|note| SignedNote::parse(&note).ok());
            let note =
                note.ok_or_else(|| BundleError::damaged(&name, format!("{place}: this is no signed checkpoint")))?;
            let checkpoint = consistency::open("kept", &note, &self.key).map_err(|why| BundleError::Checkpoint {
                file: format!("{name}, {place}"),
                why: Box::new(why),
            })?;
            let size = checkpoint.size;
            if size > self.checkpoint.size {
                return Err(BundleError::Beyond {
                    size: self.checkpoint.size,
                    file: format!("{name}, {place}"),
                });
            }
            if !(least..=last).contains(&size) {
                let what = format!("{place}: a checkpoint of {size} entries does not belong there");
                return Err(BundleError::damaged(&name, what));
            }
            least = size.saturating_add(1);
            self.kept += 1;
            self.due
                .push_back((checkpoint, format!("the checkpoint in {name}, {place},")));
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<Piece, BundleError> {
        let (first, size) = (self.frontier.size(), self.checkpoint.size);
        let width = TileId {
            level: 0,
            index: first / TILE_WIDTH as u64,
        }
        .width(size);
        let (short, long) = (entries_name(first, width), long_entries_name(first, width));
        let bytes_max = (width * (MAX_ENTRY_BYTES + size_of::<u32>())) as u64;
        let entries = match self.files.take_if(&long, bytes_max)? {
            Some(bytes) => split(&long, &bytes, width, true)?,
            None => {
                let bytes = self.files.expect(&short, bytes_max);
                split(&short, &bytes.map_err(|error| self.or_beyond(error))?, width, false)?
            }
        };
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut tiles = Vec::new();
        leaves.iter().for_each(|leaf| self.tiling.append(*leaf, &mut tiles));
        if first + leaves.len() as u64 == size {
            let begun = self.tiling.begun().map(|(id, hashes)| (id, hashes.to_vec()));
            tiles.extend(begun);
        }
        // Before the checkpoints, which cannot tell which entry it is.
        for (id, hashes) in tiles {
            self.compare_tile(id, &hashes)?;
        }
        for leaf in leaves {
            self.frontier.append(leaf);
            self.judge()?;
        }
        if self.frontier.size() == size {
            self.compare_root(&self.checkpoint, "the bundle's checkpoint")?;
        }
        Ok(Piece::Entries { first, entries })
    }

    /// What is there in place of what the checkpoint asks for may be what it knows nothing of.
    fn or_beyond(&self, error: BundleError) -> BundleError {
        let BundleError::Order { found, .. } = &error else {
            return error;
        };
        let size = self.checkpoint.size;
        let address = ["tile/entries/", "long-entries/"]
            .into_iter()
            .find_map(|folder| TileAddress::parse(found.strip_prefix(folder)?));
        let end = address.map_or(0, |TileAddress { index, width }| {
            let first = index.saturating_mul(TILE_WIDTH as u64);
            first.saturating_add(width as u64)
        });
        if end > size {
            let file = found.clone();
            return BundleError::Beyond { size, file };
        }
        error
    }

    fn compare_tile(&mut self, id: TileId, hashes: &[Hash]) -> Result<(), BundleError> {
        let file = tile_name(id, hashes.len());
        let bytes = self.files.expect(&file, (hashes.len() * Hash::LENGTH) as u64);
        let bytes = bytes.map_err(|error| self.or_beyond(error))?;
        let (stored, rest) = bytes.as_chunks::<{ Hash::LENGTH }>();
        if stored.len() != hashes.len() || !rest.is_empty() {
            let what = format!(
                "it has {} bytes, and {} belong in it",
                bytes.len(),
                hashes.len() * Hash::LENGTH
            );
            return Err(BundleError::damaged(file, what));
        }
        let differs = hashes.iter().zip(stored).position(|(hash, stored)| hash.0 != *stored);
        match differs {
            None => Ok(()),
            Some(place) if id.level == 0 => Err(BundleError::Entry {
                index: id.index * TILE_WIDTH as u64 + place as u64,
                file,
            }),
            Some(_) => Err(BundleError::Tile { file }),
        }
    }

    /// Compares with the checkpoints that speak of as many entries as there are now.
    fn judge(&mut self) -> Result<(), BundleError> {
        let size = self.frontier.size();
        while self.held.front().is_some_and(|held| held.size <= size) {
            if let Some(held) = self.held.pop_front() {
                self.compare_root(&held, "the checkpoint from elsewhere")?;
            }
        }
        while self.due.front().is_some_and(|(kept, _)| kept.size <= size) {
            if let Some((kept, whose)) = self.due.pop_front() {
                self.compare_root(&kept, &whose)?;
            }
        }
        Ok(())
    }

    fn compare_root(&self, signed: &Checkpoint, whose: &str) -> Result<(), BundleError> {
        let computed = self.frontier.root();
        if computed == signed.root {
            return Ok(());
        }
        Err(BundleError::Root {
            size: signed.size,
            computed,
            signed: signed.root,
            whose: whose.to_owned(),
        })
    }
}

/// The entries of a bundle, see [`Bundle::events`].
#[derive(Debug)]
pub struct Events<'a, R> {
    bundle: &'a mut Bundle<R>,
    /// Place of the next of `entries`.
    next: u64,
    entries: std::vec::IntoIter<Vec<u8>>,
}

impl<R: Read> Iterator for Events<'_, R> {
    type Item = Result<(u64, Vec<u8>), BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.entries.next() {
                let index = self.next;
                self.next += 1;
                return Some(Ok((index, entry)));
            }
            match self.bundle.next_piece() {
                Ok(Some(Piece::Entries { first, entries })) => {
                    self.next = first;
                    self.entries = entries.into_iter();
                }
                Ok(Some(Piece::Content(_) | Piece::Missing(_))) => {}
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
