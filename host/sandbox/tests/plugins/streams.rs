//! What a guest can do with connections, and what it cannot.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{Setup, acting, plugin, request, told};
use mihwar_sandbox::manifest::{ByteSize, Span};
use mihwar_sandbox::{Call, LimitOverrides, NetGrant, Severity};
use serde_json::json;

fn talking(act: &str, amount: u32, port: u16, security: &str) -> Setup {
    Setup {
        settings: json!({ "act": act, "amount": amount, "host": "localhost", "port": port, "security": security }),
        ..Setup::default()
    }
}

fn granted(setup: Setup, port: u16, private: bool, plain: bool) -> Setup {
    let grant = NetGrant {
        host: "localhost".to_owned(),
        port,
        private,
        plain,
    };
    Setup {
        net: vec![grant],
        ..setup
    }
}

/// Listens on whatever `localhost` is first.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Gives the first line back, byte by byte so that it comes in pieces, and answers with it.
fn echo(listener: TcpListener) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_nodelay(true).unwrap();
        let mut line = String::new();
        BufReader::new(connection.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        connection.write_all(b"500 what is ").unwrap();
        for byte in line.bytes() {
            connection.write_all(&[byte]).unwrap();
        }
        line
    })
}

#[tokio::test]
async fn a_granted_connection_carries_bytes_to_and_fro() {
    let (listener, port) = listener();
    let echo = echo(listener);
    let setup = granted(talking("talk", 0, port, "start-tls"), port, true, false);
    let done = setup.pull().await.unwrap();
    assert_eq!(told(&done), "500 what is سلام");
    assert_eq!(echo.join().unwrap(), "سلام\r\n");
    assert_eq!(done.effects.connections, 1);
}

#[tokio::test]
async fn a_host_without_a_grant_is_refused_with_the_grant_that_would_allow_it() {
    let (_listener, port) = listener();
    let (_, warnings) = talking("talk", 0, port, "start-tls").configure(&plugin()).unwrap();
    let toml = format!("[[instance.grant.net]]\nhost = \"localhost\"\nport = {port}\n");
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(warning.severity, Severity::Warning);
    assert!(warning.message.contains(&toml), "{warning}");
    let denied = talking("talk", 0, port, "start-tls").pull().await.unwrap();
    let shown = format!("Denied({toml:?})");
    assert!(told(&denied).contains(&shown), "{} lacks {shown}", told(&denied));
    assert_eq!(denied.effects.connections, 0);
    // Granted without the word `plain`, it is still not reached without TLS.
    let setup = granted(talking("talk", 0, port, "plain"), port, true, false);
    let denied = setup.pull().await.unwrap();
    assert!(
        told(&denied).contains("Denied") && told(&denied).contains("plain = true"),
        "{}",
        told(&denied)
    );
    // What the manifest does not ask for stays shut, whatever is granted.
    let other = Setup {
        settings: json!({ "act": "talk" }),
        ..granted(Setup::default(), 25, true, true)
    };
    let denied = other.pull().await.unwrap();
    assert!(told(&denied).contains("[[ask.net]]"), "{}", told(&denied));
}

#[tokio::test]
async fn private_addresses_stay_shut_without_the_word_private() {
    let (_listener, port) = listener();
    let setup = granted(talking("talk", 0, port, "start-tls"), port, false, false);
    let blocked = setup.pull().await.unwrap();
    assert!(
        told(&blocked).contains("BlockedAddress") && told(&blocked).contains("private = true"),
        "{}",
        told(&blocked)
    );
}

#[tokio::test]
async fn an_echo_of_a_secret_is_masked_however_few_bytes_are_read_at_once() {
    let (listener, port) = listener();
    let echo = echo(listener);
    let setup = granted(talking("carry", 0, port, "plain"), port, true, true);
    let done = setup.pull().await.unwrap();
    let sent = echo.join().unwrap();
    let token = "AGxheWxhANmD2YTZhdipLdin2YTYs9ixLTk0MzE=";
    assert_eq!(sent, format!("LOGIN كلمة-السر-9431 {token}\r\n"));
    let heard = told(&done);
    assert!(
        heard.starts_with("500 what is LOGIN ") && heard.contains("•••"),
        "{heard}"
    );
    assert!(!heard.contains("السر") && !heard.contains("9431"), "{heard}");
    assert!(!heard.contains("2YTZhdipLdin") && !heard.contains("LTk0MzE"), "{heard}");
}

#[tokio::test]
async fn a_secret_does_not_go_where_others_can_read_it() {
    let (listener, port) = listener();
    let silent = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        connection.read_to_end(&mut heard).unwrap();
        heard
    });
    let setup = granted(talking("carry", 0, port, "start-tls"), port, true, true);
    let denied = setup.pull().await.unwrap();
    assert!(
        told(&denied).contains("Denied") && told(&denied).contains("begin TLS first"),
        "{}",
        told(&denied)
    );
    assert_eq!(
        silent.join().unwrap(),
        b"",
        "not even what stood before the secret has left"
    );
}

