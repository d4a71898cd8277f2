//! What is fuzzed. A parser of foreign bytes that is not named here is a gap.

mod api;
mod backup;
mod bundle;
mod host;
mod plain;
mod plugins;
mod proofs;
mod trackers;

use std::path::{Path, PathBuf};

/// One parser, or a family that shares its input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Inputs to begin with; each must be fit to be asked about.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format, put in by mutations.
    pub words: &'static [&'static str],
    /// Asks about an input. Answers in a few words what came of it: inputs that lead to a new answer become seeds. An
    /// error, and a panic, is a finding.
    pub check: fn(&[u8]) -> Result<String, String>,
    /// Inputs in the bounded run that every test run makes: about a second's worth.
    pub bounded_inputs: u64,
    /// Most bytes that one input may have allocated at once, besides 64 for each of its own.
    pub bytes_max: usize,
}

/// All of them.
pub static TARGETS: &[Target] = &[
    plain::EVENT,
    plain::NOTE,
    plain::KEY,
    plain::NAMES,
    proofs::PROOF,
    plugins::MAIL,
    plugins::MAILBOX,
    plugins::CALLS,
    plugins::CALLS_MAPPED,
    plugins::FORM,
    plugins::LANGUAGE,
    plugins::ANSWER,
    plugins::MAIL_SERVER,
    trackers::REPORT,
    trackers::TICKET,
    host::MANIFEST,
    host::COMPONENT,
    host::CONFIG,
    host::RULES,
    host::ADDRESS,
    host::FORMAT_NOTE,
    api::API,
    backup::BACKUP,
    backup::MARK,
    bundle::BUNDLE,
];

/// The target of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Removes what targets left on the disk.
pub(crate) fn tidy_up() {
    api::remove_folder();
}

/// The folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository, as a seed.
///
/// # Panics
/// When it is not there: a target that begins with nothing finds nothing, and nobody would notice.
fn file(path: &str) -> Vec<u8> {
    let bytes = std::fs::read(root().join(path)).unwrap_or_default();
    assert!(
        !bytes.is_empty(),
        "the seed {path} is not there; what is below target/ is built by: cargo xtask fuzz list"
    );
    bytes
}

/// Some files of a folder of the repository, in the order of their names.
///
/// # Panics
/// When there is none.
fn files(folder: &str, most: usize) -> Vec<Vec<u8>> {
    let listed = std::fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let mut paths: Vec<_> = listed.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let files = paths.iter().take(most).filter_map(|path| std::fs::read(path).ok());
    let files: Vec<_> = files.collect();
    assert!(!files.is_empty(), "the folder {folder} holds no seed");
    files
}

/// That two values which must be the same are.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, one: &T, other: &T) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    Err(format!("{what}: {one:?} is not {other:?}"))
}

#[cfg(test)]
mod tests {
    use super::{TARGETS, file, files};

    #[test]
    fn a_seed_that_is_not_there_ends_the_run() {
        assert!(std::panic::catch_unwind(|| file("config/ليس هنا.toml")).is_err());
        assert!(std::panic::catch_unwind(|| files("config/demo/nowhere", 3)).is_err());
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
