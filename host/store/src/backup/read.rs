//! One backup file, taken apart and held against what it says of itself.

use std::collections::VecDeque;
use std::io::Read;

use uuid::Uuid;

use super::BackupError;
use super::format::{Counts, Header};
use super::frame::{Frame, Frames, Kind};
use super::records::{Piece, Record, read_entries, read_pieces, read_records};
use super::write::blob_of;
use crate::{Key, Nature};

/// No hub comes to as many commits or journal entries. A store that began there would soon be at the end of its numbers.
const MOST: u64 = 1 << 62;

/// What a backup holds, in the order in which it comes.
#[derive(Debug)]
pub(super) enum Item {
    Rows(Vec<Record>),
    Entries(Vec<Vec<u8>>),
    Pieces(Vec<Piece>),
    /// Everything was there, and nothing else.
    End(Counts),
}

/// Reads a backup from its beginning to its end.
pub(super) struct Reader<R> {
    frames: Frames<R>,
    header: Header,
    stage: Kind,
    counts: Counts,
    last_key: Option<Key>,
    next_entry: u64,
    /// Blobs of rows that came, whose pieces have not come yet.
    expected: VecDeque<Uuid>,
    /// A blob of which some pieces came: its id, its size, how much came.
    open: Option<(Uuid, u64, u64)>,
}

impl<R: Read> Reader<R> {
    /// Reads prologue and header. `file` is the name for errors.
    pub(super) fn begin(input: R, file: String) -> Result<Self, BackupError> {
        let mut frames = Frames::begin(input, file)?;
        let Frame { kind, plain } = frames.next()?;
        if kind != Kind::Header {
            return Err(frames.damaged("it should be the header"));
        }
        let header = Header::from_bytes(&plain).map_err(|what| frames.damaged(what))?;
        let mut marks = [Some(header.state), header.since].into_iter().flatten();
        if marks.any(|mark| mark.version > MOST || mark.entries > MOST) {
            return Err(frames.damaged("it speaks of more commits or entries than a hub can have"));
        }
        if header.since.is_some_and(|since| {
            since.lineage != header.state.lineage
                || since.version > header.state.version
                || since.entries > header.state.entries
        }) {
            return Err(frames.damaged("it goes on from a state that lies behind it"));
        }
        Ok(Self {
            next_entry: header.since.map_or(0, |since| since.entries),
            frames,
            header,
            stage: Kind::Header,
            counts: Counts::default(),
            last_key: None,
            expected: VecDeque::new(),
            open: None,
        })
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// The file's name.
    pub(super) fn file(&self) -> &str {
        self.frames.file()
    }

    /// What it is read from.
    pub(super) fn into_input(self) -> R {
        self.frames.into_input()
    }

    /// How many bytes were read.
    pub(super) const fn offset(&self) -> u64 {
        self.frames.offset()
    }

    /// An error that names file and chunk.
    pub(super) fn damaged(&self, what: impl Into<String>) -> BackupError {
        self.frames.damaged(what)
    }

    /// What comes next. After [`Item::End`] nothing may be asked for.
    pub(super) fn next(&mut self) -> Result<Item, BackupError> {
        let Frame { kind, plain } = self.frames.next()?;
        if kind < self.stage || kind == Kind::Header {
            return Err(self.damaged("it stands in a wrong place"));
        }
        self.stage = kind;
        let unreadable = || "its records cannot be read".to_owned();
        let item = match kind {
            Kind::Rows => {
                let records = read_records(&plain).ok_or_else(unreadable);
                records.and_then(|records| self.records(records))
            }
            Kind::Journal => read_entries(&plain)
                .ok_or_else(unreadable)
                .and_then(|(first, entries)| self.entries(first, entries)),
            Kind::Files => {
                let pieces = read_pieces(&plain).ok_or_else(unreadable);
                pieces.and_then(|pieces| self.pieces(pieces))
            }
            Kind::Header | Kind::Footer | Kind::Stopped => self.footer(&plain),
        };
        let item = item.map_err(|what| self.damaged(what))?;
        if matches!(item, Item::End(_)) {
            self.frames.end()?;
        }
        Ok(item)
    }

    fn records(&mut self, records: Vec<Record>) -> Result<Item, String> {
        for record in &records {
            let (key, header) = (record.key(), &self.header);
            let nature = header.natures.of_key(key);
            if self.last_key.as_ref().is_some_and(|last| last >= key) {
                return Err(format!("row {key} is not in its order"));
            }
            let since = header
                .since
                .filter(|_| nature.is_kept())
                .map_or(0, |since| since.version);
            let in_time = record.version() > since && record.version() <= header.state.version;
            let removed_rightly = header.since.is_some() && nature.is_kept();
            if nature == Nature::Derived || !in_time || (matches!(record, Record::Removed(..)) && !removed_rightly) {
                return Err(format!("row {key} has no place in this backup"));
            }
            match record {
                Record::Row(_) => {
                    self.counts.rows += 1;
                    if nature == Nature::Filed {
                        let id = blob_of(key).ok_or_else(|| format!("row {key} names no file"))?;
                        self.expected.push_back(id);
                    }
                }
                Record::Removed(..) => self.counts.removed += 1,
            }
            self.last_key = Some(key.clone());
        }
        Ok(Item::Rows(records))
    }

    fn entries(&mut self, first: u64, entries: Vec<Vec<u8>>) -> Result<Item, String> {
        if first != self.next_entry {
            return Err(format!("entry {} is missing", self.next_entry));
        }
        let count = entries.len() as u64;
        let next = self.next_entry.checked_add(count);
        self.next_entry = next.ok_or_else(|| "it has more entries than can be counted".to_owned())?;
        self.counts.entries += count;
        Ok(Item::Entries(entries))
    }

    fn pieces(&mut self, pieces: Vec<Piece>) -> Result<Item, String> {
        for piece in &pieces {
            let (id, size, came) = match self.open.take() {
                Some(open) => open,
                None => match (self.expected.pop_front(), piece.size) {
                    (Some(id), Some(size)) => (id, size, 0),
                    (Some(id), None) if id == piece.id => {
                        self.counts.files_missing += 1;
                        continue;
                    }
                    _ => return Err(format!("file {} belongs to no row", piece.id)),
                },
            };
            let end = came.saturating_add(piece.bytes.len() as u64);
            if id != piece.id || Some(size) != piece.size || came != piece.from || end > size {
                return Err(format!("a piece of file {id} is missing"));
            }
            self.counts.file_bytes += piece.bytes.len() as u64;
            if end == size {
                self.counts.files += 1;
            } else {
                self.open = Some((id, size, end));
            }
        }
        Ok(Item::Pieces(pieces))
    }

    fn footer(&self, plain: &[u8]) -> Result<Item, String> {
        let counts = Counts::from_bytes(plain)?;
        if counts != self.counts {
            return Err(format!("it speaks of {counts:?}, but there were {:?}", self.counts));
        }
        if let Some(id) = self.open.map(|(id, ..)| id).or_else(|| self.expected.front().copied()) {
            return Err(format!("file {id} is not whole"));
        }
        if self.next_entry != self.header.state.entries {
            return Err(format!("entry {} is missing", self.next_entry));
        }
        Ok(Item::End(counts))
    }
}

#[cfg(test)]
mod tests {
    use mihwar_ledger::leaf_hash;
    use mihwar_model::Time;

