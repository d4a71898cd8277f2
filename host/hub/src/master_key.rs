//! The master key: taken from the environment, or made on first start and kept in a file that only its
//! owner reads.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mihwar_model::Randomness;
use thiserror::Error;
use zeroize::Zeroizing;

/// Environment variable that holds the key as 64 hexadecimal digits.
pub const MASTER_KEY_VARIABLE: &str = "MIHWAR_MASTER_KEY";
/// The key's file in the data folder.
const FILE: &str = "master.key";

/// Why there is no usable master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// Not 64 hexadecimal digits.
    #[error("the master key in {place} is not 64 hexadecimal digits; restore it from your key escrow")]
    Malformed {
        /// Variable or file.
        place: String,
    },
    /// Others may read the file.
    #[error("{path} may be read by others (mode {mode:03o}); run: chmod 600 {path}", path = path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The folder holds records, but the key is gone.
    #[error("{path} is missing although the folder already holds records; restore it, or set {MASTER_KEY_VARIABLE}", path = path.display())]
    Missing {
        /// The key file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot use the master key file {path}: {source}", path = path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// A master key that is given from outside the data folder. Read once and handed over: what it is read from may be a pipe.
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    /// Where it was read.
    path: PathBuf,
}

impl MasterKey {
    /// Reads a key from a file, wherever it lies and whoever may read it there: a copy that was kept.
    ///
    /// # Errors
    /// [`MasterKeyError::Io`] and [`MasterKeyError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|source| MasterKeyError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            bytes: parse(&text, &path.display().to_string())?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn bytes(&self) -> Zeroizing<[u8; 32]> {
        self.bytes.clone()
    }

    /// Where it was read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

/// Finds the master key of a data folder, or makes one if the folder is new.
pub(crate) fn find_or_make(
    folder: &Path,
    from_environment: Option<&str>,
    folder_is_new: bool,
    randomness: &dyn Randomness,
) -> Result<Zeroizing<[u8; 32]>, MasterKeyError> {
    if let Some(text) = from_environment {
        return parse(text, MASTER_KEY_VARIABLE);
    }
    let path = folder.join(FILE);
    let io = |source| MasterKeyError::Io {
        path: path.clone(),
        source,
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let mode = fs::metadata(&path).map_err(io)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(MasterKeyError::Exposed { path, mode });
            }
            parse(text.trim(), &path.display().to_string())
        }
        Err(error) if error.kind() == ErrorKind::NotFound && folder_is_new => make(&path, randomness).map_err(io),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(MasterKeyError::Missing { path }),
        Err(error) => Err(io(error)),
    }
}

/// Puts a key into a folder that has none.
pub(crate) fn write(folder: &Path, key: &[u8; 32]) -> Result<(), MasterKeyError> {
    let path = folder.join(FILE);
    write_new(&path, key).map_err(|source| MasterKeyError::Io { path, source })
}

fn make(path: &Path, randomness: &dyn Randomness) -> std::io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    randomness.fill(key.as_mut_slice());
    write_new(path, &key)?;
    Ok(key)
}

fn write_new(path: &Path, key: &[u8; 32]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(Zeroizing::new(hex::encode(key)).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn parse(text: &str, place: &str) -> Result<Zeroizing<[u8; 32]>, MasterKeyError> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice()).map_err(|_| MasterKeyError::Malformed {
        place: place.to_owned(),
    })?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use mihwar_model::SeededRandomness;

    use super::{MasterKey, MasterKeyError, find_or_make};

    #[test]
    fn the_key_is_made_once_and_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let random = SeededRandomness::new(5);
        let first = find_or_make(folder.path(), None, true, &random).unwrap();
        assert_eq!(find_or_make(folder.path(), None, false, &random).unwrap(), first);
        let path = folder.path().join("master.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            find_or_make(folder.path(), None, false, &random),
            Err(MasterKeyError::Exposed { .. })
        ));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            find_or_make(folder.path(), None, false, &random),
            Err(MasterKeyError::Missing { .. })
        ));
        assert_eq!(
            *find_or_make(folder.path(), Some(&"ab".repeat(32)), false, &random).unwrap(),
            [0xAB; 32]
        );
        assert!(matches!(
            find_or_make(folder.path(), Some("abc"), false, &random),
            Err(MasterKeyError::Malformed { .. })
        ));
    }

    #[test]
    fn a_given_key_is_read_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("نسخة.key");
        std::fs::write(&copy, format!("{}\n", "ab".repeat(32))).unwrap();
        let key = MasterKey::read(&copy).unwrap();
        assert_eq!(*key.bytes(), [0xAB; 32]);
        assert!(!format!("{key:?}").contains("ab"), "{key:?}");
        // Handed over from here on: what it was read from may give it once only.
        std::fs::remove_file(&copy).unwrap();
        assert_eq!((*key.bytes(), key.path()), ([0xAB; 32], copy.as_path()));
    }
}
