//! One table for each space of keys.
//!
//! Most spaces are written in ascending order, and the engine packs a tree that grows at its right edge only. In one
//! tree for all, every space but the last would grow in the middle and leave half-empty pages behind: twice the file,
//! and twice the pages to write.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::row::{decode_row, encode_row, key_of, split_row, stored_bounds, stored_key};
use super::schema::{engine, opening};
use crate::plan::Present;
use crate::{Key, KeyRange, Row, StoreError, Versioned};

type Bytes = &'static [u8];

/// What lies behind the end of a table is written in one run from so many bytes on: full pages are made of it, instead of going
/// down the tree for each row, which takes three times as long. The last page but one of a run may be left half empty, so that
/// short runs would cost room.
pub(super) const RUN_BYTES_MIN: usize = 64 << 10;

/// What the names of these tables begin with; two hexadecimal digits follow.
const PREFIX: &str = "space-";
static NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..=u8::MAX).map(|space| format!("{PREFIX}{space:02x}")).collect());

/// The table of a space: its keys and rows as [`super::row`] has them.
pub(crate) fn table_of(space: u8) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(NAMES.get(usize::from(space)).map_or(PREFIX, String::as_str))
}

/// The space that a key lies in.
pub(crate) fn space_of(key: &Key) -> u8 {
    key.as_bytes().first().copied().unwrap_or_default()
}

/// The spaces that a range may have keys of.
fn spaces_of(range: &KeyRange) -> RangeInclusive<u8> {
    let last = match range.end().map(Key::as_bytes) {
        // The end itself is not in the range.
        Some([space]) => space.saturating_sub(1),
        Some([space, ..]) => *space,
        Some([]) => 0,
        None => u8::MAX,
    };
    space_of(range.start())..=last
}

type RowTable = ReadOnlyTable<Bytes, Bytes>;
/// One row of a scan as it is stored: its key and its bytes.
type StoredRow = (redb::AccessGuard<'static, Bytes>, redb::AccessGuard<'static, Bytes>);

/// The rows of a snapshot. A table is opened when it is first asked for.
pub(crate) struct RowTables {
    transaction: ReadTransaction,
    opened: Mutex<BTreeMap<u8, Arc<Option<RowTable>>>>,
}

impl RowTables {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self {
            transaction,
            opened: Mutex::default(),
        }
    }

    /// One row, or none.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Versioned>, StoreError> {
        self.with(space_of(key), |table| {
            ReadableTable::get(table, &*stored_key(key))
                .map_err(engine("reading a row"))?
                .map(|row| decode_row(row.value()))
                .transpose()
        })
        .map(Option::flatten)
    }

    /// The rows of a range, lowest first; each end can be taken from.
    pub(crate) fn range(
        &self,
        range: &KeyRange,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Row, StoreError>> + use<>, StoreError> {
        let mut parts = Vec::new();
        for space in spaces_of(range) {
            let Some((start, end)) = stored_bounds(range, space) else {
                continue;
            };
            let bounds = (start.as_ref().map(AsRef::as_ref), end.as_ref().map(AsRef::as_ref));
            let part = self.with(space, |table| {
                table.range::<&[u8]>(bounds).map_err(engine("scanning rows"))
            })?;
            parts.extend(part.map(|part| (space, part)));
        }
        let row = |space| move |row: Result<StoredRow, redb::StorageError>| read(space, row);
        Ok(parts.into_iter().flat_map(move |(space, part)| part.map(row(space))))
    }

    /// Lets `read` have the table of a space; `None` when nothing was ever written there.
    fn with<T>(
        &self,
        space: u8,
        read: impl FnOnce(&RowTable) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let table = self.table(space)?;
        Option::as_ref(&table).map(read).transpose()
    }

    /// The lock is for finding the table: readers of one snapshot do not take turns.
    fn table(&self, space: u8) -> Result<Arc<Option<RowTable>>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = opened.get(&space) {
            return Ok(Arc::clone(table));
        }
        let table = match self.transaction.open_table(table_of(space)) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(opening(error)),
        };
        let table = Arc::new(table);
        opened.insert(space, Arc::clone(&table));
        Ok(table)
    }
}

/// A row of a scan for who reads it.
fn read(space: u8, row: Result<StoredRow, redb::StorageError>) -> Result<Row, StoreError> {
    let (key, row) = row.map_err(engine("scanning rows"))?;
    Ok(Row {
        key: key_of(space, key.value())?,
        value: decode_row(row.value())?,
    })
}

/// A row that a group leaves behind.
pub(super) struct PendingRow {
    pub(super) version: u64,
    /// None: deleted.
    pub(super) value: Option<Vec<u8>>,
}

/// About how much room it takes.
fn bytes((key, row): &(Key, PendingRow)) -> usize {
    key.as_bytes().len() + row.value.as_ref().map_or(0, Vec::len)
}

/// A key as it stands in the table of its space.
fn stored(key: &Key) -> Result<Cow<'_, [u8]>, StoreError> {
    let stored = stored_key(key);
    if stored.is_empty() {
        return Err(StoreError::corrupt(format!("{key} is too short for the key of a row")));
    }
    Ok(stored)
}

