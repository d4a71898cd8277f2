//! Compiled code on disk, so that a start does not compile again.
//!
//! The file is native code that the process will run: it is only taken when its MAC, under a key that
//! the hub alone has, matches. Anything else (missing, damaged, of another engine, of another hub)
//! counts as not there and is written anew.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

const MAGIC: &[u8; 8] = b"MIHWARC1";
const MAC_BYTES: usize = 32;

/// Where compiled plugins lie.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    /// Of wasmtime's version and settings: what was compiled for other ones is another file.
    engine: String,
}

/// What a file holds.
pub(crate) struct Cached {
    /// The settings schema that the plugin gave, so that it need not run at start.
    pub(crate) schema: String,
    /// wasmtime's serialised form.
    pub(crate) code: Vec<u8>,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, key: [u8; 32], engine: &Engine) -> Self {
        let mut hasher = Digesting(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let digest = hasher.0.finalize();
        Self {
            folder,
            key,
            engine: hex::encode(digest.get(..8).unwrap_or_default()),
        }
    }

    /// The file's content if it is there and ours.
    pub(crate) fn read(&self, plugin: &[u8; 32]) -> Option<Cached> {
        let path = self.path(plugin);
        let bytes = fs::read(&path).ok()?;
        let found = self.open(&path, &bytes);
        if found.is_none() {
            tracing::warn!(file = %path.display(), "compiled plugin is damaged or not ours; compiling again");
        }
        found
    }

    fn open(&self, path: &Path, bytes: &[u8]) -> Option<Cached> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (tag, sealed) = rest.split_at_checked(MAC_BYTES)?;
        self.mac(path, sealed)?.verify_slice(tag).ok()?;
        let (length, rest) = sealed.split_first_chunk::<4>()?;
        let (schema, code) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Cached {
            schema: String::from_utf8(schema.to_vec()).ok()?,
            code: code.to_vec(),
        })
    }

    /// Writes the file: beside its place first, then moved there whole.
    pub(crate) fn write(&self, plugin: &[u8; 32], schema: &str, code: &[u8]) -> std::io::Result<()> {
        make_private_folder(&self.folder)?;
        let path = self.path(plugin);
        let mut sealed = Vec::with_capacity(4 + schema.len() + code.len());
        let length = u32::try_from(schema.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        sealed.extend_from_slice(&length.to_be_bytes());
        sealed.extend_from_slice(schema.as_bytes());
        sealed.extend_from_slice(code);
        let tag = self
            .mac(&path, &sealed)
            .ok_or(std::io::ErrorKind::InvalidInput)?
            .finalize()
            .into_bytes();
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let written = private_file(&beside)
            .and_then(|mut file| {
                file.write_all(MAGIC)?;
                file.write_all(&tag)?;
                file.write_all(&sealed)
            })
            .and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // What cannot be moved must not stay; that it may not be there is no fault.
            drop(fs::remove_file(&beside));
        }
        written
    }

    /// Binds the content to the file's name, so that one plugin's file cannot stand for another's.
    fn mac(&self, path: &Path, sealed: &[u8]) -> Option<Hmac<Sha256>> {
        let name = path.file_name()?.to_str()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(MAGIC);
        mac.update(&u64::try_from(name.len()).ok()?.to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(sealed);
        Some(mac)
    }

    fn path(&self, plugin: &[u8; 32]) -> PathBuf {
        self.folder
            .join(format!("{}-{}.compiled", hex::encode(plugin), self.engine))
    }
}

#[cfg(unix)]
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn private_file(path: &Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> std::io::Result<fs::File> {
    fs::File::create(path)
}

/// SHA-256 as a [`Hasher`]: the standard one may change between Rust versions.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
