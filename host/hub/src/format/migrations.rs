//! What leads from one format to the next.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::future::BoxFuture;
use mihwar_model::{AttachmentId, OrgId};
use mihwar_store::{Batch, Edit, Key, KeyRange, MAX_PAGE_ROWS, Nature, Natures, Order, RedbStore, Row, Space, Store};

use super::refusal::{FormatError, at};
use super::upgrade::UpgradeProgress;
use super::{FORMAT, STORE_FILE};
use crate::fault::Fault;
use crate::hub::OpenError;
use crate::keys;
use crate::withdrawal;

/// Told how far a step is.
pub(super) type Tell<'a> = dyn FnMut(UpgradeProgress) + Send + 'a;

/// Work on rows, until it is done or refused.
type Work<'a> = BoxFuture<'a, Result<(), OpenError>>;

/// The way from one format to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    /// The format that it begins with.
    pub(super) from: u32,
    /// The format that it ends with.
    pub(super) to: u32,
    /// What it does, for the log.
    pub(super) name: &'static str,
    /// What it does to rows, before the files. It may be done twice.
    pub(super) rows: for<'a> fn(&'a RedbStore, &'a Path, &'a mut Tell<'a>) -> Work<'a>,
    /// What it does to files.
    pub(super) files: Files,
}

/// Work on the folder's files, piece by piece. A piece may be done twice: after a kill the last one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files {
    /// The pieces' names.
    pub(super) pieces: fn(&Path) -> Result<Vec<String>, FormatError>,
    /// Does one of them.
    pub(super) piece: fn(&Path, &str) -> Result<(), FormatError>,
}

/// The spaces that read models have in every format, whatever lies in which: from the first to before the second.
const READ_MODELS: (Space, Space) = (Space(0x20), Space(0x30));

/// As the hub has them, with all that ever were read models among what can be made anew: else every row of one that is
/// dropped would be noted as deleted for ever.
pub(super) const NATURES: Natures = {
    let mut natures = keys::NATURES;
    let mut space = READ_MODELS.0.0;
    while space < READ_MODELS.1.0 {
        natures = natures.with(Space(space), Nature::Derived);
        space += 1;
    }
    natures
};

/// Rows that are forgotten between two lines of the log.
const ROWS_BETWEEN_LINES: usize = 250_000;

/// All there are, from the oldest format on, each beginning where the one before it ends.
pub(super) const MIGRATIONS: [Migration; 2] = [
    Migration {
        from: 1,
        to: 2,
        name: "close stored files to other users of the machine",
        rows: |store, data, tell| Box::pin(rows_of_2(store, data, tell)),
        files: Files {
            pieces: stored_files,
            piece: close_to_others,
        },
    },
    // Rows of no other space changed in a way that needs more than reading both: contents that are not packed
    // (`content.rs`), marks of revisions without one (`vault.rs`), entries with floats for whole numbers (`number.rs` of the
    // model), entries of the queue that hold their event (`pipeline/loading.rs`). The store raises the number of its own
    // file when it is opened.
    Migration {
        from: 2,
        to: 3,
        name: "forget read models, which are made otherwise now",
        rows: |store, _, tell| Box::pin(rows_of_3(store, tell)),
        files: Files {
            pieces: |_| Ok(Vec::new()),
            piece: |_, _| Ok(()),
        },
    },
];

/// What leads on from a format.
pub(super) fn next(from: u32) -> Result<Migration, Fault> {
    let found = MIGRATIONS.iter().find(|migration| migration.from == from);
    found.copied().ok_or_else(|| Fault::Damaged {
        what: "the folder's format",
        detail: format!("nothing leads from format {from} to {FORMAT}"),
    })
}

async fn rows_of_2(store: &RedbStore, data: &Path, tell: &mut Tell<'_>) -> Result<(), OpenError> {
    forget_read_models(store, tell).await?;
    name_files(store, data).await
}

async fn rows_of_3(store: &RedbStore, tell: &mut Tell<'_>) -> Result<(), OpenError> {
    Ok(forget_read_models(store, tell).await?)
}

/// Which files belong to something was not written down in format 1: all that are there may, but for those that were to
/// go already.
async fn name_files(store: &RedbStore, data: &Path) -> Result<(), OpenError> {
    for folder in stored_files(data)?.iter().filter(|piece| holds_files(piece)) {
        let folder = data.join(folder);
        if !folder.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name();
            files.extend(name.to_str().and_then(|name| name.parse::<AttachmentId>().ok()));
        }
        if files.is_empty() {
            continue;
        }
        let doomed: Vec<Key> = files.iter().map(|file| keys::doomed(*file)).collect();
        let doomed = store.get_many(&doomed).await.map_err(Fault::from)?;
        let stay = files.iter().zip(doomed).filter(|(_, doomed)| doomed.is_none());
        let batch = Batch {
            edits: stay.map(|(file, _)| withdrawal::keep_found(*file)).collect(),
            ..Batch::default()
        };
        if !batch.edits.is_empty() {
            store.apply(batch).await.map_err(Fault::from)?;
        }
    }
    Ok(())
}

