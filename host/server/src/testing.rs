//! What tests of this room share: a hub in a folder of its own, and callers of every kind.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use mihwar_hub::{Config, Doors, Hub, Right, Rights, Scope};
use mihwar_model::Actor;
use serde_json::Value;
use tower::ServiceExt;

use crate::{Metrics, Peer, router};

/// A hub without plugins, and its routes.
pub(crate) struct Bench {
    pub(crate) hub: Hub,
    pub(crate) routes: Router,
    /// Removed with everything in it at the end.
    _folder: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With more lines in the `[server]` table of the configuration.
    pub(crate) async fn with(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mihwar.toml");
        let text = format!("[server]\n{server}\n[storage]\nfolder = \"data\"\nfree-space-floor = \"1MiB\"\n");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path, &[], std::iter::empty()).unwrap();
        let hub = Hub::open(config, Doors::real()).await.unwrap();
        let routes = router(hub.clone(), &Metrics::none());
        Self {
            hub,
            routes,
            _folder: folder,
        }
    }

    pub(crate) async fn token(&self, scope: Scope) -> String {
        self.hub
            .token_create(Actor::Console, "اختبار", vec![scope], None)
            .await
            .unwrap()
            .token
    }

    /// A token for a department's feed.
    pub(crate) async fn token_for(&self, department: &str) -> String {
        let right = Right::Feed(department.parse().unwrap());
        let rights: Rights = [right].into_iter().collect();
        let made = self.hub.token_create(Actor::Console, "قسم", rights, None).await;
        made.unwrap().token
    }

    pub(crate) async fn send(&self, peer: Peer, request: Request<Body>) -> Got {
        let mut request = request;
        request.extensions_mut().insert(peer);
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Got {
            status: parts.status,
            headers: parts.headers,
            // A backup is no text.
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Asks at the console, with a JSON body or none.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: impl Into<String>) -> Got {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json");
        self.send(Peer::Console, request.body(Body::from(body.into())).unwrap())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<String>) -> Got {
        self.ask(Method::POST, path, body).await
    }
}

/// A caller on another machine.
pub(crate) fn far_away() -> Peer {
    Peer::Tcp(SocketAddr::from(([203, 0, 113, 9], 40_000)))
}

/// A caller over TCP on this machine.
pub(crate) fn next_door() -> Peer {
    Peer::Tcp(SocketAddr::from(([127, 0, 0, 1], 40_000)))
}
