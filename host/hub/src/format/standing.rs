//! Which format a data folder has, found out without changing it.

use std::path::Path;

use mihwar_store::{StoreError, peek, repair};

use super::note::{Moving, NOTE, Note};
use super::refusal::FormatError;
use super::{FORMAT, STORE_FILE, decode_row, row_key};
use crate::fault::Fault;
use crate::hub::OpenError;

/// What a folder is to this hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No hub was ever made in it, or its first start was cut off.
    New,
    /// Of this hub's format.
    Current,
    /// Of an older one.
    Older(u32),
    /// On its way from a format to another: the upgrade was cut off.
    Unfinished {
        /// The last format that was reached.
        reached: u32,
        /// Where it goes.
        moving: Moving,
    },
}

/// Looks at the folder. A store that was not closed in order is opened and closed for it, which repairs it.
pub(crate) async fn standing(folder: &Path) -> Result<Standing, OpenError> {
    // First, because it is text: whatever a newer hub made of the store is then not even opened.
    let note = Note::read(folder)?;
    let store = look(folder).await?;
    Ok(judge(folder, note, store)?)
}

/// What the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// There is none.
    NoStore,
    /// This, or nothing when no hub finished its first start on it.
    Row(Option<u32>),
}

async fn look(folder: &Path) -> Result<Told, OpenError> {
    let path = folder.join(STORE_FILE);
    let refused = |error| match error {
        StoreError::AlreadyOpen { .. } => OpenError::AlreadyServed {
            path: folder.to_owned(),
        },
        StoreError::Format { found, expected } => FormatError::OtherStore {
            path: folder.join(STORE_FILE),
            found,
            expected,
        }
        .into(),
        error => OpenError::Store(error),
    };
    if !path.try_exists().map_err(super::refusal::at(&path))? {
        return Ok(Told::NoStore);
    }
    let peeked = {
        let path = path.clone();
        run(move || peek(&path, &[row_key()])).await?.map_err(refused)?
    };
    let rows = match peeked {
        Some(rows) => Some(rows),
        // It was killed. Mending it comes anyway, and changes nothing of what is in it.
        None => {
            let mended = move || repair(&path).and_then(|()| peek(&path, &[row_key()]));
            run(mended).await?.map_err(refused)?
        }
    };
    let told = rows.into_iter().flatten().flatten().next();
    Ok(Told::Row(told.map(|bytes| decode_row(&bytes)).transpose()?))
}

/// Runs what blocks beside the runtime's threads.
async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::Blob(error.to_string()))
}

fn judge(folder: &Path, note: Option<Note>, store: Told) -> Result<Standing, FormatError> {
    let note_path = || folder.join(NOTE);
    let found = match (store, &note) {
        (Told::Row(Some(found)), _) if found > FORMAT => {
            return Err(FormatError::Newer {
                place: folder.join(STORE_FILE),
                found,
            });
        }
        (Told::Row(Some(found)), _) => found,
        (Told::NoStore, Some(note)) => {
            return Err(FormatError::StoreGone {
                path: folder.join(STORE_FILE),
                note: note_path(),
                found: note.format,
            });
        }
        (Told::Row(None), Some(note)) => {
            return Err(FormatError::Mismatch {
                note: note_path(),
                told: note.format,
                found: None,
            });
        }
        (Told::NoStore | Told::Row(None), None) => return Ok(Standing::New),
    };
    match note {
        Some(Note {
            format,
            moving: Some(moving),
        }) if found == format || (found > format && found <= moving.to) => Ok(Standing::Unfinished {
            reached: found,
            moving: left(moving, found > format),
        }),
        Some(Note { format, .. }) if found != format => Err(FormatError::Mismatch {
            note: note_path(),
            told: format,
            found: Some(found),
        }),
        // Without the file it is as before the file was known, or after a restore.
        _ if found == FORMAT => Ok(Standing::Current),
        _ => Ok(Standing::Older(found)),
    }
}

/// What is left of an upgrade. A step whose end the store knows and the file does not has no position any more.
fn left(mut moving: Moving, step_ended: bool) -> Moving {
    if step_ended {
        moving.position.clear();
    }
    moving
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FORMAT, Moving, Note, Standing, Told, judge};

    fn at(format: u32) -> Option<Note> {
        Some(Note::at(format))
    }

    fn moving(format: u32, position: &str) -> Option<Note> {
        let moving = Moving {
            to: FORMAT,
            backed_up: true,
            position: position.to_owned(),
        };
        Some(Note {
            format,
            moving: Some(moving),
        })
    }

    #[test]
    fn both_places_decide_what_a_folder_is() {
        let judge = |note, store| judge(Path::new("بيانات"), note, store).unwrap();
        assert_eq!(judge(None, Told::NoStore), Standing::New);
        assert_eq!(judge(None, Told::Row(None)), Standing::New);
        assert_eq!(judge(None, Told::Row(Some(1))), Standing::Older(1));
        assert_eq!(judge(None, Told::Row(Some(FORMAT))), Standing::Current);
        assert_eq!(judge(at(FORMAT), Told::Row(Some(FORMAT))), Standing::Current);
        assert_eq!(judge(at(1), Told::Row(Some(1))), Standing::Older(1));
        for (reached, position) in [(1, "blobs/07"), (2, ""), (FORMAT, "")] {
            let found = judge(moving(1, "blobs/07"), Told::Row(Some(reached)));
            let Standing::Unfinished { reached: told, moving } = found else {
                panic!("{found:?}");
            };
            assert_eq!((told, moving.position.as_str()), (reached, position));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_names_its_place() {
        let refused = |note, store| judge(Path::new("بيانات"), note, store).unwrap_err().to_string();
        let newer = refused(None, Told::Row(Some(FORMAT + 1)));
        assert!(
            newer.contains(&format!("mihwar.redb has format {}", FORMAT + 1))
                && newer.contains(&format!("knows format {FORMAT}")),
            "{newer}"
        );
        let gone = refused(at(FORMAT), Told::NoStore);
        assert!(gone.contains("بيانات/mihwar.redb is missing"), "{gone}");
        for (note, store) in [
            (at(FORMAT), Some(1)),
            (at(1), Some(FORMAT)),
            (moving(FORMAT, ""), Some(1)),
            (at(1), None),
        ] {
            let text = refused(note, Told::Row(store));
            assert!(text.contains("بيانات/FORMAT says format"), "{text}");
        }
    }
}
