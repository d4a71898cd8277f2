//! The ledger as C2SP tlog-tiles has it, for other logs' tools: the newest checkpoint, tiles of hashes, bundles of entries.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::request::Parts;
use mihwar_hub::PublicLedger;
use mihwar_ledger::{TILE_WIDTH, TileAddress, TileId};

use crate::http::problem::ProblemView;
use crate::http::{Allowed, Problem, Read, Sort};
use crate::surface::Surface;

/// Levels that the format knows.
const LEVELS: u8 = 64;
/// How long a checkpoint may be taken for the newest.
const CHECKPOINT_CACHE: &str = "max-age=5";
/// A tile or bundle of this width never changes.
const TILE_CACHE: &str = "max-age=31536000, immutable";

/// What of the ledger somebody wants to read.
pub(crate) trait Part {
    /// From this setting of `ledger.public` on, nobody is asked who they are.
    const PUBLIC_FROM: PublicLedger;
}

/// Checkpoints and tiles: they tell how many entries there are, and nothing else.
pub(crate) struct Hashes;
/// Entries: facts about what people said, without what they said.
pub(crate) struct Entries;

impl Part for Hashes {
    const PUBLIC_FROM: PublicLedger = PublicLedger::Hashes;
}
impl Part for Entries {
    const PUBLIC_FROM: PublicLedger = PublicLedger::Entries;
}

/// Somebody who may read a part of the ledger: anybody, where the configuration says so; else who may read feedback.
/// Holds whether it was anybody.
pub(crate) struct Reader<P>(bool, PhantomData<P>);

impl<P: Part> FromRequestParts<Surface> for Reader<P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Problem> {
        let is_public = surface.config().ledger.public >= P::PUBLIC_FROM;
        if !is_public {
            Allowed::<Read>::from_request_parts(parts, surface).await?;
        }
        Ok(Self(is_public, PhantomData))
    }
}

impl<P> Reader<P> {
    /// An answer that may be kept by whoever may see it.
    fn answer(&self, media_type: &'static str, cache: &str, body: Vec<u8>) -> Response {
        let who = if self.0 { "public" } else { "private" };
        let headers = [
            (header::CONTENT_TYPE, media_type.to_owned()),
            (header::CACHE_CONTROL, format!("{who}, {cache}")),
        ];
        (headers, body).into_response()
    }
}

/// Get the newest checkpoint
///
/// The newest checkpoint that was signed, as C2SP `tlog-tiles` has it; nothing is signed for the question. The key that
/// verifies it is in the `mihwar-verifier-key` header, and should come from elsewhere. Without a token where `ledger.public`
/// is `hashes` or `entries`.
#[utoipa::path(
    get, path = "/ledger/checkpoint", tag = "ledger",
    responses((status = OK, body = String, content_type = "text/plain", description = "The signed note.",
        headers(("mihwar-verifier-key" = String, description = "Public key of the signer, as a C2SP verifier key.")))),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_newest_checkpoint(
    reader: Reader<Hashes>,
    State(surface): State<Surface>,
) -> Result<Response, Problem> {
    let note = surface.hub.newest_checkpoint().await?;
    let mut response = reader.answer("text/plain; charset=utf-8", CHECKPOINT_CACHE, note.into_bytes());
    let key = http::HeaderValue::try_from(surface.hub.verifier_key()).map_err(Problem::internal)?;
    let name = HeaderName::from_static("mihwar-verifier-key");
    response.headers_mut().insert(name, key);
    Ok(response)
}

/// Get a tile
///
/// Up to 256 hashes of the ledger's tree, 32 bytes each, as C2SP `tlog-tiles` has them. Without a token where `ledger.public`
/// is `hashes` or `entries`.
#[utoipa::path(
    get, path = "/ledger/tile/{level}/{index}", tag = "ledger",
    params(
        ("level" = String, Path, description = "Tile level, 0 to 63; 0 holds leaf hashes."),
        ("index" = String, Path, description = "Number of the tile in the format's writing, such as `x001/x234/067` or `067.p/8`."),
    ),
    responses(
        (status = OK, body = String, content_type = "application/octet-stream", description = "The hashes."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "The ledger has no such tile yet."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_tile(
    reader: Reader<Hashes>,
    State(surface): State<Surface>,
    Path((level, index)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("such tile");
    let level = tile_level(&level).ok_or_else(none)?;
    let TileAddress { index, width } = TileAddress::parse(&index).ok_or_else(none)?;
    let hashes = surface.hub.ledger_tile(TileId { level, index }).await?;
    let hashes = hashes.get(..width).ok_or_else(none)?;
    let bytes = hashes.iter().flat_map(|hash| hash.0).collect();
    Ok(reader.answer("application/octet-stream", TILE_CACHE, bytes))
}

/// Get a bundle of entries
///
/// Up to 256 entries of the ledger, each behind its length in two bytes, as C2SP `tlog-tiles` has them. They hold facts and
/// hashes, no words and no names; but whoever has many of them can follow one person's id. Without a token only where
/// `ledger.public` is `entries`.
#[utoipa::path(
    get, path = "/ledger/tile/entries/{index}", tag = "ledger",
    params(("index" = String, Path, description = "Number of the bundle in the format's writing, such as `x001/x234/067` or `067.p/8`.")),
    responses(
        (status = OK, body = String, content_type = "application/octet-stream", description = "The entries."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "The ledger has no such entries yet, or one of them is too long for the format."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_entries(
    reader: Reader<Entries>,
    State(surface): State<Surface>,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    let none = || Problem::not_found("such bundle of entries");
    let TileAddress { index, width } = TileAddress::parse(&index).ok_or_else(none)?;
    let first = index.checked_mul(TILE_WIDTH as u64).ok_or_else(none)?;
    let entries = surface.hub.ledger_entries(first, width).await?;
    if entries.len() < width {
        return Err(none());
    }
    let mut bundle = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 2).sum());
    for (number, entry) in (first..).zip(&entries) {
        let Ok(length) = u16::try_from(entry.len()) else {
            let detail = format!("entry {number} is longer than the 65535 bytes that this format can carry");
            return Err(Problem::new(Sort::NotFound, detail));
        };
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(reader.answer("application/octet-stream", TILE_CACHE, bundle))
}

/// A level in the format's writing: decimal, without leading zeros.
fn tile_level(text: &str) -> Option<u8> {
    let level: u8 = text.parse().ok()?;
    (level < LEVELS && level.to_string() == text).then_some(level)
}

#[cfg(test)]
mod tests;
