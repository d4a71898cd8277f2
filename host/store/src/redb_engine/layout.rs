//! How files of older formats become one of this store's: from one table for all rows (1) to one for each space (2), to a
//! number that makes versions refuse the file that know nothing of its log (3).

use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition};

use super::database::SharedDatabase;
use super::schema::{FORMAT, META, META_FORMAT, engine, opening};
use super::spaces::RowsInTransaction;
use crate::{Key, StoreError};

/// Rows of all spaces, in files of format 1.
pub(crate) const ALL_ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Its number.
const FORMAT_OF_ALL_ROWS: u32 = 1;
/// Number of a file with one table for each space. All of it is read as it is, tiles too ([`super::schema::TILES`]); but
/// versions that know no higher one would not look into a log, and take the file for the whole store.
const FORMAT_OF_SPACES: u32 = 2;
/// Number of a file of which some rows have moved and others have not. Versions that know whole formats alone refuse it: they
/// would take the rows that are left for all there are, and write over what was moved.
const FORMAT_MOVING: u32 = 0x0100_0003;
/// The same from a version whose move ended at format 2.
const FORMAT_MOVING_TO_2: u32 = 0x0100_0002;
/// Rows moved in one transaction.
const ROWS_AT_ONCE: usize = 20_000;

/// What a file's number says of where its rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As this store writes them.
    Present,
    /// In the same places; the number is to be raised.
    Spaces,
    /// In one table, all of them or those that have not moved yet.
    AllRows,
}

impl Layout {
    /// That of a file with this number.
    ///
    /// # Errors
    /// [`StoreError::Format`] for one that this store cannot read.
    pub(crate) fn of(format: u32) -> Result<Self, StoreError> {
        match format {
            FORMAT => Ok(Self::Present),
            FORMAT_OF_SPACES => Ok(Self::Spaces),
            FORMAT_OF_ALL_ROWS | FORMAT_MOVING | FORMAT_MOVING_TO_2 => Ok(Self::AllRows),
            found => Err(StoreError::Format {
                found,
                expected: FORMAT,
            }),
        }
    }
}

/// Brings a file to this store's format. Its log, if it has one, stays as it is. Cut off, it goes on when the file is opened
/// again.
pub(crate) fn bring_along(database: &SharedDatabase, found: Layout) -> Result<(), StoreError> {
    match found {
        Layout::Present => Ok(()),
        Layout::Spaces => raise_number(database),
        Layout::AllRows => split_into_spaces(database),
    }
}

/// One durable commit: before it the file is of the older format, after it of this one.
fn raise_number(database: &SharedDatabase) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META).map_err(opening)?;
        meta.insert(META_FORMAT, FORMAT.to_be_bytes().as_slice())
            .map_err(engine("writing the format"))?;
    }
    transaction
        .commit()
        .map_err(|error| StoreError::engine("raising the format")(error.into()))?;
    tracing::info!(
        format = FORMAT,
        "upgrading: versions that do not know the store's log refuse its file from here on"
    );
    Ok(())
}

/// Rows that have not moved yet.
pub(crate) fn count_rows(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    let all = transaction.open_table(ALL_ROWS).map_err(opening)?;
    all.len().map_err(engine("counting rows"))
}

/// Moves the rows: what was moved is moved, and nothing is twice.
fn split_into_spaces(database: &SharedDatabase) -> Result<(), StoreError> {
    let mut moved = 0_u64;
    loop {
        let (count, left) = move_some(database, ROWS_AT_ONCE)?;
        moved += count;
        tracing::info!(moved, left, "upgrading: each space of rows becomes a table of its own");
        if left == 0 {
            return Ok(());
        }
    }
}

