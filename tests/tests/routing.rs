//! Rules over what people say: tried on a file, carried out by a hub, explained, changed, and tried again before they are
//! taken over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Site, said};
use serde_json::{Value, json};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A site with rules of every sort, one of which divides by zero for most records.
fn site(receiver: &Receiver) -> Site {
    let site = Site::new(receiver.address).unwrap();
    site.reconfigure(
        "[routing]\ndefault = [\"service\"]\n",
        "[routing]\ndefault = [\"service\"]\ncontact-fields = [\"domains\"]\nlists = { vip-plans = { file = \"plans.txt\" } }\n",
    );
    fs::write(site.path().join("plans.txt"), "# كبار العملاء\ngold\nذهبي\n").unwrap();
    let rules = "[[route]]\nname = \"كبار\"\nto = [\"billing\"]\n\
                 when = \"has(record.given.plan) && record.given.plan in lists.vip_plans || 'partner.example' in contact.domains\"\n\
                 [[route]]\nname = \"نسبة\"\nto = [\"billing\"]\nwhen = \"1 / record.attachments == 1\"\n";
    site.configure_also(rules).unwrap();
    site
}

fn invoice() -> Value {
    json!({"external_id": "١", "subject": "سرّي", "body": "وصلتني فاتورة خاطئة"})
}

fn gold() -> Value {
    json!({"external_id": "٢", "body": "شكرًا على الخدمة", "attributes": {"plan": "ذهبي"}})
}

