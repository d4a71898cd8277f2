//! A person from being found to being unknown, over the API.

use http::Method;
use serde_json::json;

use crate::testing::Bench;

const NOBODY: &str = "0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f";

#[tokio::test]
async fn a_person_is_found_exported_erased_and_then_unknown() {
    let bench = Bench::new().await;
    let record = json!({
        "external_id": "١",
        "body": "لم يصلني الرد",
        "author": { "name": "هدى العلي", "identifiers": [{ "scheme": "tel", "id": "+966501234567" }] },
        "attachments": [{ "name": "صورة.png", "media_type": "image/png", "content_base64": "AAEC" }],
    });
    let made = bench.post("/api/v1/feedback", record.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let question = json!({ "identifier": "tel:+966501234567" }).to_string();
    let found = bench.post("/api/v1/contacts:find", question.clone()).await.json();
    let contact = found["contact"].as_str().unwrap().to_owned();

    let lines = bench
        .get(&format!("/api/v1/contacts:export?contact={contact}"))
        .await
        .lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["contact"]["contact"], contact.as_str());
    let said = &lines[1]["record"];
    assert_eq!(said["revisions"][0]["content"]["author"]["name"], "هدى العلي");
    assert_eq!(said["events"][0]["event"]["type"], "received");
    assert_eq!(lines[2]["end"], 1);
    let file = said["content"]["attachments"][0]["id"].as_str().unwrap();
    let file = format!("/api/v1/contacts/{contact}/files/{file}");
    let fetched = bench.get(&file).await;
    assert_eq!(
        (fetched.status.as_u16(), fetched.text.as_str()),
        (200, "\u{0}\u{1}\u{2}")
    );

    let copy = bench.hub.config().data.join("backup-before-format-2");
    std::fs::create_dir(&copy).unwrap();
    let log = bench.hub.config().data.join("mihwar.redb.wal.damaged-0a1b2c3d");
    std::fs::write(&log, "سجل تالف").unwrap();
    let note = bench.hub.config().data.join("mihwar.redb.wal.damaged-0a1b2c3d.txt");
    std::fs::write(note, "ما فُقد").unwrap();
    let erase = "/api/v1/contacts:erase";
    let why = json!({ "contact": contact, "reason": "subject-request" }).to_string();
    let erased = bench.post(erase, why.clone()).await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    let erased = erased.json();
    assert_eq!((&erased["records"], &erased["files"]), (&json!(1), &json!(1)));
    assert_eq!(erased["by"], "console");
    assert_eq!(erased["copies"], json!([copy, log]), "she can be read there still");
    assert_eq!(bench.get(&file).await.status, 404);
    assert_eq!(bench.post("/api/v1/contacts:find", question).await.status, 404);
    let again = bench.post(erase, why).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let lines = bench
        .get(&format!("/api/v1/contacts:export?contact={contact}"))
        .await
        .lines();
    assert!(lines[0]["contact"]["erased_at"].is_string());
    let left = lines[1].to_string();
    assert!(!left.contains("هدى") && !left.contains("الرد"), "{left}");
}

#[tokio::test]
async fn what_is_no_reason_no_identifier_or_nobody_is_refused() {
    let bench = Bench::new().await;
    let (find, erase) = ("/api/v1/contacts:find", "/api/v1/contacts:erase");
    for (path, body, status) in [
        (erase, json!({ "contact": NOBODY, "reason": "request" }), 404_u16),
        (erase, json!({ "contact": NOBODY, "reason": "طلب من هدى العلي" }), 422),
        (erase, json!({ "contact": NOBODY }), 422),
        (erase, json!({ "contact": "هدى", "reason": "request" }), 422),
        (find, json!({ "identifier": "هدى" }), 422),
        (find, json!({ "identifier": "tel:+1" }), 404),
    ] {
        let got = bench.post(path, body.to_string()).await;
        assert_eq!(got.status.as_u16(), status, "{path} {body}: {}", got.text);
    }
    let unknown = bench
        .ask(Method::GET, &format!("/api/v1/contacts:export?contact={NOBODY}"), "")
        .await;
    assert_eq!(unknown.status, 404);
}
