//! Brings a data folder of an older format to this hub's, or refuses.
//!
//! The format is written twice: as a row of the store, which is what counts, and as text in the file `FORMAT`, for
//! people and for hubs that are too old to read the store. Only [`upgrade`] changes it.

mod alone;
mod backup;
mod migrations;
mod note;
mod refusal;
mod standing;
mod upgrade;

use std::path::Path;

use mihwar_store::{ApplyError, Batch, Edit, Key, Store};

use crate::fault::Fault;
use crate::hub::OpenError;
use crate::{keys, rows};

pub(crate) use backup::left_in as backups_left_in;
use note::Note;
pub use refusal::FormatError;
pub(crate) use standing::{Standing, standing};
pub use upgrade::{UpgradeProgress, Upgraded, upgrade};

/// The format that this hub writes and reads. Whoever raises it adds a migration to `migrations.rs` and a fixture to
/// `tests/fixtures`: see docs/releasing.md.
pub const FORMAT: u32 = 3;

/// The store's file in the data folder.
pub const STORE_FILE: &str = "mihwar.redb";

/// The row that says which format the folder has: the first one of every folder.
fn row_key() -> Key {
    keys::setting("format")
}

fn decode_row(bytes: &[u8]) -> Result<u32, Fault> {
    rows::decode("the folder's format", bytes)
}

/// The format that an open store says it has; `None` in a new one.
pub(crate) async fn row(store: &dyn Store) -> Result<Option<u32>, Fault> {
    let row = store.view().await?.get(&row_key()).await?;
    row.map(|row| decode_row(&row.bytes)).transpose()
}

/// Refuses a folder that a newer hub has marked as its own. All that can be told of one whose store does not open.
pub(crate) fn refuse_newer(folder: &Path) -> Result<(), FormatError> {
    Note::read(folder).map(drop)
}

/// Refuses a folder that is not of this hub's format.
pub(crate) async fn require_current(folder: &Path) -> Result<(), OpenError> {
    let place = folder.to_owned();
    match standing(folder).await? {
        Standing::New | Standing::Current => Ok(()),
        Standing::Older(found) => Err(FormatError::Older { place, found }.into()),
        Standing::Unfinished { moving, .. } => Err(FormatError::Unfinished { place, to: moving.to }.into()),
    }
}

/// Writes into a new store which format it has, and, where the store lies in the folder, the file `FORMAT` if there is none.
pub(crate) async fn settle(store: &dyn Store, folder: &Path, is_new: bool, is_folder: bool) -> Result<(), OpenError> {
    if is_new {
        set_row(store, FORMAT).await?;
    }
    if is_folder && Note::read(folder)?.is_none() {
        Note::at(FORMAT).write(folder)?;
    }
    Ok(())
}

async fn set_row(store: &dyn Store, format: u32) -> Result<(), Fault> {
    let batch = Batch {
        edits: vec![Edit::Put(row_key(), rows::encode(&format)?)],
        ..Batch::default()
    };
    loop {
        match store.apply(batch.clone()).await {
            Ok(_) => return Ok(()),
            Err(ApplyError::Busy { retry_after }) => tokio::time::sleep(retry_after).await,
            Err(error) => return Err(error.into()),
        }
    }
}
