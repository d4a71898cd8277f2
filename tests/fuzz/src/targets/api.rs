//! The hub's own door: requests as strangers write them, answered by the routes of a real hub in this process. Behind it lie
//! the strict JSON reader, NDJSON streams, queries and cursors, idempotency keys, times, and the signatures of webhooks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt;
use mihwar_hub::{Config, Doors, Hub, Scope};
use mihwar_model::Actor;
use mihwar_server::{Metrics, Peer, Router};
use serde_json::Value as Json;
use tower::ServiceExt;

use super::Target;

/// `METHOD PATH`, headers, an empty line, the body.
pub(super) const API: Target = Target {
    name: "api",
    seeds: || {
        // Made here, so that no input pays for it.
        assert_eq!(door().map(|_| ()), Ok(()), "there is no hub to ask");
        SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect()
    },
    words: &[
        "\"body\":",
        "\"scores\":[",
        "\"external_id\":\"1\"",
        "\"attachments\":[",
        "\"content_base64\":\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        "null",
        "\\u0000",
        "\\ud800",
        "?limit=",
        "&cursor=",
        "&score=nps&score_min=",
        "&received_from=",
        "%00",
        "%D8%B4",
        "/api/v1/feedback",
        "/api/v1/deliveries",
        "idempotency-key: k\n",
        "x-form-timestamp: ",
        "x-form-signature: sha256=",
        "content-type: ",
        "\n\n",
        "accept: ",
        "1e999",
        "\"raw\":{",
    ],
    check: |input| ask(input),
    bounded_inputs: 300,
    bytes_max: 96 << 20,
};

const SEEDS: [&str; 9] = [
    "POST /api/v1/feedback\ncontent-type: application/json\nidempotency-key: k1\n\n{\"external_id\":\"t-1\",\"channel\":\"branch-visit\",\"kind\":\"complaint\",\"occurred_at\":\"2026-11-22T09:30:00+03:00\",\"author\":{\"name\":\"ليلى\",\"identifiers\":[{\"scheme\":\"tel\",\"id\":\"+966500000001\"}]},\"subject\":\"تأخر\",\"body\":\"لم يصل\",\"scores\":[{\"metric\":\"nps\",\"value\":3}],\"tags\":[\"شحن\"],\"attributes\":{\"counter\":3}}",
    "POST /api/v1/feedback\ncontent-type: application/json\n\n{\"body\":\"x\",\"attachments\":[{\"name\":\"a.png\",\"media_type\":\"image/png\",\"content_base64\":\"iVBORw0KGgo=\"}],\"details\":{\"survey\":{\"survey_id\":\"s\",\"answers\":[]}},\"raw\":{\"a\":[1,2.5,null]}}",
    "POST /api/v1/feedback:batch\ncontent-type: application/x-ndjson\n\n{\"body\":\"سطر\"}\n{\"body\":1}\n\n{\"body\":\"b\"",
    "GET /api/v1/feedback?limit=2&language=ar&text=%D8%AA%D8%A3%D8%AE%D8%B1&received_from=2026-01-01T00:00:00Z\n\n\n",
    "GET /api/v1/feedback?cursor=AAAA&score=nps&score_min=-1&score_max=6.5\n\n\n",
    "GET /api/v1/deliveries?state=dead&department=billing&limit=200\n\n\n",
    "GET /api/v1/feedback/01a2026e-329f-7773-8ace-725977714191\n\n\n",
    "POST /hooks/form/submit\ncontent-type: application/json\nx-form-timestamp: 1790000000\nx-form-signature: sha256=00ff\n\n{\"message\":\"شكرًا\"}",
    "GET /api/v1/feedback:export?kind=praise\naccept: application/x-ndjson\n\n\n",
];

struct Door {
    runtime: tokio::runtime::Runtime,
    routes: Router,
    token: String,
}

/// The one hub of this process; its folder is removed by [`remove_folder`].
fn door() -> Result<&'static Door, String> {
    static DOOR: OnceLock<Result<Door, String>> = OnceLock::new();
    DOOR.get_or_init(open).as_ref().map_err(Clone::clone)
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("mihwar-fuzz-{}", std::process::id()))
}

