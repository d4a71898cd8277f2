use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures_util::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mihwar_hub::ServerSection;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::words::Kind;
use super::{Entrance, Peer, Place};
use crate::http::Problem;
use crate::http::body::{JsonBody, whole_body};
use crate::http::stream::ndjson;
use crate::testing::{far_away, next_door};

/// The largest body that is taken without a token.
const HOOK_BODY_MAX: usize = 4 << 20;

async fn hook(request: Request<Body>) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    let body = whole_body(&parts, body, HOOK_BODY_MAX).await?;
    Ok(body.len().to_string())
}

/// A router whose writes end when they are told to.
struct House {
    entrance: Arc<Entrance>,
    router: Router,
    finish: Arc<Notify>,
    begun: mpsc::UnboundedReceiver<()>,
}

fn house(server: &ServerSection) -> House {
    let finish = Arc::new(Notify::new());
    let (begin, begun) = mpsc::unbounded_channel();
    let ends = finish.clone();
    let write = move |_: JsonBody| {
        let (begin, ends) = (begin.clone(), ends.clone());
        async move {
            begin.send(()).unwrap();
            ends.notified().await;
            "كُتب"
        }
    };
    let lines = async |place: Place| {
        let (lines, response) = ndjson(place);
        // Somebody writes to it until its reader goes.
        tokio::spawn(async move {
            let mut lines = lines;
            while lines.send(&"سطر").await.is_ok() {}
        });
        response
    };
    let router = Router::new()
        .route("/api/v1/feedback", post(write).get(async || "قائمة"))
        .route("/api/v1/feedback:export", get(lines))
        .route("/hooks/{instance}/{endpoint}", post(hook))
        .route("/api/docs/viewer.js", get(async || "صفحة"))
        .route("/health/live", get(async || "alive"));
    House {
        entrance: Arc::new(Entrance::new(server)),
        router,
        finish,
        begun,
    }
}

struct Got {
    status: StatusCode,
    headers: http::HeaderMap,
    body: String,
}

impl House {
    fn ask(&self, peer: Peer, request: Request<Body>) -> JoinHandle<Got> {
        let (entrance, router) = (self.entrance.clone(), self.router.clone());
        tokio::spawn(async move {
            let (parts, body) = entrance.answer(router, peer, request).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Got {
                status: parts.status,
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            }
        })
    }

    fn write(&self, peer: Peer, token: &str, body: Body) -> JoinHandle<Got> {
        let request = Request::post("/api/v1/feedback")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.ask(peer, request.body(body).unwrap())
    }

    fn look(&self, path: &str) -> JoinHandle<Got> {
        self.ask(far_away(), Request::get(path).body(Body::empty()).unwrap())
    }
}

fn server(concurrent_requests: usize) -> ServerSection {
    ServerSection {
        concurrent_requests,
        ..ServerSection::default()
    }
}

fn one() -> Body {
    Body::from("{}")
}

