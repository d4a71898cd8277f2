//! Scripted conversations: what the other side of a connection expects to hear, and what it says.

use std::collections::VecDeque;

use super::FakeHost;
use super::limits;
use super::world::World;
use crate::{Chunk, NetError, SaslPart, Security};

/// The other side of one connection, step by step. When its steps are over it closes the connection.
///
/// ```
/// use mihwar_sdk::Security;
/// use mihwar_sdk::testing::{Conversation, FakeHost};
///
/// let talk = Conversation::new().says("+OK مرحبا\r\n").hears("STAT\r\n").says("+OK 2 320\r\n");
/// let fake = FakeHost::new().conversation("box.example", 995, talk);
/// let mut line = fake.host().connect("box.example", 995, Security::Tls).unwrap();
/// assert_eq!(line.read_line(512, 1000).unwrap().unwrap(), "+OK مرحبا".as_bytes());
/// line.write("STAT\r\n").unwrap();
/// assert_eq!(line.read_line(512, 1000).unwrap().unwrap(), b"+OK 2 320");
/// assert_eq!(line.read_line(512, 1000).unwrap(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    steps: VecDeque<Step>,
    refusal: Option<NetError>,
}

#[derive(Clone, Debug)]
enum Step {
    Says(Vec<u8>),
    Hears(Vec<u8>),
    HearsUntil(Vec<u8>),
    Tls,
    FailsTls,
    IsSilent,
    Closes,
}

impl Conversation {
    /// One that closes at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One that never begins: no connection comes about.
    #[must_use]
    pub fn refused(error: NetError) -> Self {
        Self {
            steps: VecDeque::new(),
            refusal: Some(error),
        }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// It sends these bytes.
    #[must_use]
    pub fn says(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Says(bytes.as_ref().to_vec()))
    }

    /// It waits for exactly these bytes, secrets put in as the test has set them; others fail the test.
    #[must_use]
    pub fn hears(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Hears(bytes.as_ref().to_vec()))
    }

    /// It waits for any bytes up to these, and takes all of them.
    #[must_use]
    pub fn hears_until(self, end: impl AsRef<[u8]>) -> Self {
        self.step(Step::HearsUntil(end.as_ref().to_vec()))
    }

    /// It waits until TLS begins.
    #[must_use]
    pub fn begins_tls(self) -> Self {
        self.step(Step::Tls)
    }

    /// TLS begins and does not come about.
    #[must_use]
    pub fn fails_tls(self) -> Self {
        self.step(Step::FailsTls)
    }

    /// It says nothing any more: who waits for it waits in vain.
    #[must_use]
    pub fn is_silent(self) -> Self {
        self.step(Step::IsSilent)
    }

    /// It closes the connection.
    #[must_use]
    pub fn closes(self) -> Self {
        self.step(Step::Closes)
    }
}

/// What was said to a scripted host.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection was made.
    pub security: Security,
    /// Whether it has TLS.
    pub is_sealed: bool,
    /// All that was written to it, secrets put in.
    pub bytes: Vec<u8>,
    /// How many steps of the script were not reached.
    pub unplayed: usize,
}