/// Removes what the target left on the disk. To be called when no target runs any more.
pub(crate) fn remove_folder() {
    // Nothing is there when the target did not run.
    std::fs::remove_dir_all(folder()).ok();
}

fn open() -> Result<Door, String> {
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let plugin = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins/form.wasm");
    // Without the built plugin the signatures of webhooks would not be reached.
    if !plugin.exists() {
        return Err(format!("{} is not built; run: cargo xtask fuzz list", plugin.display()));
    }
    std::fs::write(folder.join("key"), "a form's key").map_err(|error| error.to_string())?;
    let text = format!(
        "[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n\
         [[plugin]]\nid = \"form\"\nfile = {:?}\n\
         [[instance]]\nname = \"form\"\nplugin = \"form\"\nsecrets = {{ signing = {{ file = \"key\" }} }}\n",
        plugin.display().to_string()
    );
    let path = folder.join("mihwar.toml");
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let config = Config::load(&path, &[], std::iter::empty()).map_err(|error| error.to_string())?;
    let (routes, token) = runtime.block_on(async {
        let hub = Hub::open(config, Doors::real())
            .await
            .map_err(|error| error.to_string())?;
        let made = hub
            .token_create(
                Actor::Console,
                "اختبار",
                vec![Scope::FeedbackRead, Scope::FeedbackWrite],
                None,
            )
            .await;
        let token = made.map_err(|error| error.to_string())?.token;
        Ok::<_, String>((mihwar_server::router(hub, &Metrics::none()), token))
    })?;
    Ok(Door { runtime, routes, token })
}

fn ask(input: &[u8]) -> Result<String, String> {
    let door = door()?;
    let Some(request) = request(input, &door.token) else {
        return Ok("no request".into());
    };
    let (status, kind, text) = door.runtime.block_on(async {
        let response = door
            .routes
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default();
        let kind = parts
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        (
            parts.status.as_u16(),
            kind,
            String::from_utf8_lossy(&bytes).into_owned(),
        )
    });
    if status == 500 {
        return Err(format!("500: {text}"));
    }
    if !kind.starts_with("application/problem+json") {
        let known = kind.split(';').next().unwrap_or_default();
        // Lines of a stream tell their own problems.
        let told: Vec<_> = text.lines().take(4).filter_map(problem_of_line).collect();
        return if status < 400 {
            Ok(format!("{status} {known} {told:?}"))
        } else {
            Err(format!("{status} without a problem: {kind} {text}"))
        };
    }
    let problem: Json =
        serde_json::from_str(&text).map_err(|error| format!("{status}: a problem that is no JSON: {error}"))?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    let bad_fields = problem["errors"].as_array().into_iter().flatten();
    let fields: Vec<_> = bad_fields
        .map(|field| field["field"].as_str().unwrap_or_default())
        .collect();
    let named = fields.iter().all(|field| !field.is_empty());
    if detail.is_empty() || problem["type"].as_str().is_none_or(str::is_empty) || problem["status"] != status || !named
    {
        return Err(format!("{status}: a problem that does not say what: {text}"));
    }
    Ok(format!(
        "{status} {} {:?}",
        problem["type"],
        fields.iter().take(3).collect::<Vec<_>>()
    ))
}

fn problem_of_line(line: &str) -> Option<String> {
    let line: Json = serde_json::from_str(line).ok()?;
    Some(format!("{} {}", line["result"], line["problem"]["type"]))
}

/// From a stranger on another machine with a token that reads and writes: what only the console may do stays undone.
fn request(input: &[u8], token: &str) -> Option<Request<Body>> {
    let cut = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (head, body) = input.split_at(cut);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).ok()?)
        .uri(path)
        .header("host", "localhost");
    request = request.header("authorization", format!("Bearer {token}"));
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let mut request = request
        .body(Body::from(body.get(2..).unwrap_or_default().to_vec()))
        .ok()?;
    request
        .extensions_mut()
        .insert(Peer::Tcp(SocketAddr::from(([203, 0, 113, 9], 40_000))));
    Some(request)
}
