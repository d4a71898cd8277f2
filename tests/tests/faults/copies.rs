//! Backups and restores that are killed on their way: a copy is whole, or it is not there.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mihwar_tests::{Dice, Running, Site, assert_same_picture, picture, report_faults, rounds};

use crate::support::{assert_verifies, client, hand_in, token, until, without_plugins};

/// Records that are copied.
const RECORDS: usize = 40;
/// Letters of what came with each: long enough to be a file beside the store, and for a copy to take its time.
const RAW_CHARS: usize = 100_000;
/// Kills of each command in a usual run.
const KILLS: u64 = 6;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A site without plugins and without a data folder.
fn empty_site() -> Site {
    let site = Site::new("127.0.0.1:9".parse().unwrap()).unwrap();
    without_plugins(&site);
    site
}

/// A running hub with something to copy.
async fn filled_site() -> (Site, Running) {
    let site = empty_site();
    let running = site.serve().unwrap();
    let (http, token) = (client(), token(&site));
    let raw = "م".repeat(RAW_CHARS);
    for number in 0..RECORDS {
        let (status, answer) = hand_in(&http, &site, &token, &format!("نسخة-{number}"), &raw).await;
        assert_eq!(status, 201, "{answer}");
    }
    (site, running)
}

/// Runs a command that must succeed; answers how long it took.
fn timed(site: &Site, words: &[&str]) -> Duration {
    let started = Instant::now();
    let output = site.run(words).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mihwar {words:?}: {said}");
    started.elapsed()
}

/// Starts a command, and kills it after this time unless it has succeeded before.
async fn killed_after(site: &Site, words: &[&str], time: Duration) {
    let mut child = site
        .command(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(time).await;
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.success() || status.signal() == Some(9),
        "mihwar {words:?}: {status}"
    );
}

/// Moments at which a command is killed that takes so long when it is left alone. The first is its start: however busy the
/// machine is, one at least is cut off.
fn moments(dice: &mut Dice, took: Duration) -> Vec<Duration> {
    let whole = u64::try_from(took.as_micros()).unwrap();
    let mut moments = vec![Duration::ZERO];
    moments.extend((1..rounds(KILLS)).map(|_| Duration::from_micros(dice.below(whole))));
    moments
}

/// Unfinished copies that lie beside a file of this name.
fn parts_beside(file: &Path) -> u64 {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let listed = fs::read_dir(file.parent().unwrap()).unwrap();
    let names = listed.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let parts = names.filter(|found| found.starts_with(&name) && found.ends_with(".part"));
    parts.count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_leaves_nothing_under_its_name() {
    let mut dice = Dice::thrown();
    let (site, running) = filled_site().await;
    let whole = site.path().join("كاملة.mbk");
    let took = timed(&site, &["backup", text(&whole)]);
    let (mut cut, mut parts) = (0, 0);
    let moments = moments(&mut dice, took);
    for (number, time) in moments.iter().enumerate() {
        let file = site.path().join(format!("مقطوعة-{number}.mbk"));
        killed_after(&site, &["backup", text(&file)], *time).await;
        if !file.exists() {
            cut += 1;
            parts += parts_beside(&file);
            // The hub notices that nobody reads any more, and what was left is in nobody's way.
            until("another backup under the same name", || {
                let made = site.run(&["backup", text(&file)]).unwrap();
                made.status.success().then_some(())
            })
            .await;
        }
        let checked = site.json(&["backup", "verify", text(&file)]);
        assert_eq!(
            checked["ok"],
            true,
            "killed after {time:?} (seed {}): {checked:#}",
            dice.seed()
        );
    }
    assert!(cut > 0, "every backup was faster than its kill");
    assert!(running.stop(), "{}", site.log());
    assert_verifies(&site, "after backups that were killed");
    report_faults(
        "kill -9 in a backup",
        &[
            ("seed", dice.seed()),
            ("kills", moments.len() as u64),
            ("cut off", cut),
            ("of these with an unnamed part left", parts),
            ("half a copy under its name", 0),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_is_never_taken_for_a_hub() {
    let mut dice = Dice::thrown();
    let (site, running) = filled_site().await;
    // A hub that runs on would go on from what is in the backup.
    assert!(running.stop(), "{}", site.log());
    let full = site.path().join("كاملة.mbk");
    timed(&site, &["backup", text(&full)]);
    let wanted = picture(&site);
    let key = site.data().join("master.key");
    let words = ["restore", text(&full), "--master-key", text(&key)];
    let took = timed(&empty_site(), &words);
    let (mut cut, mut left) = (0, 0);
    let moments = moments(&mut dice, took);
    for time in &moments {
        let moment = format!("killed after {time:?} (seed {})", dice.seed());
        let there = empty_site();
        killed_after(&there, &words, *time).await;
        if !there.data().exists() {
            cut += 1;
            left += u64::from(begin_again(&there, &words, &moment));
        }
        assert_verifies(&there, &moment);
        assert_same_picture(&picture(&there), &wanted, &moment);
    }
    assert!(cut > 0, "every restore was faster than its kill");
    report_faults(
        "kill -9 in a restore",
        &[
            ("seed", dice.seed()),
            ("kills", moments.len() as u64),
            ("cut off", cut),
            ("of these with something left to delete", left),
            ("half a hub in its place", 0),
        ],
    );
}

/// Restores where a restore was cut off. When that one had begun, the next says what is in the way, and touches nothing
/// until it is deleted; answers whether it had.
fn begin_again(site: &Site, words: &[&str], moment: &str) -> bool {
    let building = PathBuf::from(format!("{}.restoring", text(&site.data())));
    let had_begun = building.exists();
    if had_begun {
        let output = site.run(words).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{moment}: {said}");
        assert!(
            said.contains(".restoring is there") && said.contains("one was cut off"),
            "{moment}: {said}"
        );
        assert!(!site.data().exists() && building.exists(), "{moment}");
        fs::remove_dir_all(&building).unwrap();
    }
    timed(site, words);
    assert!(!building.exists(), "{moment}");
    had_begun
}

#[test]
fn what_a_restore_has_left_is_in_the_way_of_the_next() {
    let site = empty_site();
    let backup = site.path().join("نسخة.mbk");
    // Deterministic, unlike a kill: another hub's backup, and the folder that a restore works in.
    let other = empty_site();
    assert!(other.serve().unwrap().stop());
    timed(&other, &["backup", text(&backup)]);
    fs::create_dir(format!("{}.restoring", text(&site.data()))).unwrap();
    assert!(begin_again(&site, &["restore", text(&backup)], "left by hand"));
    assert!(site.data().join("mihwar.redb").is_file());
}
