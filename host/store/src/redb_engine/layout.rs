//! Files of older formats, and how they are brought along. Format 1 had one table for the rows of all spaces; format 2 has
//! one for each space, and in both a row has its whole key and a version of eight bytes.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle,
    WriteTransaction,
};

use super::database::SharedDatabase;
use super::schema::{FORMAT, META, META_FORMAT, META_LOG, engine, opening};
use super::spaces::RowsInTransaction;
use crate::{Key, StoreError};

/// Number of a file of which some rows have moved and others have not. Versions that know only older formats refuse it: they
/// would take the rows that are left for all there are, and write over what was moved.
const FORMAT_MOVING: u32 = 0x0100_0003;
/// Formats that are brought along: that of one table for all rows, that of a table for each space, and those of files that
/// are on the way from one to the next.
const OLDER: [u32; 4] = [1, 0x0100_0002, 2, FORMAT_MOVING];
/// The table of all rows in format 1. The tables of format 2 have the space behind it, in two hexadecimal digits.
const ALL_ROWS: &str = "rows";
const ROWS_OF_A_SPACE: &str = "rows-";
/// Rows moved in one transaction.
const ROWS_AT_ONCE: usize = 20_000;

type Bytes = &'static [u8];

/// What a file's number says of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// They are as this store writes them.
    Present,
    /// Some or all are as an older one wrote them.
    Older,
}

impl Layout {
    /// That of a file with this number.
    ///
    /// # Errors
    /// [`StoreError::Format`] for one that this store cannot read.
    pub(crate) fn of(format: u32) -> Result<Self, StoreError> {
        match format {
            FORMAT => Ok(Self::Present),
            older if OLDER.contains(&older) => Ok(Self::Older),
            found => Err(StoreError::Format {
                found,
                expected: FORMAT,
            }),
        }
    }
}

fn is_old_table(name: &str) -> bool {
    name == ALL_ROWS || name.starts_with(ROWS_OF_A_SPACE)
}

