//! A department's own tool: it gets each item once, says what became of it, and loses it when the person is erased.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use mihwar_tests::{Receiver, Site, plugin_file, said};
use serde_json::{Value, json};

const TOKEN: &str = "رمز-لا-يعرفه-غيرنا";
/// The same in an address.
const TOKEN_ENCODED: &str =
    "%D8%B1%D9%85%D8%B2-%D9%84%D8%A7-%D9%8A%D8%B9%D8%B1%D9%81%D9%87-%D8%BA%D9%8A%D8%B1%D9%86%D8%A7";

/// The tool: its cases, by their numbers; nothing where one was deleted.
#[derive(Clone, Default)]
struct Tool(Arc<Mutex<Vec<Option<Value>>>>);

impl Tool {
    async fn start() -> (Self, SocketAddr) {
        let tool = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/v1/cases", post(create).get(find))
            .route("/v1/cases/{number}", delete(remove))
            .with_state(tool.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (tool, address)
    }

    fn cases(&self) -> Vec<Option<Value>> {
        self.0.lock().unwrap().clone()
    }
}

/// Takes a case, and its answer is lost.
async fn create(State(tool): State<Tool>, Json(case): Json<Value>) -> StatusCode {
    tool.0.lock().unwrap().push(Some(case));
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn find(State(tool): State<Tool>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let wanted = query.get("key").unwrap();
    let cases = tool.cases();
    let found = cases.iter().position(|case| {
        let key = case.as_ref().and_then(|case| case["key"].as_str());
        key == Some(wanted.as_str())
    });
    let found: Vec<Value> = found
        .into_iter()
        .map(|number| json!({ "number": format!("ق/{number}") }))
        .collect();
    Json(json!({ "cases": found }))
}

async fn remove(State(tool): State<Tool>, Path(number): Path<String>) -> StatusCode {
    let at: usize = number.strip_prefix("ق/").unwrap().parse().unwrap();
    tool.0.lock().unwrap()[at] = None;
    StatusCode::NO_CONTENT
}

/// A site whose only department is the tool.
fn site(receiver: &Receiver, tool: SocketAddr) -> Site {
    let site = Site::small(receiver.address).unwrap();
    let file = site.path().join("webhook-token");
    std::fs::write(&file, TOKEN).unwrap();
    let department = format!(
        r#"
[[plugin]]
id = "crm"
file = "{plugin}"
[[instance]]
name = "cases"
plugin = "crm"
secrets = {{ webhook-token = {{ file = "{token}" }} }}
grant.fields = ["subject", "body", "author.name"]
retry = {{ first = "100ms", most = "400ms", attempts = 20 }}
[[instance.grant.http]]
origin = "http://{tool}"
methods = ["GET", "POST", "DELETE"]
private = true
[instance.settings]
url = "http://{tool}"
auth = "none"
[instance.settings.create]
path = "/v1/cases"
body = {{ title = "{{{{ item.title }}}}", who = "{{{{ item.author.name }}}}", key = "{{{{ item.id }}}}" }}
reference = "/number"
[instance.settings.lookup]
method = "GET"
path = "/v1/cases"
query = {{ key = "{{{{ item.id }}}}" }}
reference = "/cases/0/number"
[instance.settings.erase]
method = "DELETE"
path = "/v1/cases/{{{{ reference }}}}"
[instance.settings.status]
reference = "/number"
state = "/state"
changed_at = "/since"
note = "/reply"
page = "/link"
"#,
        plugin = plugin_file("crm").display(),
        token = file.display(),
    );
    site.configure_also(&department).unwrap();
    site.reconfigure("default = [\"service\"]", "default = [\"cases\"]");
    site
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
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

/// Hands one piece of feedback in; answers its id.
async fn complaint(site: &Site) -> String {
    let token = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    let record = json!({
        "external_id": "بلاغ-١", "body": "خُصم المبلغ مرتين\nplease {{ refund }} me",
        "author": { "name": "هدى", "identifiers": [{ "scheme": "email", "id": "huda@example.com" }] },
    });
    let answer = client()
        .post(format!("http://{}/api/v1/feedback", site.listen))
        .bearer_auth(token["token"].as_str().unwrap())
        .header("content-type", "application/json")
        .body(record.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    until("the record", || {
        let items = site.json_lines(&["feedback", "list"]);
        items.first().map(|item| item["id"].as_str().unwrap().to_owned())
    })
    .await
}

/// The tool reports; answers the status.
async fn report(site: &Site, token: &str, report: &Value) -> u16 {
    let url = format!("http://{}/hooks/cases/status-token?token={token}", site.listen);
    let answer = client().post(url).body(report.to_string()).send().await.unwrap();
    answer.status().as_u16()
}

/// Waits until one report was refused.
async fn refused(site: &Site) {
    let url = format!("http://{}/metrics", site.listen);
    let started = Instant::now();
    loop {
        let figures = client().get(&url).send().await.unwrap().text().await.unwrap();
        let is_refusal =
            |line: &&str| line.starts_with("mihwar_status_reports_total{") && line.contains("result=\"refused\"");
        if figures
            .lines()
            .find(is_refusal)
            .is_some_and(|line| line.ends_with(" 1"))
        {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{figures}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_gets_an_item_once_and_tells_what_became_of_it() {
    let receiver = Receiver::start(0).await.unwrap();
    let (tool, address) = Tool::start().await;
    let site = site(&receiver, address);
    let running = site.serve().unwrap();
    let id = complaint(&site).await;
    let show = || site.json(&["feedback", "show", &id]);
    let delivered = until("the delivery", || {
        let delivery = show()["deliveries"][0].clone();
        (delivery["state"] == "delivered").then_some(delivery)
    })
    .await;
    assert_eq!(delivered["reference"], "ق/0", "{delivered:#}");
    let case = json!({ "title": "خُصم المبلغ مرتين", "who": "هدى", "key": id });
    assert_eq!(tool.cases(), [Some(case)], "once, though its answer was lost");

    let resolved = json!({
        "number": "ق/0", "state": "resolved", "since": "2025-01-03T08:00:00Z", "reply": "أُعيد المبلغ إلى هدى",
        "link": "https://cases.example.sa/c/0",
    });
    let open = json!({ "number": "ق/0", "state": "open", "since": "2025-01-02T08:00:00Z" });
    let strange = json!({ "number": "ق/99", "state": "open", "since": "2025-01-02T08:00:00Z" });
    assert_eq!(report(&site, "guessed", &resolved).await, 401);
    // The older one comes later, and the newest is sent again by whoever recorded it.
    for told in [&resolved, &open, &resolved, &strange] {
        assert_eq!(report(&site, TOKEN_ENCODED, told).await, 202);
    }
    refused(&site).await;
    let dead = site.json_lines(&["delivery", "list", "--inbound"]);
    assert_eq!(dead, Vec::<Value>::new(), "it may be about somebody who was erased");
    let statuses = until("both reports", || {
        let statuses = show()["statuses"].as_array().unwrap().clone();
        (statuses.len() >= 2).then_some(statuses)
    })
    .await;
    let of = |state: &str| statuses.iter().find(|one| one["state"] == state).unwrap();
    assert_eq!(statuses.len(), 2, "{statuses:#?}");
    assert_eq!(
        (&of("resolved")["current"], &of("open")["current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(of("resolved")["note"], "أُعيد المبلغ إلى هدى");
    assert_eq!(of("resolved")["url"], "https://cases.example.sa/c/0");
    let shown = said(&site.run(&["feedback", "show", &id]).unwrap());
    assert!(
        shown.contains("* cases  resolved  since 2025-01-03T08:00:00"),
        "{shown}"
    );

    let erased = site
        .run(&[
            "contact",
            "erase",
            "email:huda@example.com",
            "--reason",
            "subject-request",
        ])
        .unwrap();
    assert!(erased.status.success(), "{}", said(&erased));
    until("the case is deleted", || {
        (tool.cases() == [None::<Value>]).then_some(())
    })
    .await;
    let left = show();
    assert_eq!(left["statuses"].as_array().unwrap().len(), 2, "facts stay: {left:#}");
    assert!(!left.to_string().contains("هدى"), "{left:#}");
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_with_an_unknown_field_refuses_the_configuration_and_is_named() {
    let receiver = Receiver::start(0).await.unwrap();
    let (_tool, address) = Tool::start().await;
    let site = site(&receiver, address);
    site.reconfigure("{{ item.title }}", "{{ item.عنوان }}");
    let output = site.run(&["config", "check"]).unwrap();
    assert!(
        !output.status.success() && said(&output).contains("create.body.title"),
        "{}",
        said(&output)
    );
    site.reconfigure("{{ item.عنوان }}", "{{ item.titel }}");
    let output = site.run(&["config", "check"]).unwrap();
    assert!(
        !output.status.success() && said(&output).contains("`item.titel` is no field"),
        "{}",
        said(&output)
    );
}
