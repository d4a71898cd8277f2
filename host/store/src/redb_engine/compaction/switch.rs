//! The moment in which the new file takes the old one's place.

use std::io;
use std::sync::Arc;

use super::super::containment::contained;
use super::super::database::{OpenFile, SharedDatabase};
use super::super::writer::Writer;
use super::changes::ChangedKeys;
use super::target::{Target, commit};
use super::{CompactError, CompactionStage, Home, could_not, reading_changes, tables};
use crate::StoreError;
use crate::file_system::folder_of;

const PUTTING_IN_PLACE: &str = "putting the compacted file in its place";

/// Completes the new file and puts it in the old one's place. Runs on the writer's thread: nothing is written meanwhile.
/// Gives the old file, to be dropped elsewhere.
pub(super) fn switch(
    writer: &mut Writer,
    home: &Home,
    mut target: Target,
    entries: u64,
) -> Result<Arc<OpenFile>, CompactError> {
    if let Some(error) = &writer.failed {
        return Err(error.clone().into());
    }
    let changes = writer.changes.take();
    // The writer outlives a panic here: it goes on with the old file.
    contained("completing the compacted file", || {
        Ok(complete(writer, changes, &mut target, entries))
    })??;
    target.report(CompactionStage::Switching);
    let length = target.put_over(home).map_err(could_not(PUTTING_IN_PLACE))?;
    target.report(CompactionStage::Renamed);
    let synced = home.files.sync_folder(&folder_of(&home.path));
    take_into_use(writer, &target.database, length, synced)
}

/// Has everything go to the new file, which has its name and this length. Gives the old one, to be dropped elsewhere.
///
/// Where the folder could not be synced, the name may lead to the old file again after a power cut. Nothing may be
/// acknowledged then any more, and the old file is closed like one that will be opened again.
fn take_into_use(
    writer: &mut Writer,
    new: &SharedDatabase,
    length: u64,
    synced: io::Result<()>,
) -> Result<Arc<OpenFile>, CompactError> {
    let old = writer.database.replace_by(new);
    let synced = synced.map_err(|error| StoreError::Engine {
        what: PUTTING_IN_PLACE,
        reason: error.to_string(),
    });
    if let Err(error) = synced.map_err(StoreError::of_writing) {
        writer.failed = Some(error.clone());
        return Err(error.into());
    }
    // From here on nothing that is done to the old file is synced.
    writer.counters.use_newest_file(length);
    if let Some(log) = &mut writer.log {
        // The new file was made durable with everything in it.
        log.restart(&writer.committed);
        // The old file goes with all that was deleted from it; it should not stay readable in the log.
        if let Err(error) = log.wipe() {
            tracing::warn!(%error, "the log still has what was deleted lately; it is overwritten as the hub goes on writing");
        }
    }
    Ok(old)
}

/// Takes over the last changes and what says how far the store is, in a commit as the writer's own ones are.
fn complete(
    writer: &Writer,
    changes: Option<ChangedKeys>,
    target: &mut Target,
    entries: u64,
) -> Result<(), CompactError> {
    let reading = writer.database.read()?;
    if let Some(changes) = changes {
        let mut changes = changes.finish().map_err(reading_changes)?;
        tables::catch_up(&mut changes, &reading.transaction, target)?;
    }
    tables::append_journal(entries, &reading.transaction, target)?;
    let transaction = target.database.begin_write()?;
    tables::copy_meta(&reading.transaction, &transaction)?;
    commit(transaction)?;
    // What will be written goes on from this: it has to be what the writer has in mind.
    let loaded = target.database.load()?;
    let (version, root) = (writer.committed.version, writer.committed.tree.frontier().root());
    if (loaded.version, loaded.tree.frontier().root()) == (version, root) {
        return Ok(());
    }
    let what = format!("the compacted file ends at version {}, not {version}", loaded.version);
    Err(StoreError::corrupt(what).into())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::Ordering;

    use redb::backends::InMemoryBackend;

    use super::super::super::backend::CountingBackend;
    use super::super::super::counters::Counters;
    use super::super::super::writer::SpaceWatch;
    use super::*;
    use crate::queue::Queue;
    use crate::{FolderSpace, Nature, Natures};

    fn file(counters: &Arc<Counters>) -> SharedDatabase {
        let backend = CountingBackend::new(InMemoryBackend::new(), Arc::clone(counters));
        let database = SharedDatabase::open(backend, Path::new("مخزن"), 0).unwrap();
        database.prepare().unwrap();
        database
    }

    fn writer_into(database: &SharedDatabase, counters: &Arc<Counters>) -> Writer {
        Writer {
            database: database.clone(),
            queue: Arc::new(Queue::new(1, 1)),
            counters: Arc::clone(counters),
            committed: database.load().unwrap(),
            space: SpaceWatch::new(Arc::new(FolderSpace(PathBuf::new())), 0),
            natures: Natures::all(Nature::Passing),
            log: None,
            failed: None,
            changes: None,
        }
    }

    #[test]
    fn the_old_file_is_given_up_only_when_the_new_name_is_durable() {
        for durable in [true, false] {
            let counters = Arc::new(Counters::default());
            let (old, new) = (file(&counters), file(&counters));
            let mut writer = writer_into(&old, &counters);
            let before = counters.fsyncs.load(Ordering::Relaxed);
            let synced = if durable {
                Ok(())
            } else {
                Err(io::Error::other("عطل"))
            };
            let taken = take_into_use(&mut writer, &new, 4_096, synced);
            assert_eq!(taken.is_ok(), durable);
            // Closes the old file.
            drop(taken);
            let closed_for_good = counters.fsyncs.load(Ordering::Relaxed) == before;
            assert_eq!(closed_for_good, durable);
            assert_eq!(writer.failed.is_none(), durable);
            assert!(writer.database.read().is_ok(), "reading goes on in the new file");
        }
    }
}
