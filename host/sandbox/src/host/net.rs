//! `net`: byte streams to granted hosts, secrets put in on the way out and masked on the way in.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use tokio::time::Instant;
use wasmtime::component::Resource;

use crate::contract::net::{Chunk, Connection, Host, HostConnection, NetError, SaslPart, Security};
use crate::echo::Echo;
use crate::egress::{ByteStream, Dial};
use crate::failure::cut;
use crate::grants::{Place, find_stream_grant, host_name};
use crate::host::{Admission, CallState};
use crate::limits::{FAILURE_BYTES, setting};
use crate::manifest::{ByteSize, SecretSlot};
use crate::template::filled;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for anything else, if the guest names none.
const USUAL: Duration = Duration::from_secs(30);
/// A wait ends so long before the call does, so that the guest can tell what came of it: half a minute of work may have
/// gone well before. Of a short call it is a tenth.
const GRACE: Duration = Duration::from_millis(500);
/// Most bytes that a guest gets at once.
const READ_BYTES: u32 = 1 << 20;
/// Most chunks of one write, and parts of them: for each secret among them its host is looked up.
const PIECES_MAX: usize = 1024;

/// The connections of one call.
#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<u32, Open>,
    /// How many were tried; the last one's handle.
    pub(super) made: u32,
    /// How many a dry run held back.
    held_back: u32,
    sent: u64,
    received: u64,
}

/// One connection.
struct Open {
    stream: Box<dyn ByteStream>,
    place: Place,
    security: Security,
    is_sealed: bool,
    echo: Echo,
    is_at_end: bool,
}

impl Open {
    /// Whether what is written can be read by nobody on the way, or an admin has said that it may be.
    fn may_carry_secrets(&self) -> bool {
        self.is_sealed || self.security == Security::Plain
    }
}

/// What is written, and the texts in it that were made of secrets.
struct Written {
    bytes: SecretSlice<u8>,
    composed: Vec<String>,
}

impl Host for CallState {
    async fn connect(&mut self, host: String, port: u16, security: Security) -> Result<Resource<Connection>, NetError> {
        if self.admission == Admission::Offline {
            return Err(NetError::Denied(
                "this function may not use the network; `check` and the others may".to_owned(),
            ));
        }
        let place = Place::read(&host, port).map_err(NetError::InvalidRequest)?;
        let bound = Arc::clone(&self.bound);
        let grant = find_stream_grant(&bound.stream_asks, &bound.stream_grants, &place, security)
            .map_err(|missing| NetError::Denied(cut(missing, FAILURE_BYTES)))?;
        let most = bound.limits.connections;
        let left = self.last_wait().saturating_duration_since(Instant::now());
        let is_dry = self.call.dry_run;
        let streams = self.streams();
        // Those that are held back count, too: what is told of them is kept.
        if streams.made.max(streams.held_back) >= most {
            return Err(exceeded(&format!("{most} connections"), setting::CONNECTIONS));
        }
        if is_dry {
            streams.held_back += 1;
            self.held_back.push(format!("CONNECT {place}"));
            return Err(NetError::Denied("a dry run makes no connections".to_owned()));
        }
        streams.made += 1;
        let handle = streams.made;
        let timeout = left.min(CONNECT);
        let dial = Dial {
            host: place.host.clone(),
            port,
            tls: security == Security::Tls,
            private: grant.private,
            timeout,
        };
        let stream = tokio::time::timeout(timeout, bound.plugin.engine.network.connect(dial))
            .await
            .map_err(|_elapsed| NetError::Timeout)?
            .map_err(told)?;
        let open = Open {
            stream,
            place,
            security,
            is_sealed: security == Security::Tls,
            echo: Echo::default(),
            is_at_end: false,
        };
        self.streams().open.insert(handle, open);
        Ok(Resource::new_own(handle))
    }
}

