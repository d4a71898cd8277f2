//! A department that asks: by pages that are waited for, and by a stream of events; over kills and stops of the hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test reports by panic, its helpers too"
)]

use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Site};
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// Longer than anything takes that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);

fn client() -> Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    // Connections of a hub that was killed are of no use to the next.
    Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// A hub, and whoever speaks to it over HTTP.
struct Speaker {
    site: Site,
    http: Client,
    /// What hands feedback in, and what takes that of the branches.
    writes: String,
    takes: String,
}

async fn value(response: Response) -> Value {
    let (status, bytes) = (response.status(), response.bytes().await.unwrap());
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{status}: {error}: {bytes:?}"))
}

impl Speaker {
    fn token(site: &Site, scope: &str) -> String {
        let made = site.json(&["token", "create", "اختبار", "--scope", scope]);
        made["token"].as_str().unwrap().to_owned()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.site.listen)
    }

    async fn say(&self, who: &str, body: &str) -> String {
        let record = json!({
            "body": body, "subject": "فرع الرياض", "kind": "complaint",
            "author": { "identifiers": [{ "scheme": "crm", "id": who }] },
        });
        let sent = self
            .http
            .post(self.url("feedback"))
            .bearer_auth(&self.writes)
            .header("content-type", "application/json")
            .body(record.to_string())
            .send();
        let accepted = value(sent.await.unwrap()).await;
        accepted["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{accepted:#}"))
            .to_owned()
    }

    async fn page(&self, query: &str) -> Value {
        let path = format!("departments/branches/feed?{query}");
        let asked = self.http.get(self.url(&path)).bearer_auth(&self.takes).send();
        value(tokio::time::timeout(PATIENCE * 2, asked).await.unwrap().unwrap()).await
    }

    /// Everything that waits, once it is so much.
    async fn whole_page(&self, items: usize) -> Value {
        let started = Instant::now();
        loop {
            let page = self.page("wait=5s").await;
            if page["items"].as_array().is_some_and(|found| found.len() >= items) {
                return page;
            }
            assert!(started.elapsed() < PATIENCE, "{page:#}\n{}", self.site.log());
        }
    }

    async fn acknowledge(&self, position: u64) -> Value {
        let sent = self
            .http
            .post(self.url("departments/branches/feed:ack"))
            .bearer_auth(&self.takes)
            .header("content-type", "application/json")
            .body(json!({ "position": position }).to_string())
            .send();
        value(sent.await.unwrap()).await
    }

    async fn stream(&self, last: Option<u64>) -> Stream {
        let asked = self
            .http
            .get(self.url("departments/branches/feed"))
            .bearer_auth(&self.takes)
            .header("accept", "text/event-stream");
        let asked = match last {
            Some(last) => asked.header("last-event-id", last.to_string()),
            None => asked,
        };
        let response = asked.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Stream {
            response,
            bytes: Vec::new(),
        }
    }
}

/// Server-sent events, as they come.
struct Stream {
    response: Response,
    bytes: Vec<u8>,
}

