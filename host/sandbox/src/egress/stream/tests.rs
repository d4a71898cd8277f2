use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Both are of the same authority, which only these tests trust.
const AUTHORITY: &[u8] = include_bytes!("testing/authority.pem");
const LOCALHOST: &[u8] = include_bytes!("testing/localhost.pem");
const LOCALHOST_KEY: &[u8] = include_bytes!("testing/localhost.key");

fn trusting() -> TlsSettings {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsSettings::of(config)
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(LOCALHOST).unwrap()],
            PrivateKeyDer::from_pem_slice(LOCALHOST_KEY).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server for one connection: says `مرحبا` as it is if it begins `plain`, then speaks TLS and gives back what it gets.
async fn server(plain: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut line, _) = listener.accept().await.unwrap();
        if plain {
            line.write_all("مرحبا".as_bytes()).await.unwrap();
        }
        let Ok(mut sealed) = acceptor().accept(line).await else {
            return;
        };
        let mut bytes = [0; 64];
        while let Ok(read @ 1..) = sealed.read(&mut bytes).await {
            sealed.write_all(&bytes[..read]).await.unwrap();
            sealed.flush().await.unwrap();
        }
    });
    address
}

fn to(host: &str, port: u16, tls: bool, private: bool) -> Dial {
    Dial {
        host: host.to_owned(),
        port,
        tls,
        private,
        timeout: Duration::from_secs(10),
    }
}

async fn dialled(dial_to: Dial) -> Result<Box<dyn ByteStream>, NetError> {
    dial(dial_to, trusting()).await
}

#[tokio::test]
async fn bytes_go_to_and_fro_under_tls() {
    let port = server(false).await.port();
    let mut stream = dialled(to("localhost", port, true, true)).await.unwrap();
    for text in ["شكوى", "second"] {
        stream.write(text.as_bytes()).await.unwrap();
        assert_eq!(stream.read(64).await.unwrap(), text.as_bytes());
    }
    assert!(matches!(stream.start_tls().await, Err(NetError::InvalidRequest(_))));
    stream.write(b"still there").await.unwrap();
    assert_eq!(stream.read(5).await.unwrap(), b"still");
}

#[tokio::test]
async fn tls_begins_when_it_is_asked_for() {
    let port = server(true).await.port();
    let mut stream = dialled(to("localhost", port, false, true)).await.unwrap();
    assert_eq!(stream.read(64).await.unwrap(), "مرحبا".as_bytes());
    stream.start_tls().await.unwrap();
    stream.write(b"sealed").await.unwrap();
    assert_eq!(stream.read(64).await.unwrap(), b"sealed");
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_and_of_somebody_trusted() {
    let port = server(false).await.port();
    let other_name = dialled(to("127.0.0.1", port, true, true)).await.err();
    assert!(
        matches!(&other_name, Some(NetError::Tls(why)) if why.contains("127.0.0.1")),
        "{other_name:?}"
    );
    let port = server(false).await.port();
    let nobody = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let untrusted = dial(to("localhost", port, true, true), TlsSettings::of(nobody))
        .await
        .err();
    assert!(matches!(untrusted, Some(NetError::Tls(_))), "{untrusted:?}");
}

#[tokio::test]
async fn after_a_handshake_that_failed_nothing_goes_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut line, _) = listener.accept().await.unwrap();
        line.write_all("220 لا تشفير هنا\r\n".as_bytes()).await.unwrap();
        let mut sink = Vec::new();
        drop(line.read_to_end(&mut sink).await);
    });
    let mut stream = dialled(to("localhost", port, false, true)).await.unwrap();
    assert!(matches!(stream.start_tls().await, Err(NetError::Tls(_))));
    assert_eq!(stream.write(b"secret").await, Err(NetError::Closed));
    assert_eq!(stream.read(1).await, Err(NetError::Closed));
}

#[tokio::test]
async fn private_addresses_stay_shut_without_the_word_private() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1"] {
        let refused = dialled(to(host, port, false, false)).await.err();
        assert!(
            matches!(&refused, Some(NetError::BlockedAddress(text))
                if text.contains("private = true") && text.contains("[[instance.grant.net]]")),
            "{host}: {refused:?}"
        );
    }
    let metadata = dialled(to("169.254.169.254", 80, false, true)).await.err();
    assert!(
        matches!(&metadata, Some(NetError::BlockedAddress(text)) if text.contains("no grant")),
        "{metadata:?}"
    );
}

#[tokio::test]
async fn the_end_of_a_stream_is_nothing_and_nobody_listening_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (accepted, mut stream) = tokio::join!(listener.accept(), async {
        dialled(to("127.0.0.1", port, false, true)).await.unwrap()
    });
    drop(accepted);
    assert_eq!(stream.read(10).await, Ok(Vec::new()));
    drop(listener);
    let refused = dialled(to("127.0.0.1", port, false, true)).await.err();
    assert!(
        matches!(&refused, Some(NetError::Io(why)) if why.contains("no connection")),
        "{refused:?}"
    );
}
