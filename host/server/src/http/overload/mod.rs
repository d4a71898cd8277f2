//! More comes in than can be done. What is let in stays quick; the rest is turned away, cheaply and at once, with a time to
//! come back. Who is turned away has cost a look at the address and nothing else: no token was looked up, no route, and of
//! the body only so much was read as the answer needs to arrive.

mod away;
mod gate;
mod pace;
mod passage;
mod words;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::body::{Frame, SizeHint};
use mihwar_hub::ServerSection;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::peer::Peer;
use super::problem::PROBLEM_JSON;
use super::seats::party;
use away::Later;
use gate::{Gate, Parties, Seat, Why};
use words::{Kind, Words};

pub(crate) use passage::Passage;

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
    /// Bytes that bodies may hold together.
    memory: Arc<Semaphore>,
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
        let memory = usize::try_from(server.body_memory.0).unwrap_or(usize::MAX);
        Self {
            writes: Door::paced(Kind::Write, server.concurrent_requests),
            reads: Door::paced(Kind::Read, server.concurrent_requests.div_ceil(2)),
            streams: Door::fixed(Kind::Stream, server.streams),
            hooks: Door::fixed(Kind::Hook, HOOKS.min(server.concurrent_requests)),
            vital: Door::fixed(Kind::Vital, VITAL),
            memory: Arc::new(Semaphore::new(memory.min(Semaphore::MAX_PERMITS))),
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
        let memory = || Arc::clone(&self.memory);
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
    let extensions = request.extensions_mut();
    extensions.insert(peer);
    extensions.insert(passage.clone());
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if kind == Kind::Stream && response.status().is_success() {
        let seat = passage.keep();
        return response.map(|body| Body::new(Kept { body, seat }));
    }
    passage.end(response.status().is_success());
    response
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

/// An answer that goes on, with the place that it takes up.
struct Kept {
    body: Body,
    seat: Option<Seat>,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.seat = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
