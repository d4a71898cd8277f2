//! Installed plugins: files in the data folder by content hash, pinned in `plugins.lock` beside the
//! configuration.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mihwar_model::InstanceName;
use mihwar_sandbox::{Inspection, LoadError, NotAPlugin};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::Config;

/// Why a plugin was not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The file cannot be read, or the folder not written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no plugin for this hub.
    #[error("{path}: {source}", path = path.display())]
    NotAPlugin {
        /// Which.
        path: PathBuf,
        /// Why.
        source: NotAPlugin,
    },
    /// The file is a plugin, but not for this hub.
    #[error("{path}: {source}; nothing was installed", path = path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why.
        source: LoadError,
    },
    /// `plugins.lock` cannot be read.
    #[error("{path}: {detail}", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// The pins of installed plugins.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    #[serde(default)]
    plugin: BTreeMap<String, Pin>,
}

/// One pinned plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    version: String,
    sha256: String,
}

/// Where the pins lie.
#[must_use]
pub fn lock_path(config: &Config) -> PathBuf {
    config.path.with_file_name("plugins.lock")
}

/// Where installed plugins lie.
#[must_use]
pub fn folder(config: &Config) -> PathBuf {
    config.data.join("plugins")
}

/// Copies a plugin into the data folder and pins its hash. The next reload of the configuration uses it.
///
/// # Errors
/// When the file is no plugin for this hub, or cannot be read or kept.
pub fn install(config: &Config, file: &Path) -> Result<Inspection, InstallError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    let bytes = fs::read(file).map_err(io(file))?;
    let inspection = Inspection::of(&bytes).map_err(|source| InstallError::NotAPlugin {
        path: file.to_owned(),
        source,
    })?;
    inspection.fitness().map_err(|source| InstallError::Unfit {
        path: file.to_owned(),
        source,
    })?;
    let folder = folder(config);
    // The data folder may be made by this: closed to others, as the hub makes it.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(io(&folder))?;
    let kept = folder.join(format!("{}.wasm", inspection.sha256));
    let temporary = kept.with_extension("part");
    fs::write(&temporary, &bytes).map_err(io(&temporary))?;
    fs::rename(&temporary, &kept).map_err(io(&kept))?;
    let path = lock_path(config);
    let mut lock = read(&path).map_err(|detail| InstallError::Lock {
        path: path.clone(),
        detail,
    })?;
    let pin = Pin {
        version: inspection.manifest.plugin.version.clone(),
        sha256: inspection.sha256.clone(),
    };
    lock.plugin.insert(inspection.manifest.plugin.id.clone(), pin);
    let text = toml::to_string_pretty(&lock).map_err(|error| InstallError::Lock {
        path: path.clone(),
        detail: error.to_string(),
    })?;
    let temporary = path.with_extension("lock.part");
    fs::write(
        &temporary,
        format!("# Written by `mihwar plugin install`. Pins what each plugin must hash to.\n{text}"),
    )
    .map_err(io(&temporary))?;
    fs::rename(&temporary, &path).map_err(io(&path))?;
    Ok(inspection)
}

/// The file of an installed plugin, checked against its pin.
pub(crate) fn installed(config: &Config, id: &InstanceName) -> Result<PathBuf, String> {
    let lock = read(&lock_path(config))?;
    let pin = lock.plugin.get(id.as_str()).ok_or_else(|| {
        format!("is not installed; run: mihwar plugin install FILE, or set file = \"…\" under [[plugin]] id = \"{id}\"")
    })?;
    let file = folder(config).join(format!("{}.wasm", pin.sha256));
    let bytes = fs::read(&file).map_err(|error| format!("{}: {error}; install it again", file.display()))?;
    if hex::encode(Sha256::digest(&bytes)) != pin.sha256 {
        return Err(format!(
            "{} is not what plugins.lock pins; install it again",
            file.display()
        ));
    }
    Ok(file)
}

fn read(path: &Path) -> Result<Lock, String> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
