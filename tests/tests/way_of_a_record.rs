//! From a signed form post, a file and the API to a department, and back to whoever asks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test reports by panic, its helpers too"
)]

use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Site};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn unix_seconds() -> i64 {
    // The hub checks the age of a signature against the real clock.
    #[expect(clippy::disallowed_methods, reason = "a test plays the outside world")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn post_form(client: &reqwest::Client, site: &Site, body: &Value, tamper: bool) -> u16 {
    let bytes = serde_json::to_vec(body).unwrap();
    let mut request = client
        .post(format!("http://{}/hooks/form/submit", site.listen))
        .header("content-type", "application/json");
    for (name, value) in Site::form_headers(&bytes, unix_seconds()) {
        request = request.header(name, value);
    }
    let bytes = if tamper { [&bytes[..], b" "].concat() } else { bytes };
    request.body(bytes).send().await.unwrap().status().as_u16()
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_three_channels_reaches_its_departments() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    std::fs::write(
        site.path().join("شكوى.eml"),
        "From: Huda <huda@example.com>\r\nSubject: =?utf-8?B?2YHYp9iq2YjYsdipINiu2KfYt9im2Kk=?=\r\nMessage-ID: <a1@example.com>\r\nDate: Sun, 22 Nov 2026 09:00:00 +0300\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nوصلتني فاتورة خاطئة للمرة الثانية، أرجو تصحيحها.\r\n",
    )
    .unwrap();
    let running = site.serve().unwrap();
    let http = client();
    let praise = json!({ "name": "سالم", "message": "شكراً، التطبيق صار أسرع بكثير", "nps": "٩" });
    assert_eq!(post_form(&http, &site, &praise, false).await, 202);
    assert_eq!(
        post_form(&http, &site, &praise, true).await,
        401,
        "a changed body must not pass"
    );
    let report = site.json(&["import", "mail", &site.path().join("شكوى.eml").display().to_string()]);
    assert_eq!(report["new"], 1, "{report:#}");
    let token = site.json(&[
        "token",
        "create",
        "test",
        "--scope",
        "feedback:write",
        "--scope",
        "feedback:read",
    ]);
    let token = token["token"].as_str().unwrap().to_owned();
    let record = json!({ "external_id": "app-7", "channel": "review", "body": "The app logs me out every time", "scores": [{ "metric": "stars", "value": 2, "min": 1, "max": 5 }] });
    let post = |key: &'static str, record: Value| {
        http.post(format!("http://{}/api/v1/feedback", site.listen))
            .bearer_auth(&token)
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .body(record.to_string())
            .send()
    };
    let first = post("k1", record.clone()).await.unwrap();
    assert_eq!(first.status(), 201);
    let first: Value = serde_json::from_slice(&first.bytes().await.unwrap()).unwrap();
    let repeat = post("k1", record.clone()).await.unwrap();
    assert_eq!(
        repeat
            .headers()
            .get("idempotent-replay")
            .map(reqwest::header::HeaderValue::as_bytes),
        Some(&b"true"[..])
    );
    let repeat: Value = serde_json::from_slice(&repeat.bytes().await.unwrap()).unwrap();
    assert_eq!(first, repeat);
    let other = json!({ "body": "شيء آخر" });
    assert_eq!(
        post("k1", other).await.unwrap().status(),
        422,
        "a key is for one request"
    );

    let seen = until("three deliveries", || {
        Some(receiver.seen()).filter(|seen| seen.len() >= 3)
    })
    .await;
    assert!(receiver.unsigned().is_empty());
    let bodies: Vec<String> = seen
        .values()
        .map(|seen| format!("{} {}", seen.department, seen.body))
        .collect();
    let billing = bodies.iter().find(|body| body.contains("فاتورة خاطئة")).unwrap();
    assert!(billing.starts_with("billing"), "{billing}");
    assert!(
        bodies
            .iter()
            .any(|body| body.starts_with("service") && body.contains("أسرع بكثير"))
    );
    for seen in seen.values() {
        assert_eq!(seen.body["specversion"], "1.0", "a CloudEvent: {}", seen.body);
    }

    let items = site.json_lines(&["feedback", "list", "--text", "فاتوره"]);
    assert_eq!(items.len(), 1, "{items:#?}");
    assert_eq!(items[0]["language"], "ar");
    let admin = site.json(&["token", "create", "admin", "--scope", "admin"]);
    let overview = http
        .get(format!("http://{}/api/v1/overview", site.listen))
        .bearer_auth(admin["token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let overview: Value = serde_json::from_slice(&overview.bytes().await.unwrap()).unwrap();
    assert_eq!(overview["feedback"], 3, "{overview:#}");
    assert_eq!(overview["deliveries"]["billing"]["delivered"], 1, "{overview:#}");
    assert!(running.stop());

    // Everything is there after a restart, and nothing is sent again.
    let before = receiver.seen();
    let running = site.serve().unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(
        receiver.seen().values().map(|seen| seen.answers.len()).sum::<usize>(),
        before.values().map(|seen| seen.answers.len()).sum::<usize>()
    );
    running.kill();
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_of_a_batch_are_named_and_the_good_ones_are_kept() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let _running = site.serve().unwrap();
    let token = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    let huge = format!("{{\"body\": \"{}\"}}", "ا".repeat(5 << 20));
    let lines = [
        r#"{"external_id": "1", "body": "خدمة ممتازة"}"#,
        r#"{"external_id": "2", "body": "x", "bodi": "y", "scores": [{"metric": "nps", "value": 12, "min": 0, "max": 10}]}"#,
        r#"{"external_id": "3", "body": "\ud800"}"#,
        r#"{"external_id": "4", "body": "a\u0000b"}"#,
        r#"{"external_id": "5", "external_id": "6", "body": "x"}"#,
        "not json",
        huge.as_str(),
        r#"{"external_id": "1", "body": "خدمة ممتازة"}"#,
        r#"{"external_id": "9", "body": "The courier was kind"}"#,
    ];
    let answer = client()
        .post(format!("http://{}/api/v1/feedback:batch", site.listen))
        .bearer_auth(token["token"].as_str().unwrap())
        .header("content-type", "application/x-ndjson")
        .body(lines.join("\n"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.bytes().await.unwrap();
    let results: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let lines: Vec<_> = results.iter().filter(|result| result["line"].is_number()).collect();
    assert_eq!(lines.len(), 9, "{results:#?}");
    let status = |index: usize| lines[index]["result"].as_str().unwrap_or_default().to_owned();
    let statuses: Vec<String> = (0..9).map(status).collect();
    assert_eq!(
        statuses,
        [
            "new",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
            "refused",
            "duplicate",
            "new"
        ],
        "{lines:#?}"
    );
    let bad = lines[1].to_string();
    assert!(
        bad.contains("bodi") && bad.contains("scores[0]"),
        "every bad field is named: {bad}"
    );
}

#[test]
fn a_wrong_configuration_is_named_by_line_and_changes_nothing() {
    let site = Site::new("127.0.0.1:9".parse().unwrap()).unwrap();
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), format!("[server]\nlistn = \"x\"\n{text}")).unwrap();
    let output = site.run(&["serve"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("mihwar.toml:2") && said.contains("listn"),
        "{said}"
    );
    assert!(
        !site.data().join("mihwar.redb").exists(),
        "nothing may be made before the configuration is read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_says_why_and_arrives_under_its_id_once_the_cause_is_gone() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let right = std::fs::read_to_string(site.config()).unwrap();
    // Nobody answers there: 404, which no repetition can help.
    std::fs::write(site.config(), right.replace("/service\"", "/no/such/place\"")).unwrap();
    std::fs::write(
        site.path().join("a.eml"),
        "From: a@example.com\r\nMessage-ID: <d@example.com>\r\nSubject: عطل\r\n\r\nالتطبيق لا يفتح\r\n",
    )
    .unwrap();
    let running = site.serve().unwrap();
    let imported = site.json(&["import", "mail", &site.path().join("a.eml").display().to_string()]);
    assert_eq!(imported["new"], 1, "{imported:#}");
    let dead = until("a dead letter", || {
        let output = site.run(&["--json", "delivery", "list", "--state", "dead"]).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("\"dead\"").then_some(text)
    })
    .await;
    assert!(dead.contains("404"), "the reason is told: {dead}");
    let letter = site.json_lines(&["delivery", "list", "--state", "dead"]).remove(0);
    let shown = site.json(&["delivery", "show", letter["id"].as_str().unwrap()]);
    let exchange = &shown["exchanges"][0];
    assert_eq!(
        (&exchange["method"], &exchange["status"]),
        (&json!("POST"), &json!(404)),
        "{shown:#}"
    );
    assert!(!shown.to_string().contains("whsec_"), "no secret is told: {shown:#}");
    let departments = site.json_lines(&["delivery", "status"]);
    let counts: Vec<_> = departments.iter().map(|one| (&one["name"], &one["dead"])).collect();
    assert!(counts.contains(&(&json!("service"), &json!(1))), "{departments:#?}");
    assert!(running.stop());
    std::fs::write(site.config(), right).unwrap();
    let running = site.serve().unwrap();
    let replayed = site.run(&["delivery", "replay", "--all"]).unwrap();
    assert!(
        replayed.status.success(),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    let seen = until("the delivery", || Some(receiver.seen()).filter(|seen| !seen.is_empty())).await;
    let (id, seen) = seen.iter().next().unwrap();
    assert!(dead.contains(id.as_str()), "it keeps its id");
    assert_eq!(seen.answers, [200]);
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}
