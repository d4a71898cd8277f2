//! Checks with the manifest's recipe who sent an inbound request, before any plugin sees it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use mihwar_model::Time;
use thiserror::Error;

use crate::contract::secrets::Mac;
use crate::manifest::{HmacRecipe, Part, TagEncoding, TokenRecipe, Verify};
use crate::secrets::Secret;

/// How far a sender's clock may run ahead when the recipe names no `max-age`.
const FUTURE: Duration = Duration::from_secs(300);
/// Most signatures in one header that are tried.
const MOST_SIGNATURES: usize = 8;

/// Looks up an inbound header; names compare without case.
pub trait InboundHeaders {
    /// The first value of that header as text.
    fn header(&self, name: &str) -> Option<&str>;
}

impl InboundHeaders for http::HeaderMap {
    fn header(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str().ok()
    }
}

impl InboundHeaders for [(String, String)] {
    fn header(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Why a request was refused. The sender may see it: it tells nothing about the secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The header with the signature is missing.
    #[error("the header `{0}` is missing; it carries the signature")]
    NoSignature(String),
    /// Another header that is signed is missing.
    #[error("the header `{0}` is missing; it is part of what is signed")]
    NoHeader(String),
    /// The header with the time is missing or no Unix time.
    #[error("the header `{0}` is missing or holds no Unix time")]
    NoTimestamp(String),
    /// The signature is too old, or from the future.
    #[error("the request was signed too long ago or in the future; allowed are {allowed_seconds} s either way")]
    Stale {
        /// The allowed difference.
        allowed_seconds: u64,
    },
    /// The signature is not what the secret gives for this request.
    #[error("the signature does not match the body")]
    Mismatch,
    /// Where the token should be there is none, or another one.
    #[error("the token is missing or wrong")]
    WrongToken,
    /// The instance has no value for the secret.
    #[error("the secret `{0}` is not set")]
    NoSecret(String),
}

/// Verifies requests to one endpoint of one instance.
pub struct WebhookVerifier<'a> {
    pub(crate) recipe: &'a Verify,
    pub(crate) secret: Option<&'a Secret>,
}

impl WebhookVerifier<'_> {
    /// Checks a request. Takes the same time whichever byte of the signature or the token is wrong.
    ///
    /// # Errors
    /// Says what is missing, stale or wrong.
    pub fn verify(
        &self,
        headers: &(impl InboundHeaders + ?Sized),
        query: &[(String, String)],
        body: &[u8],
        now: Time,
    ) -> Result<(), Refusal> {
        let no_secret = || Refusal::NoSecret(self.recipe.secret().to_owned());
        let secret = self.secret.ok_or_else(no_secret)?;
        match self.recipe {
            Verify::HmacSha256(recipe) => signed(recipe, secret, headers, body, now),
            Verify::Token(recipe) => named(recipe, secret, headers, query),
        }
    }

    /// Takes out what is as good as the secret itself: it is neither stored nor shown to the plugin.
    pub fn strip(&self, headers: &mut Vec<(String, String)>, query: &mut Vec<(String, String)>) {
        let Verify::Token(recipe) = self.recipe else {
            return;
        };
        if let Some(name) = &recipe.header {
            headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        }
        if let Some(name) = &recipe.query {
            query.retain(|(have, _)| have != name);
        }
    }
}

/// Whether the request carries the secret where the recipe says.
fn named(
    recipe: &TokenRecipe,
    secret: &Secret,
    headers: &(impl InboundHeaders + ?Sized),
    query: &[(String, String)],
) -> Result<(), Refusal> {
    let in_header = recipe.header.as_deref().and_then(|name| headers.header(name));
    let in_header = in_header.and_then(|value| value.strip_prefix(recipe.prefix.as_str()));
    let in_query = recipe.query.as_deref().and_then(|name| {
        let found = query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    });
    let fits = [in_header, in_query]
        .into_iter()
        .flatten()
        .any(|token| secret.is(token.as_bytes()));
    if fits { Ok(()) } else { Err(Refusal::WrongToken) }
}

fn signed(
    recipe: &HmacRecipe,
    secret: &Secret,
    headers: &(impl InboundHeaders + ?Sized),
    body: &[u8],
    now: Time,
) -> Result<(), Refusal> {
    let signatures = headers
        .header(&recipe.header)
        .ok_or_else(|| Refusal::NoSignature(recipe.header.clone()))?;
    let timestamp = timestamp(recipe, headers, now)?;
    let signed = signed_bytes(recipe, headers, timestamp, body)?;
    let matched = candidates(signatures, recipe)
        .take(MOST_SIGNATURES)
        .any(|tag| secret.verify(Mac::HmacSha256, &signed, &tag));
    if matched { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// The text of the timestamp header, checked against the clock.
fn timestamp<'h>(
    recipe: &HmacRecipe,
    headers: &'h (impl InboundHeaders + ?Sized),
    now: Time,
) -> Result<&'h str, Refusal> {
    let Some(name) = &recipe.timestamp_header else {
        return Ok("");
    };
    let missing = || Refusal::NoTimestamp(name.clone());
    let text = headers.header(name).ok_or_else(missing)?;
    let number: i64 = text.parse().map_err(|_| missing())?;
    // Seconds until the year 5138, milliseconds from 1973 on.
    let millis = if number.unsigned_abs() < 100_000_000_000 {
        number.saturating_mul(1000)
    } else {
        number
    };
    let allowed = recipe.max_age.map_or(FUTURE, |span| span.0);
    let apart = Duration::from_millis(now.0.abs_diff(millis));
    let late = recipe.max_age.is_some() || millis > now.0;
    if late && apart > allowed {
        return Err(Refusal::Stale {
            allowed_seconds: allowed.as_secs(),
        });
    }
    Ok(text)
}

fn signed_bytes(
    recipe: &HmacRecipe,
    headers: &(impl InboundHeaders + ?Sized),
    timestamp: &str,
    body: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut signed = Vec::with_capacity(body.len() + 64);
    for part in &recipe.parts {
        match part {
            Part::Timestamp => signed.extend_from_slice(timestamp.as_bytes()),
            Part::Body => signed.extend_from_slice(body),
            Part::Literal(text) => signed.extend_from_slice(text.as_bytes()),
            Part::Header(name) => {
                let value = headers.header(name).ok_or_else(|| Refusal::NoHeader(name.clone()))?;
                signed.extend_from_slice(value.as_bytes());
            }
        }
    }
    Ok(signed)
}

/// The signatures in a header that carry the prefix and decode.
fn candidates<'h>(header: &'h str, recipe: &'h HmacRecipe) -> impl Iterator<Item = Vec<u8>> + 'h {
    let comma_parts = !recipe.prefix.contains(',');
    header
        .split(move |letter: char| letter.is_ascii_whitespace() || (comma_parts && letter == ','))
        .filter_map(|text| text.strip_prefix(recipe.prefix.as_str()))
        .filter(|text| !text.is_empty())
        .filter_map(|text| match recipe.encoding {
            TagEncoding::Hex => hex::decode(text).ok(),
            TagEncoding::Base64 => STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok(),
        })
}

#[cfg(test)]
mod tests;