impl HostConnection for CallState {
    async fn write(&mut self, connection: Resource<Connection>, chunks: Vec<Chunk>) -> Result<(), NetError> {
        let mut open = self.take_stream(&connection)?;
        let (written, total) = match self.written(&open, &chunks) {
            Ok(written) => written,
            Err(refused) => {
                // Nothing has left: the guest may go on.
                self.streams().open.insert(connection.rep(), open);
                return Err(refused);
            }
        };
        self.streams().sent = total;
        open.echo.also(written.composed);
        let until = self.last_wait().min(Instant::now() + USUAL);
        tokio::time::timeout_at(until, open.stream.write(written.bytes.expose_secret()))
            .await
            .map_err(|_elapsed| NetError::Timeout)??;
        self.streams().open.insert(connection.rep(), open);
        Ok(())
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
        timeout_ms: Option<u32>,
    ) -> Result<Vec<u8>, NetError> {
        let most = usize::try_from(max.min(READ_BYTES)).unwrap_or(usize::MAX);
        if most == 0 {
            return Err(NetError::InvalidRequest(
                "`max` is 0: ask for a byte at least".to_owned(),
            ));
        }
        let wait = timeout_ms.map_or(USUAL, |millis| Duration::from_millis(u64::from(millis)));
        let until = self.last_wait().min(Instant::now() + wait);
        let mut open = self.take_stream(&connection)?;
        let heard = self.heard(&mut open, most, until).await;
        // Waiting longer may help, and so may reading less; whatever else went wrong ends the connection.
        if matches!(heard, Ok(_) | Err(NetError::Timeout | NetError::LimitExceeded(_))) {
            self.streams().open.insert(connection.rep(), open);
        }
        heard
    }

    async fn upgrade_tls(&mut self, connection: Resource<Connection>) -> Result<(), NetError> {
        let mut open = self.take_stream(&connection)?;
        let refusal = match open.security {
            Security::StartTls if open.is_sealed => Some("it has TLS already"),
            Security::StartTls if open.echo.is_unread() => {
                Some("bytes of the other side are unread; what comes before the handshake could be anybody's")
            }
            Security::StartTls => None,
            Security::Tls => Some("it has had TLS from its beginning"),
            Security::Plain => Some("it was made without TLS; connect with `start-tls`"),
        };
        if let Some(why) = refusal {
            self.streams().open.insert(connection.rep(), open);
            return Err(NetError::InvalidRequest(format!(
                "the connection cannot be upgraded: {why}"
            )));
        }
        let until = self.last_wait().min(Instant::now() + USUAL);
        tokio::time::timeout_at(until, open.stream.start_tls())
            .await
            .map_err(|_elapsed| NetError::Timeout)?
            .map_err(told)?;
        open.is_sealed = true;
        self.streams().open.insert(connection.rep(), open);
        Ok(())
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.streams().open.remove(&connection.rep());
        Ok(())
    }
}

