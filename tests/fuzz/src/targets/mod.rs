//! What is fuzzed. A parser of foreign bytes that is not named here is a gap.

mod api;
mod backup;
mod host;
mod plain;
mod plugins;

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
    plugins::MAIL,
    plugins::MAILBOX,
    plugins::CALLS,
    plugins::CALLS_MAPPED,
    plugins::FORM,
    plugins::LANGUAGE,
    plugins::ANSWER,
    host::MANIFEST,
    host::COMPONENT,
    host::CONFIG,
    host::RULES,
    host::ADDRESS,
    api::API,
    backup::BACKUP,
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

/// A file of the repository, as a seed.
fn file(path: &str) -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read(root.join(path)).unwrap_or_default()
}

/// Some files of a folder of the repository, in the order of their names.
fn files(folder: &str, most: usize) -> Vec<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let listed = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut paths: Vec<_> = listed.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths
        .iter()
        .take(most)
        .filter_map(|path| std::fs::read(path).ok())
        .collect()
}

/// That two values which must be the same are.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, one: &T, other: &T) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    Err(format!("{what}: {one:?} is not {other:?}"))
}
