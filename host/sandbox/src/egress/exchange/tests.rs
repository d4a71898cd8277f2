use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use super::*;
use crate::egress::CheckedNetwork;
use crate::grants::HttpGrant;

/// Answers each connection with the next of `answers` and tells what was asked.
fn server(answers: Vec<String>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut connection, _)) = listener.accept() else {
                return;
            };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = connection.read(&mut buffer) {
                request.extend_from_slice(&buffer[..read]);
                if complete(&request) {
                    break;
                }
            }
            tell.send(String::from_utf8_lossy(&request).into_owned()).unwrap();
            drop(connection.write_all(answer.as_bytes()));
        }
    });
    (address, asked)
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().unwrap());
    body.len() >= length
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn rule(origin: &str, private: bool) -> Rule {
    Rule::from_grant(&HttpGrant {
        origin: origin.to_owned(),
        methods: ["GET", "POST", "HEAD", "DELETE", "OPTIONS"].map(str::to_owned).to_vec(),
        paths: vec!["/".to_owned()],
        private,
    })
    .unwrap()
}

fn sending(method: Method, url: &str, body: &str) -> Sending {
    let mut headers = HeaderMap::new();
    headers.insert("x-mine", HeaderValue::from_static("kept"));
    Sending {
        method,
        url: Url::parse(url).unwrap(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        timeout: None,
        redirects: 3,
    }
}

#[derive(Default)]
struct Setup {
    dry_run: bool,
    most_bytes: Option<u64>,
    time: Option<Duration>,
}

async fn run(rules: &[Rule], setup: Setup, sending: Sending) -> Result<Answered, HttpError> {
    let network = CheckedNetwork::default();
    let credential = |_: &Origin| {
        Ok(Some((
            HeaderName::from_static("x-key"),
            HeaderValue::from_static("s3cret-value"),
        )))
    };
    Exchange {
        network: &network,
        asks: rules,
        grants: rules,
        credential: &credential,
        dry_run: setup.dry_run,
        deadline: Instant::now() + setup.time.unwrap_or(Duration::from_secs(10)),
        most_bytes: setup.most_bytes.unwrap_or(1024),
        user_agent: "mihwar/test",
        hop: Some("here"),
    }
    .run(sending)
    .await
}

#[tokio::test]
async fn a_granted_request_arrives_with_its_credential() {
    let (address, asked) = server(vec![answer("200 OK", "x-note: ok\r\n", "مرحبا")]);
    let origin = format!("http://{address}");
    let answered = run(
        &[rule(&origin, true)],
        Setup::default(),
        sending(Method::POST, &format!("{origin}/a?b=c"), "نص"),
    )
    .await
    .unwrap();
    assert_eq!(
        (answered.status, answered.body.as_ref(), answered.sent),
        (StatusCode::OK, "مرحبا".as_bytes(), 1)
    );
    let request = asked.recv().unwrap().to_lowercase();
    assert!(request.starts_with("post /a?b=c http/1.1"), "{request}");
    for line in [
        "x-mine: kept",
        "x-key: s3cret-value",
        "user-agent: mihwar/test",
        "mihwar-hop: here",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(request.ends_with("نص"));
}

#[tokio::test]
async fn a_name_is_reached_at_the_address_that_was_checked() {
    let (address, _asked) = server(vec![answer("204 No Content", "", "")]);
    let origin = format!("http://localhost:{}", address.port());
    let request = sending(Method::GET, &origin, "");
    let answered = run(&[rule(&origin, true)], Setup::default(), request).await;
    assert_eq!(answered.unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn private_addresses_stay_shut_without_the_word_private() {
    let (address, _asked) = server(vec![answer("200 OK", "", "")]);
    for origin in [
        format!("http://{address}"),
        format!("http://localhost:{}", address.port()),
    ] {
        let denied = run(
            &[rule(&origin, false)],
            Setup::default(),
            sending(Method::GET, &origin, ""),
        )
        .await
        .err();
        assert!(
            matches!(&denied, Some(HttpError::BlockedAddress(text)) if text.contains("private = true")),
            "{origin}: {denied:?}"
        );
    }
    let metadata = "http://169.254.169.254";
    let denied = run(
        &[rule(metadata, true)],
        Setup::default(),
        sending(Method::GET, metadata, ""),
    )
    .await
    .err();
    assert!(
        matches!(&denied, Some(HttpError::BlockedAddress(text)) if text.contains("no grant")),
        "{denied:?}"
    );
}

#[tokio::test]
async fn a_redirect_that_may_not_be_followed_is_handed_back() {
    let metadata = "http://169.254.169.254";
    // Without a grant, and with one that no address check lets through.
    for granted in [false, true] {
        let (address, asked) = server(vec![answer(
            "302 Found",
            &format!("location: {metadata}/latest\r\n"),
            "إلى هناك",
        )]);
        let origin = format!("http://{address}");
        let mut rules = vec![rule(&origin, true)];
        rules.extend(granted.then(|| rule(metadata, true)));
        let answered = run(&rules, Setup::default(), sending(Method::GET, &origin, ""))
            .await
            .unwrap();
        assert_eq!((answered.status, answered.sent), (StatusCode::FOUND, 1));
        assert_eq!(answered.body.as_ref(), "إلى هناك".as_bytes());
        let why = answered.not_followed.unwrap();
        assert!(why.contains("169.254.169.254"), "{why}");
        assert_eq!(asked.iter().count(), 1);
    }
}

#[tokio::test]
async fn an_error_behind_a_redirect_does_not_say_that_nothing_was_sent() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, asked) = server(vec![answer(
        "302 Found",
        &format!("location: http://{nobody}/x\r\n"),
        "",
    )]);
    let origin = format!("http://{address}");
    let rules = [rule(&origin, true), rule(&format!("http://{nobody}"), true)];
    let failed = run(&rules, Setup::default(), sending(Method::POST, &origin, "شكوى"))
        .await
        .err();
    assert!(
        matches!(&failed, Some(HttpError::Connect(failure)) if failure.sent),
        "{failed:?}"
    );
    assert_eq!(asked.iter().count(), 1);
}

#[tokio::test]
async fn an_answer_comes_whole_and_unpacked_so_that_an_echo_is_found() {
    let (address, asked) = server(vec![answer("200 OK", "", "")]);
    let origin = format!("http://{address}");
    let rules = [rule(&origin, true)];
    let mut ranged = sending(Method::GET, &origin, "");
    ranged.headers.insert(RANGE, HeaderValue::from_static("bytes=0-3"));
    let refused = run(&rules, Setup::default(), ranged).await.err();
    assert!(
        matches!(&refused, Some(HttpError::InvalidRequest(text)) if text.contains("range")),
        "{refused:?}"
    );
    run(&rules, Setup::default(), sending(Method::GET, &origin, ""))
        .await
        .unwrap();
    let request = asked.recv().unwrap().to_lowercase();
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn nothing_goes_along_to_another_origin() {
    let (second, asked_second) = server(vec![answer("200 OK", "", "there")]);
    let (first, _asked) = server(vec![answer(
        "302 Found",
        &format!("location: http://{second}/x\r\n"),
        "",
    )]);
    let rules = [
        rule(&format!("http://{first}"), true),
        rule(&format!("http://{second}"), true),
    ];
    let network = CheckedNetwork::default();
    let own = Origin::parse(&format!("http://{first}")).unwrap();
    let credential = |origin: &Origin| {
        Ok((*origin == own).then(|| {
            (
                HeaderName::from_static("x-key"),
                HeaderValue::from_static("s3cret-value"),
            )
        }))
    };
    let exchange = Exchange {
        network: &network,
        asks: &rules,
        grants: &rules,
        credential: &credential,
        dry_run: false,
        deadline: Instant::now() + Duration::from_secs(10),
        most_bytes: 1024,
        user_agent: "mihwar/test",
        hop: None,
    };
    let answered = exchange
        .run(sending(Method::GET, &format!("http://{first}/"), ""))
        .await
        .unwrap();
    assert_eq!((answered.body.as_ref(), answered.sent), (&b"there"[..], 2));
    let request = asked_second.recv().unwrap().to_lowercase();
    assert!(!request.contains("x-mine") && !request.contains("s3cret"), "{request}");
}

#[tokio::test]
async fn a_body_is_not_carried_to_another_origin() {
    let (second, asked_second) = server(vec![answer("200 OK", "", "")]);
    let (first, _asked) = server(vec![answer(
        "307 Temporary Redirect",
        &format!("location: http://{second}/x\r\n"),
        "",
    )]);
    let rules = [
        rule(&format!("http://{first}"), true),
        rule(&format!("http://{second}"), true),
    ];
    let answered = run(
        &rules,
        Setup::default(),
        sending(Method::POST, &format!("http://{first}/"), "شكوى"),
    )
    .await
    .unwrap();
    assert_eq!(answered.status, StatusCode::TEMPORARY_REDIRECT);
    assert!(asked_second.try_recv().is_err());
}

/// One origin must not have another delete something, with the credential that is for that.
#[tokio::test]
async fn a_change_is_not_led_to_another_origin() {
    let (second, asked_second) = server(vec![answer("200 OK", "", ""); 2]);
    for (method, status) in [
        (Method::DELETE, "307 Temporary Redirect"),
        (Method::DELETE, "302 Found"),
        (Method::POST, "308 Permanent Redirect"),
    ] {
        let (first, _asked) = server(vec![answer(
            status,
            &format!("location: http://{second}/cases/1\r\n"),
            "",
        )]);
        let rules = [
            rule(&format!("http://{first}"), true),
            rule(&format!("http://{second}"), true),
        ];
        let request = sending(method, &format!("http://{first}/"), "");
        let answered = run(&rules, Setup::default(), request).await.unwrap();
        assert!(answered.status.is_redirection(), "{}", answered.status);
        assert!(asked_second.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_dry_run_sends_nothing_that_changes_something() {
    let (address, asked) = server(vec![answer("200 OK", "", "read")]);
    let origin = format!("http://{address}");
    let rules = [rule(&origin, true)];
    let setup = || Setup {
        dry_run: true,
        ..Setup::default()
    };
    let held = run(&rules, setup(), sending(Method::POST, &origin, "x")).await.unwrap();
    assert_eq!((held.status, held.sent), (StatusCode::ACCEPTED, 0));
    assert_eq!(held.held_back, Some(format!("POST {origin}/")));
    let asked_for = run(&rules, setup(), sending(Method::OPTIONS, &origin, "")).await;
    assert_eq!(asked_for.unwrap().sent, 0, "only GET and HEAD leave");
    let read = run(&rules, setup(), sending(Method::GET, &origin, "")).await.unwrap();
    assert_eq!(read.body.as_ref(), b"read");
    assert_eq!(asked.iter().count(), 1);
}

#[tokio::test]
async fn too_long_an_answer_and_too_slow_an_answer_are_typed_errors() {
    let (address, _asked) = server(vec![answer("200 OK", "", &"ب".repeat(5000))]);
    let origin = format!("http://{address}");
    let large = run(
        &[rule(&origin, true)],
        Setup::default(),
        sending(Method::GET, &origin, ""),
    )
    .await
    .err();
    assert_eq!(large, Some(HttpError::ResponseTooLarge(1024)));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", silent.local_addr().unwrap());
    let started = Instant::now();
    let setup = Setup {
        time: Some(Duration::from_millis(200)),
        ..Setup::default()
    };
    let slow = run(&[rule(&origin, true)], setup, sending(Method::GET, &origin, ""))
        .await
        .err();
    assert!(
        matches!(&slow, Some(HttpError::Timeout(failure)) if failure.sent),
        "{slow:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn nobody_listening_means_nothing_was_sent() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let origin = format!("http://127.0.0.1:{port}");
    let refused = run(
        &[rule(&origin, true)],
        Setup::default(),
        sending(Method::GET, &origin, ""),
    )
    .await
    .err();
    assert!(
        matches!(&refused, Some(HttpError::Connect(failure)) if !failure.sent),
        "{refused:?}"
    );
}
