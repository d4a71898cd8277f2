use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use mihwar_hub::ServerSection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{ConnectionBounds, ConsoleSocket, Entrance, Listeners, accept_until};
use crate::Peer;

/// More than the system takes in for a reader who does not read.
const LARGE_BYTES: usize = 64 << 20;

struct Running {
    address: std::net::SocketAddr,
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn start(connections_max: usize) -> Running {
    start_within(ConnectionBounds {
        connections_max,
        ..roomy()
    })
    .await
}

const fn roomy() -> ConnectionBounds {
    ConnectionBounds {
        connections_max: 8,
        connections_per_address_max: 8,
        header_read_max: Duration::from_secs(60),
        write_stall_max: Duration::from_secs(60),
        drain_max: Duration::from_secs(20),
    }
}

async fn start_within(bounds: ConnectionBounds) -> Running {
    start_as(&ServerSection::default(), bounds).await
}

async fn start_as(server: &ServerSection, bounds: ConnectionBounds) -> Running {
    let who = async |Extension(peer): Extension<Peer>| match peer {
        Peer::Console => "console",
        Peer::Tcp(_) => "tcp",
    };
    let slow = async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "تمّ"
    };
    let large = async || vec![b'x'; LARGE_BYTES];
    let router = Router::new()
        .route("/", get(who))
        .route("/slow", get(slow))
        .route("/large", get(large))
        .route("/api/v1/large", get(large));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("hub.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listeners = Listeners {
        tcp,
        console: Some(ConsoleSocket::bind(&socket).unwrap()),
    };
    let entrance = Arc::new(Entrance::new(server));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let served = tokio::spawn(accept_until(router, entrance, listeners, bounds, stopped));
    Running {
        address,
        socket,
        stop,
        served,
        _folder: folder,
    }
}

async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn each_door_says_who_came_through_it() {
    let running = start(8).await;
    assert!(
        exchange(TcpStream::connect(running.address).await.unwrap(), "/")
            .await
            .ends_with("tcp")
    );
    assert!(
        exchange(UnixStream::connect(&running.socket).await.unwrap(), "/")
            .await
            .ends_with("console")
    );
    assert_eq!(mode(&running.socket), 0o600);
}

#[tokio::test]
async fn one_folder_has_one_hub_and_a_dead_one_leaves_no_lock() {
    let running = start(8).await;
    let second = ConsoleSocket::bind(&running.socket).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    running.stop.send(()).unwrap();
    running.served.await.unwrap();
    assert!(!running.socket.exists());
    // Killed hubs leave their file behind.
    drop(std::os::unix::net::UnixListener::bind(&running.socket).unwrap());
    assert!(running.socket.exists());
    drop(ConsoleSocket::bind(&running.socket).unwrap());
    assert!(!running.socket.exists());
}

#[tokio::test]
async fn open_exchanges_end_before_the_server_does() {
    let running = start(8).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let open = tokio::spawn(exchange(stream, "/slow"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(()).unwrap();
    assert!(open.await.unwrap().ends_with("تمّ"));
    running.served.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_and_the_console_does_not() {
    let running = start(1).await;
    let held = TcpStream::connect(running.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waiting = tokio::spawn(exchange(TcpStream::connect(running.address).await.unwrap(), "/"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    assert!(
        exchange(UnixStream::connect(&running.socket).await.unwrap(), "/")
            .await
            .ends_with("console")
    );
    drop(held);
    assert!(waiting.await.unwrap().ends_with("tcp"));
}

#[tokio::test]
async fn headers_that_never_end_close_the_connection() {
    for start_of_request in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: localhost\r\nx-endless: "] {
        let bounds = ConnectionBounds {
            header_read_max: Duration::from_millis(200),
            ..roomy()
        };
        let running = start_within(bounds).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(start_of_request.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "still open after {start_of_request:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_closes_the_connection_and_the_console_may_take_its_time() {
    let bounds = ConnectionBounds {
        write_stall_max: Duration::from_millis(200),
        ..roomy()
    };
    let running = start_within(bounds).await;
    let request = b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stalled = TcpStream::connect(running.address).await.unwrap();
    let mut console = UnixStream::connect(&running.socket).await.unwrap();
    stalled.write_all(request).await.unwrap();
    console.write_all(request).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut got, mut whole) = (Vec::new(), Vec::new());
    // Cut off: the end comes early, or as an error.
    drop(stalled.read_to_end(&mut got).await);
    assert!(got.len() < LARGE_BYTES, "{}", got.len());
    console.read_to_end(&mut whole).await.unwrap();
    assert!(whole.len() > LARGE_BYTES, "{}", whole.len());
}

#[tokio::test]
async fn an_answer_that_is_not_read_takes_a_place_until_its_connection_ends() {
    // Half as many may read as may write: one.
    let server = ServerSection {
        concurrent_requests: 2,
        ..ServerSection::default()
    };
    let running = start_as(&server, roomy()).await;
    let next = async || exchange(TcpStream::connect(running.address).await.unwrap(), "/").await;
    let mut stalled = TcpStream::connect(running.address).await.unwrap();
    let request = b"GET /api/v1/large HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    // The head was read; the rest waits in the hub's memory.
    let mut head = [0; 12];
    stalled.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let refused = next().await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(stalled);
    let let_in = async { while !next().await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(30), let_in).await.unwrap();
}
