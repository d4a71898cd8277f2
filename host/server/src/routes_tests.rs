use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use mihwar_hub::Scope;
use serde_json::Value;

use crate::testing::{Bench, far_away, next_door};
use crate::{Peer, openapi_json};

/// What an operation demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nobody is asked who they are.
    Nothing,
    /// From elsewhere a good token, whatever its scopes.
    AnyToken,
    /// A token with this scope.
    Token(Scope),
    /// A token for this department's feed.
    Feed,
    /// To be at the machine itself: no token is enough.
    Console,
}

/// Who may do what. A new operation needs a row.
const AUTHORITY: [(&str, Demand); 45] = [
    ("create_feedback", Demand::Token(Scope::FeedbackWrite)),
    ("create_feedback_batch", Demand::Token(Scope::FeedbackWrite)),
    ("list_feedback", Demand::Token(Scope::FeedbackRead)),
    ("get_feedback", Demand::Token(Scope::FeedbackRead)),
    ("export_feedback", Demand::Token(Scope::FeedbackRead)),
    ("get_routing", Demand::Token(Scope::FeedbackRead)),
    ("try_routing", Demand::Token(Scope::Admin)),
    ("list_deliveries", Demand::Token(Scope::FeedbackRead)),
    ("get_delivery", Demand::Token(Scope::FeedbackRead)),
    ("replay_deliveries", Demand::Token(Scope::Admin)),
    ("list_destinations", Demand::Token(Scope::FeedbackRead)),
    ("resume_destination", Demand::Token(Scope::Admin)),
    ("check_destination", Demand::Token(Scope::Admin)),
    ("backfill_destination", Demand::Token(Scope::Admin)),
    ("read_feed", Demand::Feed),
    ("acknowledge_feed", Demand::Feed),
    ("list_feed_cursors", Demand::Feed),
    ("remove_feed_cursor", Demand::Token(Scope::Admin)),
    ("list_inbound_dead_letters", Demand::Token(Scope::Admin)),
    ("replay_inbound_dead_letters", Demand::Token(Scope::Admin)),
    ("list_plugins", Demand::Token(Scope::FeedbackRead)),
    ("get_overview", Demand::Token(Scope::FeedbackRead)),
    ("get_checkpoint", Demand::Token(Scope::FeedbackRead)),
    ("get_newest_checkpoint", Demand::Token(Scope::FeedbackRead)),
    ("get_tile", Demand::Token(Scope::FeedbackRead)),
    ("get_entries", Demand::Token(Scope::FeedbackRead)),
    ("get_receipt", Demand::Token(Scope::FeedbackRead)),
    ("get_receipt_page", Demand::Token(Scope::FeedbackRead)),
    ("get_consistency", Demand::Token(Scope::FeedbackRead)),
    ("export_ledger", Demand::Token(Scope::FeedbackRead)),
    ("verify_ledger", Demand::Token(Scope::Admin)),
    ("make_figure", Demand::Token(Scope::FeedbackRead)),
    ("compact_store", Demand::Token(Scope::Admin)),
    ("start_import", Demand::Console),
    ("get_backup", Demand::Token(Scope::Admin)),
    ("create_token", Demand::Token(Scope::Admin)),
    ("list_tokens", Demand::Token(Scope::Admin)),
    ("revoke_token", Demand::Token(Scope::Admin)),
    ("reload_config", Demand::Token(Scope::Admin)),
    ("find_contact", Demand::Token(Scope::Admin)),
    ("export_contact", Demand::Token(Scope::Admin)),
    ("get_contact_file", Demand::Token(Scope::Admin)),
    ("erase_contact", Demand::Token(Scope::Admin)),
    ("receive_hook", Demand::Nothing),
    ("live", Demand::Nothing),
];
const FOR_MONITORS: [(&str, Demand); 2] = [("ready", Demand::Nothing), ("read_metrics", Demand::AnyToken)];

