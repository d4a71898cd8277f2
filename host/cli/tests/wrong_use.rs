//! The exit status says what happened: 0 all done, 1 refused, 2 wrong use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::process::{Command, Output};

fn mihwar(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mihwar"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn wrong_use_ends_with_2_and_says_how_it_is_used() {
    for arguments in [
        &["serv"][..],
        &["import"],
        &["delivery", "replay"],
        &["feedback", "list", "--score-min", "3"],
    ] {
        let output = mihwar(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("Usage"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_missing_configuration_ends_with_1_and_names_the_file() {
    let output = mihwar(&["--config", "no/such/mihwar.toml", "ledger", "head"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no/such/mihwar.toml"));
}

#[test]
fn a_file_that_is_no_plugin_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ليس-إضافة.wasm");
    std::fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
    let output = mihwar(&["plugin", "inspect", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ليس-إضافة.wasm"), "{said}");
    assert!(said.contains("not a component"), "{said}");
}
