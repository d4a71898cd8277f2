use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::Peer;
use crate::testing::{Bench, Got, far_away};

const FEED: &str = "/api/v1/departments/branches/feed";

/// A hub that gives everything to a department that asks.
async fn bench() -> Bench {
    let bench = Bench::with(
        "[[department]]\nname = \"branches\"\ngrant.fields = [\"body\"]\n[[department]]\nname = \"board\"\n\
         [routing]\ndefault = [\"branches\"]",
    )
    .await;
    bench.hub.start();
    bench
}

async fn say(bench: &Bench, body: &str) {
    let record = json!({ "body": body, "subject": "سر" }).to_string();
    let got = bench.post("/api/v1/feedback", record).await;
    assert_eq!(got.status.as_u16(), 201, "{}", got.text);
}

fn bodies(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    let body = |item: &Value| item["event"]["data"]["body"].as_str().unwrap().to_owned();
    items.iter().map(body).collect()
}

fn faulty(got: &Got) -> (u16, String) {
    let field = got.json()["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
    (got.status.as_u16(), field)
}

#[tokio::test]
async fn a_page_is_waited_for_and_comes_again_until_it_is_acknowledged() {
    let bench = bench().await;
    let waiting = async { bench.get(&format!("{FEED}?wait=60s")).await };
    let saying = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        say(&bench, "الطابور طويل").await;
    };
    let (page, ()) = tokio::join!(waiting, saying);
    let page = page.json();
    assert_eq!(bodies(&page), ["الطابور طويل"]);
    assert_eq!(page["more"], false);
    let event = &page["items"][0]["event"];
    assert_eq!(
        (&event["type"], &event["data"]["subject"]),
        (&json!("mihwar.feedback.created"), &Value::Null)
    );
    let again = bench.get(FEED).await.json();
    assert_eq!(again["items"], page["items"]);
    let next = page["next"].as_u64().unwrap();
    let ack = format!("{FEED}:ack");
    let beyond = bench.post(&ack, json!({ "position": next + 1 }).to_string()).await;
    assert_eq!(faulty(&beyond), (422, "position".into()), "{}", beyond.text);
    for _ in 0..2 {
        let stands = bench.post(&ack, json!({ "position": next }).to_string()).await.json();
        assert_eq!(
            (&stands["acknowledged"], &stands["settles"]),
            (&json!(next), &json!(true))
        );
    }
    assert_eq!(bench.get(FEED).await.json()["items"], json!([]));
    let listed = bench.get("/api/v1/destinations?state=asking").await.json();
    let names: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["board", "branches"]);
    bench.hub.close().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_told_of_its_field_and_with_the_nearest_name() {
    let bench = bench().await;
    for (query, field) in [
        ("cursor=maim", "cursor"),
        ("cursor=%D9%81%D8%B1%D8%B9", "cursor"),
        ("start=latest", "start"),
        ("cursor=audit&start=%D8%A3%D9%85%D8%B3", "start"),
        ("after=1042", "after"),
        ("after=-1", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("wait=61s", "wait"),
        ("wait=%D8%B7%D9%88%D9%8A%D9%84", "wait"),
        ("curser=main", "curser"),
    ] {
        let got = bench.get(&format!("{FEED}?{query}")).await;
        assert_eq!(faulty(&got), (400, field.into()), "{query}: {}", got.text);
    }
    // Main is there by now: it was asked for above.
    bench.get(FEED).await;
    let near = bench.get(&format!("{FEED}?cursor=maim")).await;
    assert!(near.text.contains("did you mean `main`?"), "{}", near.text);
    let near = bench.get("/api/v1/departments/branchs/feed").await;
    assert_eq!(near.status.as_u16(), 404);
    assert!(near.text.contains("did you mean `branches`?"), "{}", near.text);
    for (body, field) in [
        ("{}", "position"),
        ("{\"position\":-1}", "position"),
        ("{\"position\":0,\"cursor\":\"audit\"}", "cursor"),
        ("{\"position\":0,\"to\":1}", "to"),
    ] {
        let got = bench.post(&format!("{FEED}:ack"), body).await;
        assert_eq!(faulty(&got), (422, field.into()), "{body}: {}", got.text);
    }
    let request = Request::get(FEED)
        .header("accept", "text/event-stream")
        .header("last-event-id", "أمس".as_bytes());
    let got = bench.send(Peer::Console, request.body(Body::empty()).unwrap()).await;
    assert_eq!(faulty(&got), (400, "Last-Event-ID".into()), "{}", got.text);
    let check = bench
        .post("/api/v1/destinations:check", "{\"department\":\"board\"}")
        .await;
    assert_eq!(check.status.as_u16(), 409, "{}", check.text);
    bench.hub.close().await.unwrap();
}

#[tokio::test]
async fn a_token_is_for_its_own_department_and_only_an_admin_removes_cursors() {
    let bench = bench().await;
    let token = bench.token_for("branches").await;
    let ask = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        bench.send(far_away(), request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(ask(Method::GET, FEED).await.status.as_u16(), 200);
    let cursors = ask(Method::GET, &format!("{FEED}/cursors")).await.json();
    assert_eq!(cursors["items"][0]["name"], "main");
    for (method, path) in [
        (Method::GET, "/api/v1/departments/board/feed"),
        (Method::GET, "/api/v1/departments/board/feed/cursors"),
        (Method::DELETE, "/api/v1/departments/branches/feed/cursors/main"),
        (Method::GET, "/api/v1/feedback"),
    ] {
        assert_eq!(ask(method, path).await.status.as_u16(), 403, "{path}");
    }
    let remove = "/api/v1/departments/branches/feed/cursors/main";
    assert_eq!(bench.ask(Method::DELETE, remove, "").await.status.as_u16(), 204);
    assert_eq!(bench.ask(Method::DELETE, remove, "").await.status.as_u16(), 404);
    bench.hub.close().await.unwrap();
}

/// What comes of a stream until this stands in it.
async fn read_until(body: &mut Body, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await;
        let frame = frame.unwrap().expect("the stream ended").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn a_stream_goes_on_and_is_taken_up_where_it_was_cut_off() {
    let bench = bench().await;
    say(&bench, "الأول").await;
    let page = bench.get(&format!("{FEED}?wait=60s")).await.json();
    let first = page["next"].as_u64().unwrap();
    let open = async |last: Option<u64>| {
        let mut request = Request::get(FEED).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer::Console);
        let response = tower::ServiceExt::oneshot(bench.routes.clone(), request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body()
    };
    let mut stream = open(None).await;
    let text = read_until(&mut stream, "الأول").await;
    assert!(
        text.starts_with("retry: ") && text.contains(&format!("id: {first}\ndata: {{")),
        "{text}"
    );
    say(&bench, "الثاني").await;
    let text = read_until(&mut stream, "الثاني").await;
    assert!(!text.contains("الأول"), "{text}");
    drop(stream);
    let mut stream = open(Some(first)).await;
    let text = read_until(&mut stream, "الثاني").await;
    assert!(!text.contains("الأول"), "{text}");
    bench.hub.close().await.unwrap();
}
