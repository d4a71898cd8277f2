//! Files that are kept, and files that are to go: those of withdrawn items and of handled requests. Their ids become rows in the transaction that
//! lets go of them, and the rows leave when the files have. A crash in between leaves rows, and the next start finishes.

use mihwar_model::AttachmentId;
use mihwar_store::{Batch, Edit, Order};

use crate::core::Core;
use crate::fault::Fault;
use crate::keys;

/// Rows read in one go.
const PAGE: usize = 500;

/// The edit that says that a file belongs to something: it stands in the transaction that needs the file, and a backup
/// takes the file along.
pub(crate) fn keep(file: AttachmentId) -> Edit {
    Edit::Put(keys::file(file), Vec::new())
}

/// What stands in the row of a file of which nobody knows whether something needs it.
pub(crate) const FOUND: &[u8] = &[1];

/// As [`keep`], for a file that an upgrade found: a crash may have left it behind, and then nothing needs it.
pub(crate) fn keep_found(file: AttachmentId) -> Edit {
    Edit::Put(keys::file(file), FOUND.to_vec())
}

/// The edits that doom a file; they belong into the transaction that lets go of it.
pub(crate) fn doom(file: AttachmentId) -> [Edit; 2] {
    [
        Edit::Delete(keys::file(file)),
        Edit::Put(keys::doomed(file), Vec::new()),
    ]
}

/// Destroys files that a durable transaction doomed. What fails is told, and made up for at the next start.
pub(crate) async fn destroy(core: &Core, files: &[AttachmentId]) {
    if let Err(error) = remove(core, files).await {
        tracing::warn!("files are destroyed, and will be looked for once more at the next start: {error}");
    }
}

/// Destroys every doomed file that is left, as a crash leaves them. Answers how many. To be called at each start.
pub(crate) async fn destroy_doomed(core: &Core) -> Result<u64, Fault> {
    let mut destroyed = 0;
    let mut range = Some(keys::all(keys::DOOMED));
    while let Some(next) = range {
        let page = core.store.view().await?.scan(next, Order::Ascending, PAGE).await?;
        let ids = page.rows.iter().filter_map(|row| keys::last_id(&row.key));
        let files: Vec<AttachmentId> = ids.map(AttachmentId::from_bytes).collect();
        destroyed += remove(core, &files).await?;
        range = page.next;
    }
    Ok(destroyed)
}

/// Removes files, and the rows of those that are gone.
async fn remove(core: &Core, files: &[AttachmentId]) -> Result<u64, Fault> {
    let (mut batch, mut removed) = (Batch::default(), 0);
    for file in files {
        match core.blobs.delete(file.0).await {
            Ok(()) => {
                removed += 1;
                // An upgrade of an older version wrote one of the second sort for doomed files, too.
                batch.edits.push(Edit::Delete(keys::doomed(*file)));
                batch.edits.push(Edit::Delete(keys::file(*file)));
            }
            Err(error) => tracing::error!(%file, "a file that must go could not be destroyed: {error}"),
        }
    }
    if removed > 0 {
        core.apply_patiently(batch).await?;
    }
    Ok(removed)
}

/// Removes files that were written for a transaction that certainly did not happen. Not to be called when that is not
/// known: the transaction may stand, and need them.
pub(crate) async fn discard(core: &Core, files: &[AttachmentId]) {
    for file in files {
        if let Err(error) = core.blobs.delete(file.0).await {
            tracing::warn!(%file, "a file of an abandoned transaction could not be removed: {error}");
        }
    }
}