impl Heard {
    /// What was written, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Conversations to come, and those that have begun.
#[derive(Debug, Default)]
pub(super) struct Switchboard {
    waiting: Vec<(String, u16, Conversation)>,
    begun: Vec<Talk>,
}

impl Switchboard {
    pub(super) fn expect(&mut self, host: &str, port: u16, conversation: Conversation) {
        self.waiting.push((host.into(), port, conversation));
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        self.begun.iter().map(|talk| talk.heard.clone()).collect()
    }
}

/// One connection that was made.
#[derive(Debug)]
struct Talk {
    heard: Heard,
    steps: VecDeque<Step>,
    /// Written, and not yet taken by a step.
    pending: Vec<u8>,
    /// Said, and not yet read.
    incoming: Vec<u8>,
    is_closed: bool,
}

impl Talk {
    /// Plays what can be played.
    fn go_on(&mut self) {
        while !self.is_closed {
            match self.steps.front() {
                Some(Step::Says(bytes)) => self.incoming.extend_from_slice(bytes),
                Some(Step::Hears(expected)) => {
                    if !self.pending.starts_with(expected) {
                        assert!(
                            expected.starts_with(&self.pending),
                            "{}: the script hears `{}`, and the plugin wrote `{}`",
                            self.heard.host,
                            expected.escape_ascii(),
                            self.pending.escape_ascii()
                        );
                        break;
                    }
                    self.pending.drain(..expected.len());
                }
                Some(Step::HearsUntil(end)) => {
                    let found = self.pending.windows(end.len()).position(|part| part == end.as_slice());
                    let Some(at) = found else { break };
                    self.pending.drain(..at + end.len());
                }
                Some(Step::Closes) => self.is_closed = true,
                Some(Step::Tls | Step::FailsTls | Step::IsSilent) => break,
                None => {
                    assert!(
                        self.pending.is_empty(),
                        "{}: the script is over, and the plugin wrote `{}`",
                        self.heard.host,
                        self.pending.escape_ascii()
                    );
                    break;
                }
            }
            self.steps.pop_front();
        }
        self.heard.unplayed = self.steps.len();
    }

    fn upgrade(&mut self) -> Result<(), NetError> {
        if self.heard.security != Security::StartTls || self.heard.is_sealed || !self.incoming.is_empty() {
            return Err(NetError::InvalidRequest(
                "it is no `start-tls` connection, has TLS already, or bytes are unread".into(),
            ));
        }
        match self.steps.pop_front() {
            Some(Step::Tls) => {
                self.heard.is_sealed = true;
                self.go_on();
                Ok(())
            }
            Some(Step::FailsTls) => {
                self.is_closed = true;
                Err(NetError::Tls("as the script says".into()))
            }
            other => panic!(
                "{}: the plugin begins TLS, and the script has {other:?}",
                self.heard.host
            ),
        }
    }
}

impl World {
    fn connect(&mut self, host: &str, port: u16, security: Security) -> Result<usize, NetError> {
        if self.dry_run {
            return Err(NetError::Denied("a dry run makes no connections".into()));
        }
        if self.call.connections >= limits::CONNECTIONS {
            return Err(NetError::LimitExceeded(format!(
                "{} connections are the most of one call",
                limits::CONNECTIONS
            )));
        }
        self.call.connections += 1;
        if self.live.is_some() {
            return self.connect_live(host, port, security);
        }
        let board = &mut self.switchboard;
        let found = board.waiting.iter().position(|(of, at, _)| of == host && *at == port);
        let Some(found) = found else {
            return Err(NetError::Denied(format!(
                "no conversation is scripted for {host}:{port}: add `.conversation(\"{host}\", {port}, …)`"
            )));
        };
        let (_, _, conversation) = board.waiting.remove(found);
        if let Some(error) = conversation.refusal {
            return Err(error);
        }
        let mut talk = Talk {
            heard: Heard {
                host: host.into(),
                port,
                security,
                is_sealed: security == Security::Tls,
                bytes: Vec::new(),
                unplayed: 0,
            },
            steps: conversation.steps,
            pending: Vec::new(),
            incoming: Vec::new(),
            is_closed: false,
        };
        talk.go_on();
        board.begun.push(talk);
        Ok(board.begun.len() - 1)
    }

