//! Nobody reads what is printed: the exit status still says what was found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::path::Path;
use std::process::{Command, Output};

/// How `mihwar` ends where the first line that it prints finds nobody.
fn unread(config: &Path, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_mihwar"));
    command.arg("--config").arg(config).args(arguments).stdout(writer);
    command.output().unwrap()
}

#[test]
fn what_is_bad_stays_bad_when_nobody_reads_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mihwar.toml");
    let storage = "[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n";
    std::fs::write(&config, storage).unwrap();
    for arguments in [&["config", "check"][..], &["doctor"]] {
        let ended = unread(&config, arguments);
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {ended:?}");
    }
    let plugin = "[[plugin]]\nid = \"forms\"\nfile = \"ليست-هنا.wasm\"\n";
    let instance = "[[instance]]\nname = \"forms\"\nplugin = \"forms\"\n";
    std::fs::write(&config, format!("{storage}{plugin}{instance}")).unwrap();
    for arguments in [&["--json", "config", "check"][..], &["doctor"], &["--json", "doctor"]] {
        let ended = unread(&config, arguments);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {ended:?}");
    }
}
