//! What these tests share.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

pub(crate) use mihwar_tests::snapshot;
use mihwar_tests::{Receiver, Site};
use serde_json::{Value, json};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(300);

/// Takes all plugins out of a site's configuration: it starts at once then, and records can be handed in and read.
pub(crate) fn without_plugins(site: &Site) {
    fs::write(site.config(), "[storage]\nfree-space-floor = \"16MiB\"\n").unwrap();
}

/// A client that waits for no proxy and not for ever.
pub(crate) fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

pub(crate) fn unix_seconds() -> i64 {
    // The hub checks the age of a signature against the real clock.
    #[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A token that may do everything.
pub(crate) fn token(site: &Site) -> String {
    let scopes = ["feedback:write", "feedback:read", "admin"].map(|scope| ["--scope", scope]);
    let words = [&["token", "create", "faults"][..], &scopes.concat()].concat();
    site.json(&words)["token"].as_str().unwrap().to_owned()
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A text with a mark in it, by which it is known again wherever it turns up.
pub(crate) fn marked(mark: &str) -> String {
    format!("الشحنة متأخرة ⟦{mark}⟧ the parcel is late")
}

/// The mark in a text.
pub(crate) fn mark_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('⟦')?;
    Some(rest.split_once('⟧')?.0.to_owned())
}

/// Hands in one marked record under its mark as external id; answers status and body.
pub(crate) async fn hand_in(http: &reqwest::Client, site: &Site, token: &str, mark: &str, extra: &str) -> (u16, Value) {
    let record = json!({ "external_id": mark, "body": marked(mark), "raw": extra });
    let answer = http
        .post(format!("http://{}/api/v1/feedback", site.listen))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(record.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// How often each mark is among the records of a stopped or running hub.
pub(crate) fn marks(site: &Site) -> BTreeMap<String, u64> {
    marks_of(site.json_lines(&["feedback", "export"]))
}

/// The same as far as the lists have it: an export that is not whole fails at its end.
pub(crate) fn marks_so_far(site: &Site) -> BTreeMap<String, u64> {
    let output = site.run(&["--json", "feedback", "export"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    marks_of(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn marks_of(records: Vec<Value>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for record in records {
        let body = record["content"]["body"].as_str();
        let mark = body.and_then(mark_in);
        let mark = mark.unwrap_or_else(|| panic!("a record that nobody sent: {record:#}"));
        *counts.entry(mark).or_default() += 1;
    }
    counts
}

/// What `ledger verify` says; it must find nothing.
pub(crate) fn assert_verifies(site: &Site, moment: &str) -> Value {
    let report = site.json(&["ledger", "verify"]);
    assert_eq!(report["ok"], true, "{moment}: {report:#}");
    report
}

/// Marks that arrived at the receiver with a 2xx, with the keys under which they did.
pub(crate) fn delivered(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, seen) in receiver.seen() {
        let mark = mark_in(&seen.body.to_string());
        let mark = mark.unwrap_or_else(|| panic!("a delivery of something that nobody sent: {}", seen.body));
        if seen.answers.contains(&200) {
            arrived.entry(mark).or_default().push(key);
        }
    }
    arrived
}
