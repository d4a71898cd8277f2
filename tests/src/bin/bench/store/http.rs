//! A client as lean as can be: it shares two cores with what it measures.

use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::side::Client;

/// One keep-alive connection.
pub(super) struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request, whole, and what its answer must be.
pub(super) struct Prepared {
    bytes: Vec<u8>,
    status: u16,
    records: u64,
}

/// Where an answer lies in the buffer.
struct Answer {
    status: u16,
    body: Range<usize>,
}

impl Prepared {
    /// Asks for what is found at an address, which must be there.
    pub(super) fn get(path: &str, token: &str) -> Self {
        let bytes = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
        Self {
            bytes: bytes.into_bytes(),
            status: 200,
            records: 0,
        }
    }

    /// Hands in one record as JSON, which must be answered with 201, or many, a line each.
    pub(super) fn hand_in(records: u64, body: &str, token: &str) -> Self {
        let (path, media, status) = if records == 1 {
            ("/api/v1/feedback", "application/json", 201)
        } else {
            ("/api/v1/feedback:batch", "application/x-ndjson", 200)
        };
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}");
        let bytes = format!("{head}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n{body}");
        Self {
            bytes: bytes.into_bytes(),
            status,
            records,
        }
    }
}

impl Http {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the hub listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            buffer: Vec::with_capacity(64 << 10),
        }
    }

    /// Sends a request and gives the body of its answer, which must have the status that was prepared for.
    pub(super) async fn exchange(&mut self, request: &Prepared) -> &[u8] {
        self.stream.write_all(&request.bytes).await.expect("the hub reads");
        self.buffer.clear();
        let answer = loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the hub answers");
            assert!(read > 0, "the hub hung up: {}", String::from_utf8_lossy(&self.buffer));
            if let Some(answer) = whole(&self.buffer) {
                break answer;
            }
        };
        let body = self.buffer.get(answer.body).unwrap_or_default();
        let said = || String::from_utf8_lossy(body);
        assert_eq!(answer.status, request.status, "the hub answered {}", said());
        body
    }

    /// The JSON that is found at an address.
    pub(super) async fn get(&mut self, path: &str, token: &str) -> serde_json::Value {
        serde_json::from_slice(self.exchange(&Prepared::get(path, token)).await).expect("the hub answers in JSON")
    }
}

impl Client for Http {
    type Request = Prepared;

    async fn send(&mut self, request: &Prepared) -> u64 {
        let body = self.exchange(request).await;
        if request.status == 201 {
            return 1;
        }
        // The last line of a batch's answer counts what became of its lines.
        let tail = body.get(body.len().saturating_sub(200)..).unwrap_or_default();
        let tail = String::from_utf8_lossy(tail);
        let new = tail.rsplit_once("\"new\":").map_or("", |(_, rest)| rest);
        let digits: String = new.chars().take_while(char::is_ascii_digit).collect();
        let new = digits.parse().unwrap_or(0);
        assert_eq!(new, request.records, "the hub answered {tail}");
        new
    }
}

/// The answer in these bytes, once it is whole. The pieces of a streamed answer are left as they came.
fn whole(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?)
        .expect("a head in ASCII")
        .to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(key, _)| *key == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let from = end + 4;
    if let Some(length) = field("content-length") {
        let body = from..from + length.parse::<usize>().ok()?;
        return (bytes.len() >= body.end).then_some(Answer { status, body });
    }
    assert_eq!(field("transfer-encoding").as_deref(), Some("chunked"), "{head}");
    // JSON holds no bare line ends of this sort, so the empty piece at the end cannot be anything else.
    let ended = bytes.get(end..)?.ends_with(b"\r\n0\r\n\r\n");
    ended.then_some(Answer {
        status,
        body: from..bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn an_answer_is_whole_when_its_last_byte_is_there() {
        let sized = "HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nشكر".as_bytes();
        let streamed = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"new\":1}\r\n0\r\n\r\n";
        for (bytes, status) in [(sized, 201), (streamed.as_slice(), 200)] {
            for cut in 0..bytes.len() {
                assert!(whole(&bytes[..cut]).is_none(), "{cut}");
            }
            assert_eq!(whole(bytes).unwrap().status, status);
        }
        assert_eq!(&sized[whole(sized).unwrap().body], "شكر".as_bytes());
    }
}
