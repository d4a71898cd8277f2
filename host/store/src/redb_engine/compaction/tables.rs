//! Taking tables over from one file into another.

use std::borrow::Cow;

use mihwar_ledger::TileId;
use redb::{
    Key as RedbKey, MultimapTableHandle, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    TableError, TableHandle, Value, WriteTransaction,
};

use super::super::row::stored_key;
use super::super::schema::{JOURNAL, META, REMOVED, TILES, engine, old_tile_key, opening, tile_key};
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
/// [`REMOVED`], which changes only with them. Ends after `room` bytes, and tells how many keys it came through: at least one.
fn take_over(
    keys: &[Key],
    mut room: usize,
    from: &ReadTransaction,
    to: &WriteTransaction,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    for keys in keys.chunk_by(|one, other| space_of(one) == space_of(other)) {
        let table = table_of(keys.first().map(space_of).unwrap_or_default());
        taken += take_over_in(table, stored_key, keys, &mut room, from, to)?;
        if room == 0 {
            break;
        }
    }
    // What is in this one is small.
    let mut room = usize::MAX;
    take_over_in(
        REMOVED,
        whole_key,
        keys.get(..taken).unwrap_or_default(),
        &mut room,
        from,
        to,
    )?;
    Ok(taken)
}

/// How keys lie in [`REMOVED`].
fn whole_key(key: &Key) -> Cow<'_, [u8]> {
    Cow::Borrowed(key.as_bytes())
}

/// As [`take_over`], for one table, in which keys lie as `stored` has them. What is used of `room` is taken from it.
fn take_over_in<V: Value + 'static>(
    table: TableDefinition<'static, &'static [u8], V>,
    stored: impl Fn(&Key) -> Cow<'_, [u8]>,
    keys: &[Key],
    room: &mut usize,
    from: &ReadTransaction,
    to: &WriteTransaction,
) -> Result<usize, StoreError> {
    let failed = engine("taking a changed row over");
    let Some(from) = open(table, from)? else {
        // Without that table there was never such a row.
        return Ok(keys.len());
    };
    let mut to = to.open_table(table).map_err(opening)?;
    let mut taken = 0;
    for key in keys {
        if *room == 0 {
            break;
        }
        let key = stored(key);
        let mut bytes = key.len();
        match ReadableTable::get(&from, &*key).map_err(&failed)? {
            Some(found) => {
                let value = found.value();
                bytes += V::as_bytes(&value).as_ref().len();
                to.insert(&*key, value).map_err(&failed)?;
            }
            None => {
                to.remove(&*key).map_err(&failed)?;
            }
        }
        *room = room.saturating_sub(bytes);
        taken += 1;
    }
    Ok(taken)
}

/// Takes changed rows over, in a transaction for each few of them.
pub(crate) fn catch_up(
    changes: &mut super::changes::KeyList,
    from: &ReadTransaction,
    to: &mut Target,
) -> Result<(), CompactError> {
    while let Some(keys) = changes.next(KEYS_AT_ONCE).map_err(super::reading_changes)? {
        let mut left = keys.as_slice();
        while !left.is_empty() {
            let transaction = to.begin()?;
            let taken = take_over(left, TRANSACTION_BYTES, from, &transaction)?;
            to.commit(transaction, taken as u64, CompactionStage::CatchingUp)?;
            left = left.get(taken..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Copies what the journal and its tree grew by since it had `entries` entries.
pub(crate) fn append_journal(entries: u64, from: &ReadTransaction, to: &mut Target) -> Result<(), CompactError> {
    let failed = engine("reading the journal");
    let journal = from.open_table(JOURNAL).map_err(opening)?;
    copy(JOURNAL, journal.range(entries..).map_err(&failed)?, to)?;
    let tiles = from.open_table(TILES).map_err(opening)?;
    // In the order of their keys.
    for level in (0..8_u8).rev() {
        // Full tiles of this level that `entries` entries have.
        let index = entries.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let known = TileId { level, index };
        for (first, _) in [old_tile_key(known), tile_key(known)] {
            let grown = tiles.range((first, index)..=(first, u64::MAX)).map_err(&failed)?;
            copy(TILES, grown, to)?;
        }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use redb::backends::InMemoryBackend;

    use super::super::super::database::SharedDatabase;
    use super::super::super::spaces::RowsInTransaction;
    use super::*;

    fn key(space: u8, name: &str) -> Key {
        let mut bytes = vec![space];
        bytes.extend_from_slice(name.as_bytes());
        Key::from_bytes(bytes)
    }

    /// A file with these rows.
    fn file(keys: &[Key]) -> SharedDatabase {
        let database = SharedDatabase::open(InMemoryBackend::new(), Path::new("مخزن"), 0).unwrap();
        database.prepare().unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let rows = RowsInTransaction::new(&transaction);
            for key in keys {
                rows.insert(key, 1, &[7; 100]).unwrap();
            }
        }
        transaction.commit().unwrap();
        database
    }

    #[test]
    fn changed_rows_are_taken_over_in_portions_of_bytes() {
        let keys = [key(0x10, "أ"), key(0x10, "ب"), key(0x10, "ت"), key(0x11, "ث")];
        let old = file(&[keys[0].clone(), keys[1].clone(), keys[3].clone()]);
        let new = file(std::slice::from_ref(&keys[2]));
        let reading = old.read().unwrap();
        let (mut left, mut portions) = (keys.as_slice(), Vec::new());
        while !left.is_empty() {
            let transaction = new.begin_write().unwrap();
            let taken = take_over(left, 150, &reading.transaction, &transaction).unwrap();
            transaction.commit().unwrap();
            portions.push(taken);
            left = &left[taken..];
        }
        // Two rows are more than that; one that is gone and one that is there are less.
        assert_eq!(portions, [2, 2]);
        assert_eq!(new.get_many(&keys).unwrap(), old.get_many(&keys).unwrap());
    }
}
