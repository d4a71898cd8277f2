//! The file `FORMAT`: a few lines of text that a person, and any hub, reads without opening the store.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::FORMAT;
use super::refusal::{FormatError, at};

/// Its name in the data folder.
pub(crate) const NOTE: &str = "FORMAT";
/// More than any hub writes.
const BYTES_MAX: u64 = 4_096;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// The format that the folder has.
    pub(super) format: u32,
    /// The upgrade that it is in the middle of.
    pub(super) moving: Option<Moving>,
}

/// How far an upgrade is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moving {
    /// The format that it will have in the end.
    pub(crate) to: u32,
    /// Whether the backup is complete.
    pub(crate) backed_up: bool,
    /// Where the present step stands, in its own words; empty at its beginning.
    pub(crate) position: String,
}

impl Note {
    /// A folder that is at rest.
    pub(super) const fn at(format: u32) -> Self {
        Self { format, moving: None }
    }

    /// Reads the folder's; `None` when there is none.
    ///
    /// # Errors
    /// [`FormatError::Damaged`]; [`FormatError::Newer`] for one that a newer hub wrote, in whatever words.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FormatError> {
        let path = folder.join(NOTE);
        let damaged = |detail: &str| FormatError::Damaged {
            path: path.clone(),
            detail: detail.to_owned(),
        };
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        if !metadata.is_file() {
            return Err(damaged("it is no plain file"));
        }
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(at(&path))?;
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(at(&path))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(damaged("it is too long"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is no text"))?;
        match Self::parse(text) {
            Ok(note) => Ok(Some(note)),
            Err(Wrong::Newer(found)) => Err(FormatError::Newer { place: path, found }),
            Err(Wrong::Damaged(detail)) => Err(damaged(&detail)),
        }
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let mut lines = (1..).zip(text.lines());
        let first = lines.next().map(|(_, line)| line).unwrap_or_default();
        let format = first.strip_prefix("format ").and_then(number);
        let format = format.ok_or_else(|| Wrong::Damaged("its first line does not name a format".to_owned()))?;
        let mut moving: Option<Moving> = None;
        let mut unknown = None;
        for (line_number, line) in lines {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match (key, &mut moving) {
                ("moving-to", None) if number(value).is_some_and(|to| to > format) => {
                    moving = number(value).map(|to| Moving {
                        to,
                        backed_up: false,
                        position: String::new(),
                    });
                }
                ("backup", Some(moving)) if value == "complete" => moving.backed_up = true,
                ("position", Some(moving)) => value.clone_into(&mut moving.position),
                ("written-by", _) => {}
                _ => unknown = unknown.or(Some(line_number)),
            }
        }
        let most = moving.as_ref().map_or(format, |moving| moving.to);
        if most > FORMAT {
            // Before anything else: what a newer hub writes here need not be known to this one.
            return Err(Wrong::Newer(most));
        }
        match unknown {
            Some(line) => Err(Wrong::Damaged(format!("line {line} is not what a hub writes"))),
            None => Ok(Self { format, moving }),
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "format {}\nwritten-by mihwar {}\n",
            self.format,
            env!("CARGO_PKG_VERSION")
        );
        if let Some(moving) = &self.moving {
            text.push_str(&format!("moving-to {}\n", moving.to));
            if moving.backed_up {
                text.push_str("backup complete\n");
            }
            if !moving.position.is_empty() {
                text.push_str(&format!("position {}\n", moving.position));
            }
        }
        text
    }

    /// Replaces the folder's, in one step that survives a power cut.
    pub(super) fn write(&self, folder: &Path) -> Result<(), FormatError> {
        let path = folder.join(NOTE);
        let temporary = folder.join("FORMAT.new");
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(at(&temporary))?;
        file.write_all(self.to_text().as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(at(&temporary))?;
        fs::rename(&temporary, &path).map_err(at(&path))?;
        sync_folder(folder)
    }
}

/// Makes what was renamed in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), FormatError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

enum Wrong {
    Newer(u32),
    Damaged(String),
}

/// A format's number: decimal digits alone, from 1.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number > 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FORMAT, Moving, NOTE, Note};
    use crate::format::FormatError;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(folder.path()).unwrap(), None);
        let moving = |position: &str, backed_up| Note {
            format: 1,
            moving: Some(Moving {
                to: FORMAT,
                backed_up,
                position: position.to_owned(),
            }),
        };
        for note in [
            Note::at(1),
            Note::at(FORMAT),
            moving("", false),
            moving("blobs/3f ملف", true),
        ] {
            note.write(folder.path()).unwrap();
            assert_eq!(Note::read(folder.path()).unwrap(), Some(note));
        }
    }

    #[test]
    fn what_no_hub_of_this_age_wrote_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NOTE);
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Note::read(folder.path()).unwrap_err()
        };
        let newer = FORMAT + 1;
        for text in [
            format!("format {newer}\n"),
            format!("format {newer}\nwritten-by mihwar 9.0.0\nsomething else\n"),
            format!("format {FORMAT}\nmoving-to {newer}\nphase ثانية\n"),
        ] {
            let error = read(text.as_bytes());
            assert!(
                matches!(error, FormatError::Newer { found, .. } if found == newer),
                "{text}: {error}"
            );
        }
        let damaged: [&[u8]; 9] = [
            b"",
            b"2",
            b"format",
            b"format two\n",
            b"format -2\n",
            b"format 0\n",
            "format 1\nملف\n".as_bytes(),
            b"format 1\nposition 7\n",
            &[0xFF; 8],
        ];
        for bytes in damaged {
            let error = read(bytes);
            assert!(matches!(error, FormatError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(NOTE), "{error}");
        }
        assert!(read("س".repeat(5_000).as_bytes()).to_string().contains("too long"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(
            Note::read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("no plain file")
        );
    }
}
