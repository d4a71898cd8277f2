//! HTTP/1.1 by hand: lean enough to flood a hub from the machine that it runs on, and free to break the rules.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, kept open between exchanges.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What was read and belongs to no answer yet.
    read: Vec<u8>,
}

/// An answer whose length was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers as they came, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(1024),
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The other end has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// The other end has closed, or answers with something else than an announced length.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.send(request).await?;
        self.answer().await
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// As [`Connection::exchange`].
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let head_end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(self.read.get(..head_end).unwrap_or_default()).to_lowercase();
        let unreadable = || io::Error::new(ErrorKind::InvalidData, head.clone());
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .ok_or_else(unreadable)?;
        while self.read.len() < head_end + length {
            self.more().await?;
        }
        let rest = self.read.split_off(head_end + length);
        let body = self.read.split_off(head_end);
        self.read = rest;
        Ok(Answer {
            status: status.ok_or_else(unreadable)?,
            head,
            body,
        })
    }

    /// Everything that comes until the other end closes; a reset is an end, too.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        while self.more().await.is_ok() {}
        std::mem::take(&mut self.read)
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A post of one record under this token.
#[must_use]
pub fn post_feedback(token: &str, record: &str) -> Vec<u8> {
    let length = record.len();
    format!(
        "POST /api/v1/feedback HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{record}"
    )
    .into_bytes()
}

/// A question without a body.
#[must_use]
pub fn get(path: &str, token: Option<&str>) -> Vec<u8> {
    let bearer = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{bearer}\r\n").into_bytes()
}
