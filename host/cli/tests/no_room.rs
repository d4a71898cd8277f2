//! What commands say where the disk has no room: they do what can be done, and say what could not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn configure(folder: &Path, floor: &str) {
    let text = format!("[storage]\nfolder = \"data\"\nfree-space-floor = \"{floor}\"\n");
    std::fs::write(folder.join("mihwar.toml"), text).unwrap();
}

fn mihwar(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mihwar"));
    command.arg("--config").arg(folder.join("mihwar.toml")).args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Makes a hub in the folder, which nobody serves afterwards.
fn make_hub(folder: &Path) {
    let mut serving = mihwar(folder, &["serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(serving.stdout.as_mut().unwrap())
        .read_line(&mut ready)
        .unwrap();
    let kill = format!("kill -TERM {}", serving.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert!(serving.wait().unwrap().success(), "{ready}");
}

#[test]
fn a_first_backup_without_room_says_that_no_increment_can_go_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "1MiB");
    make_hub(folder.path());
    let backup = |name: &str, more: &[&str]| {
        let file = folder.path().join(name);
        let arguments = [more, &["backup", file.to_str().unwrap()]].concat();
        let output = mihwar(folder.path(), &arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    configure(folder.path(), "9000000GiB");
    let without = backup("بلا مكان.mbk", &[]);
    assert!(without.contains("No increment can be made"), "{without}");
    assert!(backup("again.mbk", &["--json"]).contains("\"increments\": false"));
    configure(folder.path(), "1MiB");
    let with = backup("مع مكان.mbk", &[]);
    assert!(!with.contains("No increment"), "{with}");
}
