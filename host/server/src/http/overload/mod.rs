//! More comes in than can be done. What is let in stays quick; the rest is turned away, cheaply and at once, with a time to
//! come back. Who is turned away has cost a look at the address and nothing else: no token was looked up, no route, and of
//! the body only so much was read as the answer needs to arrive.

mod away;
mod gate;
mod kept;
mod memory;
mod pace;
mod passage;
mod words;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, header};
use mihwar_hub::ServerSection;
use tower::ServiceExt;

use super::peer::Peer;
use super::problem::PROBLEM_JSON;
use super::seats::party;
use away::Later;
use gate::{Gate, Parties, Why};
use memory::Memory;
use words::{Kind, Words};

pub(crate) use passage::{Passage, Place};

/// Other systems' requests at once. They come without a token and are held in memory whole.
const HOOKS: usize = 64;
/// Questions how the hub is, at once.
const VITAL: usize = 64;
/// A refused body of up to this many bytes is read and thrown away, so that its sender gets to read the answer: a connection
/// that is closed with bytes unread is reset, and the answer lost with it.
const REFUSED_BODY_MAX: u64 = 256 << 10;
/// So long at most.
const REFUSED_BODY_TIME_MAX: Duration = Duration::from_secs(1);

/// Where every request comes in.
#[derive(Debug)]
pub(crate) struct Entrance {
    writes: Door,
    reads: Door,
    streams: Door,
    hooks: Door,
    vital: Door,
    memory: Memory,
    /// Makes numbers of addresses and tokens; other ones after each start.
    hasher: RandomState,
    /// Connections are told to end with what is answered next.
    closing: AtomicBool,
}

/// A gate, and what is said to those who do not get through.
#[derive(Debug)]
struct Door {
    kind: Kind,
    gate: Arc<Gate>,
    full: Words,
    share: Words,
}

impl Door {
    fn new(kind: Kind, gate: Arc<Gate>) -> Self {
        Self {
            kind,
            gate,
            full: Words::of(kind, Why::Full),
            share: Words::of(kind, Why::Share),
        }
    }

    fn fixed(kind: Kind, count: usize) -> Self {
        Self::new(kind, Gate::fixed(kind.name(), count))
    }

    fn paced(kind: Kind, most: usize) -> Self {
        Self::new(kind, Gate::paced(kind.name(), most))
    }
}

impl Entrance {
    /// As the configuration has it.
    pub(crate) fn new(server: &ServerSection) -> Self {
        Self {
            writes: Door::paced(Kind::Write, server.concurrent_requests),
            reads: Door::paced(Kind::Read, server.concurrent_requests.div_ceil(2)),
            streams: Door::fixed(Kind::Stream, server.streams),
            hooks: Door::fixed(Kind::Hook, HOOKS.min(server.concurrent_requests)),
            vital: Door::fixed(Kind::Vital, VITAL),
            memory: Memory::new(server),
            hasher: RandomState::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// From here on every answer tells its connection to end.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Has `router` answer a request, unless there is no room for it.
    pub(crate) async fn answer(&self, router: Router, peer: Peer, request: Request<Body>) -> Response {
        let kind = Kind::of(request.method(), request.uri().path());
        let mut response = match self.enter(kind, peer, request.headers()) {
            Ok(passage) => work(router, kind, passage, peer, request).await,
            Err((words, later)) => turn_away(words, later, request).await,
        };
        if self.closing.load(Ordering::Relaxed) {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn enter(&self, kind: Kind, peer: Peer, headers: &HeaderMap) -> Result<Passage, (&Words, Later)> {
        let memory = || self.memory.of(kind, peer);
        let (Some(door), Peer::Tcp(address)) = (self.door(kind), peer) else {
            // The console keeps a way in whatever the network does.
            return Ok(Passage::new(kind, None, [None, None], memory()));
        };
        let parties = self.parties(address, headers);
        match door.gate.enter(parties) {
            Ok(seat) => Ok(Passage::new(kind, Some((door.gate.clone(), seat)), parties, memory())),
            Err((Why::Full, later)) => Err((&door.full, later)),
            Err((Why::Share, later)) => Err((&door.share, later)),
        }
    }

    fn door(&self, kind: Kind) -> Option<&Door> {
        let doors = [&self.writes, &self.reads, &self.streams, &self.hooks, &self.vital];
        doors.into_iter().find(|door| door.kind == kind)
    }

    /// The address, and the credential as it was sent: whether it is good costs more to know than a refusal may.
    fn parties(&self, address: SocketAddr, headers: &HeaderMap) -> Parties {
        let address: Option<IpAddr> = party(address.ip());
        let credential = headers.get(header::AUTHORIZATION);
        [
            address.map(|address| self.hasher.hash_one(address)),
            credential.map(|credential| self.hasher.hash_one(credential.as_bytes())),
        ]
    }
}

async fn work(router: Router, kind: Kind, passage: Passage, peer: Peer, mut request: Request<Body>) -> Response {
    // What answers there has asked for a token. A page for everybody is made from memory, and whoever reads it slowly must
    // not keep others out: all places would be held by nobody.
    // Bundles of entries are larger than that, whoever may read them.
    let path = request.uri().path();
    let is_held = path.starts_with("/api/v1/") || path.starts_with("/ledger/tile/entries/");
    let is_public = kind == Kind::Read && !is_held;
    let extensions = request.extensions_mut();
    extensions.insert(peer);
    extensions.insert(passage.clone());
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let worked = response.status().is_success();
    match kind {
        Kind::Stream if worked => kept::keep(response, passage.keep()),
        Kind::Read | Kind::Vital if worked && !is_public => {
            let place = passage.keep();
            // How long the answer took to make says how quick the hub is; how long its reader takes says nothing.
            place.worked();
            kept::keep(response, place)
        }
        _ => {
            passage.end(worked);
            response
        }
    }
}

async fn turn_away(words: &Words, later: Later, request: Request<Body>) -> Response {
    tokio::join!(pause(later.pause), read_away(request));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::RETRY_AFTER, HeaderValue::from(later.seconds)),
    ];
    (words.status, headers, words.body.clone()).into_response()
}

async fn pause(time: Duration) {
    // Even a sleep of no length may last until the timer's next tick.
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Reads a small body to its end and keeps nothing of it.
async fn read_away(request: Request<Body>) {
    let size = HttpBody::size_hint(request.body()).upper();
    // Who waits to be told to go on has not sent anything yet.
    let waits = request.headers().contains_key(header::EXPECT);
    if waits || size.is_none_or(|bytes| bytes > REFUSED_BODY_MAX) {
        return;
    }
    let mut rest = request.into_body().into_data_stream();
    let all = async { while let Some(Ok(_)) = rest.next().await {} };
    // Too slow, or all of it: the answer is the same.
    drop(tokio::time::timeout(REFUSED_BODY_TIME_MAX, all).await);
}

#[cfg(test)]
mod tests;
