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
        let transaction = database.begin_write()?;
        let left = {
            let mut all = transaction.open_table(ALL_ROWS).map_err(opening)?;
            let rows = RowsInTransaction::new(&transaction);
            let failed = engine("moving a row");
            for _ in 0..ROWS_AT_ONCE {
                let Some((key, row)) = all.pop_first().map_err(&failed)? else {
                    break;
                };
                rows.insert(&Key::from_bytes(key.value().to_vec()), row.value())?;
                moved += 1;
            }
            let left = all.len().map_err(&failed)?;
            if left == 0 {
                let mut meta = transaction.open_table(META).map_err(opening)?;
                meta.insert(META_FORMAT, FORMAT.to_be_bytes().as_slice())
                    .map_err(&failed)?;
            }
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
        tracing::info!(moved, left, "upgrading: each space of rows becomes a table of its own");
        if left == 0 {
            return Ok(());
        }
    }
}