struct Operation {
    id: String,
    method: Method,
    path: String,
    security: Value,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            let Some(id) = operation["operationId"].as_str() else {
                continue;
            };
            let (id, path) = (id.to_owned(), path.replace(['{', '}'], ""));
            found.push(Operation {
                id,
                method,
                path,
                security: operation["security"].clone(),
            });
        }
    }
    found
}

fn demands() -> BTreeMap<&'static str, Demand> {
    AUTHORITY.into_iter().chain(FOR_MONITORS).collect()
}

#[test]
fn every_operation_has_a_row_and_says_so_in_the_document() {
    let demands = demands();
    let operations = operations();
    assert_eq!(operations.len(), demands.len());
    for operation in operations {
        let demand = demands
            .get(operation.id.as_str())
            .unwrap_or_else(|| panic!("add a row for {}", operation.id));
        let said = operation.security.to_string();
        let wanted = match demand {
            Demand::Nothing => "[{}]".to_owned(),
            Demand::AnyToken => "[{},{\"token\":[]}]".to_owned(),
            Demand::Feed => "[{\"token\":[\"feed:{department}\"]}]".to_owned(),
            Demand::Console => "[{\"token\":[\"admin\"]}]".to_owned(),
            Demand::Token(scope) => format!("[{{\"token\":[\"{scope}\"]}}]"),
        };
        assert_eq!(said, wanted, "{}", operation.id);
    }
}

/// Whoever has no token, or a forged one.
const UNKNOWN: (StatusCode, StatusCode) = (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED);

#[tokio::test]
async fn nobody_gets_further_than_the_table_says() {
    let bench = Bench::new().await;
    let demands = demands();
    let mut tokens = BTreeMap::new();
    for scope in Scope::ALL {
        tokens.insert(scope, bench.token(scope).await);
    }
    for operation in operations() {
        let ask = |bearer: Option<String>| {
            let request = Request::builder().method(operation.method.clone()).uri(&operation.path);
            let request = request.header("content-type", "application/json");
            let request = match bearer {
                Some(token) => request.header("authorization", format!("Bearer {token}")),
                None => request,
            };
            bench.send(far_away(), request.body("{}".into()).unwrap())
        };
        let id = &operation.id;
        let nobody = ask(None).await.status;
        let forged = ask(Some("mhw_01890000000070008000000000000000_00".into())).await.status;
        match demands[id.as_str()] {
            Demand::Nothing => assert_ne!(nobody, StatusCode::UNAUTHORIZED, "{id}"),
            Demand::AnyToken => {
                assert_eq!((nobody, forged), UNKNOWN, "{id}");
                assert_ne!(
                    ask(Some(tokens[&Scope::FeedbackWrite].clone())).await.status,
                    StatusCode::UNAUTHORIZED
                );
            }
            Demand::Feed => {
                assert_eq!((nobody, forged), UNKNOWN, "{id}");
                for (scope, token) in &tokens {
                    let status = ask(Some(token.clone())).await.status;
                    assert_eq!(
                        status == StatusCode::FORBIDDEN,
                        *scope != Scope::Admin,
                        "{id} with {scope}: {status}"
                    );
                }
                // In the path of the document the department's name is "department".
                for (department, may) in [("department", true), ("departments", false)] {
                    let status = ask(Some(bench.token_for(department).await)).await.status;
                    assert_eq!(status != StatusCode::FORBIDDEN, may, "{id} of {department}: {status}");
                }
            }
            Demand::Console => {
                assert_eq!(nobody, StatusCode::UNAUTHORIZED, "{id}");
                for token in tokens.values() {
                    assert_eq!(ask(Some(token.clone())).await.status, StatusCode::FORBIDDEN, "{id}");
                }
            }
            Demand::Token(needed) => {
                assert_eq!((nobody, forged), UNKNOWN, "{id}");
                for (scope, token) in &tokens {
                    let may = *scope == needed || *scope == Scope::Admin;
                    let status = ask(Some(token.clone())).await.status;
                    let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                    assert_eq!(refused, !may, "{id} with {scope}: {status}");
                    assert!(may || status == StatusCode::FORBIDDEN, "{id} with {scope}: {status}");
                }
            }
        }
    }
}