    /// What the chunks come to on that connection, by the hub's rules for secrets.
    pub(super) fn rendered(&self, line: &Heard, chunks: &[Chunk]) -> Result<Vec<u8>, NetError> {
        let secret = |name: &str| {
            if !line.is_sealed && line.security != Security::Plain {
                return Err(NetError::Denied(format!("the secret `{name}` before TLS has begun")));
            }
            let missing = || NetError::CredentialMissing(format!("the secret `{name}` is not set"));
            self.secrets.get(name).ok_or_else(missing)
        };
        let mut bytes = Vec::new();
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(given) => bytes.extend_from_slice(given),
                Chunk::Secret(name) => bytes.extend_from_slice(secret(name)?),
                Chunk::Base64(parts) => {
                    let mut joined = Vec::new();
                    for part in parts {
                        match part {
                            SaslPart::Bytes(given) => joined.extend_from_slice(given),
                            SaslPart::Secret(name) => joined.extend_from_slice(secret(name)?),
                        }
                    }
                    bytes.extend(base64(&joined));
                }
            }
        }
        Ok(bytes)
    }

    fn write(&mut self, id: usize, chunks: &[Chunk]) -> Result<(), NetError> {
        let bytes = self.rendered(&self.switchboard.begun[id].heard, chunks)?;
        self.count_sent(&bytes)?;
        let talk = &mut self.switchboard.begun[id];
        if talk.is_closed {
            return Err(NetError::Closed);
        }
        talk.pending.extend_from_slice(&bytes);
        talk.heard.bytes.extend(bytes);
        talk.go_on();
        Ok(())
    }

    /// Counts bytes that are about to leave.
    pub(super) fn count_sent(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        let total = self.call.sent + bytes.len() as u64;
        if total > limits::SENT {
            return Err(NetError::LimitExceeded(format!("{} bytes written", limits::SENT)));
        }
        self.call.sent = total;
        Ok(())
    }

    fn read(&mut self, id: usize, most: u32, timeout_ms: Option<u32>) -> Result<Vec<u8>, NetError> {
        let talk = &mut self.switchboard.begun[id];
        if !talk.incoming.is_empty() {
            let rest = talk.incoming.split_off(talk.incoming.len().min(most as usize));
            return Ok(std::mem::replace(&mut talk.incoming, rest));
        }
        if talk.is_closed || talk.steps.is_empty() {
            return Ok(Vec::new());
        }
        let waits = timeout_ms.map_or(limits::REQUEST_MS, u64::from);
        self.pass(waits.min(self.call.remaining_ms));
        Err(NetError::Timeout)
    }
}

/// A connection to a scripted host, or to one that a test's own code plays.
pub(crate) struct FakeStream {
    host: FakeHost,
    id: usize,
}

impl FakeStream {
    pub(crate) fn write(&self, chunks: &[Chunk]) -> Result<(), NetError> {
        let mut world = self.host.world();
        if world.live.is_some() {
            return world.write_live(self.id, chunks);
        }
        world.write(self.id, chunks)
    }

    pub(crate) fn read(&self, most: u32, timeout_ms: Option<u32>) -> Result<Vec<u8>, NetError> {
        let mut world = self.host.world();
        if world.live.is_some() {
            return world.read_live(self.id, most, timeout_ms);
        }
        world.read(self.id, most, timeout_ms)
    }

    pub(crate) fn upgrade_tls(&self) -> Result<(), NetError> {
        let mut world = self.host.world();
        if world.live.is_some() {
            return world.seal_live(self.id);
        }
        world.switchboard.begun[self.id].upgrade()
    }
}