#[tokio::test]
async fn a_crowd_that_writes_is_turned_away_and_readers_and_health_are_not() {
    let mut house = house(&server(1));
    let held = house.write(far_away(), "a", one());
    house.begun.recv().await.unwrap();
    let refused = house.write(next_door(), "b", one()).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&after));
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(
        (&problem["type"], &problem["status"]),
        (&"/problems/busy".into(), &503.into())
    );
    assert!(problem["detail"].as_str().unwrap().contains("Retry-After"), "{problem}");
    for path in ["/api/v1/feedback", "/health/live"] {
        assert_eq!(house.look(path).await.unwrap().status, StatusCode::OK, "{path}");
    }
    house.finish.notify_one();
    assert_eq!(held.await.unwrap().body, "كُتب");
    let next = house.write(next_door(), "b", one());
    house.finish.notify_one();
    assert_eq!(next.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn one_token_and_one_address_leave_places_for_others_and_the_console_needs_none() {
    let mut house = house(&server(3));
    let mut held = vec![
        house.write(next_door(), "same", one()),
        house.write(next_door(), "same", one()),
    ];
    for _ in 0..2 {
        house.begun.recv().await.unwrap();
    }
    let refused = house.write(next_door(), "same", one()).await.unwrap();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.body.contains("/problems/too-many-requests"), "{}", refused.body);
    held.push(house.write(next_door(), "other", one()));
    house.begun.recv().await.unwrap();
    let full = house.write(next_door(), "third", one()).await.unwrap();
    assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
    held.push(house.write(Peer::Console, "same", one()));
    house.begun.recv().await.unwrap();
    house.finish.notify_waiters();
    for held in held {
        assert_eq!(held.await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_sender_that_is_waited_for_keeps_nobody_out() {
    let mut house = house(&server(1));
    let (piece, pieces) = mpsc::channel::<Result<&str, std::io::Error>>(1);
    let slow = futures_util::stream::unfold(pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    let slow = house.write(far_away(), "slow", Body::from_stream(slow));
    piece.send(Ok("{")).await.unwrap();
    // Until it was begun to be read, and was found to be not whole.
    while house.entrance.memory.api.available_permits() == 64 << 20 {
        tokio::task::yield_now().await;
    }
    let quick = house.write(next_door(), "quick", one());
    house.begun.recv().await.unwrap();
    // It comes back, and the place is taken.
    piece.send(Ok("}")).await.unwrap();
    drop(piece);
    assert_eq!(slow.await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    house.finish.notify_one();
    assert_eq!(quick.await.unwrap().status, StatusCode::OK);
    assert_eq!(house.entrance.memory.api.available_permits(), 64 << 20);
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_its_reader_goes() {
    let house = house(&ServerSection {
        streams: 1,
        ..ServerSection::default()
    });
    let export = || Request::get("/api/v1/feedback:export").body(Body::empty()).unwrap();
    let open = house.entrance.answer(house.router.clone(), far_away(), export()).await;
    assert_eq!(open.status(), StatusCode::OK);
    let refused = house.look("/api/v1/feedback:export").await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.body.contains("server.streams"), "{}", refused.body);
    drop(open);
    // Whoever writes it has to learn first that nobody reads any more.
    loop {
        let again = house.entrance.answer(house.router.clone(), far_away(), export()).await;
        if again.status() == StatusCode::OK {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_answer_keeps_its_place_until_all_of_it_is_sent() {
    // Half as many may read as may write: one.
    let house = house(&server(2));
    let list = Request::get("/api/v1/feedback").body(Body::empty()).unwrap();
    let open = house.entrance.answer(house.router.clone(), far_away(), list).await;
    assert_eq!(open.status(), StatusCode::OK);
    let next = async || house.look("/api/v1/feedback").await.unwrap().status;
    assert_eq!(next().await, StatusCode::SERVICE_UNAVAILABLE);
    // The connection has taken over all there is, and its reader is slow.
    let mut body = open.into_body();
    let unsent = body.frame().await.unwrap().unwrap().into_data().unwrap();
    drop(body);
    assert_eq!(unsent, "قائمة");
    assert_eq!(next().await, StatusCode::SERVICE_UNAVAILABLE);
    drop(unsent);
    assert_eq!(next().await, StatusCode::OK);
}

#[tokio::test]
async fn a_page_for_everybody_keeps_no_place_however_slowly_it_is_read() {
    let house = house(&server(2));
    let page = || Request::get("/api/docs/viewer.js").body(Body::empty()).unwrap();
    let mut unread = Vec::new();
    for _ in 0..5 {
        let open = house.entrance.answer(house.router.clone(), far_away(), page()).await;
        assert_eq!(open.status(), StatusCode::OK);
        unread.push(open);
    }
    assert_eq!(house.look("/api/v1/feedback").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_without_a_token_that_fill_their_memory_keep_neither_writers_nor_the_console_out() {
    let mut small = server(9);
    small.body_memory.0 = HOOK_BODY_MAX as u64;
    let mut house = house(&small);
    let submit = |body| Request::post("/hooks/form/submit").body(body).unwrap();
    let whole = futures_util::stream::once(async { Ok::<_, std::io::Error>(vec![b'x'; HOOK_BODY_MAX]) });
    let endless = Body::from_stream(whole.chain(futures_util::stream::pending()));
    let flood = house.ask(far_away(), submit(endless));
    while house.entrance.memory.hooks.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = house.ask(next_door(), submit(one())).await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.body.contains("server.body-memory"), "{}", refused.body);
    let held = [
        house.write(next_door(), "a", one()),
        house.write(Peer::Console, "b", one()),
    ];
    for _ in 0..2 {
        house.begun.recv().await.unwrap();
    }
    house.finish.notify_waiters();
    for held in held {
        assert_eq!(held.await.unwrap().status, StatusCode::OK);
    }
    flood.abort();
}

#[tokio::test]
async fn a_refused_body_is_read_away_if_it_is_small_and_left_if_not() {
    let mut house = house(&server(1));
    let held = house.write(far_away(), "a", one());
    house.begun.recv().await.unwrap();
    let never = || Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    // Its length is not known, and it never comes: the answer does not wait for it.
    let refused = tokio::time::timeout(Duration::from_secs(5), house.write(next_door(), "b", never()));
    assert_eq!(refused.await.unwrap().unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    house.entrance.close();
    let last = house.write(next_door(), "b", one()).await.unwrap();
    assert_eq!(last.headers["connection"], "close");
    house.finish.notify_one();
    assert_eq!(held.await.unwrap().headers["connection"], "close");
}

#[test]
fn every_address_counts_as_what_it_is() {
    let (_, lasting) = crate::feedback::lasting()
        .merge(crate::api::lasting())
        .split_for_parts();
    let (_, exchanges) = crate::feedback::exchanges()
        .merge(crate::api::exchanges())
        .split_for_parts();
    let (_, vital) = crate::api::vital().split_for_parts();
    let kinds = |document: utoipa::openapi::OpenApi| {
        let document = serde_json::to_value(document).unwrap();
        let mut kinds = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let method = method.to_uppercase().parse().unwrap();
                kinds.push((Kind::of(&method, path), format!("{method} {path}")));
            }
        }
        assert!(!kinds.is_empty());
        kinds
    };
    for (kind, operation) in kinds(lasting) {
        assert_eq!(kind, Kind::Stream, "{operation}");
    }
    for (kind, operation) in kinds(exchanges) {
        let expected = if operation.starts_with("GET") || operation.ends_with(":find") {
            Kind::Read
        } else {
            Kind::Write
        };
        assert_eq!(kind, expected, "{operation}");
    }
    for (kind, operation) in kinds(vital) {
        assert!(matches!(kind, Kind::Alive | Kind::Vital), "{operation}");
    }
}