/// Moves up to `most` rows in one transaction. Tells how many it moved, and how many are left.
fn move_some(database: &SharedDatabase, most: usize) -> Result<(u64, u64), StoreError> {
    let transaction = database.begin_write()?;
    let mut moved = 0;
    let left = {
        let mut all = transaction.open_table(ALL_ROWS).map_err(opening)?;
        let rows = RowsInTransaction::new(&transaction);
        let failed = engine("moving a row");
        for _ in 0..most {
            let Some((key, row)) = all.pop_first().map_err(&failed)? else {
                break;
            };
            rows.insert(&Key::from_bytes(key.value().to_vec()), row.value())?;
            moved += 1;
        }
        let left = all.len().map_err(&failed)?;
        let format = if left == 0 { FORMAT } else { FORMAT_MOVING };
        let mut meta = transaction.open_table(META).map_err(opening)?;
        meta.insert(META_FORMAT, format.to_be_bytes().as_slice())
            .map_err(&failed)?;
        left
    };
    if left == 0 {
        transaction
            .delete_table(ALL_ROWS)
            .map_err(|error| StoreError::engine("removing the old table")(error.into()))?;
    }
    transaction
        .commit()
        .map_err(|error| StoreError::engine("moving rows")(error.into()))?;
    Ok((moved, left))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use mihwar_ledger::{Hash, TileId, leaf_hash};

    use super::super::create;
    use super::super::peek::{peek, repair};
    use super::super::rebuild::Rebuild;
    use super::super::schema::{TILES, decode_format, encode_row};
    use super::super::store::RedbStore;
    use super::*;
    use crate::tree::{Tree, tile_hashes};
    use crate::{Row, Versioned};

    const VALUE: &str = "قيمة";
    const ENTRIES: u32 = 300;

    fn keys() -> [Key; 3] {
        [1, 2, 3].map(|number: u8| Key::from_bytes(vec![0x10 + number, number]))
    }

    fn opened(path: &Path) -> SharedDatabase {
        let (backend, _) = create::existing(path).unwrap();
        SharedDatabase::open(backend, path, 0).unwrap()
    }

    fn number(database: &SharedDatabase) -> u32 {
        let meta = database.read().unwrap().transaction.open_table(META).unwrap();
        let number = meta.get(META_FORMAT).unwrap().unwrap();
        decode_format(number.value()).unwrap()
    }

    fn set_number(transaction: &redb::WriteTransaction, format: u32) {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(META_FORMAT, format.to_be_bytes().as_slice()).unwrap();
    }

    /// A file of format 1 with these rows.
    fn of_all_rows(path: &Path, keys: &[Key]) -> SharedDatabase {
        let (backend, _) = create::new_file(path).unwrap();
        let database = SharedDatabase::open(backend, path, 0).unwrap();
        database.prepare().unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut all = transaction.open_table(ALL_ROWS).unwrap();
            for key in keys {
                let row = encode_row(0, VALUE.as_bytes());
                all.insert(key.as_bytes(), row.as_slice()).unwrap();
            }
        }
        set_number(&transaction, FORMAT_OF_ALL_ROWS);
        transaction.commit().unwrap();
        database
    }

    /// A file of format 2 with these rows, and with entries that fill a tile, all of whose hashes are stored. Gives the root
    /// of that tile and the root of them all.
    fn of_spaces(path: &Path, keys: &[Key]) -> (Hash, Hash) {
        let entries: Vec<_> = (0..ENTRIES).map(|number| number.to_be_bytes().to_vec()).collect();
        let (mut tree, mut filled) = (Tree::default(), Vec::new());
        for entry in &entries {
            tree.append(leaf_hash(entry), &mut filled);
        }
        let row = |key: &Key| Row {
            key: key.clone(),
            value: Versioned {
                version: 1,
                bytes: VALUE.into(),
            },
        };
        let rebuild = Rebuild::create(path).unwrap();
        rebuild.rows(&keys.iter().map(row).collect::<Vec<_>>()).unwrap();
        rebuild.entries(0, &entries, &filled).unwrap();
        rebuild.finish(1, &tree).unwrap();
        rebuild.close().unwrap();
        let database = opened(path);
        let transaction = database.begin_write().unwrap();
        {
            let mut tiles = transaction.open_table(TILES).unwrap();
            for tile in &filled {
                let place = (tile.id.level, tile.id.index);
                tiles.insert(place, tile.all_hashes().as_slice()).unwrap();
            }
        }
        set_number(&transaction, FORMAT_OF_SPACES);
        transaction.commit().unwrap();
        database.close().unwrap();
        (filled[0].root, tree.frontier().root())
    }

    #[test]
    fn a_move_that_was_cut_off_is_no_file_of_an_older_format_and_goes_on() {
        // Cut off in this version, and in the one whose moves ended at format 2.
        for moving in [FORMAT_MOVING, FORMAT_MOVING_TO_2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("مخزن.redb");
            let keys = keys();
            let database = of_all_rows(&path, &keys);
            assert_eq!(move_some(&database, 2), Ok((2, 1)));
            assert_eq!(number(&database), FORMAT_MOVING);
            let transaction = database.begin_write().unwrap();
            set_number(&transaction, moving);
            transaction.commit().unwrap();
            database.close().unwrap();
            // All of it is seen meanwhile.
            let value = Some(VALUE.as_bytes().to_vec());
            assert_eq!(peek(&path, &keys), Ok(Some(vec![value; 3])));
            assert_eq!(RedbStore::check_integrity(&path).unwrap().rows, 3);

            let database = opened(&path);
            database.prepare().unwrap();
            assert_eq!(number(&database), FORMAT);
            for row in database.get_many(&keys).unwrap() {
                assert_eq!(row.unwrap().bytes, VALUE.as_bytes());
            }
        }
    }

    #[test]
    fn a_file_with_a_table_for_each_space_keeps_all_but_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("مخزن.redb");
        let keys = keys();
        let (tile, root) = of_spaces(&path, &keys);
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
        assert_eq!(number(&database), FORMAT_OF_SPACES);
        database.prepare().unwrap();
        assert_eq!(number(&database), FORMAT);
        assert_eq!(database.load().unwrap().tree.frontier().root(), root);
        // The older tile is read as it is.
        let above = TileId { level: 1, index: 0 };
        let snapshot = database.snapshot().unwrap();
        assert_eq!(tile_hashes(&snapshot, above, u64::from(ENTRIES)), Ok(vec![tile]));
        for row in database.get_many(&keys).unwrap() {
            assert_eq!(row.unwrap().bytes, VALUE.as_bytes());
        }
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