#[tokio::test]
async fn connections_and_bytes_have_limits_that_name_their_setting() {
    let (listener, port) = listener();
    let setup = granted(talking("many-connections", 5, port, "plain"), port, true, true);
    let done = setup.pull().await.unwrap();
    assert!(
        told(&done).contains("LimitExceeded") && told(&done).contains("instance.limits.connections"),
        "{}",
        told(&done)
    );
    assert_eq!(done.effects.connections, 4);
    drop(listener);

    let (listener, port) = self::listener();
    let sender = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // Until the guest has had enough, and the connection is gone.
        while connection.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let limits = LimitOverrides {
        received: Some(ByteSize(100_000)),
        ..LimitOverrides::default()
    };
    let setup = Setup {
        limits,
        ..granted(talking("drain", 5_000, port, "plain"), port, true, true)
    };
    let done = setup.pull().await.unwrap();
    assert!(
        told(&done).starts_with("100000 bytes, then ") && told(&done).contains("instance.limits.received"),
        "{}",
        told(&done)
    );
    sender.join().unwrap();

    let (_listener, port) = self::listener();
    let limits = LimitOverrides {
        sent: Some(ByteSize(4)),
        ..LimitOverrides::default()
    };
    let setup = Setup {
        limits,
        ..granted(talking("talk", 0, port, "plain"), port, true, true)
    };
    let done = setup.pull().await.unwrap();
    assert!(told(&done).contains("instance.limits.sent"), "{}", told(&done));
}

#[tokio::test]
async fn a_silent_host_takes_no_more_time_than_the_guest_gave_it_and_no_more_than_the_call_has() {
    let (_listener, port) = listener();
    let setup = granted(talking("drain", 100, port, "plain"), port, true, true);
    let done = setup.pull().await.unwrap();
    assert!(
        told(&done).starts_with("0 bytes, then ") && told(&done).ends_with("Timeout"),
        "{}",
        told(&done)
    );

    let limits = LimitOverrides {
        time: Some(Span(Duration::from_millis(200))),
        ..LimitOverrides::default()
    };
    let setup = Setup {
        limits,
        ..granted(talking("drain", 600_000, port, "plain"), port, true, true)
    };
    let ended = setup.pull().await;
    // The guest has a little time to tell of it; on a busy machine it may be too little.
    assert!(
        ended.as_ref().map_or_else(
            |error| error.code() == "limit-time",
            |done| told(done).contains("Timeout")
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn nothing_stays_open_after_the_call() {
    let (listener, port) = listener();
    let setup = granted(talking("keep-open", 0, port, "plain"), port, true, true);
    assert_eq!(told(&setup.pull().await.unwrap()), "left");
    let (mut connection, _) = listener.accept().unwrap();
    let mut heard = Vec::new();
    connection.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"here\r\n");
}

#[tokio::test]
async fn a_dry_run_makes_no_connection() {
    let (listener, port) = listener();
    let setup = granted(talking("talk", 0, port, "plain"), port, true, true);
    let (instance, _) = setup.configure(&plugin()).unwrap();
    let call = Call {
        dry_run: true,
        ..Call::empty()
    };
    let done = instance.pull(request(), call).await.unwrap();
    assert!(told(&done).contains("Denied"), "{}", told(&done));
    assert_eq!(done.effects.held_back, [format!("CONNECT localhost:{port}")]);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn a_dry_run_remembers_no_more_connections_than_a_call_may_make() {
    let (_listener, port) = listener();
    let setup = granted(talking("knock", 1_000, port, "plain"), port, true, true);
    let (instance, _) = setup.configure(&plugin()).unwrap();
    let call = Call {
        dry_run: true,
        ..Call::empty()
    };
    let done = instance.pull(request(), call).await.unwrap();
    assert!(told(&done).contains("instance.limits.connections"), "{}", told(&done));
    assert_eq!(done.effects.held_back.len(), 4);
    assert_eq!(done.effects.connections, 0);
}

/// Reads all that comes over one connection.
fn reader(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        connection.read_to_end(&mut heard).unwrap();
        heard
    })
}

/// Each token made of a secret is looked for in all that comes, which costs the host time.
#[tokio::test]
async fn a_guest_has_no_more_tokens_made_of_secrets_than_logins_take() {
    let (listener, port) = listener();
    let heard = reader(listener);
    let setup = granted(talking("compose", 100, port, "plain"), port, true, true);
    let done = setup.pull().await.unwrap();
    let shown = told(&done);
    assert!(
        shown.starts_with("16 tokens, then ") && shown.contains("LimitExceeded") && shown.contains("`base64`"),
        "{shown}"
    );
    assert_eq!(heard.join().unwrap().len(), 16 * 48, "what is refused has not left");
}

/// A secret is named with few bytes and can be long: what a write comes to is counted before it is put together.
#[tokio::test]
async fn a_secret_named_many_times_is_refused_before_it_is_put_together() {
    for (amount, sent, refusal) in [
        (100_000, 16 << 20, "InvalidRequest(\"more than 1024 chunks"),
        (1_000, 1_000, "instance.limits.sent"),
    ] {
        let (listener, port) = listener();
        let heard = reader(listener);
        let limits = LimitOverrides {
            sent: Some(ByteSize(sent)),
            ..LimitOverrides::default()
        };
        let setup = Setup {
            limits,
            ..granted(talking("pieces", amount, port, "plain"), port, true, true)
        };
        let done = setup.pull().await.unwrap();
        assert!(told(&done).contains(refusal), "{}", told(&done));
        assert_eq!(heard.join().unwrap(), b"QUIT\r\n", "the connection is as it was");
    }
}

#[tokio::test]
async fn a_guest_that_asks_for_no_connection_has_no_warning_of_one() {
    let (_, warnings) = acting("answer", 0).configure(&plugin()).unwrap();
    assert_eq!(warnings, []);
}
