//! A backup made while records come in, restored elsewhere: the same hub, as far as anybody can tell. And a store that is
//! compacted while its hub runs: the same hub, too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mihwar_tests::{Receiver, Site, assert_same_picture, picture, said, snapshot};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a command with a pipe that gives these bytes once, as `<(pass show mihwar)` does.
fn fed(mut command: Command, bytes: &[u8]) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs a command that must succeed.
fn done(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Runs a command that must refuse, with status 1 and this in its words.
fn refused(site: &Site, arguments: &[&str], words: &str) {
    let output = site.run(arguments).unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A mail with an attachment, so that there are files.
fn mail(folder: &Path, number: usize) -> PathBuf {
    let path = folder.join(format!("شكوى-{number}.eml"));
    let attachment = "0KHQutCw0L3".repeat(500);
    let mail = format!(
        "From: Huda <huda{number}@example.com>\r\nSubject: complaint {number}\r\nMessage-ID: <m{number}@example.com>\r\n\
         Date: Sun, 22 Nov 2026 09:00:00 +0300\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nانقطعت الخدمة للمرة رقم {number} هذا الشهر.\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 7bit\r\n\
         Content-Disposition: attachment; filename=\"صورة.bin\"\r\n\r\n{attachment}\r\n--b--\r\n"
    );
    fs::write(&path, mail).unwrap();
    path
}

/// Hands records in one after the other until told to stop, and counts those that were taken: `app-0`, `app-1` and so on.
/// What a busy hub turns away is sent again.
async fn flood(site_listen: std::net::SocketAddr, token: String, stop: Arc<AtomicBool>, taken: Arc<AtomicUsize>) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let number = taken.load(Ordering::Relaxed);
        let record = json!({ "external_id": format!("app-{number}"), "channel": "review", "body": format!("التطبيق بطيء جدا {number}") });
        let answer = http
            .post(format!("http://{site_listen}/api/v1/feedback"))
            .bearer_auth(&token)
            .header("content-type", "application/json")
            .body(record.to_string())
            .send()
            .await
            .unwrap();
        match answer.status().as_u16() {
            201 => {
                taken.fetch_add(1, Ordering::Relaxed);
            }
            503 => tokio::time::sleep(Duration::from_millis(50)).await,
            other => panic!("record {number} was answered with {other}"),
        }
    }
}

/// Waits until so many were taken. A flood that ends before it is told to has failed.
async fn until_taken(flood: &mut JoinHandle<()>, taken: &AtomicUsize, wanted: usize) {
    let reached = async {
        while taken.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = reached => {}
        ended = flood => panic!("the flood has ended: {ended:?}"),
        () = tokio::time::sleep(PATIENCE) => panic!("not {wanted} records within {PATIENCE:?}"),
    }
}

fn list(site: &Site) -> Vec<Value> {
    site.json_lines(&["feedback", "list", "--limit", "100000"])
}

/// What each record says, by its id: its name at the source, its text and its files.
fn said_by(site: &Site) -> BTreeMap<String, Value> {
    let record = |item: &Value| {
        let content = &item["content"];
        let said = json!([content["external_id"], content["body"], content["attachments"]]);
        (item["id"].as_str().unwrap().to_owned(), said)
    };
    let items = list(site);
    let said: BTreeMap<_, _> = items.iter().map(record).collect();
    assert_eq!(said.len(), items.len(), "an id is there twice");
    said
}

