//! Writing a bundle, group by group.

use super::group::join;
use super::tar::{END_BYTES, Member};
use super::{
    BUNDLE_FORMAT, BundleError, CHECKPOINT, KEY, MARK, MAX_CONTENT_BYTES, MAX_MISSING_BYTES, MissingContent, STOPPED,
    TEXTS, checkpoints_name, content_name, entries_name, long_entries_name, missing_name, tile_name,
};
use crate::document::DocumentError;
use crate::{Checkpoint, Frontier, SignedNote, TILE_WIDTH, TileId, Tiling, VerifyingKey, consistency, leaf_hash};

/// Makes the bytes of a bundle. What it answers is to be written one after the other; it keeps none of it.
#[derive(Debug)]
pub struct BundleWriter {
    checkpoint: Checkpoint,
    frontier: Frontier,
    tiling: Tiling,
    /// Files with content of the last group; `None` when no more may come.
    contents: Option<u64>,
}

impl BundleWriter {
    /// Begins a bundle of the entries that `note` speaks of, a checkpoint that `key` signed. Answers the first bytes.
    ///
    /// # Errors
    /// The note is not signed by the key.
    pub fn begin(key: &VerifyingKey, note: &SignedNote) -> Result<(Self, Vec<u8>), BundleError> {
        let checkpoint = consistency::open("bundle's", note, key)?;
        let mut out = Vec::new();
        put(&mut out, MARK, format!("{BUNDLE_FORMAT}\n").as_bytes())?;
        for (name, text) in TEXTS {
            put(&mut out, name, text.as_bytes())?;
        }
        put(&mut out, KEY, format!("{key}\n").as_bytes())?;
        put(&mut out, CHECKPOINT, note.to_string().as_bytes())?;
        let writer = Self {
            checkpoint,
            frontier: Frontier::new(),
            tiling: Tiling::new(),
            contents: None,
        };
        Ok((writer, out))
    }

    /// Entries that the bundle will have.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.checkpoint.size
    }

    /// Entries that were written until now.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// How many entries the next group has: 256, or as many as are left; 0 at the end.
    #[must_use]
    pub fn next_width(&self) -> usize {
        let index = self.frontier.size() / TILE_WIDTH as u64;
        let within = self.frontier.size() % TILE_WIDTH as u64;
        if within > 0 {
            return 0;
        }
        TileId { level: 0, index }.width(self.checkpoint.size)
    }

    /// The next [`BundleWriter::next_width`] entries, and before them the kept checkpoints that speak of the ledger as it was
    /// after one of these, from the smallest to the largest; with the first group, also that of the empty ledger.
    ///
    /// # Errors
    /// There are more or fewer entries, or one is too long.
    pub fn group(&mut self, checkpoints: &[String], entries: &[Vec<u8>]) -> Result<Vec<u8>, BundleError> {
        let (first, width) = (self.frontier.size(), self.next_width());
        if entries.len() != width {
            let what = format!(
                "{} entries were read from entry {first} on, where there should be {width}",
                entries.len()
            );
            return Err(BundleError::Unfit { what });
        }
        let mut out = Vec::new();
        if !checkpoints.is_empty() {
            put(&mut out, &checkpoints_name(first), checkpoints.join("\n").as_bytes())?;
        }
        if width == 0 {
            return Ok(out);
        }
        let is_long = entries.iter().any(|entry| entry.len() > usize::from(u16::MAX));
        let bytes = join(first, entries, is_long)?;
        let name = if is_long {
            long_entries_name(first, width)
        } else {
            entries_name(first, width)
        };
        put(&mut out, &name, &bytes)?;
        let mut tiles = Vec::new();
        for entry in entries {
            let leaf = leaf_hash(entry);
            self.frontier.append(leaf);
            self.tiling.append(leaf, &mut tiles);
        }
        if self.frontier.size() == self.checkpoint.size {
            let begun = self.tiling.begun().map(|(id, hashes)| (id, hashes.to_vec()));
            tiles.extend(begun);
        }
        for (id, hashes) in tiles {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            put(&mut out, &tile_name(id, hashes.len()), &bytes)?;
        }
        self.contents = Some(0);
        Ok(out)
    }

    /// Personal content that belongs to the last group: lines of JSON. May be called several times for one group.
    ///
    /// # Errors
    /// It is longer than [`MAX_CONTENT_BYTES`], there is no group yet, or what is missing of it was named already.
    pub fn content(&mut self, lines: &[u8]) -> Result<Vec<u8>, BundleError> {
        let (last, part) = self.place_for(lines, MAX_CONTENT_BYTES)?;
        let mut out = Vec::new();
        put(&mut out, &content_name(last, part), lines)?;
        self.contents = Some(part + 1);
        Ok(out)
    }

    /// Names content of the last group that should be there and could not be read, in the order of the entries. Once for a
    /// group, after all of its content.
    ///
    /// # Errors
    /// It takes more than a megabyte, there is no group yet, or this was said of it already.
    pub fn missing(&mut self, missing: &[MissingContent]) -> Result<Vec<u8>, BundleError> {
        let lines: Result<String, DocumentError> = missing.iter().map(MissingContent::to_line).collect();
        let lines = lines.map_err(|error| BundleError::Unfit {
            what: error.to_string(),
        })?;
        let (last, _) = self.place_for(lines.as_bytes(), MAX_MISSING_BYTES)?;
        let mut out = Vec::new();
        put(&mut out, &missing_name(last), lines.as_bytes())?;
        self.contents = None;
        Ok(out)
    }

    /// The last entry of the last group, and how many files of its content there are.
    fn place_for(&self, lines: &[u8], bytes_max: usize) -> Result<(u64, u64), BundleError> {
        let last = self.frontier.size().checked_sub(1);
        let place = last.zip(self.contents).filter(|_| lines.len() <= bytes_max);
        place.ok_or_else(|| BundleError::Unfit {
            what: format!("{} bytes of content fit no bundle there", lines.len()),
        })
    }

    /// The last bytes of a bundle that cannot be finished: they say why, and whoever reads it is told.
    #[must_use]
    pub fn stopped(reason: &str) -> Vec<u8> {
        let mut out = Vec::new();
        // A reason is short. Without it the bundle would be one that was cut short.
        if put(&mut out, STOPPED, reason.as_bytes()).is_err() {
            out.clear();
        }
        out
    }

    /// The last bytes.
    ///
    /// # Errors
    /// The entries are not those that were signed.
    pub fn end(self) -> Result<Vec<u8>, BundleError> {
        let (computed, size) = (self.frontier.root(), self.frontier.size());
        if size != self.checkpoint.size {
            let what = format!(
                "{size} entries were read, but the checkpoint speaks of {}",
                self.checkpoint.size
            );
            return Err(BundleError::Unfit { what });
        }
        if computed != self.checkpoint.root {
            return Err(BundleError::Root {
                size,
                computed,
                signed: self.checkpoint.root,
                whose: "the checkpoint".to_owned(),
            });
        }
        Ok(vec![0; END_BYTES])
    }
}

/// Adds a file.
fn put(out: &mut Vec<u8>, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let member = Member {
        name: name.to_owned(),
        size: bytes.len() as u64,
    };
    let Some(block) = member.to_block() else {
        let what = format!("{name} with {} bytes fits no bundle", bytes.len());
        return Err(BundleError::Unfit { what });
    };
    out.extend_from_slice(&block);
    out.extend_from_slice(bytes);
    out.resize(out.len() + member.padding(), 0);
    Ok(())
}