impl CallState {
    /// Never locked, as `wasi`: calls have it to themselves.
    fn streams(&mut self) -> &mut Streams {
        self.streams.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the guest may be kept waiting.
    fn last_wait(&self) -> Instant {
        let grace = GRACE.min(self.bound.limits.time / 10);
        self.deadline.checked_sub(grace).unwrap_or(self.deadline)
    }

    /// Takes a connection out while it is used: who gives up waiting for it closes it.
    fn take_stream(&mut self, connection: &Resource<Connection>) -> Result<Open, NetError> {
        self.streams().open.remove(&connection.rep()).ok_or(NetError::Closed)
    }

    /// What the chunks come to, and how many bytes the call has written with them. Nothing is put together before it is
    /// clear that it may leave: a secret is named with few bytes, and can be long.
    fn written(&mut self, open: &Open, chunks: &[Chunk]) -> Result<(Written, u64), NetError> {
        if chunks.iter().map(pieces).sum::<usize>() > PIECES_MAX {
            return Err(NetError::InvalidRequest(format!(
                "more than {PIECES_MAX} chunks and parts of chunks in one write; join those that are bytes"
            )));
        }
        let mut length = 0_usize;
        for chunk in chunks {
            length = length.saturating_add(self.length(open, chunk)?);
        }
        let limit = self.bound.limits.sent;
        let total = u64::try_from(length)
            .unwrap_or(u64::MAX)
            .saturating_add(self.streams().sent);
        if total > limit {
            let what = format!("{} written to connections", ByteSize(limit));
            return Err(exceeded(&what, setting::SENT));
        }
        // As long as it becomes: growing would leave copies of secrets behind.
        let mut bytes = Vec::with_capacity(length);
        let mut composed = Vec::new();
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(given) => bytes.extend_from_slice(given),
                Chunk::Secret(name) => bytes.extend_from_slice(self.carried(open, name)?.as_bytes()),
                Chunk::Base64(parts) => {
                    let coded = self.coded(open, parts)?;
                    let coded = coded.expose_secret();
                    bytes.extend_from_slice(coded.as_bytes());
                    let is_secret = parts.iter().any(|part| matches!(part, SaslPart::Secret(_)));
                    composed.extend(is_secret.then(|| coded.trim_end_matches('=').to_owned()));
                }
            }
        }
        open.echo.has_room_for(&composed).map_err(NetError::LimitExceeded)?;
        let written = Written {
            bytes: bytes.into(),
            composed,
        };
        Ok((written, total))
    }

    /// The bytes of a chunk as it goes out.
    fn length(&self, open: &Open, chunk: &Chunk) -> Result<usize, NetError> {
        Ok(match chunk {
            Chunk::Bytes(given) => given.len(),
            Chunk::Secret(name) => self.carried(open, name)?.len(),
            Chunk::Base64(parts) => self.joined_length(open, parts)?.div_ceil(3).saturating_mul(4),
        })
    }

    fn joined_length(&self, open: &Open, parts: &[SaslPart]) -> Result<usize, NetError> {
        let mut length = 0_usize;
        for part in parts {
            length = length.saturating_add(match part {
                SaslPart::Bytes(given) => given.len(),
                SaslPart::Secret(name) => self.carried(open, name)?.len(),
            });
        }
        Ok(length)
    }

    /// The parts joined, in base64.
    fn coded(&self, open: &Open, parts: &[SaslPart]) -> Result<SecretString, NetError> {
        let mut joined = Vec::with_capacity(self.joined_length(open, parts)?);
        for part in parts {
            match part {
                SaslPart::Bytes(given) => joined.extend_from_slice(given),
                SaslPart::Secret(name) => joined.extend_from_slice(self.carried(open, name)?.as_bytes()),
            }
        }
        let joined: SecretSlice<u8> = joined.into();
        Ok(STANDARD.encode(joined.expose_secret()).into())
    }

    /// The value of a secret that may go out on this connection.
    fn carried(&self, open: &Open, name: &str) -> Result<&str, NetError> {
        let manifest = self.bound.plugin.manifest();
        let slot = manifest
            .secret(name)
            .ok_or_else(|| NetError::CredentialMissing(format!("the manifest declares no secret `{name}`")))?;
        if !self.is_for(slot, &open.place) {
            return Err(NetError::Denied(format!(
                "the secret `{name}` is not for connections to {}: see `net` of that [[secret]] in plugin.toml",
                open.place.host
            )));
        }
        if !open.may_carry_secrets() {
            return Err(NetError::Denied(format!(
                "the secret `{name}` would go to {} where others can read it: begin TLS first",
                open.place
            )));
        }
        let secret = self.bound.secrets.get(name).ok_or_else(|| {
            NetError::CredentialMissing(format!(
                "the secret `{name}` is not set: secrets.{name} = {{ env = \"NAME\" }}"
            ))
        })?;
        Ok(secret.text.expose_secret())
    }

    fn is_for(&self, slot: &SecretSlot, place: &Place) -> bool {
        let template = slot.net.as_deref();
        template
            .and_then(|template| filled(template, &self.bound.settings, None).ok())
            .and_then(|host| host_name(&host).ok())
            .is_some_and(|host| host == place.host)
    }

    /// Bytes for the guest, waited for until then.
    async fn heard(&mut self, open: &mut Open, most: usize, until: Instant) -> Result<Vec<u8>, NetError> {
        loop {
            if let Some(bytes) = open.echo.hand_out(most) {
                return Ok(bytes);
            }
            let limit = self.bound.limits.received;
            let room = limit.saturating_sub(self.streams().received);
            if room == 0 {
                let what = format!("{} read from connections", ByteSize(limit));
                return Err(exceeded(&what, setting::RECEIVED));
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let bytes = if open.is_at_end {
                Vec::new()
            } else {
                tokio::time::timeout_at(until, open.stream.read(room))
                    .await
                    .map_err(|_elapsed| NetError::Timeout)??
            };
            open.is_at_end = bytes.is_empty();
            self.streams().received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            open.echo.take_in(&bytes, &self.bound.masker);
            if open.echo.has_masked() {
                tracing::warn!(
                    instance = self.bound.name,
                    "an answer on a connection held a secret value; it was masked"
                );
            }
        }
    }
}

/// How many pieces a chunk is put together of.
fn pieces(chunk: &Chunk) -> usize {
    match chunk {
        Chunk::Bytes(_) | Chunk::Secret(_) => 1,
        Chunk::Base64(parts) => 1 + parts.len(),
    }
}

/// What a connection's failure tells: the other side has words in it, such as the names of its certificate.
fn told(error: NetError) -> NetError {
    match error {
        NetError::Io(message) => NetError::Io(cut(message, FAILURE_BYTES)),
        NetError::Tls(message) => NetError::Tls(cut(message, FAILURE_BYTES)),
        other => other,
    }
}

fn exceeded(what: &str, setting: &str) -> NetError {
    NetError::LimitExceeded(format!("{what} are the most of one call; `{setting}` raises the limit"))
}