/// Numbers of the flood's records, in their order.
fn flooded(said: &BTreeMap<String, Value>) -> Vec<usize> {
    let names = said.values().filter_map(|said| said[0].as_str()?.strip_prefix("app-"));
    let mut numbers: Vec<usize> = names.map(|number| number.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until the receiver has taken something that holds this text.
async fn until_delivered(receiver: &Receiver, text: &str) {
    let started = std::time::Instant::now();
    let is_there = || {
        let mut seen = receiver.seen().into_values();
        seen.any(|seen| seen.answers.contains(&200) && seen.body.to_string().contains(text))
    };
    while !is_there() {
        assert!(started.elapsed() < PATIENCE, "{text} was not delivered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every record is routed and delivered: from then on nothing changes by itself.
async fn settled(site: &Site) {
    let open = || {
        let unrouted = list(site)
            .iter()
            .any(|item| item["destinations"].as_array().is_none_or(Vec::is_empty));
        let waiting = ["waiting", "retrying"].map(|state| site.json_lines(&["delivery", "list", "--state", state]));
        unrouted || waiting.iter().any(|found| !found.is_empty())
    };
    let started = std::time::Instant::now();
    while open() {
        assert!(started.elapsed() < PATIENCE, "deliveries do not end: {}", site.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one story: made, continued, refused, restored, compared"
)]
async fn a_backup_made_under_load_is_restored_elsewhere() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    for number in 0..3 {
        done(&site, &["import", "mail", text(&mail(site.path(), number))]);
    }
    let token = site.json(&["token", "create", "اختبار", "--scope", "feedback:write"]);
    let token = token["token"].as_str().unwrap().to_owned();
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut flood = tokio::spawn(flood(site.listen, token, stop.clone(), taken.clone()));
    until_taken(&mut flood, &taken, 20).await;

    let full = site.path().join("كاملة.mbk");
    let (before, made) = (taken.load(Ordering::Relaxed), site.json(&["backup", text(&full)]));
    assert_eq!(made["files_missing"], 0, "{made:#}");
    assert!(made["files"].as_u64().unwrap() >= 3, "{made:#}");
    assert_eq!(made["master_key"], "not included");
    until_taken(&mut flood, &taken, before + 20).await;
    stop.store(true, Ordering::Relaxed);
    flood.await.unwrap();
    done(&site, &["import", "mail", text(&mail(site.path(), 3))]);
    settled(&site).await;
    let increment = site.path().join("زيادة.mbk");
    let made = site.json(&["backup", text(&increment), "--since", text(&full)]);
    assert!(made["files"].as_u64().unwrap() >= 1, "{made:#}");
    let all = said_by(&site);
    assert_eq!(flooded(&all), (0..taken.load(Ordering::Relaxed)).collect::<Vec<_>>());
    assert_eq!(all.len(), taken.load(Ordering::Relaxed) + 4);

    refused(&site, &["backup", text(&full)], "exists already");
    refused(&site, &["backup", "verify", text(&increment)], "it is an increment");
    let checked = site.json(&["backup", "verify", text(&full), text(&increment)]);
    assert_eq!(checked["ok"], true, "{checked:#}");
    assert!(checked["checkpoints"].as_u64().unwrap() >= 2, "{checked:#}");
    let key = site.data().join("master.key");
    let deep = [
        "--json",
        "backup",
        "verify",
        text(&full),
        text(&increment),
        "--deep",
        "--master-key",
        "/dev/stdin",
    ];
    let deep = fed(site.command(&deep), &fs::read(&key).unwrap());
    assert!(deep.status.success(), "{}", said(&deep));

    // The full one alone is one state of the flood: every record that was answered before it began, and none by half.
    let elsewhere = Site::new(receiver.address).unwrap();
    let output = done(&elsewhere, &["restore", text(&full)]);
    assert!(output.contains("master.key"), "{output}");
    refused(&elsewhere, &["ledger", "verify"], "master.key is missing");
    fs::copy(&key, elsewhere.data().join("master.key")).unwrap();
    assert_eq!(elsewhere.json(&["ledger", "verify"])["ok"], true);
    let early = said_by(&elsewhere);
    for (id, said) in &early {
        assert_eq!(all.get(id), Some(said), "{id} is another one in the backup");
    }
    let numbers = flooded(&early);
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "one is left out");
    assert!(
        (before..taken.load(Ordering::Relaxed)).contains(&numbers.len()),
        "{before} were answered before it began, and {} are in it",
        numbers.len()
    );
    assert_eq!(early.len(), numbers.len() + 3, "the mails of before");

    // With the increment it is the hub that was stopped right after it.
    assert!(running.stop());
    let again = Site::new(receiver.address).unwrap();
    done(
        &again,
        &["restore", text(&full), text(&increment), "--master-key", text(&key)],
    );
    assert_eq!(again.json(&["ledger", "verify"])["ok"], true);
    assert_same_picture(&picture(&again), &picture(&site), "restored with the increment");
    assert_eq!(list(&again), list(&site));
    let arabic = again.json_lines(&["feedback", "list", "--text", "انقطعت الخدمة", "--limit", "100"]);
    assert_eq!(arabic.len(), 4, "{arabic:#?}");

    // It is a hub of its own: its backups begin anew, and it takes in and delivers.
    let next = again.path().join("next.mbk");
    refused(
        &again,
        &["backup", text(&next), "--since", text(&increment)],
        "make a full one",
    );
    let running = again.serve().unwrap();
    done(&again, &["import", "mail", text(&mail(again.path(), 9))]);
    until_delivered(&receiver, "للمرة رقم 9 ").await;
    done(&again, &["backup", text(&next)]);
    running.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_compacted_while_its_hub_runs_and_holds_the_same() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    for number in 0..3 {
        done(&site, &["import", "mail", text(&mail(site.path(), number))]);
    }
    settled(&site).await;
    let before = picture(&site);
    let report = site.json(&["doctor", "--compact"]);
    let checks = report["checks"].as_array().unwrap();
    let compacted = checks.iter().find(|check| check["name"] == "compacted store");
    assert!(compacted.is_some_and(|check| check["ok"] == true), "{report:#}");
    assert_same_picture(&picture(&site), &before, "after a compaction");
    // It goes on in the new file: takes in, delivers, stops in order, and is opened again.
    done(&site, &["import", "mail", text(&mail(site.path(), 7))]);
    until_delivered(&receiver, "للمرة رقم 7 ").await;
    settled(&site).await;
    let before = picture(&site);
    assert!(running.stop(), "{}", site.log());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
    assert_same_picture(&picture(&site), &before, "opened again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_changes_nothing() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    done(&site, &["import", "mail", text(&mail(site.path(), 1))]);
    let full = site.path().join("full.mbk");
    done(&site, &["backup", text(&full)]);
    let before = snapshot(&site.data());
    refused(&site, &["restore", text(&full)], "is not empty");
    assert_eq!(snapshot(&site.data()), before);
    assert_eq!(list(&site).len(), 1);

    let other = Site::new(receiver.address).unwrap();
    let wrong = other.path().join("wrong.key");
    fs::write(&wrong, "ab".repeat(32)).unwrap();
    let bytes = fs::read(&full).unwrap();
    let (damaged, cut, text_file) = (
        other.path().join("تالفة.mbk"),
        other.path().join("cut.mbk"),
        other.path().join("ملاحظة.txt"),
    );
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    fs::write(&damaged, flipped).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    fs::write(&text_file, "ليست نسخة").unwrap();
    for (arguments, words) in [
        (vec!["restore", text(&damaged)], "is damaged in chunk"),
        (vec!["restore", text(&cut)], "is cut short"),
        (vec!["restore", text(&text_file)], "is no backup"),
        (
            vec!["restore", text(&full), "--master-key", text(&wrong)],
            "is not the one of this backup",
        ),
        (vec!["backup", "verify", text(&damaged)], "is damaged in chunk"),
        (vec!["backup", text(&other.path().join("n.mbk"))], "holds no hub yet"),
    ] {
        refused(&other, &arguments, words);
        let left: Vec<_> = fs::read_dir(other.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("data") || name.starts_with("n.mbk") || name.contains("trial"))
            .collect();
        assert!(left.is_empty(), "{arguments:?} left {left:?}");
    }
}
