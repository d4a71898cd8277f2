//! Somebody who has the whole data folder, signing key included, leaves a complaint out of the ledger: everything in the
//! folder fits itself afterwards. What was kept elsewhere still catches it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use mihwar_tests::{Receiver, Site};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn import(site: &Site, number: usize) {
    let path: PathBuf = site.path().join(format!("شكوى-{number}.eml"));
    let mail = format!(
        "From: Huda <huda{number}@example.com>\r\nSubject: complaint {number}\r\nMessage-ID: <m{number}@example.com>\r\n\
         Date: Sun, 22 Nov 2026 09:00:00 +0300\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         الخدمة سيئة جدا للمرة رقم {number}\r\n"
    );
    fs::write(&path, mail).unwrap();
    site.ends_with(0, &["import", "mail", text(&path)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_rewritten_by_who_holds_its_key_is_caught_from_outside() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let witness = outside.path().join("شاهد.txt");
    let section = format!("[ledger]\nwitness-file = \"{}\"\n", witness.display());
    site.configure_also(&section).unwrap();
    import(&site, 0);
    let backup = site.path().join("before.mbk");
    site.ends_with(0, &["backup", text(&backup)]);
    let running = site.serve().unwrap();
    import(&site, 1);
    assert!(running.stop(), "{}", site.log());

    // The one who complained has a receipt, and somebody else has the checkpoints: neither needs the hub.
    let found = site.json_lines(&["feedback", "list", "--text", "للمرة رقم 1", "--limit", "5"]);
    let id = found[0]["id"].as_str().unwrap();
    let out = outside.path().join("proof");
    site.ends_with(0, &["ledger", "prove", id, "--out", text(&out)]);
    let receipt = out.join("receipt.json");
    let page = fs::read_to_string(out.join("receipt.html")).unwrap();
    assert!(page.contains(id) && page.contains("<svg "), "{page}");
    for personal in ["huda1", "complaint", "الخدمة سيئة"] {
        let json = fs::read_to_string(&receipt).unwrap();
        assert!(!page.contains(personal) && !json.contains(personal), "{personal}");
    }
    let again = site.ends_with(1, &["ledger", "prove", id, "--out", text(&out)]);
    assert!(again.contains("exists already"), "{again}");
    let checked = ["ledger", "verify", text(&receipt), "--checkpoint", text(&witness)];
    assert!(site.ends_with(0, &checked).contains("Proved: feedback"));
    let good = site.ends_with(0, &["ledger", "verify", "--witness", text(&witness)]);
    assert!(good.contains("kept outside"), "{good}");

    // From the backup before it, the same hub goes on without that complaint.
    let doctored = Site::new(receiver.address).unwrap();
    let key = site.data().join("master.key");
    doctored.ends_with(0, &["restore", text(&backup), "--master-key", text(&key)]);
    let running = doctored.serve().unwrap();
    for number in 2..12 {
        import(&doctored, number);
    }
    assert!(running.stop(), "{}", doctored.log());
    assert_eq!(doctored.json(&["ledger", "verify"])["ok"], true);
    let caught = doctored.ends_with(1, &["ledger", "verify", "--quick", "--witness", text(&witness)]);
    assert!(caught.contains("history was rewritten after it was signed"), "{caught}");
    let gone = doctored.ends_with(1, &["ledger", "prove", id, "--out", text(doctored.path())]);
    assert!(gone.contains("no such feedback"), "{gone}");
    // Its own head, handed to the one who holds the receipt, does not cover it.
    let head = doctored.ends_with(0, &["ledger", "head"]);
    let head_file = outside.path().join("head.txt");
    fs::write(&head_file, head).unwrap();
    site.ends_with(
        1,
        &["ledger", "verify", text(&receipt), "--checkpoint", text(&head_file)],
    );
}
