//! From one table for all rows (format 1) to one for each space (format 2).

use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition};

use super::database::SharedDatabase;
use super::schema::{FORMAT, META, META_FORMAT, engine, opening};
use super::spaces::RowsInTransaction;
use crate::{Key, StoreError};

/// Rows of all spaces, in files of format 1.
pub(crate) const ALL_ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Its number.
pub(crate) const FORMAT_OF_ALL_ROWS: u32 = 1;
/// Number of a file of which some rows have moved and others have not. Versions that know format 1 alone refuse it: they
/// would take the rows that are left for all there are, and write over what was moved.
pub(crate) const FORMAT_MOVING: u32 = 0x0100_0002;
/// Rows moved in one transaction.
const ROWS_AT_ONCE: usize = 20_000;

/// Rows that have not moved yet.
pub(crate) fn count_rows(transaction: &ReadTransaction) -> Result<u64, StoreError> {
    let all = transaction.open_table(ALL_ROWS).map_err(opening)?;
    all.len().map_err(engine("counting rows"))
}

/// Moves the rows. Cut off, it goes on when the file is opened again: what was moved is moved, and nothing is twice.
pub(crate) fn split_into_spaces(database: &SharedDatabase) -> Result<(), StoreError> {
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
    use std::path::Path;

    use super::super::create;
    use super::super::peek::peek;
    use super::super::schema::encode_row;
    use super::super::store::RedbStore;
    use super::*;
    use crate::file_system::OsFiles;

    const VALUE: &str = "قيمة";

    /// A file of format 1 with these rows.
    fn of_all_rows(path: &Path, keys: &[Key]) -> SharedDatabase {
        let backend = create::new_file(&OsFiles, path).unwrap();
        let database = SharedDatabase::open(backend, path, 0).unwrap();
        database.prepare().unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut all = transaction.open_table(ALL_ROWS).unwrap();
            for key in keys {
                let row = encode_row(0, VALUE.as_bytes());
                all.insert(key.as_bytes(), row.as_slice()).unwrap();
            }
            let format = FORMAT_OF_ALL_ROWS.to_be_bytes();
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert(META_FORMAT, format.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        database
    }

    #[test]
    fn a_move_that_was_cut_off_is_no_file_of_the_old_format_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("مخزن.redb");
        let keys = [1, 2, 3].map(|number: u8| Key::from_bytes(vec![0x10 + number, number]));
        let database = of_all_rows(&path, &keys);
        assert_eq!(move_some(&database, 2), Ok((2, 1)));
        assert_eq!(database.make_or_tell_format(), Ok(FORMAT_MOVING));
        database.close().unwrap();
        // All of it is seen meanwhile.
        let value = Some(VALUE.as_bytes().to_vec());
        assert_eq!(peek(&path, &keys), Ok(Some(vec![value; 3])));
        assert_eq!(RedbStore::check_integrity(&path).unwrap().rows, 3);

        let backend = create::existing(&OsFiles, &path).unwrap();
        let database = SharedDatabase::open(backend, &path, 0).unwrap();
        database.prepare().unwrap();
        assert_eq!(database.make_or_tell_format(), Ok(FORMAT));
        for row in database.get_many(&keys).unwrap() {
            assert_eq!(row.unwrap().bytes, VALUE.as_bytes());
        }
    }
}
