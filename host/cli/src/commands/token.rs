//! `mihwar token`: tokens for the API.

use anyhow::anyhow;
use mihwar_model::Time;
use mihwar_server::wire::{NewTokenView, TokenInput, TokenListView};
use serde::Serialize;

use crate::args::Token;
use crate::client::{Client, segment};
use crate::output::{Outcome, json, line, one_line};

/// Carries out `mihwar token …`.
pub(super) async fn run(client: &Client, command: Token, as_json: bool) -> anyhow::Result<Outcome> {
    match command {
        Token::Create { name, scopes, expires } => create(client, name, scopes, expires, as_json).await,
        Token::List => list(client, as_json).await,
        Token::Revoke { id } => revoke(client, id, as_json).await,
    }
}

#[derive(Serialize)]
struct Revoked {
    revoked: String,
}

async fn revoke(client: &Client, id: String, as_json: bool) -> anyhow::Result<Outcome> {
    client.delete(&format!("/api/v1/tokens/{}", segment(&id))).await?;
    if as_json {
        json(&Revoked { revoked: id })?;
    } else {
        line(format_args!("{} is worth nothing from now on", one_line(&id)))?;
    }
    Ok(Outcome::Done)
}

async fn create(
    client: &Client,
    name: String,
    scopes: Vec<String>,
    expires: Option<String>,
    as_json: bool,
) -> anyhow::Result<Outcome> {
    let expires = expires
        .as_deref()
        .map(Time::parse_rfc3339)
        .transpose()
        .map_err(|error| anyhow!("--expires is no RFC 3339 time such as 2027-01-01T00:00:00Z: {error}"))?;
    let made: NewTokenView = client
        .post("/api/v1/tokens", &TokenInput { name, scopes, expires })
        .await?
        .json()
        .await?;
    if as_json {
        json(&made)?;
    } else {
        line(&made.token)?;
        // Beside the output, so that the token alone can be taken from it.
        eprintln!("This is shown once: the hub keeps only a hash. Its id is {}.", made.id);
    }
    Ok(Outcome::Done)
}

async fn list(client: &Client, as_json: bool) -> anyhow::Result<Outcome> {
    let tokens: TokenListView = client.get("/api/v1/tokens").await?.json().await?;
    if as_json {
        json(&tokens)?;
        return Ok(Outcome::Done);
    }
    for token in &tokens.items {
        let end = token
            .expires
            .map_or_else(|| "no end".to_owned(), |end| format!("until {end}"));
        let text = format!("{}  {}  {end}  {}", token.id, token.scopes.join(","), token.name);
        line(one_line(&text))?;
    }
    Ok(Outcome::Done)
}
