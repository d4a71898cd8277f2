//! Form answers, posted as a web site would post them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock;
use crate::run::client::{self, Answer};

const PATH: &str = "/hooks/form/submit";
/// How often a request is sent again when the hub asks for a pause.
const PATIENCE: u32 = 30;

/// What became of the posts.
#[derive(Debug, Default)]
pub(super) struct Posted {
    /// Stored by the hub.
    pub(super) accepted: usize,
    /// Refused, with the answer on the terminal.
    pub(super) refused: usize,
}

/// Posts each line of an NDJSON file. `check` can end it between two posts.
pub(super) fn post_all(hub: SocketAddr, file: &Path, key: &str, check: impl Fn() -> Result<()>) -> Result<Posted> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut posted = Posted::default();
    for (number, body) in text.lines().enumerate() {
        check()?;
        let answer = post(hub, key, body).with_context(|| format!("line {} of the form answers", number + 1))?;
        if answer.status == 202 {
            posted.accepted += 1;
        } else {
            posted.refused += 1;
            eprintln!("line {} was answered {}: {}", number + 1, answer.status, answer.rest);
        }
    }
    Ok(posted)
}

fn post(hub: SocketAddr, key: &str, body: &str) -> Result<Answer> {
    let mut tries = 0;
    loop {
        let timestamp = clock::unix_seconds().to_string();
        let signature = signature(key, &timestamp, body)?;
        let headers = [
            ("content-type", "application/json"),
            ("x-form-timestamp", timestamp.as_str()),
            ("x-form-signature", signature.as_str()),
        ];
        let answer = client::send(hub, "POST", PATH, &headers, body.as_bytes())?;
        tries += 1;
        if !matches!(answer.status, 429 | 503) || tries == PATIENCE {
            return Ok(answer);
        }
        clock::wait(Duration::from_secs(1));
    }
}

/// The recipe of plugins/form/plugin.toml: HMAC-SHA256 over the timestamp and the body.
fn signature(key: &str, timestamp: &str, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).context("the key cannot sign")?;
    mac.update(timestamp.as_bytes());
    mac.update(body.as_bytes());
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_well_known_one() {
        // RFC 4231, test case 2, cut in two.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", "what do ya want ", "for nothing?").unwrap(), expected);
    }
}