#[test]
fn the_document_is_openapi_3_1_and_whole() {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            schemas.contains_key(name),
            "the document refers to {name} and does not hold it"
        );
    }
}

#[test]
fn what_takes_records_in_says_with_which_answers_to_send_them_again() {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    for (path, statuses) in [
        ("/api/v1/feedback", &["429", "503", "504", "507"][..]),
        ("/api/v1/feedback:batch", &["429", "503"][..]),
        ("/hooks/{instance}/{endpoint}", &["429", "503", "504", "507"][..]),
    ] {
        let responses = &document["paths"][path]["post"]["responses"];
        for status in statuses {
            assert!(
                responses[status].is_object(),
                "{path} does not name {status}: {responses}"
            );
        }
    }
}

#[test]
fn every_operation_but_those_of_monitors_names_what_is_answered_at_the_door() {
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_vital = path.starts_with("/health/") || path == "/metrics";
            for status in ["429", "503"] {
                let answer = &operation["responses"][status]["content"]["application/problem+json"];
                let schema = &answer["schema"]["$ref"];
                let named = *schema == "#/components/schemas/Problem";
                assert_eq!(named, !is_vital, "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_query_key_of_the_document_is_read() {
    let bench = Bench::new().await;
    let document: Value = serde_json::from_str(&openapi_json().unwrap()).unwrap();
    for path in [
        "/api/v1/feedback",
        "/api/v1/feedback:export",
        "/api/v1/deliveries",
        "/api/v1/destinations",
        "/api/v1/inbound-dead-letters",
    ] {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        assert!(!parameters.is_empty());
        for name in parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()) {
            let got = bench.get(&format!("{path}?{name}=%00")).await;
            assert!(!got.text.contains("is not known here"), "{path}?{name}: {}", got.text);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_a_problem() {
    let bench = Bench::new().await;
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::PUT, "/api/v1/feedback", 405),
        (Method::POST, "/hooks/nobody/here", 404),
        (Method::GET, "/hooks/Bad%20Name/x", 404),
        (Method::GET, "/problems/invented", 404),
    ] {
        let got = bench.ask(method, path, "").await;
        assert_eq!(got.status.as_u16(), status, "{path}");
        assert_eq!(got.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(got.json()["status"], status, "{path}");
    }
    // What the framework did not understand is passed on in its own words.
    let unreadable = bench.get("/api/v1/feedback/%FF").await.json();
    assert_eq!(unreadable["type"], "/problems/invalid-request");
    assert!(unreadable["detail"].as_str().unwrap().contains("UTF-8"), "{unreadable}");
    let answer = bench.ask(Method::PUT, "/api/v1/feedback", "").await;
    let mut allowed: Vec<_> = answer.headers["allow"].to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_keeps_browsers_in_check() {
    let bench = Bench::new().await;
    for path in [
        "/health/live",
        "/api/v1/feedback",
        "/nothing",
        "/",
        "/api/docs/",
        "/openapi.json",
    ] {
        let got = bench.get(path).await;
        for name in [
            "x-request-id",
            "x-content-type-options",
            "content-security-policy",
            "referrer-policy",
        ] {
            assert!(got.headers.contains_key(name), "{path} lacks {name}");
        }
    }
}

#[tokio::test]
async fn a_caller_s_request_id_is_kept_if_it_is_short_and_plain() {
    let bench = Bench::new().await;
    let long = "a".repeat(65);
    for (given, kept) in [
        ("order-17", true),
        (long.as_str(), false),
        ("two words", false),
        ("طلب", false),
    ] {
        let request = Request::get("/health/live").header("x-request-id", given.as_bytes());
        let got = bench.send(far_away(), request.body(Body::empty()).unwrap()).await;
        let id = got.headers["x-request-id"].as_bytes();
        assert_eq!(id == given.as_bytes(), kept, "{given}");
        assert!(!id.is_empty());
    }
}

#[tokio::test]
async fn what_came_to_the_wrong_address_is_refused_before_its_body_is_read() {
    let bench = Bench::new().await;
    let never = || Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let at_once = async |request: Request<Body>| {
        let answer = bench.send(Peer::Console, request);
        tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap()
    };
    let hook = Request::post("/hooks/nobody/here").body(never()).unwrap();
    assert_eq!(at_once(hook).await.status, StatusCode::NOT_FOUND);
    let announced = Request::post("/api/v1/feedback")
        .header("content-type", "application/json")
        .header("content-length", "10000000");
    let refused = at_once(announced.body(never()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_and_says_after_how_long() {
    let bench = Bench::with("timeout = \"50ms\"").await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let slow = |path: &str| Request::post(path).header("content-type", "application/json");
    let got = bench
        .send(Peer::Console, slow("/api/v1/feedback").body(never).unwrap())
        .await;
    assert_eq!(got.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(got.text.contains("after 0.05 s"), "{}", got.text);
    // Replays and reloads take as long as they take: here longer than a request may, since the body comes late.
    for (path, body) in [
        ("/api/v1/deliveries:replay", "{\"all\":true}"),
        ("/api/v1/inbound-dead-letters:replay", "{\"all\":true}"),
    ] {
        let late = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok::<_, std::io::Error>(body)
        });
        let got = bench
            .send(Peer::Console, slow(path).body(Body::from_stream(late)).unwrap())
            .await;
        assert_eq!(
            (got.status, &got.json()["replayed"]),
            (StatusCode::OK, &Value::from(0)),
            "{path}: {got:?}"
        );
    }
    assert_eq!(bench.post("/api/v1/config:reload", "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_viewer_needs_no_internet() {
    let bench = Bench::new().await;
    let page = bench.get("/api/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    let script = bench.get("/api/docs/swagger-initializer.js").await;
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
    for text in [&page.text, &script.text] {
        assert!(!text.contains("https://") && !text.contains("http://"), "{text}");
    }
    assert_eq!(bench.get("/openapi.json").await.json()["info"]["title"], "Mihwar");
}

#[tokio::test]
async fn health_really_checks_and_tells_strangers_little() {
    let bench = Bench::new().await;
    let asked = |peer| {
        bench.send(
            peer,
            Request::get("/health/ready")
                .header("host", "localhost")
                .body("".into())
                .unwrap(),
        )
    };
    let stale = Duration::from_millis(1100);
    // Its workers were not started: it cannot work, and says so.
    let before = asked(next_door()).await;
    assert_eq!(before.status, StatusCode::SERVICE_UNAVAILABLE, "{before:?}");
    let checks = before.json()["checks"].as_array().unwrap().clone();
    let workers = checks.iter().find(|check| check["name"] == "workers").unwrap();
    assert_eq!(workers["ok"], false, "{before:?}");
    bench.hub.start();
    // However often it is asked, it looks at most once a second.
    assert_eq!(asked(next_door()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    tokio::time::sleep(stale).await;
    let ready = asked(next_door()).await;
    assert_eq!(
        (ready.status, &ready.json()["ready"]),
        (StatusCode::OK, &Value::Bool(true)),
        "{ready:?}"
    );
    assert!(ready.text.contains("detail"));
    assert!(!asked(far_away()).await.text.contains("detail"));
    bench.hub.close().await.unwrap();
    tokio::time::sleep(stale).await;
    assert_eq!(asked(next_door()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.get("/health/live").await.status, StatusCode::OK);
}
