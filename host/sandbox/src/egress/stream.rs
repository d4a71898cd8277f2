//! Connections of the machine's own network: resolved, checked, dialled, and under TLS when asked for.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::tls_settings;
use super::resolver::checked;
use super::transport::{ByteStream, Dial};
use crate::contract::net::NetError;

/// Most bytes of one read.
const READ_BYTES: usize = 16 * 1024;

/// How connections speak TLS. Found out on first use, so that a hub that needs none needs no trust roots.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsSettings(Arc<OnceLock<Result<Arc<ClientConfig>, String>>>);

impl TlsSettings {
    /// These, whatever the machine trusts.
    #[cfg(test)]
    pub(super) fn of(config: ClientConfig) -> Self {
        Self(Arc::new(OnceLock::from(Ok(Arc::new(config)))))
    }

    fn connector(&self) -> Result<TlsConnector, NetError> {
        match self.0.get_or_init(tls_settings) {
            Ok(config) => Ok(TlsConnector::from(Arc::clone(config))),
            Err(why) => Err(NetError::Tls(why.clone())),
        }
    }
}

/// Resolves the name, checks every address, and connects to the first of them that answers.
pub(super) async fn dial(to: Dial, tls: TlsSettings) -> Result<Box<dyn ByteStream>, NetError> {
    let found = tokio::net::lookup_host((to.host.as_str(), to.port))
        .await
        .map_err(|error| NetError::Io(format!("{} cannot be resolved: {error}", to.host)))?;
    let addresses = checked(&to.host, found, to.private)
        .map_err(|blocked| NetError::BlockedAddress(blocked.told("[[instance.grant.net]]")))?;
    let line = connected(&addresses, to.timeout).await?;
    let mut stream = Connection {
        line: Line::Open(line),
        host: to.host,
        tls,
    };
    if to.tls {
        stream.start_tls().await?;
    }
    Ok(Box::new(stream))
}

/// Each address has its share of the time, so that one that says nothing does not take that of the others.
async fn connected(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, NetError> {
    let share = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = NetError::Io("the name has no address".to_owned());
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(line)) => {
                line.set_nodelay(true).map_err(|error| broken(&error))?;
                return Ok(line);
            }
            Ok(Err(error)) => last = NetError::Io(format!("no connection to {address}: {error}")),
            Err(_elapsed) => last = NetError::Timeout,
        }
    }
    Err(last)
}

fn broken(error: &std::io::Error) -> NetError {
    NetError::Io(format!("the connection broke: {error}"))
}

enum Line {
    Open(TcpStream),
    Sealed(Box<TlsStream<TcpStream>>),
    /// A handshake failed or was given up.
    Gone,
}

struct Connection {
    line: Line,
    host: String,
    tls: TlsSettings,
}

#[async_trait]
impl ByteStream for Connection {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let written = match &mut self.line {
            Line::Open(line) => line.write_all(bytes).await,
            Line::Sealed(line) => match line.write_all(bytes).await {
                Ok(()) => line.flush().await,
                failed => failed,
            },
            Line::Gone => return Err(NetError::Closed),
        };
        written.map_err(|error| broken(&error))
    }

    async fn read(&mut self, most: usize) -> Result<Vec<u8>, NetError> {
        let mut bytes = vec![0; most.clamp(1, READ_BYTES)];
        let read = match &mut self.line {
            Line::Open(line) => line.read(&mut bytes).await,
            Line::Sealed(line) => line.read(&mut bytes).await,
            Line::Gone => return Err(NetError::Closed),
        };
        bytes.truncate(read.map_err(|error| broken(&error))?);
        Ok(bytes)
    }

    async fn start_tls(&mut self) -> Result<(), NetError> {
        let connector = self.tls.connector()?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| NetError::Tls(format!("no certificate can be for `{}`", self.host)))?;
        let line = match std::mem::replace(&mut self.line, Line::Gone) {
            Line::Open(line) => line,
            Line::Sealed(line) => {
                self.line = Line::Sealed(line);
                return Err(NetError::InvalidRequest("the connection has TLS already".to_owned()));
            }
            Line::Gone => return Err(NetError::Closed),
        };
        let sealed = connector
            .connect(name, line)
            .await
            .map_err(|error| NetError::Tls(format!("no trusted connection to {}: {error}", self.host)))?;
        self.line = Line::Sealed(Box::new(sealed));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
