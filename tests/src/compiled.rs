//! Compiled plugins that sites share. Compiling them takes seconds of both cores, and every site would do it again.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::hub::binary;

/// The master key of sites that were not given another one: what is compiled is good under one key alone. It protects
/// invented people.
pub(crate) const MASTER_KEY: &str = "6d6968776172206669787475726520d985d8add988d8b1206b6579203120202e";

/// Makes a data folder with the master key in it, private as the hub makes it.
pub(crate) fn make_data_folder(data: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(data)?;
    let mut key = fs::OpenOptions::new();
    let mut key = key
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(data.join("master.key"))?;
    key.write_all(format!("{MASTER_KEY}\n").as_bytes())
}

/// Gives a site what others have compiled, if it compiled nothing yet and has their key; a new one gets the key first.
pub(crate) fn lend(data: &Path) -> io::Result<()> {
    if !data.exists() {
        make_data_folder(data)?;
    }
    let compiled = data.join("compiled");
    if !has_the_key(data) || compiled.exists() || !shared().exists() {
        return Ok(());
    }
    fs::DirBuilder::new().mode(0o700).create(&compiled)?;
    copy_missing(&shared(), &compiled)
}

/// Keeps for others what a site has compiled.
pub(crate) fn keep(data: &Path) -> io::Result<()> {
    let compiled = data.join("compiled");
    if !has_the_key(data) || !compiled.exists() {
        return Ok(());
    }
    fs::create_dir_all(shared())?;
    copy_missing(&compiled, &shared())
}

/// Beside the binary: whoever builds anew elsewhere compiles anew.
fn shared() -> PathBuf {
    binary().with_file_name("compiled-for-tests")
}

fn has_the_key(data: &Path) -> bool {
    fs::read_to_string(data.join("master.key")).is_ok_and(|key| key.trim() == MASTER_KEY)
}

/// Copies the files that are not there yet. Others may do the same at once: each file gets its name when it is whole.
fn copy_missing(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, place) = (entry.file_name(), to.join(entry.file_name()));
        if place.exists() || !name.to_string_lossy().ends_with(".compiled") {
            continue;
        }
        let beside = to.join(format!("{}.{}.copy", name.to_string_lossy(), std::process::id()));
        fs::copy(entry.path(), &beside)?;
        fs::rename(&beside, &place)?;
    }
    Ok(())
}
