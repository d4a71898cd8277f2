//! Which files are to be read, and how an interrupted import is known again.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use mihwar_model::InstanceName;

use super::ImportError;
use crate::core::Core;

/// A file to be read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Below what was asked to be imported.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) modified: Option<i64>,
    pub(super) id: [u8; 16],
}

pub(super) fn list(core: &Core, paths: &[PathBuf]) -> Result<Vec<Source>, ImportError> {
    let mut sources = Vec::new();
    for path in paths {
        let root = path.canonicalize().map_err(|error| ImportError::Path {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        walk(core, &root, &root, &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.dedup_by(|a, b| a.path == b.path);
    Ok(sources)
}

fn walk(core: &Core, root: &Path, path: &Path, sources: &mut Vec<Source>) -> Result<(), ImportError> {
    let fail = |error: std::io::Error| ImportError::Path {
        path: path.to_owned(),
        detail: error.to_string(),
    };
    let metadata = std::fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // Hidden files and links out of the folder are not what was asked for.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") && !entry.file_type().map_err(fail)?.is_symlink()
            {
                walk(core, root, &entry.path(), sources)?;
            }
        }
        return Ok(());
    }
    let below = path
        .strip_prefix(root)
        .ok()
        .filter(|below| !below.as_os_str().is_empty());
    let name = below.map_or_else(
        || path.file_name().map(PathBuf::from).unwrap_or_default(),
        Path::to_owned,
    );
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|time| i64::try_from(time.as_millis()).ok());
    let id = core.vault.name(&[
        b"import file",
        path.as_os_str().as_encoded_bytes(),
        &metadata.len().to_be_bytes(),
        &modified.unwrap_or_default().to_be_bytes(),
    ]);
    sources.push(Source {
        path: path.to_owned(),
        name: name.to_string_lossy().into_owned(),
        size: metadata.len(),
        modified,
        id,
    });
    Ok(())
}

/// The same files into the same instance are the same import.
pub(super) fn job(core: &Core, instance: &InstanceName, sources: &[Source]) -> [u8; 16] {
    let ids: Vec<u8> = sources.iter().flat_map(|source| source.id).collect();
    core.vault.name(&[b"import", instance.as_str().as_bytes(), &ids])
}
