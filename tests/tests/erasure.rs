//! A person is erased while the hub serves: nothing of them is in the data folder, departments are told, and every proof
//! holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Site, said};
use serde_json::{Value, json};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const WHO: &str = "email:huda@example.com";
/// What names the person, or is in her words.
const HERS: [&str; 9] = [
    "هدى العلي",
    "huda@example.com",
    "فاتورة خاطئة للمرة الثانية",
    "My parcel never arrived",
    "صورة الطرد.png",
    "رقم-البلاغ-٧",
    "huda-first@example.com",
    "+966501234567",
    "محتوى الملف السري",
];

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every file below a folder. Sockets are none.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    let first = text.first().copied().unwrap_or_default();
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    let mut starts = starts.map(|(at, _)| at);
    starts.any(|at| bytes.get(at..at + text.len()) == Some(text))
}

/// Which of the texts stand in which of the files.
fn found_below(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    files(folder, &mut all);
    assert!(!all.is_empty(), "{} is empty", folder.display());
    let mut found = Vec::new();
    for file in all {
        let bytes = fs::read(&file).unwrap();
        let held = texts.iter().filter(|text| holds(&bytes, text));
        found.extend(held.map(|text| format!("{text} in {}", file.display())));
    }
    found
}

/// Feedback of hers by mail and by the API, and of somebody else.
async fn feedback(site: &Site) {
    let mail = "From: =?utf-8?B?2YfYr9mJINin2YTYudmE2Yo=?= <huda@example.com>\r\n\
        Subject: =?utf-8?B?2YHYp9iq2YjYsdipINiu2KfYt9im2Kk=?=\r\nMessage-ID: <huda-first@example.com>\r\n\
        Date: Sun, 22 Nov 2026 09:00:00 +0300\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
        وصلتني فاتورة خاطئة للمرة الثانية، أرجو تصحيحها.\r\n";
    fs::write(site.path().join("شكوى.eml"), mail).unwrap();
    let report = site.json(&["import", "mail", &site.path().join("شكوى.eml").display().to_string()]);
    assert_eq!(report["new"], 1, "{report:#}");
    let token = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    let hers = json!({
        "external_id": "رقم-البلاغ-٧",
        "body": "My parcel never arrived",
        "author": {
            "name": "هدى العلي",
            "identifiers": [{ "scheme": "email", "id": "huda@example.com" }, { "scheme": "tel", "id": "+966501234567" }],
        },
        "attachments": [{
            "name": "صورة الطرد.png", "media_type": "image/png",
            // The text of the last of `HERS`.
            "content_base64": "2YXYrdiq2YjZiSDYp9mE2YXZhNmBINin2YTYs9ix2Yo=",
        }],
    });
    let other = json!({ "external_id": "x-1", "body": "شكرًا لكم على سرعة الرد" });
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (key, record) in [("k-1", hers), ("k-2", other)] {
        let answer = client
            .post(format!("http://{}/api/v1/feedback", site.listen))
            .bearer_auth(token["token"].as_str().unwrap())
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .body(record.to_string())
            .send();
        assert_eq!(answer.await.unwrap().status(), 201);
    }
}

/// All three have arrived, and the hub has written that down.
async fn delivered(site: &Site) {
    until("three deliveries", || {
        let all = site.json_lines(&["delivery", "list"]);
        let arrived = all.iter().filter(|one| one["state"] == "delivered");
        (arrived.count() == 3).then_some(())
    })
    .await;
}

