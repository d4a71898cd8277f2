//! A department that gets mail, from a real mail server (Debian's aiosmtpd, `tests/smtp/server.py`): STARTTLS, a login, a
//! mail that is put off, one that changes, and one that is to be forgotten.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mihwar_tests::{Running, Site, plugin_file, said, workspace};
use serde_json::{Value, json};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const PASSWORD: &str = "كلمة-السر-9431";
const WHO: &str = "tel:+966500000001";

/// Certificates of an authority that only tests trust.
fn certificate(name: &str) -> PathBuf {
    workspace().join("host/sandbox/src/egress/stream/testing").join(name)
}

/// The mail server, and what it has got.
struct Relay {
    process: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl Relay {
    fn start() -> Self {
        let mut process = Command::new("/usr/bin/python3")
            .arg(workspace().join("tests/smtp/server.py"))
            .args([certificate("localhost.pem"), certificate("localhost.key")])
            .args(["voice", PASSWORD])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().and_then(Result::ok);
        let port = port.expect("the mail server did not start; `cargo xtask test` installs python3-aiosmtpd");
        let mails = Arc::<Mutex<Vec<Value>>>::default();
        let taken = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                taken.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self {
            process,
            port: port.parse().unwrap(),
            mails,
        }
    }

    fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            drop(self.process.wait());
        }
    }
}

/// A site whose one department gets mail, with this password.
fn site(relay: &Relay, password: &str) -> Site {
    let site = Site::small("127.0.0.1:9".parse().unwrap()).unwrap();
    let file = site.path().join("password");
    std::fs::write(&file, password).unwrap();
    site.reconfigure("default = [\"service\"]", "default = [\"care\"]");
    let department = format!(
        r#"
[[plugin]]
id = "smtp"
file = "{}"
[[instance]]
name = "care"
plugin = "smtp"
time-zone = "Asia/Riyadh"
settings = {{ host = "localhost", port = {}, user = "voice", from = "صوت العميل <voice@shop.example>", to = ["care@shop.example", "gone@shop.example"], language = "ar" }}
secrets = {{ password = {{ file = "{}" }} }}
grant.fields = ["subject", "body", "author.name"]
retry = {{ first = "100ms", most = "400ms", attempts = 20 }}
[[instance.grant.net]]
host = "localhost"
port = {}
private = true
"#,
        plugin_file("smtp").display(),
        relay.port,
        file.display(),
        relay.port,
    );
    site.configure_also(&department).unwrap();
    site
}

fn serve(site: &Site) -> Running {
    let running = site.serve_as(|mut command| {
        command.env("SSL_CERT_FILE", certificate("authority.pem"));
        command
    });
    running.unwrap()
}

async fn until<T>(site: &Site, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen:\n{}", site.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Hands in a complaint in one of its revisions.
async fn hand_in(site: &Site, token: &str, revision: &str, body: &str) {
    let record = json!({
        "external_id": "visit-1042",
        "revision": revision,
        "occurred_at": "2026-11-22T06:29:41Z",
        "kind": "complaint",
        "language": "ar",
        "subject": "خصم مكرر",
        "body": body,
        "author": { "name": "ليلى حداد", "identifiers": [{ "scheme": "tel", "id": "+966500000001" }] },
    });
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("http://{}/api/v1/feedback", site.listen))
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(record.to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

fn token(site: &Site) -> String {
    let made = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    made["token"].as_str().unwrap().to_owned()
}

fn text<'a>(mail: &'a Value, field: &str) -> &'a str {
    mail[field].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_arrives_as_mail_over_tls_and_is_asked_back_when_it_is_erased() {
    let relay = Relay::start();
    let site = site(&relay, PASSWORD);
    let running = serve(&site);
    let token = token(&site);
    hand_in(&site, &token, "1", "خُصم المبلغ مرتين.\n.\n<b>ولم يصلني رد</b>").await;
    let first = until(&site, "the first mail", || relay.mails().first().cloned()).await;
    assert_eq!(first["sealed"], true, "{first:#}");
    assert_eq!(
        (text(&first, "user"), text(&first, "sender")),
        ("voice", "voice@shop.example")
    );
    assert_eq!(first["recipients"], json!(["care@shop.example"]));
    assert_eq!(first["defects"], json!([]));
    assert_eq!(text(&first, "subject"), "شكوى: خصم مكرر");
    assert_eq!(text(&first, "from"), "صوت العميل <voice@shop.example>");
    assert_eq!(text(&first, "automatic"), "auto-generated");
    let words = text(&first, "text");
    for part in [
        "خُصم المبلغ مرتين.",
        "<b>ولم يصلني رد</b>",
        "ليلى حداد",
        "2026-11-22 09:29 (Asia/Riyadh)",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let html = text(&first, "html");
    assert!(html.contains("dir=\"rtl\"") && html.contains("&lt;b&gt;"), "{html}");

    hand_in(&site, &token, "2", "خُصم المبلغ ثلاث مرات.").await;
    let second = until(&site, "the second mail", || relay.mails().get(1).cloned()).await;
    assert_eq!(text(&second, "answers"), text(&first, "id"));
    assert_ne!(second["id"], first["id"]);
    assert_eq!(text(&second, "subject"), "Re: شكوى: خصم مكرر");
    assert!(text(&second, "text").contains("ثلاث مرات"));

    let erased = site
        .run(&["contact", "erase", WHO, "--reason", "subject-request"])
        .unwrap();
    assert!(erased.status.success(), "{}", said(&erased));
    let third = until(&site, "the third mail", || relay.mails().get(2).cloned()).await;
    assert!(text(&third, "subject").starts_with("احذفوا نسختكم: "), "{third:#}");
    assert_eq!(text(&third, "answers"), text(&first, "id"));
    let said = third.to_string();
    assert!(!said.contains("خُصم") && !said.contains("ليلى"), "{said}");

    until(&site, "all of it being written down", || {
        let all = site.json_lines(&["delivery", "list"]);
        (!all.is_empty() && all.iter().all(|one| one["state"] == "delivered")).then_some(())
    })
    .await;
    assert!(running.stop());
    assert!(!site.log().contains(PASSWORD), "{}", site.log());
    assert_eq!(relay.mails().len(), 3, "each came once");
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_pauses_the_department_and_nothing_is_lost() {
    let relay = Relay::start();
    let site = site(&relay, "كلمة-خاطئة");
    let running = serve(&site);
    let token = token(&site);
    hand_in(&site, &token, "1", "انتظرت ساعة").await;
    let paused = until(&site, "the pause", || {
        let list = said(&site.run(&["plugin", "list"]).unwrap());
        list.contains("paused").then_some(list)
    })
    .await;
    assert!(paused.contains("password"), "{paused}");
    assert!(relay.mails().is_empty());
    // Put right, it goes on when the secret is read again.
    std::fs::write(site.path().join("password"), PASSWORD).unwrap();
    site.ends_with(0, &["config", "reload"]);
    until(&site, "the mail", || relay.mails().first().cloned()).await;
    assert!(running.stop());
}
