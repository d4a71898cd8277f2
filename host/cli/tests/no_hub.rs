//! What commands do in a folder that holds no hub: say so, and make none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = "[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n";
        std::fs::write(folder.path().join("mihwar.toml"), format!("{storage}{configuration}")).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mihwar"));
        command.arg("--config").arg(self.folder.path().join("mihwar.toml"));
        command.args(arguments).output().unwrap()
    }
}

#[test]
fn reading_a_folder_without_a_hub_says_so_and_makes_none() {
    let site = Site::new("");
    for arguments in [
        &["feedback", "list"][..],
        &["delivery", "list"],
        &["ledger", "verify"],
        &["token", "create", "قارئ", "--scope", "feedback:read"],
        &["doctor", "--rebuild"],
        &["doctor", "--compact"],
        &["doctor", "--salvage-log"],
        &["doctor", "--salvage-log", "--yes"],
        &["upgrade"],
    ] {
        let output = site.run(arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("holds no hub yet"), "{arguments:?}: {said}");
        assert!(!site.data().exists(), "{arguments:?} made a hub");
    }
}

#[test]
fn before_the_first_start_the_doctor_finds_no_hub_and_nothing_bad() {
    let site = Site::new("");
    let output = site.run(&["--json", "doctor"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["ready"], true, "{found:#}");
    let checks = found["checks"].as_array().unwrap();
    let hub = checks.iter().find(|check| check["name"] == "hub").unwrap();
    assert!(hub["detail"].as_str().unwrap().contains("holds no hub yet"), "{hub}");
    assert!(!site.data().exists(), "the doctor made a hub");
}

#[test]
fn a_configuration_is_checked_down_to_its_plugins() {
    let good = Site::new("");
    let output = good.run(&["--json", "config", "check"]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&checked["good"], output.status.code()),
        (&true.into(), Some(0)),
        "{checked}"
    );

    let plugin = "[[plugin]]\nid = \"forms\"\nfile = \"ليست-هنا.wasm\"\n";
    let missing = Site::new(&format!("{plugin}[[instance]]\nname = \"forms\"\nplugin = \"forms\"\n"));
    let output = missing.run(&["--json", "config", "check"]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&checked["good"], output.status.code()),
        (&false.into(), Some(1)),
        "{checked}"
    );
    let problem = &checked["problems"][0];
    assert!(
        problem["message"].as_str().unwrap().contains("ليست-هنا.wasm"),
        "{checked}"
    );
    assert!(
        problem["source"].as_str().unwrap().ends_with("mihwar.toml"),
        "{checked}"
    );
    for site in [good, missing] {
        assert!(!site.data().exists(), "a check made a hub");
    }
}

#[test]
fn a_refused_export_leaves_the_earlier_one_alone() {
    let site = Site::new("");
    let file = site.folder.path().join("تصدير.ndjson");
    std::fs::write(&file, "{}\n").unwrap();
    let name = file.to_str().unwrap();
    for arguments in [
        &["feedback", "export", "--out", name][..],
        &["feedback", "export", "--out", name, "--force"],
    ] {
        let output = site.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n", "{arguments:?}");
    }
}