fn slow() -> Value {
    json!({"external_id": "٣", "body": "The app is slow", "author": {"name": "هدى", "identifiers": [{"scheme": "mail", "id": "huda@demo.example"}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_records_is_routed_without_a_hub() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = site(&receiver);
    let samples = site.path().join("عينات.ndjson");
    let good = format!("{}\n\n{}\n{}\n", invoice(), gold(), slow());
    fs::write(&samples, &good).unwrap();
    let told = site.ends_with(0, &["route", "test", "--file", text(&samples)]);
    for expected in [
        "1  → billing (money)",
        "matched      money  record.body.matches('(?i)invoice|فاتورة') is true: body has 19 letters",
        "FAILED       نسبة   1 / record.attachments == 1 failed: division by zero: attachments is 0",
        "not matched  كبار   has(record.given.plan)",
        "3  → billing (كبار)",
        "record.given.plan in lists.vip_plans is true: given.plan is \"ذهبي\"",
        "4  → service (default)",
        "3 records: 3 routed, 0 refused",
        "rules that matched none: نسبة",
    ] {
        assert!(told.contains(expected), "{expected} not in\n{told}");
    }
    // What a rule looks for in a text is told, and not what stands there.
    assert!(!told.contains("وصلتني") && !told.contains("سرّي"), "{told}");

    let lines = site.json_lines(&["route", "test", "--file", text(&samples)]);
    assert_eq!(lines[1]["line"], 3);
    assert_eq!(
        lines[1]["departments"][0],
        json!({"department": "billing", "rule": "كبار"})
    );
    assert_eq!(lines[0]["rules"][2]["verdict"], "failed");
    assert_eq!(lines[3]["summary"]["never_matched"], json!(["نسبة"]));

    // Other rules; and lines that are refused cost only themselves, and the exit status.
    let rules = site.path().join("جديد.toml");
    fs::write(
        &rules,
        "[[route]]\nname = \"الكل\"\nwhen = \"true\"\nto = [\"service\"]\n",
    )
    .unwrap();
    let bad = "{\"body\": \"أ\", \"kind\": \"شكوى\"}\n{\n{\"body\": \"\"}\n";
    fs::write(&samples, format!("{good}{bad}")).unwrap();
    let arguments = [
        "route",
        "test",
        "--file",
        text(&samples),
        "--rules",
        text(&rules),
        "--short",
    ];
    let told = site.ends_with(1, &arguments);
    for expected in [
        "1  → service (الكل)",
        "5  refused: kind:",
        "6  refused: column",
        "7  refused: body:",
        "6 records: 3 routed, 3 refused",
    ] {
        assert!(told.contains(expected), "{expected} not in\n{told}");
    }
    assert!(!told.contains("matched  "), "{told}");
    assert!(!site.data().exists(), "no hub was made for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_cannot_work_is_refused_with_its_place() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = site(&receiver);
    site.reconfigure(
        "1 / record.attachments == 1",
        "record.kind == 'praise' && record.scores.nps == 'عالية'",
    );
    let told = site.ends_with(1, &["config", "check"]);
    assert!(
        told.contains("rule \"نسبة\" at 1:46: record.scores.nps is a double, and 'عالية' is a string"),
        "{told}"
    );
    site.reconfigure("record.scores.nps == 'عالية'", "record.chanel == 'بريد'");
    let told = site.ends_with(1, &["config", "check"]);
    assert!(told.contains("did you mean `channel`?"), "{told}");
}

/// A hub with something to route.
struct House {
    site: Site,
    token: String,
    http: reqwest::Client,
}

impl House {
    fn new(site: Site) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let token = site.json(&["token", "create", "اختبار", "--scope", "admin"]);
        Self {
            token: token["token"].as_str().unwrap().to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            site,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let answer = self
            .http
            .post(format!("http://{}{path}", self.site.listen))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send();
        answer.await.unwrap().text().await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let answer = self
            .http
            .get(format!("http://{}{path}", self.site.listen))
            .bearer_auth(&self.token)
            .send();
        answer.await.unwrap().text().await.unwrap()
    }

    /// Hands a record in, and waits until it is routed.
    async fn routed(&self, record: &Value) -> (String, Value) {
        let answer: Value = serde_json::from_str(&self.post("/api/v1/feedback", record).await).unwrap();
        let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let started = Instant::now();
        loop {
            let explained: Value =
                serde_json::from_str(&self.get(&format!("/api/v1/feedback/{id}/routing")).await).unwrap();
            if !explained["decided"].is_null() {
                return (id, explained);
            }
            assert!(started.elapsed() < PATIENCE, "{explained}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Departments of a decision.
fn departments(told: &Value) -> Vec<&str> {
    let departments = told["departments"].as_array().unwrap();
    departments
        .iter()
        .map(|one| one["department"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_and_a_rule_that_fails_is_told_once() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = site(&receiver);
    let running = site.serve().unwrap();
    let house = House::new(site);
    let (id, explained) = house.routed(&invoice()).await;
    assert_eq!(departments(&explained["decided"]), ["billing"], "{explained}");
    assert_eq!(explained["decided"]["departments"][0]["rule"], "money");
    let failed = &explained["decided"]["failed"];
    assert_eq!(
        (&failed[0]["rule"], &failed[0]["code"]),
        (&json!("نسبة"), &json!("division-by-zero"))
    );
    assert_eq!(explained["rules_changed"], false);
    assert_eq!(explained["today"]["rules"][0]["verdict"], "matched");
    for record in [gold(), slow()] {
        house.routed(&record).await;
    }
    let metrics = house.get("/metrics").await;
    let counted = "mihwar_routing_rule_errors_total{rule=\"نسبة\"} 3";
    assert!(metrics.contains(counted), "{counted} not in\n{metrics}");
    let log = house.site.log();
    assert_eq!(log.matches("a rule failed on a record").count(), 1, "{log}");

    // It stands in the ledger, and nothing that was said does.
    let shown = house.site.json(&["feedback", "show", &id]);
    let events = shown["events"].as_array().unwrap().iter().map(|told| &told["event"]);
    let routed = events.clone().find(|event| event["type"] == "routed").unwrap();
    assert_eq!(routed["failed"], json!([{"rule": "نسبة", "code": "division-by-zero"}]));
    assert!(
        events.clone().all(|event| !event.to_string().contains("فاتورة")),
        "{shown}"
    );
    let told = house.site.ends_with(0, &["route", "explain", &id]);
    for expected in [
        "→ billing (money)",
        "rule نسبة failed: division by zero",
        "The rules have not changed since.",
        "Every rule that matches adds its departments:",
    ] {
        assert!(told.contains(expected), "{expected} not in\n{told}");
    }

    // The entries of a list are read again when the configuration is.
    fs::write(house.site.path().join("plans.txt"), "gold\nفضي\n").unwrap();
    house.site.ends_with(0, &["config", "reload"]);
    let told = house.site.ends_with(0, &["route", "explain", &id]);
    assert!(told.contains("The rules have changed since"), "{told}");
    let silver = json!({"external_id": "٤", "body": "أين طلبي؟", "attributes": {"plan": "فضي"}});
    let (_, explained) = house.routed(&silver).await;
    assert_eq!(departments(&explained["decided"]), ["billing"], "{explained}");

    // Without a hub that runs, the same; and an id that is none is refused.
    assert!(running.stop(), "{}", house.site.log());
    let told = house.site.ends_with(0, &["route", "explain", &id]);
    assert!(told.contains("→ billing (money)"), "{told}");
    house
        .site
        .ends_with(1, &["route", "explain", "0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f"]);
    let verified = house.site.json(&["ledger", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
}

/// A changed copy of the configuration, with other rules.
fn changed(site: &Site) -> PathBuf {
    let text = fs::read_to_string(site.config()).unwrap();
    let (kept, _) = text.split_once("[[route]]").unwrap();
    let rules = "[[route]]\nname = \"بطيء\"\nto = [\"billing\"]\nwhen = \"record.body.contains('slow')\"\n\
                 [[route]]\nname = \"شكر\"\nto = [\"service\"]\nwhen = \"record.kind == 'praise'\"\n";
    let path = site.path().join("جديد.toml");
    fs::write(&path, format!("{kept}{rules}")).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_are_tried_on_what_is_there_before_they_are_taken_over() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = site(&receiver);
    let running = site.serve().unwrap();
    let house = House::new(site);
    let mut ids = Vec::new();
    for record in [invoice(), gold(), slow()] {
        ids.push(house.routed(&record).await.0);
    }
    let changed = changed(&house.site);
    let trial = house
        .site
        .json(&["route", "try", "--rules", text(&changed), "--since", "1d"]);
    assert_eq!(
        (&trial["records"], &trial["moved"], &trial["same"]),
        (&json!(3), &json!(3), &json!(0)),
        "{trial}"
    );
    let first = &trial["moves"][0];
    assert_eq!(
        (&first["from"], &first["to"]),
        (&json!(["billing"]), &json!(["service"]))
    );
    assert_eq!(
        (&first["count"], &first["examples"]),
        (&json!(2), &json!([ids[0], ids[1]]))
    );
    assert_eq!(trial["moves"][1]["examples"], json!([ids[2]]));
    let never: Vec<_> = trial["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["matched"] == 0)
        .collect();
    assert_eq!(never.len(), 1);
    assert_eq!(never[0]["rule"], "شكر");

    what_would_move_is_a_table(&house, &changed);
    // A changed copy of the configuration finds the hub by its data folder; the rules in force move nothing.
    let mut command = Command::new(house.site.command(&[]).get_program());
    command
        .arg("--config")
        .arg(&changed)
        .arg("--data")
        .arg(house.site.data());
    let output = command.args(["route", "try", "--since", "1h"]).output().unwrap();
    assert!(
        output.status.success() && said(&output).contains("3 would go elsewhere"),
        "{}",
        said(&output)
    );
    let told = house.site.ends_with(0, &["route", "try"]);
    assert!(told.contains("0 would go elsewhere, 3 where they went"), "{told}");

    // A mistake is told before anything is tried.
    fs::write(
        &changed,
        "[[route]]\nname = \"خطأ\"\nwhen = \"record.chanel == ''\"\nto = [\"service\"]\n",
    )
    .unwrap();
    let told = house.site.ends_with(1, &["route", "try", "--rules", text(&changed)]);
    assert!(told.contains("rule \"خطأ\" at 1:7"), "{told}");
    let body = json!({"routes": [{"name": "خطأ", "when": "record.chanel == ''", "to": ["service"]}]});
    let told = house.post("/api/v1/routing:try", &body).await;
    assert!(told.contains("routes[0].when"), "{told}");

    assert!(running.stop(), "{}", house.site.log());
    what_was_taken_back_is_not_compared(&house);
}

fn what_would_move_is_a_table(house: &House, changed: &Path) {
    let told = house.site.ends_with(0, &["route", "try", "--rules", text(changed)]);
    for expected in [
        "3 records: 3 would go elsewhere",
        "66.6 %  billing → service",
        "33.3 %  service → billing",
        "rules that matched none: شكر",
    ] {
        assert!(told.contains(expected), "{expected} not in\n{told}");
    }
}

fn what_was_taken_back_is_not_compared(house: &House) {
    let erased = house
        .site
        .ends_with(0, &["contact", "erase", "mail:huda@demo.example", "--reason", "طلب"]);
    let trial = house.site.json(&["route", "try"]);
    assert_eq!(
        (&trial["same"], &trial["gone"]),
        (&json!(2), &json!(1)),
        "{trial} after {erased}"
    );
}