/// What the person is told that is held about her.
fn export(site: &Site) -> Value {
    let folder = site.path().join("ملف");
    let out = folder.display().to_string();
    let told = site.json(&["contact", "export", WHO, "--language", "ar", "--out", &out]);
    assert_eq!((&told["records"], &told["files"]), (&json!(2), &json!(1)), "{told:#}");
    let page = fs::read_to_string(folder.join("contact.html")).unwrap();
    assert!(page.contains("dir=\"rtl\"") && page.contains("هدى العلي") && page.contains("My parcel never arrived"));
    let document: Value = serde_json::from_slice(&fs::read(folder.join("contact.json")).unwrap()).unwrap();
    for brought in ["mail", "api"] {
        assert_eq!(document["seen_by"][brought]["brought"], 1, "{document:#}");
    }
    assert_eq!(document["seen_by"]["service"]["received"], 1, "{document:#}");
    let file = document["files"][0]["path"].as_str().unwrap();
    let bytes = fs::read(folder.join(file)).unwrap();
    assert_eq!(bytes, "محتوى الملف السري".as_bytes());
    let again = site.run(&["contact", "export", WHO, "--out", &out]).unwrap();
    assert!(!again.status.success(), "what is there is not written over");
    fs::remove_dir_all(&folder).unwrap();
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_no_byte_of_a_person_is_left_and_every_proof_holds() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    feedback(&site).await;
    delivered(&site).await;
    assert!(site.run(&["ledger", "head"]).unwrap().status.success());
    let document = export(&site);
    let contact = document["contact"]["contact"].as_str().unwrap().to_owned();

    let erase = |who: &str| {
        site.run(&["--json", "contact", "erase", who, "--reason", "subject-request"])
            .unwrap()
    };
    let free_text = site
        .run(&["contact", "erase", &contact, "--reason", "طلبت هدى العلي"])
        .unwrap();
    assert!(!free_text.status.success(), "a reason is a slug");
    let erased = erase(WHO);
    assert!(erased.status.success(), "{}", said(&erased));
    let erased: Value = serde_json::from_slice(&erased.stdout).unwrap();
    let counts = ["records", "contents", "files", "told"].map(|count| erased[count].as_u64().unwrap());
    assert_eq!(counts, [2, 2, 1, 2], "{erased:#}");
    let ids: Vec<&str> = document["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    for id in ids {
        until("a department is told", || {
            let seen = receiver.seen();
            let is_told =
                |body: &Value| body["type"] == "mihwar.feedback.erased" && body["data"] == json!({ "id": id });
            seen.values().any(|seen| is_told(&seen.body)).then_some(())
        })
        .await;
    }
    for (who, why) in [(WHO, "no contact"), (contact.as_str(), "erased already")] {
        let refused = erase(who);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains(why), "{}", said(&refused));
    }
    let again = site.json(&["import", "mail", &site.path().join("شكوى.eml").display().to_string()]);
    assert_eq!(
        (&again["new"], &again["duplicates"]),
        (&json!(0), &json!(1)),
        "{again:#}"
    );

    assert_eq!(
        found_below(&site.data(), &HERS),
        Vec::<String>::new(),
        "while it serves"
    );
    assert!(running.stop());
    let verified = site.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
    assert_eq!(verified["contents"], 1, "{verified:#}");
    assert_eq!(found_below(&site.data(), &HERS), Vec::<String>::new(), "after it");
    let log = site.log();
    let logged: Vec<_> = HERS.iter().filter(|text| log.contains(**text)).collect();
    assert!(logged.is_empty(), "{logged:?} in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_stops_an_erasure_and_an_erasure_that_was_killed_goes_on() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    feedback(&site).await;
    delivered(&site).await;
    let contact = export(&site)["contact"]["contact"].as_str().unwrap().to_owned();
    let hold = format!("[[hold]]\ncontact = \"{contact}\"\nreason = \"قضية ١٢\"\n");
    site.configure_also(&hold).unwrap();
    assert!(site.run(&["config", "reload"]).unwrap().status.success());
    let refused = site
        .run(&["contact", "erase", &contact, "--reason", "request"])
        .unwrap();
    assert!(
        !refused.status.success() && said(&refused).contains("قضية ١٢"),
        "{}",
        said(&refused)
    );
    site.reconfigure(&hold, "");
    // Whether the command came to its end or not.
    let mut erasing = site
        .command(&["contact", "erase", &contact, "--reason", "request"])
        .spawn()
        .unwrap();
    running.kill();
    drop(erasing.wait());
    let running = site.serve().unwrap();
    let erase = || {
        site.run(&["contact", "erase", &contact, "--reason", "request"])
            .unwrap()
    };
    until("the contact is erased", || {
        said(&erase()).contains("erased already").then_some(())
    })
    .await;
    assert!(running.stop());
    assert_eq!(found_below(&site.data(), &HERS), Vec::<String>::new());
    let verified = site.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true, "{verified:#}");
}
