//! What the guest does with connections.

use mihwar_sdk::{Chunk, Connection, Host, NetError, Security};

use crate::Settings;

/// Longest wait for an answer.
const WAIT_MS: u32 = 5_000;

/// Does what the settings name, and tells what came of it.
pub(crate) fn perform(host: &Host, settings: &Settings) -> String {
    let done = match settings.act.as_str() {
        "talk" => talk(host, settings),
        "carry" => carry(host, settings),
        "drain" => drain(host, settings),
        "keep-open" => keep_open(host, settings),
        "knock" => Ok(knock(host, settings)),
        "compose" => compose(host, settings),
        "pieces" => pieces(host, settings),
        _ => many(host, settings),
    };
    done.unwrap_or_else(|error| format!("{error:?}"))
}

fn connect(host: &Host, settings: &Settings) -> Result<Connection, NetError> {
    let security = match settings.security.as_deref() {
        Some("plain") => Security::Plain,
        Some("start-tls") => Security::StartTls,
        _ => Security::Tls,
    };
    let name = settings.host.as_deref().unwrap_or("relay.example");
    host.connect(name, settings.port.unwrap_or(25), security)
}

/// Says one line and tells the answer.
fn talk(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    line.write("سلام\r\n")?;
    told(&mut line)
}

/// Puts the password, and a token made of it, into a line, and takes the answer byte by byte.
fn carry(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    line.write_chunks(&[
        Chunk::bytes("LOGIN "),
        Chunk::secret("password"),
        Chunk::bytes(" "),
        Chunk::sasl_plain("layla", "password"),
        Chunk::bytes("\r\n"),
    ])?;
    let mut heard = Vec::new();
    loop {
        let bytes = line.read(1, WAIT_MS)?;
        if bytes.is_empty() || bytes == b"\n" {
            return Ok(String::from_utf8_lossy(&heard).into_owned());
        }
        heard.extend(bytes);
    }
}

fn told(line: &mut Connection) -> Result<String, NetError> {
    let heard = line.read_line(4096, WAIT_MS)?;
    Ok(heard.map_or_else(
        || "the end".to_owned(),
        |heard| String::from_utf8_lossy(&heard).into_owned(),
    ))
}

/// Reads for as long as something comes.
fn drain(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    let mut total = 0;
    loop {
        match line.read(1 << 20, settings.amount.max(1)) {
            Ok(bytes) if bytes.is_empty() => return Ok(format!("{total} bytes")),
            Ok(bytes) => total += bytes.len(),
            Err(error) => return Ok(format!("{total} bytes, then {error:?}")),
        }
    }
}

/// Connects so many times, and holds them all.
fn many(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut held = Vec::new();
    for _ in 0..settings.amount {
        held.push(connect(host, settings)?);
    }
    Ok(format!("{} connections", held.len()))
}

/// Tries to connect so many times, whatever it is told, and tells the last.
fn knock(host: &Host, settings: &Settings) -> String {
    let mut last = String::new();
    for _ in 0..settings.amount {
        if let Err(error) = connect(host, settings) {
            last = format!("{error:?}");
        }
    }
    last
}

/// Has so many tokens made of the password on one connection, one after the other.
fn compose(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    for made in 0..settings.amount {
        if let Err(error) = line.write_chunks(&[Chunk::sasl_plain(&format!("ليلى-{made}"), "password")]) {
            return Ok(format!("{made} tokens, then {error:?}"));
        }
    }
    Ok(format!("{} tokens", settings.amount))
}

/// Names the password so many times in one write, and goes on when that is refused.
fn pieces(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    let many = vec![Chunk::secret("password"); usize::try_from(settings.amount).unwrap_or(usize::MAX)];
    let refused = line.write_chunks(&many);
    line.write("QUIT\r\n")?;
    Ok(format!("{refused:?}"))
}

/// Leaves without closing anything.
fn keep_open(host: &Host, settings: &Settings) -> Result<String, NetError> {
    let mut line = connect(host, settings)?;
    line.write("here\r\n")?;
    #[expect(clippy::mem_forget, reason = "a plugin that closes nothing is what is tried here")]
    std::mem::forget(line);
    Ok("left".to_owned())
}
