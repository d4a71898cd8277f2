//! Folders that a hub must not work on: it says why, and changes nothing.

use std::fs;
use std::process::Command;

use mihwar_tests::{Site, report_faults};

use crate::support::{assert_verifies, client, hand_in, marks, snapshot, token, without_plugins};

/// A site that delivers nothing.
fn site() -> Site {
    let site = Site::new("127.0.0.1:9".parse().unwrap()).unwrap();
    without_plugins(&site);
    site
}

/// Runs a command that must be refused; answers what it says.
fn refused(site: &Site, words: &[&str]) -> String {
    let output = site.run(words).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "mihwar {words:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hub_on_a_folder_is_refused_and_the_first_goes_on() {
    let site = site();
    let running = site.serve().unwrap();
    let (http, token) = (client(), token(&site));
    assert_eq!(hand_in(&http, &site, &token, "first", "").await.0, 201);
    let names = |site: &Site| snapshot(&site.data()).into_keys().collect::<Vec<_>>();
    let before = names(&site);
    let said = refused(&site, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(
        said.contains("another hub runs on") && said.contains("--data"),
        "{said}"
    );
    assert_eq!(names(&site), before);
    // Its socket and its store are still its own.
    assert_eq!(hand_in(&http, &site, &token, "second", "").await.0, 201);
    assert_eq!(marks(&site).len(), 2);
    assert!(running.stop());
    assert_verifies(&site, "after the second hub");
    report_faults("two hubs on one folder", &[("refused", 1), ("changed", 0)]);
}

/// The engine's own refusal. What the hub says to folders of newer hubs: tests/tests/upgrades.rs.
#[test]
fn a_store_of_another_engine_format_is_refused_and_not_changed() {
    let site = site();
    assert!(site.serve().unwrap().stop());
    let file = site.data().join("mihwar.redb");
    // Where the engine marks each of its two heads with the format it has: no version knows this one.
    let mut bytes = fs::read(&file).unwrap();
    (bytes[64], bytes[192]) = (200, 200);
    fs::write(&file, bytes).unwrap();
    let before = snapshot(&site.data());
    for words in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["ledger", "verify"],
        &["feedback", "list"],
    ] {
        let said = refused(&site, words);
        assert!(said.contains("format version"), "{said}");
        assert_eq!(snapshot(&site.data()), before, "mihwar {words:?} changed something");
    }
    report_faults("a store of another engine format", &[("refused", 3), ("changed", 0)]);
}

/// Root may write everywhere, so the folder is mounted anew, for reading only; where that is not allowed and the
/// test runs as root, it says so.
#[test]
fn a_folder_that_cannot_be_written_is_refused_and_not_changed() {
    let site = site();
    assert!(site.serve().unwrap().stop());
    let before = snapshot(&site.data());
    let Some(_guard) = ReadOnly::make(&site.data()) else {
        eprintln!("NO FOLDER CAN BE MADE READ-ONLY HERE: this test did nothing");
        report_faults("a read-only folder", &[("skipped", 1)]);
        return;
    };
    let said = refused(&site, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("mihwar.redb") && said.contains("Read-only"), "{said}");
    let said = refused(&site, &["ledger", "verify"]);
    assert!(said.contains("mihwar.redb"), "{said}");
    assert_eq!(snapshot(&site.data()), before);
    report_faults("a read-only folder", &[("refused", 2), ("changed", 0)]);
}

/// A folder that nobody can write to, until this is dropped.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn make(folder: &std::path::Path) -> Option<Self> {
        let mount = |options: &[&str]| {
            let status = Command::new("mount").args(options).arg(folder).arg(folder).output();
            status.is_ok_and(|output| output.status.success())
        };
        if !mount(&["--bind"]) {
            return None;
        }
        let this = Self(folder.to_owned());
        let output = Command::new("mount")
            .args(["-o", "remount,bind,ro"])
            .arg(folder)
            .output();
        output.is_ok_and(|output| output.status.success()).then_some(this)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        if let Err(error) = Command::new("umount").arg("-l").arg(&self.0).status() {
            eprintln!("{} stays mounted: {error}", self.0.display());
        }
    }
}
