use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use mihwar_hub::{Scope, ServerSection};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::http::overload::Entrance;
use crate::http::problem::PROBLEM_JSON;
use crate::routes::router_over;
use crate::surface::Surface;
use crate::testing::{Bench, Got, far_away};

fn record(external_id: &str, body: &str) -> String {
    json!({"external_id": external_id, "kind": "complaint", "language": "ar", "body": body}).to_string()
}

async fn keyed(bench: &Bench, key: &str, body: String) -> Got {
    let request = Request::post("/api/v1/feedback")
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    bench
        .send(crate::Peer::Console, request.body(body.into()).unwrap())
        .await
}

#[tokio::test]
async fn one_record_goes_in_and_comes_out_in_its_own_words() {
    let bench = Bench::new().await;
    let made = bench
        .post(
            "/api/v1/feedback?instance=kiosk",
            record("a-1", "التطبيق يتوقف عند الدفع"),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_owned();

    let again = bench
        .post(
            "/api/v1/feedback?instance=kiosk",
            record("a-1", "التطبيق يتوقف عند الدفع"),
        )
        .await;
    assert_eq!(
        (again.status, again.json()["id"].as_str()),
        (StatusCode::OK, Some(id.as_str()))
    );
    assert_eq!(again.json()["result"], "duplicate");

    let list = bench
        .get("/api/v1/feedback?text=%D8%A7%D9%84%D8%AF%D9%81%D8%B9&kind=complaint&limit=5")
        .await
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["content"]["body"], "التطبيق يتوقف عند الدفع");
    assert_eq!(list["items"][0]["instance"], "kiosk");
    assert_eq!(list["next"], Value::Null);
    assert_eq!(
        bench.get("/api/v1/feedback?kind=praise").await.json()["items"],
        json!([])
    );

    let one = bench.get(&format!("/api/v1/feedback/{id}")).await.json();
    let kinds: Vec<_> = one["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["type"].clone())
        .collect();
    assert!(kinds.contains(&json!("received")), "{one}");
    assert_eq!(one["events"][0]["actor"], "console");
    for missing in [
        "/api/v1/feedback/none",
        "/api/v1/feedback/01890000-0000-7000-8000-000000000000",
    ] {
        assert_eq!(bench.get(missing).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn bad_bodies_are_refused_each_with_its_own_problem() {
    let bench = Bench::new().await;
    for (body, status, kind, said) in [
        (r#"{"body": "مرحبا""#, 400, "/problems/invalid-json", "column"),
        (
            r#"{"body":"a","body":"b"}"#,
            400,
            "/problems/invalid-json",
            "stands twice",
        ),
        (r#"{"body":"\ud800"}"#, 400, "/problems/invalid-json", "surrogate"),
        (r#"{"body":"نص\u0000"}"#, 422, "/problems/invalid-field", "NUL"),
        (r#"{"bdoy":"x"}"#, 422, "/problems/invalid-field", "bdoy"),
        ("", 400, "/problems/invalid-json", "the body is empty"),
    ] {
        let got = bench.post("/api/v1/feedback", body).await;
        let problem = got.json();
        assert_eq!(
            (got.status.as_u16(), problem["type"].as_str()),
            (status, Some(kind)),
            "{body}"
        );
        assert!(got.text.contains(said), "{body}: {}", got.text);
        assert_eq!(got.headers["content-type"], PROBLEM_JSON);
    }
    let long = json!({"body": "ط".repeat(200_000)}).to_string();
    let too_large = bench.post("/api/v1/feedback", long).await;
    assert_eq!(too_large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(too_large.text.contains("262144 bytes"), "{}", too_large.text);
    let form = Request::post("/api/v1/feedback")
        .header("content-type", "text/plain")
        .body("{}".into())
        .unwrap();
    assert_eq!(
        bench.send(crate::Peer::Console, form).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let query = bench.get("/api/v1/feedback?limt=5&score_min=3&received_from=now").await;
    let fields: Vec<_> = query.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].clone())
        .collect();
    assert_eq!(fields, ["received_from", "score", "limt"], "{query:?}");
    assert_eq!(
        bench.get("/api/v1/feedback?cursor=%3F").await.json()["type"],
        "/problems/invalid-cursor"
    );
    assert_eq!(bench.get("/api/v1/overview").await.json()["feedback"], 0);
}

#[tokio::test]
async fn an_idempotency_key_answers_the_same_request_with_the_same_answer() {
    let bench = Bench::new().await;
    let first = keyed(&bench, "k-1", json!({"body": "شكرًا"}).to_string()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let again = keyed(&bench, "k-1", json!({"body": "شكرًا"}).to_string()).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.headers["idempotent-replay"], "true");
    assert!(!first.headers.contains_key("idempotent-replay"));
    let other = keyed(&bench, "k-1", json!({"body": "عفوًا"}).to_string()).await;
    assert_eq!(other.json()["type"], "/problems/idempotency-mismatch");
    // A refusal is not kept: put right, the same key works.
    assert_eq!(
        keyed(&bench, "k-2", "{}".into()).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        keyed(&bench, "k-2", json!({"body": "تم"}).to_string()).await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        keyed(&bench, "", "{}".into()).await.json()["type"],
        "/problems/invalid-request"
    );
    assert_eq!(bench.get("/api/v1/overview").await.json()["feedback"], 2);
}

#[tokio::test]
async fn a_batch_keeps_what_stands_beside_a_bad_line() {
    let bench = Bench::new().await;
    let lines = [
        record("1", "الخدمة ممتازة"),
        "{\"body\": \"كسر".into(),
        String::new(),
        json!({"body": "x", "unknown": 1, "kind": "rant"}).to_string(),
        format!("{{\"body\":\"{}\"}}", "ن".repeat(5 << 20)),
        record("2", "great\u{202e} service"),
        record("1", "الخدمة ممتازة"),
        "{\"body\":\"\\udc00\"}".into(),
        json!({"body": "a\u{0}b"}).to_string(),
        json!({"external_id": "3", "body": "بلا نهاية سطر"}).to_string(),
    ];
    let got = bench.post("/api/v1/feedback:batch", lines.join("\n")).await;
    assert_eq!(got.headers["content-type"], "application/x-ndjson");
    let results = got.lines();
    let told: Vec<_> = results
        .iter()
        .map(|r| (r["line"].as_u64(), r["result"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(1), Some("new")),
            (Some(2), Some("refused")),
            (Some(4), Some("refused")),
            (Some(5), Some("refused")),
            (Some(6), Some("new")),
            (Some(7), Some("duplicate")),
            (Some(8), Some("refused")),
            (Some(9), Some("refused")),
            (Some(10), Some("new")),
            (None, None),
        ],
        "{}",
        got.text
    );
    assert!(results[1]["problem"]["detail"].as_str().unwrap().starts_with("column "));
    assert_eq!(results[2]["problem"]["errors"].as_array().unwrap().len(), 2);
    assert_eq!(results[3]["problem"]["type"], "/problems/too-large");
    assert_eq!(results[5]["id"], results[0]["id"]);
    assert_eq!(
        results[9]["summary"],
        json!({"lines": 9, "new": 3, "revised": 0, "duplicates": 1, "refused": 5})
    );
    let quiet = bench
        .post("/api/v1/feedback:batch?results=refused", lines.join("\n"))
        .await
        .lines();
    assert_eq!(quiet.len(), 6);
    assert_eq!(quiet[5]["summary"]["duplicates"], 4);
}

#[tokio::test]
async fn a_slow_stream_is_answered_while_it_goes_on() {
    let bench = Bench::new().await;
    let (sender, receiver) = mpsc::channel::<Result<String, std::io::Error>>(1);
    let body = stream::unfold(receiver, async |mut r| r.recv().await.map(|item| (item, r)));
    let mut request = Request::post("/api/v1/feedback:batch")
        .body(Body::from_stream(body))
        .unwrap();
    request.extensions_mut().insert(crate::Peer::Console);
    let response = tower::ServiceExt::oneshot(bench.routes.clone(), request).await.unwrap();
    let mut answers = response.into_body().into_data_stream();
    for number in 1..=3 {
        sender
            .send(Ok(format!("{}\n", record(&number.to_string(), "شكوى"))))
            .await
            .unwrap();
        let answer = futures_util::StreamExt::next(&mut answers).await.unwrap().unwrap();
        assert!(
            answer.starts_with(format!("{{\"line\":{number},\"result\":\"new\"").as_bytes()),
            "{answer:?}"
        );
    }
    // A caller that breaks off loses nothing that was answered, and is told so.
    sender.send(Err(std::io::Error::other("cut"))).await.unwrap();
    let last = futures_util::StreamExt::next(&mut answers).await.unwrap().unwrap();
    assert!(last.starts_with(b"{\"problem\":"), "{last:?}");
    assert_eq!(bench.get("/api/v1/overview").await.json()["feedback"], 3);
}

#[tokio::test]
async fn a_stream_whose_caller_left_takes_a_place_until_its_lines_are_written() {
    let bench = Bench::new().await;
    let token = bench.token(Scope::FeedbackWrite).await;
    let entrance = Entrance::new(&ServerSection {
        streams: 1,
        ..ServerSection::default()
    });
    let surface = Surface::new(bench.hub.clone(), None);
    // The writer has no turn left.
    let busy = surface.streamed_groups.clone().acquire_many_owned(4).await.unwrap();
    let routes = router_over(surface);
    let send = async |body: Body| {
        let request = Request::post("/api/v1/feedback:batch").header("authorization", format!("Bearer {token}"));
        entrance
            .answer(routes.clone(), far_away(), request.body(body).unwrap())
            .await
    };
    let (sender, receiver) = mpsc::channel::<Result<String, std::io::Error>>(1);
    let body = stream::unfold(receiver, async |mut r| r.recv().await.map(|item| (item, r)));
    let answer = send(Body::from_stream(body)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let line = format!("{}\n", record("1", "أرسل ثم انصرف"));
    sender.send(Ok(line)).await.unwrap();
    // The line is on its way to the writer when its caller breaks off.
    yield_often().await;
    sender.send(Err(std::io::Error::other("cut"))).await.unwrap();
    drop((sender, answer));
    yield_often().await;
    let refused = send(Body::empty()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(busy);
    while send(Body::empty()).await.status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.get("/api/v1/overview").await.json()["feedback"], 1);
}

/// Lets whatever can go on do so.
async fn yield_often() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_export_holds_everything_page_after_page() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (0..450)
        .map(|i| record(&i.to_string(), if i % 2 == 0 { "طلب" } else { "order" }))
        .collect();
    let summary = bench
        .post("/api/v1/feedback:batch?results=refused", lines.join("\n"))
        .await
        .lines();
    assert_eq!(summary[0]["summary"]["new"], 450);
    let all = bench.get("/api/v1/feedback:export").await;
    let ids: std::collections::BTreeSet<_> = all
        .lines()
        .iter()
        .map(|r| r["content"]["external_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 450);
    assert_eq!(bench.get("/api/v1/feedback:export?text=order").await.lines().len(), 225);

    let mut seen = 0;
    let mut cursor = String::new();
    loop {
        let page = bench.get(&format!("/api/v1/feedback?limit=100{cursor}")).await.json();
        seen += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 450);
}

#[tokio::test]
async fn a_token_may_do_what_its_scopes_say_until_it_is_revoked() {
    let bench = Bench::new().await;
    let token = bench.token(Scope::FeedbackWrite).await;
    let ask = |method: Method, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json");
        bench.send(far_away(), request.body("{\"body\":\"مرحبا\"}".into()).unwrap())
    };
    assert_eq!(ask(Method::POST, "/api/v1/feedback").await.status, StatusCode::CREATED);
    let refused = ask(Method::GET, "/api/v1/feedback").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("feedback:read"));
    let tokens = bench.get("/api/v1/tokens").await.json();
    assert!(!tokens.to_string().contains(&token), "a list must not hold secrets");
    let id = tokens["items"][0]["id"].as_str().unwrap().to_owned();
    let revoked = bench.ask(Method::DELETE, &format!("/api/v1/tokens/{id}"), "").await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        ask(Method::POST, "/api/v1/feedback").await.status,
        StatusCode::UNAUTHORIZED
    );
}