/// Whether finished files lie in a folder: those have names of two hexadecimal digits. In the others lies what was cut off.
fn holds_files(piece: &str) -> bool {
    let name = piece.strip_prefix("blobs/").unwrap_or_default();
    name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Read models of an older format lay under other numbers, or were made otherwise. They are folded anew when the hub runs.
async fn forget_read_models(store: &RedbStore, tell: &mut Tell<'_>) -> Result<(), Fault> {
    let (first, end) = READ_MODELS;
    let spaces = KeyRange::between(
        Key::space(first, OrgId::FIRST).finish(),
        Key::space(end, OrgId::FIRST).finish(),
    );
    let mut forgotten = 0;
    loop {
        let page = store
            .view()
            .await?
            .scan(spaces.clone(), Order::Ascending, MAX_PAGE_ROWS)
            .await?;
        let Some(last) = page.rows.last() else {
            return Ok(());
        };
        tell(UpgradeProgress {
            step: "forgetting read models",
            done: spaces_before(last),
            total: u64::from(end.0 - first.0),
        });
        let said = forgotten / ROWS_BETWEEN_LINES;
        forgotten += page.rows.len();
        if forgotten / ROWS_BETWEEN_LINES > said {
            tracing::info!(rows = forgotten, "upgrading: forgetting read models");
        }
        let batch = Batch {
            edits: page.rows.into_iter().map(|row| Edit::Delete(row.key)).collect(),
            ..Batch::default()
        };
        store.apply(batch).await?;
    }
}

/// How many spaces of read models lie before that of a row.
fn spaces_before(row: &Row) -> u64 {
    let space = row.key.as_bytes().first().copied().unwrap_or_default();
    u64::from(space.saturating_sub(READ_MODELS.0.0))
}

/// The store's file and the folders of stored files, in the order of their names.
fn stored_files(data: &Path) -> Result<Vec<String>, FormatError> {
    let blobs = data.join("blobs");
    let mut pieces = vec![STORE_FILE.to_owned()];
    let listed = match fs::read_dir(&blobs) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(pieces),
        Err(error) => return Err(at(&blobs)(error)),
    };
    pieces.push("blobs".to_owned());
    for entry in listed {
        let name = entry.map_err(at(&blobs))?.file_name();
        // Names that are no text are none of the hub's.
        pieces.extend(name.to_str().map(|name| format!("blobs/{name}")));
    }
    // Any order will do that is the same at the next start; folders that were made meanwhile have the right modes.
    pieces.sort_unstable();
    Ok(pieces)
}

/// Gives a file, or a folder and the files right in it, the modes that this hub makes them with.
fn close_to_others(data: &Path, piece: &str) -> Result<(), FormatError> {
    let path = data.join(piece);
    // A link is not followed: the hub makes none.
    let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
    if metadata.is_file() {
        return fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(at(&path));
    }
    if !metadata.is_dir() {
        return Ok(());
    }
    fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(at(&path))?;
    for entry in fs::read_dir(&path).map_err(at(&path))? {
        let entry = entry.map_err(at(&path))?;
        if entry.file_type().map_err(at(&entry.path()))?.is_file() {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600)).map_err(at(&entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mihwar_model::AttachmentId;
    use mihwar_store::{Batch, Edit, Order, RedbSettings, RedbStore, Store};

    use super::{FORMAT, MIGRATIONS, STORE_FILE, name_files, next};
    use crate::keys;
    use crate::withdrawal::keep_found;

    #[test]
    fn migrations_lead_from_the_first_format_to_this_one_without_a_gap() {
        let mut at = 1;
        for migration in MIGRATIONS {
            assert_eq!((migration.from, migration.to), (at, at + 1), "{}", migration.name);
            assert_eq!(next(at).unwrap().name, migration.name);
            at = migration.to;
        }
        assert_eq!(at, FORMAT);
        assert!(next(FORMAT).is_err());
    }

    #[tokio::test]
    async fn only_files_that_stay_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let [stays, doomed, unfinished] = [1, 2, 3].map(|number| AttachmentId::from_bytes([number; 16]));
        for (place, file) in [("01", stays), ("02", doomed), ("unfinished", unfinished)] {
            let place = data.join("blobs").join(place);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(file.to_string()), "ملف").unwrap();
            fs::write(place.join("no id"), "").unwrap();
        }
        let settings = RedbSettings {
            free_space_floor: 0,
            ..RedbSettings::default()
        };
        let path = data.join(STORE_FILE);
        let store = tokio::task::spawn_blocking(move || RedbStore::open(path, settings));
        let store = store.await.unwrap().unwrap();
        let batch = Batch {
            edits: vec![Edit::Put(keys::doomed(doomed), Vec::new())],
            ..Batch::default()
        };
        store.apply(batch).await.unwrap();
        // Twice, as after a kill.
        name_files(&store, data).await.unwrap();
        name_files(&store, data).await.unwrap();
        let view = store.view().await.unwrap();
        let page = view.scan(keys::all(keys::FILE), Order::Ascending, 10).await.unwrap();
        let named = page.rows.into_iter().map(|row| Edit::Put(row.key, row.value.bytes));
        assert_eq!(named.collect::<Vec<_>>(), [keep_found(stays)]);
    }
}