/// The rows inside the writer's transaction, with the edits of earlier batches of the same group.
pub(crate) struct RowsInTransaction<'transaction> {
    transaction: &'transaction WriteTransaction,
    opened: RefCell<BTreeMap<u8, Table<'transaction, Bytes, Bytes>>>,
}

impl<'transaction> RowsInTransaction<'transaction> {
    pub(crate) fn new(transaction: &'transaction WriteTransaction) -> Self {
        Self {
            transaction,
            opened: RefCell::default(),
        }
    }

    /// Writes rows of one space, whose keys ascend.
    pub(super) fn write(&self, rows: &[(Key, PendingRow)]) -> Result<(), StoreError> {
        let (within, beyond) = rows.split_at(self.before_a_run(rows)?);
        for (key, row) in within {
            match &row.value {
                Some(value) => self.insert(key, row.version, value)?,
                None => drop(self.remove(key)?),
            }
        }
        self.run(beyond)
    }

    /// How many of these rows come before those that are worth a run behind the last row that is there.
    fn before_a_run(&self, rows: &[(Key, PendingRow)]) -> Result<usize, StoreError> {
        let worth_it = |rows: &[(Key, PendingRow)]| rows.iter().map(bytes).sum::<usize>() >= RUN_BYTES_MIN;
        let Some((first, _)) = rows.first().filter(|_| worth_it(rows)) else {
            return Ok(rows.len());
        };
        let last = self.with(first, |table| {
            let last = table.last().map_err(engine("reading a row"))?;
            Ok(last.map(|(key, _)| key.value().to_vec()))
        })?;
        let within = last.map_or(0, |last| {
            rows.partition_point(|(key, _)| &*stored_key(key) <= last.as_slice())
        });
        let (_, beyond) = rows.split_at(within);
        Ok(if worth_it(beyond) { within } else { rows.len() })
    }

    /// Writes rows that come behind all that are there.
    fn run(&self, rows: &[(Key, PendingRow)]) -> Result<(), StoreError> {
        let Some((first, _)) = rows.first() else {
            return Ok(());
        };
        let failed = engine("writing a row");
        self.with(first, |table| {
            let mut end = table.upper_bound_mut(Bound::<&[u8]>::Unbounded).map_err(&failed)?;
            for (key, row) in rows {
                // Of one that is deleted nothing is there.
                let Some(value) = &row.value else { continue };
                let (stored, row) = (stored(key)?, encode_row(row.version, value));
                end.insert_before(&*stored, row.as_slice())
                    .map_err(|error| StoreError::engine("writing a row")(error.into()))?;
            }
            end.close().map_err(&failed)
        })
    }

    pub(crate) fn insert(&self, key: &Key, version: u64, value: &[u8]) -> Result<(), StoreError> {
        let stored = stored(key)?;
        self.with(key, |table| {
            let row = encode_row(version, value);
            table
                .insert(&*stored, row.as_slice())
                .map_err(engine("writing a row"))?;
            Ok(())
        })
    }

    /// Answers whether it was there.
    pub(crate) fn remove(&self, key: &Key) -> Result<bool, StoreError> {
        self.with(key, |table| {
            let removed = table.remove(&*stored_key(key)).map_err(engine("writing a row"))?;
            Ok(removed.is_some())
        })
    }

    fn with<T>(
        &self,
        key: &Key,
        work: impl FnOnce(&mut Table<'transaction, Bytes, Bytes>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (mut opened, space) = (self.opened.borrow_mut(), space_of(key));
        let table = match opened.entry(space) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                unknown.insert(self.transaction.open_table(table_of(space)).map_err(opening)?)
            }
        };
        work(table)
    }
}

impl Present for RowsInTransaction<'_> {
    fn version(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        self.with(key, |table| {
            let row = table.get(&*stored_key(key)).map_err(engine("reading a row"))?;
            row.map(|row| split_row(row.value()).map(|(version, _)| version))
                .transpose()
        })
    }

    fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(key, |table| {
            let row = table.get(&*stored_key(key)).map_err(engine("reading a row"))?;
            row.map(|row| decode_row(row.value()).map(|row| row.bytes)).transpose()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::spaces_of;
    use crate::{Key, KeyRange};

    #[test]
    fn a_range_leads_to_its_spaces_and_no_other() {
        let key = |bytes: &[u8]| Key::from_bytes(bytes.to_vec());
        assert_eq!(spaces_of(&KeyRange::all()), 0..=255);
        assert_eq!(spaces_of(&KeyRange::prefix(key(&[0x10]))), 0x10..=0x10);
        assert_eq!(spaces_of(&KeyRange::prefix(key(&[0x10, 0, 1]))), 0x10..=0x10);
        assert_eq!(spaces_of(&KeyRange::prefix(key(&[0xFF, 2]))), 0xFF..=0xFF);
        assert_eq!(spaces_of(&KeyRange::prefix(key(&[0xFF]))), 0xFF..=0xFF);
        assert_eq!(spaces_of(&KeyRange::between(key(&[1, 9]), key(&[3, 0]))), 1..=3);
    }
}
