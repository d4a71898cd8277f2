//! What happens to the log when a store is opened.

use std::io;
use std::sync::Arc;

use super::super::counters::Counters;
use super::super::database::SharedDatabase;
use super::super::writer::Committed;
use super::{Log, LogPlace, recover};
use crate::StoreError;

/// Brings the file to where its log ends, if it was left with one, and begins a new log. On a full disk there is none: each
/// commit is of the file itself then.
pub(crate) fn begin_log(
    database: &SharedDatabase,
    place: LogPlace,
    counters: &Arc<Counters>,
    limit: u64,
) -> Result<(Committed, Option<Log>), StoreError> {
    let (committed, file) = match database.log()? {
        Some(noted) => {
            let file = place.existing(&noted)?;
            let committed = recover(database, &file, &noted)?;
            // Everything is in the file now, which is the store for a moment; what is in the log may go.
            database.checkpoint(None)?;
            (committed, Ok(file))
        }
        None => (database.load()?, place.make()),
    };
    let begun = file.and_then(|file| Log::begin(file, Arc::clone(counters), limit, &committed));
    let log = match begun {
        Ok(log) => log,
        Err(error) if is_full(&error) => {
            tracing::warn!(
                "the disk is full: the store goes on without a log until it is opened again, and writes more slowly"
            );
            return Ok((committed, None));
        }
        Err(error) => {
            return Err(StoreError::Engine {
                what: "beginning a log",
                reason: error.to_string(),
            });
        }
    };
    // The log is there and empty: from here on opening the store looks into it.
    database.checkpoint(Some(log.note()))?;
    Ok((committed, Some(log)))
}

/// Whether there is no room, for everybody or for this user.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::is_full;

    #[test]
    fn a_user_s_share_of_a_disk_is_full_like_a_disk() {
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
        ] {
            assert!(is_full(&Error::from(kind)), "{kind:?}");
        }
        assert!(!is_full(&Error::from(ErrorKind::PermissionDenied)));
    }
}
