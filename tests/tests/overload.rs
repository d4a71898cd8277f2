//! More comes than can be done, or comes too slowly, or the hub is told to stop meanwhile: what was answered as kept is kept
//! once, what was not is told when to come back, and the hub stays as it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mihwar_tests::raw::{Answer, Connection, get, post_feedback};
use mihwar_tests::{Running, Site};
use serde_json::Value;
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest wait until somebody is cut off who is too slow by the keys of a test: shorter than the shortest of the times that
/// hold without these keys, which is ten seconds.
const CUT_OFF_MAX: Duration = Duration::from_secs(8);

/// A hub with these keys under `[server]`, and nobody to deliver to.
fn serve(server: &str) -> (Site, Running) {
    let site = Site::new("127.0.0.1:9".parse().unwrap()).unwrap();
    site.reconfigure("default = [\"service\"]", "default = []");
    site.configure_also(&format!("[server]\n{server}\n")).unwrap();
    let running = site.serve().unwrap();
    (site, running)
}

fn token(site: &Site, name: &str) -> String {
    let made = site.json(&["token", "create", name, "--scope", "admin"]);
    made["token"].as_str().unwrap().to_owned()
}

fn record(external_id: &str) -> String {
    format!(r#"{{"external_id":"{external_id}","body":"انتظرت ساعة ولم يجب أحد. Nobody answered for an hour."}}"#)
}

async fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<Answer> {
    Connection::open(address).await?.exchange(request).await
}

async fn metrics(address: SocketAddr) -> String {
    let answer = ask(address, &get("/metrics", None)).await.unwrap();
    String::from_utf8(answer.body).unwrap()
}

/// How many were turned away for this.
fn shed(metrics: &str, kind: &str, why: &str) -> usize {
    let name = format!("mihwar_http_shed_total{{kind=\"{kind}\",why=\"{why}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

/// How often each external id is in the hub.
fn kept(site: &Site) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in site.json_lines(&["feedback", "export"]) {
        let id = record["content"]["external_id"].as_str();
        let id = id.unwrap_or_else(|| panic!("no external id: {record}"));
        *counts.entry(id.to_owned()).or_default() += 1;
    }
    counts
}

/// A refusal for now says when to come back, and why, in the form of a problem.
fn assert_refused_for_now(answer: &Answer) {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    let kind = match answer.status {
        503 => "/problems/busy",
        429 => "/problems/too-many-requests",
        other => panic!("{other}: {problem}"),
    };
    assert_eq!(problem["type"], kind, "{problem}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_flood_what_is_accepted_is_kept_once_and_the_rest_is_told_to_come_back() {
    const CLIENTS: usize = 150;
    const EACH: usize = 6;
    let (site, running) = serve("concurrent-requests = 6");
    let tokens = [token(&site, "a"), token(&site, "ب"), token(&site, "c")];
    let (address, start) = (site.listen, Arc::new(Barrier::new(CLIENTS)));
    let over = Arc::new(AtomicBool::new(false));
    let health: JoinHandle<usize> = tokio::spawn({
        let over = over.clone();
        async move {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                for path in ["/health/live", "/health/ready"] {
                    assert_eq!(ask(address, &get(path, None)).await.unwrap().status, 200, "{path}");
                    asked += 1;
                }
            }
            asked
        }
    });
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (token, start) = (tokens[client % 3].clone(), start.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(address).await.unwrap();
            start.wait().await;
            let mut outcomes = Vec::new();
            for number in 0..EACH {
                let id = format!("شكوى-{client}-{number}");
                let answer = connection.exchange(&post_feedback(&token, &record(&id))).await.unwrap();
                outcomes.push((id, answer));
            }
            outcomes
        });
    }
    let outcomes: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    over.store(true, Ordering::Relaxed);
    assert!(health.await.unwrap() > 0);
    let (accepted, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, answer)| answer.status == 201);
    assert!(
        !accepted.is_empty() && !refused.is_empty(),
        "{} accepted",
        accepted.len()
    );
    refused.iter().for_each(|(_, answer)| assert_refused_for_now(answer));
    // It is over: the next one gets in.
    let next = ask(address, &post_feedback(&tokens[0], &record("next"))).await.unwrap();
    assert_eq!(next.status, 201, "{next:?}");
    let mut expected: BTreeMap<_, _> = accepted.into_iter().map(|(id, _)| (id, 1)).collect();
    expected.insert("next".into(), 1);
    assert_eq!(kept(&site), expected);
    let told = metrics(address).await;
    let counted = shed(&told, "write", "full") + shed(&told, "write", "share");
    assert_eq!(counted, refused.len(), "{told}");
    assert!(running.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_flood_loses_nothing_that_was_accepted() {
    const CLIENTS: usize = 60;
    let (site, running) = serve("");
    let (token, address) = (token(&site, "flood"), site.listen);
    let accepted_so_far = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (token, so_far) = (token.clone(), accepted_so_far.clone());
        clients.spawn(async move {
            let (mut connection, mut accepted) = (Connection::open(address).await.unwrap(), Vec::new());
            for number in 0.. {
                let id = format!("stop-{client}-{number}");
                match connection.exchange(&post_feedback(&token, &record(&id))).await {
                    Ok(answer) if answer.status == 201 => accepted.push(id),
                    Ok(answer) => assert_refused_for_now(&answer),
                    // Closed in order, or nobody listens any more.
                    Err(_) => break,
                }
                so_far.fetch_add(1, Ordering::Relaxed);
            }
            accepted
        });
    }
    let flood = async {
        while accepted_so_far.load(Ordering::Relaxed) < 300 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Nobody ends before the hub does, unless by a panic.
    tokio::select! {
        () = flood => {}
        ended = clients.join_next() => panic!("a client ended before the stop: {ended:?}\n{}", site.log()),
        () = tokio::time::sleep(PATIENCE) => panic!("the flood does not come up: {}", site.log()),
    }
    let stopped = tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
    assert!(stopped, "{}", site.log());
    let accepted: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    assert!(!accepted.is_empty());
    let kept = kept(&site);
    for id in &accepted {
        assert_eq!(kept.get(id), Some(&1), "{id} was answered 201");
    }
    assert!(kept.values().all(|count| *count == 1));
    assert_eq!(
        kept.len(),
        accepted.len(),
        "what was let in was answered, and nothing else is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_told_to_stop_says_so_first_and_goes_on_for_a_while() {
    let (site, running) = serve("stop-notice = \"4s\"");
    let (token, address) = (token(&site, "notice"), site.listen);
    assert!(running.ask_to_stop());
    let told = loop {
        let ready = ask(address, &get("/health/ready", None))
            .await
            .expect("it closed without a word");
        if ready.status == 503 {
            break ready;
        }
    };
    assert!(String::from_utf8_lossy(&told.body).contains("told to stop"), "{told:?}");
    let last = ask(address, &post_feedback(&token, &record("آخر"))).await.unwrap();
    assert_eq!((last.status, last.header("connection")), (201, Some("close")));
    let ended = tokio::task::spawn_blocking(move || running.ended_well()).await.unwrap();
    assert!(ended, "{}", site.log());
    assert_eq!(kept(&site).get("آخر"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_slow_is_cut_off() {
    // Long enough for a machine that has other things to do: what is quick enough must get through.
    let times = "header-timeout = \"1s\"\ntimeout = \"2s\"\nstream-timeout = \"1s\"";
    let (site, running) = serve(times);
    let (token, address) = (token(&site, "slow"), site.listen);
    let closed = async |mut connection: Connection, what: &str| {
        let rest = tokio::time::timeout(CUT_OFF_MAX, connection.until_closed()).await;
        String::from_utf8_lossy(&rest.unwrap_or_else(|_| panic!("still open: {what}"))).into_owned()
    };
    for half in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: localhost\r\nx-endless: "] {
        let mut connection = Connection::open(address).await.unwrap();
        connection.send(half.as_bytes()).await.unwrap();
        closed(connection, half).await;
    }
    let mut idle = Connection::open(address).await.unwrap();
    assert_eq!(idle.exchange(&get("/health/live", None)).await.unwrap().status, 200);
    closed(idle, "nothing after an exchange").await;

    let post = post_feedback(&token, &record("بطيء"));
    let mut slow = Connection::open(address).await.unwrap();
    slow.send(&post[..post.len() - 20]).await.unwrap();
    let said = closed(slow, "half a body").await;
    assert!(said.starts_with("HTTP/1.1 504"), "{said}");

    let head = format!(
        "POST /api/v1/feedback:batch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 100000\r\nconnection: close\r\n\r\n"
    );
    let mut dripping = Connection::open(address).await.unwrap();
    dripping.send(head.as_bytes()).await.unwrap();
    dripping.send(format!("{}\n", record("سطر")).as_bytes()).await.unwrap();
    // A letter now and then, and never the end of the line.
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if dripping.send(b"{").await.is_err() {
            break;
        }
    }
    let said = closed(dripping, "a dripping stream").await;
    assert!(said.is_empty() || said.contains("ended early"), "{said}");
    // The line that was whole is kept; nothing of the rest is.
    assert_eq!(kept(&site), BTreeMap::from([("سطر".to_owned(), 1)]));
    assert!(running.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn six_gigabytes_of_bodies_at_once_do_not_fill_the_memory() {
    const BODY_BYTES: usize = 30_000_000;
    const OFFERED: usize = 200;
    /// What fits is held some times over while it is worked on: as it came, as JSON, as a draft.
    const PEAK_GROWTH_MAX: u64 = 8 * (64 << 20);
    let (site, running) = serve("body-limit = \"32MiB\"\nbody-memory = \"64MiB\"\ntimeout = \"60s\"");
    let tokens = [token(&site, "a"), token(&site, "b")];
    let (address, before) = (site.listen, running.peak_bytes());
    let mut offers = JoinSet::new();
    for number in 0..OFFERED {
        let token = tokens[number % 2].clone();
        offers.spawn(async move {
            let head = format!(
                "POST /api/v1/feedback HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {BODY_BYTES}\r\n\r\n{{\"body\":\""
            );
            let mut connection = Connection::open(address).await.unwrap();
            connection.send(head.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 64 << 10];
            let mut left = BODY_BYTES - "{\"body\":\"\"}".len();
            while left > 0 {
                let size = left.min(piece.len());
                if connection.send(&piece[..size]).await.is_err() {
                    break;
                }
                left -= size;
            }
            // Whether an answer can still be read depends on who closed first.
            if connection.send(b"\"}").await.is_ok() {
                connection.answer().await.ok()
            } else {
                None
            }
        });
    }
    let answers: Vec<Answer> = offers.join_all().await.into_iter().flatten().collect();
    for answer in &answers {
        assert!([413, 422, 429, 503].contains(&answer.status), "{answer:?}");
    }
    let growth = running.peak_bytes() - before;
    assert!(growth <= PEAK_GROWTH_MAX, "{growth} bytes more at the peak");
    let told = metrics(address).await;
    assert!(shed(&told, "body", "memory") > 0, "{told}");
    let next = ask(address, &post_feedback(&tokens[0], &record("بعد ذلك")))
        .await
        .unwrap();
    assert_eq!(next.status, 201, "{next:?}");
    assert!(running.stop());
}