fn old_table(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

/// A row as it lies in an old table: its version, eight bytes, the highest first; then its value.
fn split_old_row(row: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    row.split_first_chunk()
        .map(|(version, value)| (u64::from_be_bytes(*version), value))
        .ok_or_else(|| StoreError::corrupt("a row is too short for its version"))
}

/// Rows that have not moved yet.
pub(crate) struct OldRows(Vec<ReadOnlyTable<Bytes, Bytes>>);

impl OldRows {
    /// Those of a snapshot; none in a file of this format.
    pub(crate) fn open(transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let tables = transaction.list_tables().map_err(engine("listing the tables"))?;
        let old = tables.filter(|table| is_old_table(table.name()));
        let opened = old.map(|table| transaction.open_table(old_table(table.name())).map_err(opening));
        Ok(Self(opened.collect::<Result<_, _>>()?))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Result<u64, StoreError> {
        let counts = self.0.iter().map(|table| table.len().map_err(engine("counting rows")));
        counts.sum()
    }

    /// The value of one of them.
    pub(crate) fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        for table in &self.0 {
            let row = ReadableTable::get(table, key.as_bytes()).map_err(engine("reading a row"))?;
            if let Some(row) = row {
                return split_old_row(row.value()).map(|(_, value)| Some(value.to_vec()));
            }
        }
        Ok(None)
    }
}

/// Brings a file to this store's format: moves rows to where they lie in this one. Cut off, it goes on when the file is opened again: what
/// was moved is moved, and nothing is twice.
///
/// # Errors
/// A part of the store is in a log, which only the version that wrote it can read.
pub(crate) fn bring_along(database: &SharedDatabase, found: Layout) -> Result<(), StoreError> {
    if found == Layout::Present {
        return Ok(());
    }
    let mut moved = 0_u64;
    loop {
        let (count, left) = move_some(database, ROWS_AT_ONCE)?;
        moved += count;
        tracing::info!(moved, left, "upgrading: rows get shorter keys");
        if left == 0 {
            return Ok(());
        }
    }
}

/// Refuses a file of an older format whose last rows lie in a log.
pub(crate) fn refuse_old_log(is_noted: bool) -> Result<(), StoreError> {
    if !is_noted {
        return Ok(());
    }
    Err(StoreError::Engine {
        what: "bringing a file of an older format along",
        reason: "it was not closed in order, and a part of the store is in its log; start and stop the version that wrote it, \
                 then upgrade"
            .to_owned(),
    })
}

/// Moves up to `most` rows in one transaction. Tells how many it moved, and how many are left.
fn move_some(database: &SharedDatabase, most: usize) -> Result<(u64, u64), StoreError> {
    let transaction = database.begin_write()?;
    let mut moved = 0;
    let mut left = 0;
    for name in old_names(&transaction)? {
        let (count, rest) = move_from(&transaction, &name, most.saturating_sub(moved))?;
        moved += count;
        left += rest;
        if rest == 0 {
            transaction
                .delete_table(old_table(&name))
                .map_err(|error| StoreError::engine("removing an old table")(error.into()))?;
        }
    }
    {
        let mut meta = transaction.open_table(META).map_err(opening)?;
        let failed = engine("writing the format");
        refuse_old_log(meta.get(META_LOG).map_err(&failed)?.is_some())?;
        let format = if left == 0 { FORMAT } else { FORMAT_MOVING };
        meta.insert(META_FORMAT, format.to_be_bytes().as_slice())
            .map_err(&failed)?;
    }
    transaction
        .commit()
        .map_err(|error| StoreError::engine("moving rows")(error.into()))?;
    Ok((moved as u64, left))
}

fn old_names(transaction: &WriteTransaction) -> Result<Vec<String>, StoreError> {
    let tables = transaction.list_tables().map_err(engine("listing the tables"))?;
    let names = tables.map(|table| table.name().to_owned());
    Ok(names.filter(|name| is_old_table(name)).collect())
}

/// Moves up to `most` rows of one old table. Tells how many it moved, and how many are left in it.
fn move_from(transaction: &WriteTransaction, name: &str, most: usize) -> Result<(usize, u64), StoreError> {
    let mut table = transaction.open_table(old_table(name)).map_err(opening)?;
    let rows = RowsInTransaction::new(transaction);
    let failed = engine("moving a row");
    let mut moved = 0;
    while moved < most
        && let Some((key, row)) = table.pop_first().map_err(&failed)?
    {
        let (version, value) = split_old_row(row.value())?;
        rows.insert(&Key::from_bytes(key.value().to_vec()), version, value)?;
        moved += 1;
    }
    let left = table.len().map_err(&failed)?;
    Ok((moved, left))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use mihwar_ledger::{TileId, leaf_hash};

    use super::super::create;
    use super::super::peek::{peek, repair};
    use super::super::rebuild::Rebuild;
    use super::super::schema::{TILES, decode_format, old_tile_key, tile_key};
    use super::super::store::RedbStore;
    use super::*;
    use crate::file_system::OsFiles;
    use crate::tree::{FullTile, Tree, tile_hashes};

    const VALUE: &str = "قيمة";
    const ENTRIES: u32 = 300;

    fn keys() -> [Key; 3] {
        [1, 2, 3].map(|number: u8| Key::from_bytes(vec![0x10 + number, 0, 0, 0, 1, number]))
    }

    fn opened(path: &Path) -> SharedDatabase {
        let backend = create::existing(&OsFiles, path).unwrap();
        SharedDatabase::open(backend, path, 0).unwrap()
    }

    fn number(database: &SharedDatabase) -> u32 {
        let meta = database.read().unwrap().transaction.open_table(META).unwrap();
        let number = meta.get(META_FORMAT).unwrap().unwrap();
        decode_format(number.value()).unwrap()
    }

    /// A file of an older format with these rows, each in the table that it is named with; and with entries that fill a tile,
    /// all of whose hashes are stored. Tells that tile and the tree.
    fn older(path: &Path, format: u32, rows: &[(&str, &Key)]) -> (FullTile, Tree) {
        let entries: Vec<_> = (0..ENTRIES).map(|number| number.to_be_bytes().to_vec()).collect();
        let (mut tree, mut filled) = (Tree::default(), Vec::new());
        for entry in &entries {
            tree.append(leaf_hash(entry), &mut filled);
        }
        let rebuild = Rebuild::create(path).unwrap();
        rebuild.entries(0, &entries, &filled).unwrap();
        rebuild.finish(1, &tree).unwrap();
        rebuild.close().unwrap();
        let database = opened(path);
        let transaction = database.begin_write().unwrap();
        for (table, key) in rows {
            let row = [1_u64.to_be_bytes().as_slice(), VALUE.as_bytes()].concat();
            let mut table = transaction.open_table(old_table(table)).unwrap();
            table.insert(key.as_bytes(), row.as_slice()).unwrap();
        }
        let [tile] = <[FullTile; 1]>::try_from(filled).ok().unwrap();
        {
            let mut tiles = transaction.open_table(TILES).unwrap();
            tiles.remove(tile_key(tile.id)).unwrap();
            tiles
                .insert(old_tile_key(tile.id), tile.all_hashes().as_slice())
                .unwrap();
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert(META_FORMAT, format.to_be_bytes().as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        database.close().unwrap();
        (tile, tree)
    }

    #[test]
    fn a_move_that_was_cut_off_is_no_file_of_an_older_format_and_goes_on() {
        let keys = keys();
        let [first, second, third] = &keys;
        let all = [("rows", first), ("rows", second), ("rows", third)];
        let spaces = [("rows-11", first), ("rows-12", second), ("rows-13", third)];
        // As where the way from format 1 to 2 was cut off.
        let both = [("rows", third), ("rows-11", first), ("rows-12", second)];
        for (format, rows) in [(1, all), (2, spaces), (0x0100_0002, both)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("مخزن.redb");
            older(&path, format, &rows);
            let database = opened(&path);
            assert_eq!(move_some(&database, 2), Ok((2, 1)));
            assert_eq!(number(&database), FORMAT_MOVING);
            database.close().unwrap();
            // All of it is seen meanwhile.
            let value = Some(VALUE.as_bytes().to_vec());
            assert_eq!(peek(&path, &keys), Ok(Some(vec![value; 3])));
            assert_eq!(RedbStore::check_integrity(&path).unwrap().rows, 3);

            let database = opened(&path);
            database.prepare().unwrap();
            assert_eq!(number(&database), FORMAT);
            let unmoved = OldRows::open(&database.read().unwrap().transaction).unwrap();
            assert!(unmoved.0.is_empty(), "the old tables are gone");
            for row in database.get_many(&keys).unwrap() {
                let row = row.unwrap();
                assert_eq!((row.version, row.bytes), (1, VALUE.into()));
            }
        }
    }

    #[test]
    fn looking_at_an_older_file_changes_nothing_and_its_tiles_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("مخزن.redb");
        let keys = keys();
        let [first, second, third] = &keys;
        let rows = [("rows-11", first), ("rows-12", second), ("rows-13", third)];
        let (tile, tree) = older(&path, 2, &rows);
        let before = fs::read(&path).unwrap();
        let value = Some(VALUE.as_bytes().to_vec());
        assert_eq!(peek(&path, &keys), Ok(Some(vec![value; 3])));
        let found = RedbStore::check_integrity(&path).unwrap();
        assert_eq!(
            (found.rows, found.journal_entries, found.tiles),
            (3, u64::from(ENTRIES), 1)
        );
        assert!(fs::read(&path).unwrap() == before, "looking at it changes nothing");
        // Nor does mending it: only who opens it brings it along.
        repair(&path).unwrap();
        let database = opened(&path);
        assert_eq!(number(&database), 2);
        database.prepare().unwrap();
        assert_eq!(database.load().unwrap().tree.frontier().root(), tree.frontier().root());
        let above = TileId { level: 1, index: 0 };
        let snapshot = database.snapshot().unwrap();
        assert_eq!(tile_hashes(&snapshot, above, u64::from(ENTRIES)), Ok(vec![tile.root]));
    }

    #[test]
    fn an_old_file_with_a_log_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("مخزن.redb");
        let [key, ..] = keys();
        older(&path, 2, &[("rows-11", &key)]);
        let database = opened(&path);
        let transaction = database.begin_write().unwrap();
        {
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert(META_LOG, [0; 8].as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        let refused = database.prepare().unwrap_err().to_string();
        assert!(refused.contains("start and stop the version"), "{refused}");
        assert_eq!(number(&database), 2);
    }

    #[test]
    fn a_number_that_nobody_wrote_yet_is_refused() {
        let found = FORMAT + 1;
        let refused = StoreError::Format {
            found,
            expected: FORMAT,
        };
        assert_eq!(Layout::of(found), Err(refused));
    }
}
