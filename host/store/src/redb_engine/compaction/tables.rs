//! Taking tables over from one file into another.

use redb::{
    Key as RedbKey, MultimapTableHandle, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    TableError, TableHandle, Value, WriteTransaction,
};

use super::super::schema::{JOURNAL, META, ROWS, TILES, engine, opening};
use super::target::Target;
use super::{CompactError, CompactionStage};
use crate::{Key, StoreError};

/// Every table whose rows change only in a commit that changes the row of the same key in [`ROWS`]. A new one is added
/// here; a file with a table that is in no list is not compacted.
const KEYED: &[&dyn Keyed] = &[&ROWS];

/// A transaction into the new file ends after this many bytes.
const TRANSACTION_BYTES: usize = 32 * 1024 * 1024;
/// Rows looked up in one go while catching up.
const KEYS_AT_ONCE: usize = 20_000;

/// A table of rows by key, whatever their values are.
trait Keyed: Sync {
    fn name(&self) -> &str;
    fn count(&self, from: &ReadTransaction) -> Result<u64, StoreError>;
    fn copy(&self, from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError>;
    /// Makes the rows of these keys what they are in `from`.
    fn take_over(&self, keys: &[Key], from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError>;
}

impl<V: Value + Sync + 'static> Keyed for TableDefinition<'static, &'static [u8], V> {
    fn name(&self) -> &str {
        TableHandle::name(self)
    }

    fn count(&self, from: &ReadTransaction) -> Result<u64, StoreError> {
        match from.open_table(*self) {
            Ok(table) => table.len().map_err(engine("counting rows")),
            Err(TableError::TableDoesNotExist(_)) => Ok(0),
            Err(error) => Err(opening(error)),
        }
    }

    fn copy(&self, from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError> {
        match from.open_table(*self) {
            Ok(table) => copy(*self, ReadableTable::iter(&table).map_err(engine("reading rows"))?, to),
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            Err(error) => Err(opening(error).into()),
        }
    }

    fn take_over(&self, keys: &[Key], from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
        let failed = engine("taking a changed row over");
        let from = match from.open_table(*self) {
            Ok(table) => table,
            // Not made yet, so nothing can have been in it.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(opening(error)),
        };
        let mut to = to.open_table(*self).map_err(opening)?;
        for key in keys {
            match ReadableTable::get(&from, key.as_bytes()).map_err(&failed)? {
                Some(value) => to.insert(key.as_bytes(), value.value()).map_err(&failed)?,
                None => to.remove(key.as_bytes()).map_err(&failed)?,
            };
        }
        Ok(())
    }
}

/// Refuses a file with a table that would be left behind.
pub(crate) fn check_all_known(from: &ReadTransaction) -> Result<(), CompactError> {
    let known = |name: &str| {
        let others = [JOURNAL.name(), TILES.name(), META.name()];
        others.contains(&name) || KEYED.iter().any(|table| table.name() == name)
    };
    let failed = engine("listing the tables");
    let mut tables = from.list_tables().map_err(&failed)?;
    let unknown = tables.find(|table| !known(table.name()));
    let unknown = unknown.map(|table| table.name().to_owned());
    let mut multimaps = from.list_multimap_tables().map_err(&failed)?;
    match unknown.or_else(|| multimaps.next().map(|table| table.name().to_owned())) {
        Some(table) => Err(CompactError::UnknownTable { table }),
        None => Ok(()),
    }
}

/// How many rows and entries there are to copy.
pub(crate) fn count_all(from: &ReadTransaction) -> Result<u64, StoreError> {
    let journal = from.open_table(JOURNAL).map_err(opening)?;
    let mut total = journal.len().map_err(engine("counting entries"))?;
    for table in KEYED {
        total += table.count(from)?;
    }
    Ok(total)
}

/// Copies everything but what [`finish`] writes.
pub(crate) fn copy_all(from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError> {
    for table in KEYED {
        table.copy(from, to)?;
    }
    append_journal(0, from, to)
}

/// Takes changed rows over, in a transaction for each few of them.
pub(crate) fn catch_up(
    changes: &mut super::changes::KeyList,
    from: &ReadTransaction,
    to: &mut Target,
) -> Result<(), CompactError> {
    while let Some(keys) = changes.next(KEYS_AT_ONCE).map_err(super::reading_changes)? {
        let transaction = to.begin()?;
        for table in KEYED {
            table.take_over(&keys, from, &transaction)?;
        }
        to.commit(transaction, keys.len() as u64, CompactionStage::CatchingUp)?;
    }
    Ok(())
}

/// Copies what the journal and its tree grew by since it had `entries` entries.
pub(crate) fn append_journal(entries: u64, from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError> {
    let failed = engine("reading the journal");
    let journal = from.open_table(JOURNAL).map_err(opening)?;
    copy(JOURNAL, journal.range(entries..).map_err(&failed)?, to)?;
    let tiles = from.open_table(TILES).map_err(opening)?;
    for level in 0..8_u8 {
        // Full tiles of this level that `entries` entries have.
        let known = entries.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let grown = tiles.range((level, known)..=(level, u64::MAX)).map_err(&failed)?;
        copy(TILES, grown, to)?;
    }
    Ok(())
}

/// Copies what says which store this is and how far it is.
pub(crate) fn copy_meta(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    let failed = engine("copying the head of the journal");
    let from = from.open_table(META).map_err(opening)?;
    let mut to = to.open_table(META).map_err(opening)?;
    for row in ReadableTable::iter(&from).map_err(&failed)? {
        let (name, value) = row.map_err(&failed)?;
        to.insert(name.value(), value.value()).map_err(&failed)?;
    }
    Ok(())
}

fn copy<K: RedbKey + 'static, V: Value + 'static>(
    table: TableDefinition<'static, K, V>,
    mut rows: redb::Range<'_, K, V>,
    to: &mut Target,
) -> Result<(), CompactError> {
    loop {
        let transaction = to.begin()?;
        let copied = {
            let mut target = transaction.open_table(table).map_err(opening)?;
            copy_some(&mut rows, &mut target)?
        };
        if copied == 0 {
            return to.abort(transaction);
        }
        to.commit(transaction, copied, CompactionStage::Copying)?;
    }
}

/// Copies as much as one transaction should have, and tells how many rows that were; 0 at the end.
fn copy_some<K: RedbKey + 'static, V: Value + 'static>(
    rows: &mut redb::Range<'_, K, V>,
    to: &mut Table<'_, K, V>,
) -> Result<u64, StoreError> {
    let failed = engine("copying a row");
    let (mut bytes, mut copied) = (0, 0);
    while bytes < TRANSACTION_BYTES {
        let Some(row) = rows.next() else { break };
        let (key, value) = row.map_err(&failed)?;
        let (key, value) = (key.value(), value.value());
        bytes += K::as_bytes(&key).as_ref().len() + V::as_bytes(&value).as_ref().len();
        to.insert(key, value).map_err(&failed)?;
        copied += 1;
    }
    Ok(copied)
}
