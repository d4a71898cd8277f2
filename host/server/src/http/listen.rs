//! The accept loop. Written by hand because the framework's own sets no timer: with it, a connection whose headers
//! never end would be held for ever. HTTP/1.1 only: telling HTTP/2 apart needs the first bytes, and hyper-util waits for
//! those without a timer; whoever wants HTTP/2 has it at the proxy that also brings TLS.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::overload::Entrance;
use super::peer::Peer;
use super::seats::Seats;
use super::stall::StallLimited;

/// Bytes of one request's headers.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 100;
/// The system takes 107 bytes; the name that is bound first is a little longer than the final one.
const SOCKET_PATH_BYTES_MAX: usize = 95;
/// Pause after an accept that failed for want of files or memory, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Out of so many such failures in a row one is told: they come ten a second.
const ACCEPT_FAILURES_TOLD: u32 = 100;

/// What bounds connections, whatever is asked over them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionBounds {
    /// Connections over TCP that are held at once; more wait.
    pub(crate) connections_max: usize,
    /// Of these, connections that one address may hold (for IPv6: one network of 64 bits); more are closed at once.
    /// This machine's own addresses are excepted, since a proxy here brings everybody's.
    pub(crate) connections_per_address_max: usize,
    /// From the opening of a connection, or the end of an exchange, to the end of the next headers.
    pub(crate) header_read_max: Duration,
    /// How long what is answered over TCP may be read at a rate that is next to nothing. The console may read as slowly as
    /// it likes: someone leafs through what it prints.
    pub(crate) write_stall_max: Duration,
    /// How long open exchanges may take to end once the hub stops.
    pub(crate) drain_max: Duration,
}

/// Where the server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody who has a token.
    pub tcp: TcpListener,
    /// For the command line on this machine.
    pub console: Option<ConsoleSocket>,
}

/// The hub's own socket in its data folder. Only the owner of the folder may open it, and whoever can may do
/// everything: the permission of the file is the authority. The file is removed when this is dropped.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Binds the socket. A file left behind by a hub that was killed is replaced.
    ///
    /// # Errors
    /// The path is too long, the folder cannot be written, or another hub answers on this socket (`AddrInUse`).
    pub fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let message = format!("another hub answers on {}; stop it first", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let message = "the path is too long for a socket; use a data folder with a shorter path (--data)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        // Bound under another name and moved into place only once its mode is right: nobody can slip in between.
        let unready = path.with_extension(format!("sock.{}", std::process::id()));
        let listener = UnixListener::bind(&unready)?;
        std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&unready, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the console socket was gone already");
        }
    }
}

/// Serves `router` behind `entrance` until `stop` is done, then lets open exchanges end.
pub(crate) async fn accept_until(
    router: Router,
    entrance: Arc<Entrance>,
    listeners: Listeners,
    bounds: ConnectionBounds,
    stop: impl Future<Output = ()>,
) {
    let acceptor = Acceptor {
        router,
        entrance,
        builder: connection_settings(bounds.header_read_max),
        graceful: GracefulShutdown::new(),
        room: Arc::new(Semaphore::new(bounds.connections_max.clamp(1, Semaphore::MAX_PERMITS))),
        seats: Seats::new(bounds.connections_per_address_max),
        write_stall_max: bounds.write_stall_max,
    };
    let Listeners { tcp, console } = listeners;
    tokio::select! {
        () = acceptor.tcp(&tcp) => {}
        () = acceptor.console(console.as_ref()) => {}
        () = stop => {}
    }
    // Nobody new gets in from here on.
    drop(tcp);
    drop(console);
    let open = acceptor.graceful.count();
    if tokio::time::timeout(bounds.drain_max, acceptor.graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(open, "some exchanges did not end in time and were cut off");
    }
}

struct Acceptor {
    router: Router,
    entrance: Arc<Entrance>,
    builder: http1::Builder,
    graceful: GracefulShutdown,
    room: Arc<Semaphore>,
    seats: Seats,
    write_stall_max: Duration,
}

impl Acceptor {
    async fn tcp(&self, listener: &TcpListener) {
        let mut failures = Failures::default();
        while let Some(permit) = self.permit().await {
            match listener.accept().await {
                Ok((stream, address)) => {
                    failures = Failures::default();
                    self.serve_tcp(stream, address, permit);
                }
                Err(error) => failures.one_more(&error).await,
            }
        }
    }

    fn serve_tcp(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        let Some(seat) = self.seats.take(address.ip()) else {
            metrics::counter!("mihwar_http_connections_refused_total").increment(1);
            tracing::debug!("a connection was closed: its address holds as many as one may");
            return;
        };
        // Small answers leave at once instead of waiting for more to send.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let stream = StallLimited::new(stream, self.write_stall_max);
        self.serve(stream, Peer::Tcp(address), (permit, seat));
    }

    async fn console(&self, socket: Option<&ConsoleSocket>) {
        let Some(socket) = socket else {
            return std::future::pending().await;
        };
        let mut failures = Failures::default();
        loop {
            match socket.listener.accept().await {
                // The console keeps a way in even when the network has taken all connections.
                Ok((stream, _)) => {
                    failures = Failures::default();
                    self.serve(stream, Peer::Console, ());
                }
                Err(error) => failures.one_more(&error).await,
            }
        }
    }

    /// Room for one more connection; `None` only when the semaphore is closed, which it never is.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Serves a connection; `held` is given back when it ends.
    fn serve<S>(&self, stream: S, peer: Peer, held: impl Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, entrance) = (self.router.clone(), self.entrance.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, entrance) = (router.clone(), entrance.clone());
            async move { Ok::<_, Infallible>(entrance.answer(router, peer, request.map(Body::new)).await) }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(held);
        });
    }
}

fn connection_settings(header_read_max: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_read_max)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

/// Accepts that failed one after the other.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    async fn one_more(&mut self, error: &io::Error) {
        // The other end went away before it got in: nobody else has to wait for that.
        let theirs = [
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionRefused,
        ];
        if theirs.contains(&error.kind()) {
            return;
        }
        metrics::counter!("mihwar_http_accept_failures_total").increment(1);
        if self.0.is_multiple_of(ACCEPT_FAILURES_TOLD) {
            tracing::warn!(%error, "no connection can be accepted; those that are open go on");
        }
        self.0 = self.0.wrapping_add(1);
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
