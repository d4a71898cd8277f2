//! Speaking with a host over a connection.

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::mihwar::plugin::net::Connection as Stream;
#[cfg(target_arch = "wasm32")]
use crate::door::Door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::{FakeHost as Door, FakeStream as Stream};
use crate::{Chunk, NetError, SaslPart};

/// Bytes that are asked for at once while a line is read.
const READ_BYTES: u32 = 4096;

/// A connection to a granted host. It is closed when it is dropped, and never outlives the call.
pub struct Connection {
    door: Door,
    stream: Stream,
    /// Read, and not yet taken.
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(door: Door, stream: Stream) -> Self {
        Self {
            door,
            stream,
            unread: Vec::new(),
        }
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// It is not known how many of them have left. The connection is closed then, except after
    /// [`NetError::LimitExceeded`], before which nothing leaves.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), NetError> {
        self.write_chunks(&[Chunk::bytes(bytes.as_ref())])
    }

    /// Writes bytes and secrets, in their order. The hub puts the values of secrets in, under TLS only unless the grant
    /// says `plain = true`, and only for the host that the manifest ties the secret to.
    ///
    /// # Errors
    /// As for [`Connection::write`]; [`NetError::Denied`] and [`NetError::CredentialMissing`] come before anything has
    /// left, and the connection stays open.
    pub fn write_chunks(&mut self, chunks: &[Chunk]) -> Result<(), NetError> {
        self.stream.write(chunks)
    }

    /// Waits up to `timeout_ms` for bytes, and gives at most `most` of them; none at the end of the stream.
    ///
    /// # Errors
    /// [`NetError::Timeout`] leaves the connection as it is; after any other but [`NetError::LimitExceeded`] it is
    /// closed.
    pub fn read(&mut self, most: u32, timeout_ms: u32) -> Result<Vec<u8>, NetError> {
        if self.unread.is_empty() {
            return self.stream.read(most, Some(timeout_ms));
        }
        let taken = usize::try_from(most).unwrap_or(usize::MAX).min(self.unread.len());
        let rest = self.unread.split_off(taken);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Waits up to `timeout_ms`, in all, for a line of at most `most` bytes, and gives it without its end (`\r\n` or
    /// `\n`); `None` at the end of the stream.
    ///
    /// # Errors
    /// As for [`Connection::read`]; [`NetError::LimitExceeded`] for a longer line, [`NetError::Closed`] for one that
    /// has no end.
    pub fn read_line(&mut self, most: usize, timeout_ms: u32) -> Result<Option<Vec<u8>>, NetError> {
        let until = self.door.remaining_ms().saturating_sub(u64::from(timeout_ms));
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                if line.len() > most {
                    return Err(too_long(most));
                }
                return Ok(Some(line));
            }
            if self.unread.len() > most {
                return Err(too_long(most));
            }
            let left = self.door.remaining_ms().saturating_sub(until);
            if left == 0 {
                return Err(NetError::Timeout);
            }
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let bytes = self.stream.read(READ_BYTES, Some(left))?;
            if bytes.is_empty() {
                return if self.unread.is_empty() {
                    Ok(None)
                } else {
                    Err(NetError::Closed)
                };
            }
            self.unread.extend(bytes);
        }
    }

    /// Begins TLS on a connection that was made with `Security::StartTls`. Whoever reads the line between could have
    /// added words of its own to what came before, so nothing may be left of that.
    ///
    /// # Errors
    /// [`NetError::InvalidRequest`] while something is unread; otherwise as for [`Connection::write`].
    pub fn upgrade_tls(&mut self) -> Result<(), NetError> {
        if !self.unread.is_empty() {
            return Err(NetError::InvalidRequest(
                "bytes of the other side are unread; what comes before the handshake could be anybody's".into(),
            ));
        }
        self.stream.upgrade_tls()
    }
}

fn too_long(most: usize) -> NetError {
    NetError::LimitExceeded(format!("a line of more than {most} bytes"))
}

impl Chunk {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The value of the secret of that name, which only the hub knows.
    pub fn secret(name: impl Into<String>) -> Self {
        Self::Secret(name.into())
    }

    /// The parts together, in base64.
    pub fn base64(parts: impl Into<Vec<SaslPart>>) -> Self {
        Self::Base64(parts.into())
    }

    /// The token of SASL PLAIN (RFC 4616): user and password with zeros before them, in base64.
    #[must_use]
    pub fn sasl_plain(user: &str, password: &str) -> Self {
        Self::base64([SaslPart::bytes(format!("\0{user}\0")), SaslPart::secret(password)])
    }
}

impl SaslPart {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The value of the secret of that name.
    pub fn secret(name: impl Into<String>) -> Self {
        Self::Secret(name.into())
    }
}
