//! A backup made while records come in, restored elsewhere: the same hub, as far as anybody can tell.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mihwar_tests::{Receiver, Site};
use serde_json::{Value, json};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
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

/// Hands records in until told to stop, and counts those that were taken.
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
        assert_eq!(answer.status(), 201);
        taken.fetch_add(1, Ordering::Relaxed);
    }
}

fn list(site: &Site) -> Vec<Value> {
    site.json_lines(&["feedback", "list", "--limit", "100000"])
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
        assert!(
            started.elapsed().as_secs() < 120,
            "deliveries do not end: {}",
            site.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
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
    let flood = tokio::spawn(flood(site.listen, token, stop.clone(), taken.clone()));
    while taken.load(Ordering::Relaxed) < 20 {
        tokio::task::yield_now().await;
    }

    let full = site.path().join("كاملة.mbk");
    let (before, made) = (taken.load(Ordering::Relaxed), site.json(&["backup", text(&full)]));
    assert_eq!(made["files_missing"], 0, "{made:#}");
    assert!(made["files"].as_u64().unwrap() >= 3, "{made:#}");
    assert_eq!(made["master_key"], "not included");
    while taken.load(Ordering::Relaxed) < before + 20 {
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    flood.await.unwrap();
    done(&site, &["import", "mail", text(&mail(site.path(), 3))]);
    settled(&site).await;
    let increment = site.path().join("زيادة.mbk");
    let made = site.json(&["backup", text(&increment), "--since", text(&full)]);
    assert!(made["files"].as_u64().unwrap() >= 1, "{made:#}");
    assert_eq!(list(&site).len(), taken.load(Ordering::Relaxed) + 4);

    refused(&site, &["backup", text(&full)], "exists already");
    refused(&site, &["backup", "verify", text(&increment)], "it is an increment");
    let checked = site.json(&["backup", "verify", text(&full), text(&increment)]);
    assert_eq!(checked["ok"], true, "{checked:#}");
    assert!(checked["checkpoints"].as_u64().unwrap() >= 2, "{checked:#}");
    let key = site.data().join("master.key");
    let deep = site.json(&[
        "backup",
        "verify",
        text(&full),
        text(&increment),
        "--deep",
        "--master-key",
        text(&key),
    ]);
    assert_eq!(deep["ok"], true, "{deep:#}");

    // The full one alone is one state of the flood: every record that was answered before it began, and none by half.
    let elsewhere = Site::new(receiver.address).unwrap();
    let output = done(&elsewhere, &["restore", text(&full)]);
    assert!(output.contains("master.key"), "{output}");
    refused(&elsewhere, &["ledger", "verify"], "master.key is missing");
    fs::copy(&key, elsewhere.data().join("master.key")).unwrap();
    assert_eq!(elsewhere.json(&["ledger", "verify"])["ok"], true);
    let there = list(&elsewhere).len();
    assert!(
        (before + 3..taken.load(Ordering::Relaxed) + 3).contains(&there),
        "{there}"
    );

    // With the increment it is the hub that was stopped right after it.
    assert!(running.stop());
    let again = Site::new(receiver.address).unwrap();
    done(
        &again,
        &["restore", text(&full), text(&increment), "--master-key", text(&key)],
    );
    assert_eq!(again.json(&["ledger", "verify"])["ok"], true);
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
    done(&again, &["backup", text(&next)]);
    running.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_changes_nothing() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    done(&site, &["import", "mail", text(&mail(site.path(), 1))]);
    let full = site.path().join("full.mbk");
    done(&site, &["backup", text(&full)]);
    refused(&site, &["restore", text(&full)], "is not empty");
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
