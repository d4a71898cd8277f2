//! Data folders of older versions, of newer ones, and damaged ones: the first are brought along, the others left alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mihwar_hub::FORMAT;
use mihwar_tests::fixture::{self, Fixture};
use mihwar_tests::{Receiver, Site, report_faults};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The store's log. As a mark: the store is open, and some of it may be in there.
const LOG: &str = "mihwar.redb.wal";
/// Upgrades begun before one is caught in its middle.
const ATTEMPTS_MAX: u32 = 12;

/// Folders of the formats before this one.
fn older() -> Vec<Fixture> {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| fixture.format < u64::from(FORMAT));
    fixtures
}

/// Every file of a folder with its mode and hash.
fn hashes(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            if path.is_dir() {
                found.insert(name, (mode, String::new()));
                open.push(path);
            } else {
                found.insert(name, (mode, format!("{:x?}", Sha256::digest(fs::read(&path).unwrap()))));
            }
        }
    }
    found
}

/// What of a folder other users of the machine may do something with.
fn open_to_others(folder: &Path) -> Vec<String> {
    let found = hashes(folder).into_iter().filter(|(_, (mode, _))| mode & 0o077 != 0);
    found.map(|(name, _)| name).collect()
}

/// Compares what a folder holds with what its fixture says must be there.
fn assert_facts(site: &Site, fixture: &Fixture) {
    let found = fixture::facts(site);
    let (found, wanted) = (found.as_object().unwrap(), fixture.facts.as_object().unwrap());
    // What the fixture says of itself is no fact of the folder.
    let of_itself = ["format", "made_by"];
    let told = wanted.keys().filter(|name| !of_itself.contains(&name.as_str()));
    let names: BTreeSet<_> = found.keys().chain(told).collect();
    for name in names {
        assert_eq!(found.get(name), wanted.get(name), "{name} of format {}", fixture.format);
    }
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

fn refusal(site: &Site, words: &[&str]) -> String {
    let output = site.run(words).unwrap();
    assert!(!output.status.success(), "{words:?} was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_released_format_is_brought_along_with_a_backup_of_it() {
    let fixtures = fixture::all();
    let formats: Vec<_> = fixtures.iter().map(|fixture| fixture.format).collect();
    let newest = u64::from(FORMAT);
    let missing: Vec<_> = (1..newest).filter(|format| !formats.contains(format)).collect();
    assert!(
        missing.is_empty(),
        "no fixture of the formats {missing:?}; make them: docs/releasing.md"
    );
    assert!(formats.iter().all(|format| *format <= newest), "{formats:?}");
    for fixture in &fixtures {
        let site = fixture.unpack();
        let old = fs::read(site.data().join("mihwar.redb")).unwrap();
        let told = site.json(&["upgrade"]);
        let now = told["format"].as_u64().unwrap();
        assert_eq!(now, newest);
        assert_facts(&site, fixture);
        let note = fs::read_to_string(site.data().join("FORMAT")).unwrap();
        assert!(note.starts_with(&format!("format {now}\nwritten-by mihwar ")), "{note}");
        if fixture.format == now {
            assert_eq!(told["upgraded"], Value::Null);
            continue;
        }
        assert_eq!(told["upgraded"]["from"], fixture.format);
        let backup = site.data().join(format!("backup-before-format-{now}"));
        assert_eq!(told["upgraded"]["backup"], backup.display().to_string());
        let copied = fs::read(backup.join("mihwar.redb")).unwrap();
        // Not `assert_eq`: nobody wants to read a store.
        assert!(copied == old, "the backup is the store as it was, byte for byte");
        // Only once: what is done is done.
        assert_eq!(site.json(&["upgrade"])["upgraded"], Value::Null);
    }
}

#[test]
fn stored_files_are_closed_to_others_from_format_2_on() {
    let site = fixture::all()[0].unpack();
    let open_before = open_to_others(&site.data()).len();
    assert!(open_before > 5, "the fixture of format 1 is as its hub left it");
    let before = hashes(&site.data().join("blobs"));
    assert_eq!(site.json(&["upgrade"])["upgraded"]["from"], 1);
    assert_eq!(open_to_others(&site.data()), Vec::<String>::new());
    let after = hashes(&site.data().join("blobs"));
    for (name, (_, hash)) in before {
        assert_eq!(after[&name].1, hash, "{name} keeps its contents");
    }
    // And so are those that are made new.
    let new = Site::new("127.0.0.1:9".parse().unwrap()).unwrap();
    assert!(new.serve().unwrap().stop());
    let mode = fs::metadata(new.data().join("mihwar.redb"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_brings_an_older_folder_along_and_works_on() {
    for fixture in older() {
        brought_along_by_serve(&fixture).await;
    }
}

async fn brought_along_by_serve(fixture: &Fixture) {
    let receiver = Receiver::start(0).await.unwrap();
    let site = fixture.unpack();
    site.reconfigure(
        "http://127.0.0.1:9/service",
        &format!("http://{}/service", receiver.address),
    );
    site.reconfigure(
        "origin = \"http://127.0.0.1:9\"",
        &format!("origin = \"http://{}\"", receiver.address),
    );
    // Reading commands refuse, and say what to do.
    let said = refusal(&site, &["feedback", "list"]);
    assert!(
        said.contains(&format!("has format {}", fixture.format)) && said.contains("mihwar upgrade"),
        "{said}"
    );
    let running = site.serve().unwrap();
    assert!(
        site.log().contains("backup-before-format-"),
        "the backup is named in the log: {}",
        site.log()
    );
    let mail = site.path().join("شكوى.eml");
    fs::write(
        &mail,
        "From: a@example.com\r\nMessage-ID: <new@example.com>\r\nSubject: متأخر\r\n\r\nلم يصل شيء منذ أسبوع\r\n",
    )
    .unwrap();
    let imported = site.json(&["import", "mail", &mail.display().to_string()]);
    assert_eq!(imported["new"], 1, "{imported:#}");
    let started = Instant::now();
    while receiver.seen().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", site.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(running.stop());
    let feedback = site.json_lines(&["feedback", "list", "--limit", "10000"]);
    assert_eq!(feedback.len() as u64, fixture.facts["feedback"].as_u64().unwrap() + 1);
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

/// More folders of stored files, so that an upgrade takes long enough to be killed in its middle.
fn many_stored_files(site: &Site) {
    for number in 0..=255_u8 {
        let folder = site.data().join(format!("blobs/{number:02x}"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Whether a folder's upgrade is at this mark of its note, or behind it; or at work on the store, for [`LOG`].
fn is_at(data: &Path, mark: &str) -> bool {
    if mark == LOG {
        return data.join(LOG).exists();
    }
    let note = note(data);
    let Some(wanted) = mark.strip_prefix("position ") else {
        return note.contains(mark);
    };
    let mut positions = note.lines().filter_map(|line| line.strip_prefix("position "));
    positions.any(|position| position >= wanted)
}

fn note(data: &Path) -> String {
    fs::read_to_string(data.join("FORMAT")).unwrap_or_default()
}

/// Starts an upgrade and kills it at this mark, or behind it. False when it was done before.
fn killed_at(site: &Site, mark: &str) -> bool {
    let mut child = site
        .command(&["upgrade"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !is_at(&site.data(), mark) && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "never came to {mark}");
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let killed = status.signal() == Some(9);
    assert!(killed || status.success(), "{mark}: {status}");
    killed && note(&site.data()).contains("moving-to")
}

/// A folder whose upgrade was killed at each of these marks; `None` when one was done before.
fn cut_off(fixture: &Fixture, marks: &[&str]) -> Option<Site> {
    let site = fixture.unpack();
    if fixture.format == 1 {
        many_stored_files(&site);
    }
    for mark in marks {
        if !killed_at(&site, mark) {
            return None;
        }
        let said = refusal(&site, &["feedback", "list"]);
        let way = format!("is on its way to format {FORMAT}");
        assert!(said.contains(&way), "{mark}: {said}");
    }
    Some(site)
}

/// Kills upgrades of a fixture at these marks, and has the last of them go on.
fn goes_on(fixture: &Fixture, marks: &[&str]) {
    // Whoever looks too late, because the machine is busy, looks at another one.
    let site = (0..ATTEMPTS_MAX).find_map(|_| cut_off(fixture, marks));
    let site = site.unwrap_or_else(|| panic!("no upgrade was caught at {marks:?}"));
    let data = site.data();
    let before = note(&data);
    assert!(before.contains(&format!("moving-to {FORMAT}")), "{before}");
    let told = site.json(&["upgrade"]);
    assert_eq!(told["upgraded"]["to"], FORMAT, "{marks:?}: {told:#}");
    assert_facts(&site, fixture);
    for left in [LOG, &format!("backup-before-format-{FORMAT}.unfinished")] {
        assert!(!data.join(left).exists(), "{left}, killed at {marks:?}");
    }
    assert_eq!(open_to_others(&data), Vec::<String>::new(), "killed at {marks:?}");
}

#[test]
fn an_upgrade_that_is_killed_goes_on_where_it_was() {
    let mut kills = 0;
    for fixture in older() {
        // At its beginning, behind its backup, and at work on the store.
        let mut all_marks = vec![vec!["moving-to"], vec!["backup complete"], vec![LOG]];
        if fixture.format == 1 {
            // In the middle of its work on files, and again in the middle of what was left.
            all_marks.push(vec!["position blobs/2", "position blobs/9", "position blobs/e"]);
        }
        for marks in all_marks {
            goes_on(&fixture, &marks);
            kills += marks.len() as u64;
        }
    }
    report_faults("kill -9 in an upgrade", &[("kills", kills), ("not gone on with", 0)]);
}

#[test]
fn the_backup_is_the_way_back() {
    for fixture in older() {
        let site = fixture.unpack();
        assert!(site.run(&["upgrade"]).unwrap().status.success());
        let name = format!("backup-before-format-{FORMAT}");
        let backup = site.data().join(&name);
        let words = fs::read_to_string(backup.join("READ-ME.txt")).unwrap();
        assert!(
            words.contains("The way back") && words.contains("closed in order"),
            "{words}"
        );
        for name in ["mihwar.redb", "FORMAT"] {
            fs::copy(backup.join(name), site.data().join(name)).unwrap();
        }
        // Now it is of the older format again: the next upgrade would write its backup over this one.
        let before = fs::read(backup.join("mihwar.redb")).unwrap();
        let said = refusal(&site, &["upgrade"]);
        assert!(said.contains(&format!("{name} is there already")), "{said}");
        assert!(fs::read(backup.join("mihwar.redb")).unwrap() == before);
        fs::remove_dir_all(&backup).unwrap();
        assert_eq!(site.json(&["upgrade"])["upgraded"]["from"], fixture.format);
        assert_facts(&site, &fixture);
    }
}

#[test]
fn what_this_version_does_not_know_is_left_as_it_is() {
    let upgraded = || {
        let site = fixture::all()[0].unpack();
        assert!(site.run(&["upgrade"]).unwrap().status.success());
        site
    };
    let (now, newer) = (FORMAT, FORMAT + 1);
    type Harm = Box<dyn Fn(&Path)>;
    let note = |text: String| -> Harm { Box::new(move |data| fs::write(data.join("FORMAT"), &text).unwrap()) };
    let cases: [(&str, Harm, String); 7] = [
        (
            "a newer note",
            note(format!("format {newer}\nwritten-by mihwar 9.1.0\nand more\n")),
            format!("FORMAT has format {newer}"),
        ),
        (
            "half-way to a newer one",
            note(format!("format {now}\nmoving-to {newer}\n")),
            format!("FORMAT has format {newer}"),
        ),
        (
            "a damaged note",
            note("ليس رقمًا".into()),
            "FORMAT is no format file".into(),
        ),
        (
            "a note of another folder",
            note("format 1\n".into()),
            format!("says format 1, and the store beside it says {now}"),
        ),
        (
            "no store",
            Box::new(|data| fs::remove_file(data.join("mihwar.redb")).unwrap()),
            "mihwar.redb is missing".into(),
        ),
        (
            "a folder in its place",
            Box::new(|data| {
                fs::remove_file(data.join("FORMAT")).unwrap();
                fs::create_dir(data.join("FORMAT")).unwrap();
            }),
            "it is no plain file".into(),
        ),
        (
            "an empty store",
            Box::new(|data| fs::write(data.join("mihwar.redb"), b"").unwrap()),
            String::new(),
        ),
    ];
    for (what, harm, wanted) in cases {
        let site = upgraded();
        harm(&site.data());
        let before = hashes(&site.data());
        for words in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["upgrade"],
            &["feedback", "list"],
            &["import", "mail", "."],
        ] {
            let said = refusal(&site, words);
            assert!(said.contains(&wanted), "{what}, {words:?}: {said}");
            assert_eq!(hashes(&site.data()), before, "{what}, {words:?} changed something");
        }
    }
}

#[test]
fn an_upgrade_without_room_for_its_backup_does_not_begin() {
    let site = fixture::all()[0].unpack();
    site.reconfigure("free-space-floor = \"16MiB\"", "free-space-floor = \"900000GiB\"");
    let before = hashes(&site.data());
    let said = refusal(&site, &["upgrade"]);
    assert!(
        said.contains("bytes of free space") && said.contains("make room"),
        "{said}"
    );
    assert_eq!(hashes(&site.data()), before);
}

#[test]
fn a_folder_without_its_note_gets_it_again() {
    let site = fixture::all()[0].unpack();
    assert!(site.run(&["upgrade"]).unwrap().status.success());
    let note = site.data().join("FORMAT");
    let text = fs::read_to_string(&note).unwrap();
    fs::remove_file(&note).unwrap();
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
    assert_eq!(fs::read_to_string(&note).unwrap(), text);
}
