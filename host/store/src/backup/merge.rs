//! A full backup and its increments, read side by side: of every row what the newest of them says.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::BackupError;
use super::format::Header;
use super::read::{Item, Reader};
use super::records::Record;
use crate::{Key, Natures, Row};

/// One file, with what was read of it and not used yet.
pub(super) struct Source {
    reader: Reader<BufReader<File>>,
    records: VecDeque<Record>,
    /// What follows the rows.
    behind: Option<Item>,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(BackupError::io(shown.as_str()))?;
        Ok(Self {
            reader: Reader::begin(BufReader::with_capacity(1 << 20, file), shown)?,
            records: VecDeque::new(),
            behind: None,
        })
    }

    pub(super) const fn header(&self) -> &Header {
        self.reader.header()
    }

    pub(super) fn file(&self) -> &str {
        self.reader.file()
    }

    pub(super) const fn offset(&self) -> u64 {
        self.reader.offset()
    }

    pub(super) fn damaged(&self, what: impl Into<String>) -> BackupError {
        self.reader.damaged(what)
    }

    /// The next row; none when all came.
    fn peek(&mut self) -> Result<Option<&Record>, BackupError> {
        while self.records.is_empty() && self.behind.is_none() {
            match self.reader.next()? {
                Item::Rows(records) => self.records = records.into(),
                other => self.behind = Some(other),
            }
        }
        Ok(self.records.front())
    }

    /// What comes after the rows, one after the other; none at the end. To be asked for when all rows were taken.
    pub(super) fn behind(&mut self) -> Result<&mut Item, BackupError> {
        let item = match self.behind.take() {
            Some(item) => item,
            None => self.reader.next()?,
        };
        Ok(self.behind.insert(item))
    }

    /// Goes on to the next item.
    pub(super) fn pass(&mut self) {
        self.behind = None;
    }
}

/// Checks that these files are a full backup and the increments that follow it, in their order.
pub(super) fn open(paths: &[impl AsRef<Path>]) -> Result<Vec<Source>, BackupError> {
    let mut sources: Vec<Source> = Vec::with_capacity(paths.len());
    for path in paths {
        let source = Source::open(path.as_ref())?;
        if let Some(what) = misfit(sources.last(), source.header()) {
            return Err(BackupError::Order {
                file: source.file().to_owned(),
                what,
            });
        }
        sources.push(source);
    }
    Ok(sources)
}

/// Why a file cannot stand behind `before`.
fn misfit(before: Option<&Source>, header: &Header) -> Option<String> {
    match (before, header.since) {
        (None, None) => None,
        (None, Some(_)) => Some("it is an increment; give the full backup that it goes on from before it".into()),
        (Some(before), None) => Some(format!(
            "it is a full backup and goes on from nothing; it cannot follow {}",
            before.file()
        )),
        (Some(before), Some(since)) => {
            let (file, state) = (before.file(), before.header().state);
            if since == state {
                None
            } else if since.lineage != state.lineage {
                Some(format!(
                    "it is of another hub than {file}, or of the same one after a restore or an upgrade"
                ))
            } else {
                Some(format!(
                    "it goes on from the state at {} entries (commit {}), and {file} holds the one at {} entries (commit {}); \
                     give all increments in the order in which they were made",
                    since.entries, since.version, state.entries, state.version
                ))
            }
        }
    }
}

/// Hands over the rows that the newest state has, in the order of their keys. Rows of passing spaces are those of the last
/// file alone.
pub(super) fn merge(
    sources: &mut [Source],
    natures: &Natures,
    mut take: impl FnMut(Row, &[Source]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    loop {
        let mut lowest: Option<Key> = None;
        for source in &mut *sources {
            if let Some(record) = source.peek()?
                && lowest.as_ref().is_none_or(|lowest| record.key() < lowest)
            {
                lowest = Some(record.key().clone());
            }
        }
        let Some(key) = lowest else {
            return Ok(());
        };
        let is_kept = natures.of_key(&key).is_kept();
        let last = sources.len() - 1;
        let mut newest = None;
        for (number, source) in sources.iter_mut().enumerate() {
            let record = source.records.pop_front_if(|record| *record.key() == key);
            if record.is_some() && (is_kept || number == last) {
                newest = record;
            }
        }
        if let Some(Record::Row(row)) = newest {
            take(row, sources)?;
        }
    }
}
