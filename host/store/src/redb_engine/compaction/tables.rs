//! Taking tables over from one file into another.

use redb::{
    Key as RedbKey, MultimapTableHandle, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    TableError, TableHandle, Value, WriteTransaction,
};

use super::super::schema::{JOURNAL, META, REMOVED, TILES, engine, opening};
use super::super::spaces::{space_of, table_of};
use super::target::Target;
use super::{CompactError, CompactionStage};
use crate::{Key, StoreError};

/// A transaction into the new file ends after this many bytes.
const TRANSACTION_BYTES: usize = 32 * 1024 * 1024;
/// Rows looked up in one go while catching up.
const KEYS_AT_ONCE: usize = 20_000;

fn spaces() -> impl Iterator<Item = TableDefinition<'static, &'static [u8], &'static [u8]>> {
    (0..=u8::MAX).map(table_of)
}

fn open<K: RedbKey + 'static, V: Value + 'static>(
    table: TableDefinition<'static, K, V>,
    from: &ReadTransaction,
) -> Result<Option<redb::ReadOnlyTable<K, V>>, StoreError> {
    match from.open_table(table) {
        Ok(table) => Ok(Some(table)),
        // Made with its first row.
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(opening(error)),
    }
}

/// Refuses a file with a table that would be left behind. A new table is known here when [`count_all`], [`copy_all`] and
/// [`catch_up`] take it over.
pub(crate) fn check_all_known(from: &ReadTransaction) -> Result<(), CompactError> {
    let known = |name: &str| {
        let others = [JOURNAL.name(), TILES.name(), META.name(), REMOVED.name()];
        others.contains(&name) || spaces().any(|table| table.name() == name)
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
    let failed = engine("counting rows");
    let journal = from.open_table(JOURNAL).map_err(opening)?;
    let mut total = journal.len().map_err(&failed)?;
    for table in spaces() {
        if let Some(table) = open(table, from)? {
            total += table.len().map_err(&failed)?;
        }
    }
    if let Some(removed) = open(REMOVED, from)? {
        total += removed.len().map_err(&failed)?;
    }
    Ok(total)
}

/// Copies everything but what [`copy_meta`] does.
pub(crate) fn copy_all(from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError> {
    for table in spaces() {
        if let Some(source) = open(table, from)? {
            copy(table, ReadableTable::iter(&source).map_err(engine("reading rows"))?, to)?;
        }
    }
    if let Some(removed) = open(REMOVED, from)? {
        copy(
            REMOVED,
            ReadableTable::iter(&removed).map_err(engine("reading deletions"))?,
            to,
        )?;
    }
    append_journal(0, from, to)
}

/// Makes the rows of these keys, which are in their order, what they are in `from`: in the tables of their spaces, and in
/// [`REMOVED`], which changes only with them.
fn take_over(keys: &[Key], from: &ReadTransaction, to: &WriteTransaction) -> Result<(), StoreError> {
    for keys in keys.chunk_by(|one, other| space_of(one) == space_of(other)) {
        let table = table_of(keys.first().map(space_of).unwrap_or_default());
        take_over_in(table, keys, from, to)?;
    }
    take_over_in(REMOVED, keys, from, to)
}

fn take_over_in<V: Value + 'static>(
    table: TableDefinition<'static, &'static [u8], V>,
    keys: &[Key],
    from: &ReadTransaction,
    to: &WriteTransaction,
) -> Result<(), StoreError> {
    let failed = engine("taking a changed row over");
    let Some(from) = open(table, from)? else {
        return Ok(());
    };
    let mut to = to.open_table(table).map_err(opening)?;
    for key in keys {
        match ReadableTable::get(&from, key.as_bytes()).map_err(&failed)? {
            Some(value) => to.insert(key.as_bytes(), value.value()).map_err(&failed)?,
            None => to.remove(key.as_bytes()).map_err(&failed)?,
        };
    }
    Ok(())
}

/// Takes changed rows over, in a transaction for each few of them.
pub(crate) fn catch_up(
    changes: &mut super::changes::KeyList,
    from: &ReadTransaction,
    to: &mut Target,
) -> Result<(), CompactError> {
    while let Some(keys) = changes.next(KEYS_AT_ONCE).map_err(super::reading_changes)? {
        let transaction = to.begin()?;
        take_over(&keys, from, &transaction)?;
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
