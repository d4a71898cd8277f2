//! Requests and connections that a test's own code answers, in place of a script.

use super::FakeHost;
use super::conversation::Heard;
use super::limits;
use super::script::Answer;
use super::world::World;
use crate::{Chunk, NetError, Request, Security};

/// A wait for an answer ends so long before the call.
const GRACE_MS: u64 = 500;

/// Who answers in place of the script.
pub(super) trait Live: Send {
    /// A request at this time.
    fn answer(&mut self, request: &Request, now: i64) -> Answer;

    /// A connection is made; lines count from 0. What is said first.
    fn connect(&mut self, line: usize, host: &str, port: u16, security: Security) -> Result<Said, NetError>;

    /// Bytes were written.
    fn hear(&mut self, line: usize, bytes: &[u8]) -> Said;

    /// TLS is to begin.
    fn seal(&mut self, line: usize) -> Result<(), NetError>;
}

/// What the other side of a connection says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub(super) bytes: Vec<u8>,
    pub(super) closes: bool,
}

impl Said {
    /// Nothing: it waits for more, and who waits for it waits in vain.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            closes: false,
        }
    }

    /// It closes the connection then.
    #[must_use]
    pub fn closes(mut self) -> Self {
        self.closes = true;
        self
    }
}

/// One connection to whoever answers.
pub(super) struct LiveTalk {
    heard: Heard,
    /// Said, and not yet read.
    incoming: Vec<u8>,
    is_closed: bool,
}

impl FakeHost {
    /// Lets this answer every request and connection.
    pub(super) fn answered_by(self, live: Box<dyn Live>) -> Self {
        self.world().live = Some(live);
        self
    }
}

impl World {
    pub(super) fn connect_live(&mut self, host: &str, port: u16, security: Security) -> Result<usize, NetError> {
        let id = self.live_talks.len();
        let Some(live) = &mut self.live else {
            return Err(nobody());
        };
        let said = live.connect(id, host, port, security)?;
        self.live_talks.push(LiveTalk {
            heard: Heard {
                host: host.into(),
                port,
                security,
                is_sealed: security == Security::Tls,
                bytes: Vec::new(),
                unplayed: 0,
            },
            incoming: said.bytes,
            is_closed: said.closes,
        });
        Ok(id)
    }

    pub(super) fn write_live(&mut self, id: usize, chunks: &[Chunk]) -> Result<(), NetError> {
        let bytes = self.rendered(&self.live_talks[id].heard, chunks)?;
        self.count_sent(&bytes)?;
        let talk = &mut self.live_talks[id];
        if talk.is_closed {
            return Err(NetError::Closed);
        }
        let Some(live) = &mut self.live else {
            return Err(nobody());
        };
        let said = live.hear(id, &bytes);
        talk.heard.bytes.extend(bytes);
        talk.incoming.extend(said.bytes);
        talk.is_closed = said.closes;
        Ok(())
    }

    pub(super) fn read_live(&mut self, id: usize, most: u32, timeout_ms: Option<u32>) -> Result<Vec<u8>, NetError> {
        let talk = &mut self.live_talks[id];
        if !talk.incoming.is_empty() {
            let rest = talk.incoming.split_off(talk.incoming.len().min(most as usize));
            return Ok(std::mem::replace(&mut talk.incoming, rest));
        }
        if talk.is_closed {
            return Ok(Vec::new());
        }
        let waits = timeout_ms.map_or(limits::REQUEST_MS, u64::from);
        self.pass(waits.min(self.call.remaining_ms.saturating_sub(GRACE_MS)));
        Err(NetError::Timeout)
    }

    pub(super) fn seal_live(&mut self, id: usize) -> Result<(), NetError> {
        let talk = &mut self.live_talks[id];
        if talk.heard.security != Security::StartTls || talk.heard.is_sealed || !talk.incoming.is_empty() {
            return Err(NetError::InvalidRequest(
                "it is no `start-tls` connection, has TLS already, or bytes are unread".into(),
            ));
        }
        let Some(live) = &mut self.live else {
            return Err(nobody());
        };
        let sealed = live.seal(id);
        talk.heard.is_sealed = sealed.is_ok();
        talk.is_closed |= sealed.is_err();
        sealed
    }
}

fn nobody() -> NetError {
    NetError::Io("nobody answers".into())
}