impl FakeHost {
    pub(crate) fn connect(&self, host: &str, port: u16, security: Security) -> Result<FakeStream, NetError> {
        let id = self.world().connect(host, port, security)?;
        Ok(FakeStream { host: self.clone(), id })
    }
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for letter in 0..4 {
            let at = (bits >> (18 - 6 * letter)) & 63;
            text.push(if letter <= group.len() { LETTERS[at] } else { b'=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "relay.example";

    fn fake(talk: Conversation) -> FakeHost {
        FakeHost::new().secret("password", "كلمة").conversation(HOST, 587, talk)
    }

    fn start_tls(fake: &FakeHost) -> crate::Connection {
        fake.host().connect(HOST, 587, Security::StartTls).unwrap()
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded.as_bytes());
        }
    }

    #[test]
    fn secrets_go_out_under_tls_only() {
        let talk = Conversation::new()
            .hears("STARTTLS\r\n")
            .says("220 تفضل\r\n")
            .begins_tls()
            .hears("AUTH PLAIN AGEA2YPZhNmF2Kk=\r\n")
            .says("235 ok\r\n");
        let fake = fake(talk);
        let mut line = start_tls(&fake);
        let auth = [
            Chunk::bytes("AUTH PLAIN "),
            Chunk::sasl_plain("a", "password"),
            Chunk::bytes("\r\n"),
        ];
        assert!(matches!(line.write_chunks(&auth), Err(NetError::Denied(_))));
        line.write("STARTTLS\r\n").unwrap();
        assert!(matches!(line.upgrade_tls(), Err(NetError::InvalidRequest(_))), "unread");
        assert_eq!(line.read_line(100, 1000).unwrap().unwrap(), "220 تفضل".as_bytes());
        line.upgrade_tls().unwrap();
        line.write_chunks(&auth).unwrap();
        assert_eq!(line.read(3, 1000).unwrap(), b"235");
        let [heard]: [Heard; 1] = fake.heard().try_into().unwrap();
        assert!(heard.is_sealed && heard.text().ends_with("2Kk=\r\n"), "{heard:?}");
        assert_eq!(heard.unplayed, 0);
    }

    #[test]
    fn lines_are_cut_out_of_what_comes() {
        let talk = Conversation::new().says("أولى\r\nsecond\nبقية").closes();
        let fake = fake(talk);
        let mut line = start_tls(&fake);
        assert_eq!(line.read_line(10, 1000).unwrap().unwrap(), "أولى".as_bytes());
        assert!(
            matches!(line.upgrade_tls(), Err(NetError::InvalidRequest(_))),
            "kept back"
        );
        assert_eq!(line.read(3, 1000).unwrap(), b"sec");
        assert_eq!(line.read_line(10, 1000).unwrap().unwrap(), b"ond");
        assert_eq!(line.read_line(10, 1000), Err(NetError::Closed));
        let long = Conversation::new().says("x".repeat(11));
        let fake = FakeHost::new().conversation(HOST, 25, long);
        let mut line = fake.host().connect(HOST, 25, Security::Plain).unwrap();
        assert!(matches!(line.read_line(10, 1000), Err(NetError::LimitExceeded(_))));
    }

    #[test]
    fn who_waits_in_vain_waits_no_longer_than_it_said() {
        let fake = fake(Conversation::new().says("2").is_silent());
        let mut line = start_tls(&fake);
        assert_eq!(line.read_line(10, 700), Err(NetError::Timeout));
        assert_eq!(fake.host().remaining_ms(), 9300);
    }

    #[test]
    fn what_is_not_scripted_is_refused() {
        let refused = Conversation::refused(NetError::Io("لا أحد هناك".into()));
        let fake = fake(refused);
        let host = fake.host();
        let errors = [587, 587].map(|port| host.connect(HOST, port, Security::Tls).err());
        assert_eq!(errors[0], Some(NetError::Io("لا أحد هناك".into())));
        assert!(matches!(&errors[1], Some(NetError::Denied(why)) if why.contains(".conversation(")));
        let more: Vec<NetError> = (0..3)
            .filter_map(|_| host.connect(HOST, 1, Security::Tls).err())
            .collect();
        assert!(matches!(more[2], NetError::LimitExceeded(_)), "{more:?}");
        let dry = FakeHost::new().dry_run().host().connect(HOST, 1, Security::Tls).err();
        assert!(matches!(dry, Some(NetError::Denied(_))));
    }

    #[test]
    #[should_panic(expected = "the script hears `EHLO a\\r\\n`, and the plugin wrote `HELO`")]
    fn another_word_than_the_script_hears_fails_the_test() {
        let fake = fake(Conversation::new().hears("EHLO a\r\n"));
        drop(start_tls(&fake).write("HELO"));
    }
}