impl Stream {
    /// The next event, with its id; none at the end.
    async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.bytes.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    return Some((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap();
            self.bytes.extend_from_slice(&chunk.ok()??);
        }
    }
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    let id = |item: &Value| item["event"]["id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

fn status(site: &Site) -> Value {
    let all = site.json_lines(&["delivery", "status"]);
    all.into_iter().find(|one| one["name"] == "branches").unwrap()
}

async fn speaker(receiver: &Receiver) -> (Speaker, mihwar_tests::Running) {
    let site = Site::small(receiver.address).unwrap();
    site.reconfigure("default = [\"service\"]", "default = [\"service\", \"branches\"]");
    site.configure_also("[[department]]\nname = \"branches\"\ngrant.fields = [\"subject\", \"body\"]\n")
        .unwrap();
    let running = site.serve().unwrap();
    let speaker = Speaker {
        writes: Speaker::token(&site, "feedback:write"),
        takes: Speaker::token(&site, "feed:branches"),
        http: client(),
        site,
    };
    (speaker, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_department_read_and_did_not_acknowledge_comes_again_after_a_kill() {
    let receiver = Receiver::start(0).await.unwrap();
    let (speaker, running) = speaker(&receiver).await;
    for number in 0..3 {
        speaker
            .say("هدى", &format!("الطابور طويل {number}, the queue is long"))
            .await;
    }
    let page = speaker.whole_page(3).await;
    let read = ids(&page);
    let position = |number: usize| page["items"][number]["position"].as_u64().unwrap();
    running.kill();

    let running = speaker.site.serve().unwrap();
    let again = speaker.page("").await;
    assert_eq!(again["items"], page["items"], "the same ids, texts and places");
    // What it was handed by the process that was killed it may acknowledge.
    let stands = speaker.acknowledge(position(0)).await;
    assert_eq!(stands["acknowledged"], position(0), "{stands:#}");
    running.kill();

    let running = speaker.site.serve().unwrap();
    assert_eq!(ids(&speaker.page("").await), read[1..]);
    let shown = status(&speaker.site);
    assert_eq!(
        (&shown["state"], &shown["waiting"]),
        (&json!("asking"), &json!(2)),
        "{shown:#}"
    );
    assert!(shown["oldest"].is_string() && shown["lag_ms"].is_u64(), "{shown:#}");
    let stands = speaker.acknowledge(position(2)).await;
    assert_eq!(stands["acknowledged"], position(2), "{stands:#}");
    assert_eq!(
        speaker.acknowledge(position(1)).await,
        stands,
        "an older one changes nothing"
    );
    let beyond = speaker.acknowledge(position(2) + 1_000).await;
    assert_eq!(beyond["errors"][0]["field"], "position", "{beyond:#}");
    assert!(speaker.page("").await["items"].as_array().unwrap().is_empty());

    let delivered = ["delivery", "list", "--department", "branches", "--state", "delivered"];
    let mut delivered: Vec<String> = speaker
        .site
        .json_lines(&delivered)
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    delivered.sort();
    let mut wanted = read.clone();
    wanted.sort();
    assert_eq!(delivered, wanted, "the ledger tells it");
    let cursors = speaker.site.json(&["delivery", "feed", "branches"]);
    assert_eq!(cursors["items"][0]["acknowledged"], position(2), "{cursors:#}");

    // A department that is called was handed the same.
    let started = Instant::now();
    while receiver.seen().len() < 3 {
        assert!(started.elapsed() < PATIENCE, "{}", speaker.site.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seen = receiver.seen();
    for item in page["items"].as_array().unwrap() {
        let event = &item["event"];
        let called = seen
            .values()
            .find(|seen| seen.body["subject"] == event["subject"])
            .unwrap();
        assert_eq!(
            (&called.body["data"], &called.body["type"]),
            (&event["data"], &event["type"])
        );
    }
    assert!(running.stop());
    assert_eq!(speaker.site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_when_something_comes_and_a_stream_goes_on_where_it_was_cut_off() {
    let receiver = Receiver::start(0).await.unwrap();
    let (speaker, running) = speaker(&receiver).await;
    let (page, _) = tokio::join!(speaker.page("wait=60s"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        speaker.say("هدى", "الأول").await
    });
    assert_eq!(page["items"][0]["event"]["data"]["body"], "الأول", "{page:#}");

    let mut stream = speaker.stream(None).await;
    let (first, event) = stream.next().await.unwrap();
    assert_eq!(
        (first, &event),
        (page["next"].as_u64().unwrap(), &page["items"][0]["event"])
    );
    speaker.say("خالد", "الثاني").await;
    let (second, event) = stream.next().await.unwrap();
    assert_eq!(event["data"]["body"], "الثاني");
    assert!(second > first);
    drop(stream);
    speaker.say("سارة", "الثالث").await;
    let mut stream = speaker.stream(Some(second)).await;
    let (third, event) = stream.next().await.unwrap();
    assert_eq!(event["data"]["body"], "الثالث");

    // Whoever looks on sees all of it, and is told of who is erased.
    let audit = speaker.page("cursor=audit&start=earliest").await;
    assert_eq!(ids(&audit).len(), 3, "{audit:#}");
    let erased = speaker
        .site
        .json(&["contact", "erase", "crm:خالد", "--reason", "subject-request"]);
    assert_eq!(erased["records"], 1, "{erased:#}");
    let (told, event) = stream.next().await.unwrap();
    assert_eq!(event["type"], "mihwar.feedback.erased", "{event:#}");
    assert!(told > third);

    // A stop ends the stream, and everything that was not acknowledged is there after it.
    assert!(running.ask_to_stop());
    assert!(stream.next().await.is_none());
    assert!(running.ended_well());
    let running = speaker.site.serve().unwrap();
    let page = speaker.page("").await;
    let bodies: Vec<&Value> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["event"]["data"]["body"])
        .collect();
    assert_eq!(bodies, [&json!("الأول"), &json!("الثالث"), &Value::Null], "{page:#}");
    speaker.acknowledge(page["next"].as_u64().unwrap()).await;
    assert_eq!(status(&speaker.site)["waiting"], 0);
    assert!(running.stop());
    assert_eq!(speaker.site.json(&["ledger", "verify"])["ok"], true);
}
