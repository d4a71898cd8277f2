//! Makes the fixture of the present data format: `cargo xtask fixture`. See docs/releasing.md.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool that prints, and stops where it cannot go on"
)]

use std::fs;
use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Script, Site, fixture, workspace};
use serde_json::json;

/// Items of each demo channel: the fixture stays small.
const FORMS: usize = 60;
const CALLS: usize = 70;
const MAILS: usize = 45;
/// All is in order when nothing more came for this long.
const QUIET: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() {
    let format = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let Some(format) = format else {
        println!("fixture FORMAT: packs tests/fixtures/data-format-FORMAT.tar.gz");
        return;
    };
    let receiver = Receiver::start(0).await.unwrap();
    let script = Script::start().await.unwrap();
    let site = fixture::site(&receiver.address.to_string(), &script.address.to_string());
    fixture::prepare(&site).unwrap();
    let running = site.serve().unwrap();
    fill(&site, &script).await;
    settle(&receiver, &site).await;
    assert!(running.stop(), "{}", site.log());
    let version = site.run(&["--version"]).unwrap();
    fixture::pack(&site, format, String::from_utf8_lossy(&version.stdout).trim());
    println!("packed data-format-{format}");
}

async fn fill(site: &Site, script: &Script) {
    script.add(&json!([
        { "id": "1", "body": "الطابور طويل والموظف واحد", "author": "سعاد" },
        { "id": "2", "body": "The counter closed before noon", "author": "Omar" },
    ]));
    import_some(site, "mail", MAILS);
    let calls = fs::read_to_string(workspace().join("config/demo/calls/cdr-2026.csv")).unwrap();
    let some: Vec<_> = calls.lines().take(CALLS + 1).collect();
    let file = site.path().join("calls.csv");
    fs::write(&file, some.join("\n")).unwrap();
    assert!(
        site.run(&["import", "calls", &file.display().to_string()])
            .unwrap()
            .status
            .success()
    );

    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let forms = fs::read_to_string(workspace().join("config/demo/form/submissions.ndjson")).unwrap();
    for body in forms.lines().take(FORMS) {
        let mut post = http.post(format!("http://{}/hooks/form/submit", site.listen));
        for (name, value) in Site::form_headers(body.as_bytes(), unix_seconds()) {
            post = post.header(name, value);
        }
        let post = post.header("content-type", "application/json").body(body.to_owned());
        assert_eq!(post.send().await.unwrap().status().as_u16(), 202);
    }
    let refused = http.post(format!("http://{}/hooks/notes/note", site.listen));
    let refused = refused.body(json!({ "id": "9", "body": "كلام ممنوع" }).to_string());
    assert_eq!(refused.send().await.unwrap().status().as_u16(), 202);

    over_the_api(site, &http).await;
    // The source changes one note and takes the other back.
    script.add(&json!([
        { "erase": "1" },
        { "id": "2", "body": "The counter closed before noon, twice", "author": "Omar", "revision": "b" },
    ]));
}

async fn over_the_api(site: &Site, http: &reqwest::Client) {
    let made = site.json(&[
        "token",
        "create",
        "reader and writer",
        "--scope",
        "feedback:read",
        "--scope",
        "feedback:write",
    ]);
    let gone = site.json(&["token", "create", "taken back", "--scope", "feedback:read"]);
    assert!(
        site.run(&["token", "revoke", gone["id"].as_str().unwrap()])
            .unwrap()
            .status
            .success()
    );
    let photo = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let records = [
        json!({
            "external_id": "visit-1", "channel": "branch-visit", "kind": "complaint", "language": "ar",
            "subject": "جهاز معطل", "body": "وصل الجهاز مكسورًا، والصورة مرفقة.",
            "author": { "name": "ليلى حداد", "identifiers": [{ "scheme": "tel", "id": "+962790000121" }] },
            "attachments": [{ "name": "الجهاز.png", "media_type": "image/png", "content_base64": photo }],
        }),
        json!({
            "external_id": "visit-2", "channel": "branch-visit", "body": "The staff in the branch were kind. ".repeat(40),
            "scores": [{ "metric": "csat", "value": 5 }], "tags": ["branch"], "attributes": { "counter": 3 },
        }),
    ];
    for record in records {
        let answer = http
            .post(format!("http://{}/api/v1/feedback", site.listen))
            .bearer_auth(made["token"].as_str().unwrap())
            .header("idempotency-key", record["external_id"].as_str().unwrap())
            .header("content-type", "application/json")
            .body(record.to_string());
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}

/// The demo's first mails, in the order of their names.
fn import_some(site: &Site, instance: &str, most: usize) {
    let listed = fs::read_dir(workspace().join("config/demo/mail")).unwrap();
    let mut files: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "eml"));
    files.sort();
    let files: Vec<_> = files.iter().take(most).map(|file| file.display().to_string()).collect();
    let words: Vec<_> = ["import", instance]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let imported = site.run(&words).unwrap();
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
}

/// Waits until every delivery that can be made was made.
async fn settle(receiver: &Receiver, site: &Site) {
    let mut last = (0, Instant::now());
    while last.1.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let seen = receiver.seen().len()
            + site
                .json_lines(&["delivery", "list", "--state", "dead", "--limit", "10000"])
                .len();
        if seen != last.0 {
            last = (seen, Instant::now());
        }
    }
}

fn unix_seconds() -> i64 {
    // The hub checks the age of a signature against the real clock.
    #[expect(clippy::disallowed_methods, reason = "a tool plays the outside world")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