    use super::super::format::{Mark, Owner};
    use super::super::frame::Chain;
    use super::*;
    use crate::Natures;

    /// What comes of a backup whose header says this, with hashes that fit.
    fn begun(state: Mark, since: Option<Mark>) -> Result<Mark, BackupError> {
        let header = Header {
            owner: Owner::default(),
            made_at: Time(1),
            made_by: "اختبار".to_owned(),
            natures: Natures::all(Nature::Lasting),
            state,
            since,
        };
        let (mut chain, mut file) = Chain::begin();
        file.extend(chain.seal(Kind::Header, &header.to_bytes().unwrap()).unwrap());
        let reader = Reader::begin(file.as_slice(), "نسخة".to_owned())?;
        Ok(reader.header().state)
    }

    #[test]
    fn a_state_at_the_end_of_all_numbers_is_refused() {
        let at = |version, entries| Mark {
            lineage: [7; 16],
            version,
            entries,
            root: leaf_hash("قيد".as_bytes()),
        };
        assert_eq!(begun(at(MOST, MOST), None).unwrap(), at(MOST, MOST));
        assert_eq!(begun(at(9, 9), Some(at(9, 9))).unwrap(), at(9, 9));
        let ends = at(u64::MAX, u64::MAX);
        for (state, since) in [
            (at(u64::MAX, 1), None),
            (at(1, MOST + 1), None),
            (ends, Some(at(1, 1))),
            (ends, Some(ends)),
        ] {
            let error = begun(state, since).unwrap_err();
            assert!(matches!(error, BackupError::Damaged { chunk: 0, .. }), "{error}");
            assert!(error.to_string().contains("than a hub can have"), "{error}");
        }
    }
}
