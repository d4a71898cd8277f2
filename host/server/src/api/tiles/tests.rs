use std::collections::HashMap;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mihwar_hub::Scope;
use mihwar_model::{Actor, Channel, Draft, InstanceName, Tag};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Tile, TileHashReader, TileReader};
use tower::ServiceExt;

use super::tile_level;
use crate::Peer;
use crate::testing::{Bench, far_away};

/// What another implementation reads over HTTP.
struct Fetched(HashMap<Tile, Vec<u8>>);

impl TileReader for Fetched {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        Ok(tiles.iter().map(|tile| self.0[tile].clone()).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

async fn bytes(bench: &Bench, path: &str) -> Vec<u8> {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer::Console);
    let response = bench.routes.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(response.headers()["content-type"], "application/octet-stream", "{path}");
    assert_eq!(
        response.headers()["cache-control"],
        "private, max-age=31536000, immutable",
        "{path}"
    );
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn say(bench: &Bench, count: usize) {
    let draft = |number: usize| Draft {
        external_id: Some(format!("r-{number}")),
        body: format!("الطلب رقم {number} لم يصل"),
        ..Draft::new(Channel::new(Tag::new("form").unwrap()))
    };
    let form = InstanceName::new("form").unwrap();
    let taken = bench
        .hub
        .accept(&Actor::Console, &form, (0..count).map(draft).collect())
        .await;
    assert_eq!(taken.unwrap().len(), count);
}

/// Entries of a bundle, as the format has them: each behind its length.
fn unbundled(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        bundle = rest;
    }
    entries
}

/// The tiles that a reader of a log of this size fetches, under the addresses that the reader gives them.
async fn fetch(bench: &Bench, size: u64) -> Fetched {
    let mut fetched = HashMap::new();
    for tile in Tile::new_tiles(8, 0, size) {
        let path = tile.path().replacen("tile/8/", "/ledger/tile/", 1);
        let hashes = bytes(bench, &path).await;
        assert_eq!(hashes.len(), 32 * usize::try_from(tile.width()).unwrap(), "{path}");
        fetched.insert(tile, hashes);
    }
    Fetched(fetched)
}

#[tokio::test]
async fn another_implementation_reads_the_ledger_over_http_and_proves_every_entry() {
    let bench = Bench::new().await;
    say(&bench, 300).await;
    bench.get("/api/v1/ledger/checkpoint").await;
    let got = bench.get("/ledger/checkpoint").await;
    assert_eq!(got.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(got.headers["cache-control"], "private, max-age=5");

    let key = got.headers["mihwar-verifier-key"].to_str().unwrap();
    let note = Note::from_bytes(got.text.as_bytes()).unwrap();
    let verifier = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    assert!(note.verify(&verifier).is_ok());
    let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
    let size = checkpoint.size();
    assert!(size > 256, "a full tile and one that is not: {size}");

    let tiles = fetch(&bench, size).await;
    let reader = TileHashReader::new(size, *checkpoint.hash(), &tiles);
    assert!(tlog_tiles::tree_hash(size, &reader).unwrap() == *checkpoint.hash());
    let mut entries = Vec::new();
    for bundle in 0..size.div_ceil(256) {
        let width = size - bundle * 256;
        let partial = if width < 256 {
            format!(".p/{width}")
        } else {
            String::new()
        };
        let path = format!("/ledger/tile/entries/{bundle:03}{partial}");
        entries.extend(unbundled(&bytes(&bench, &path).await));
    }
    assert_eq!(entries.len() as u64, size);
    for (index, entry) in (0..).zip(&entries) {
        let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
        let leaf = tlog_tiles::record_hash(entry);
        tlog_tiles::check_record(&proof, size, *checkpoint.hash(), index, leaf).unwrap();
        assert!(!String::from_utf8_lossy(entry).contains("الطلب"));
    }
}

#[tokio::test]
async fn what_there_is_not_is_not_found() {
    let bench = Bench::new().await;
    // The first checkpoint is signed for whoever asks first.
    assert_eq!(bench.get("/ledger/checkpoint").await.status, StatusCode::OK);
    say(&bench, 3).await;
    for path in [
        "/ledger/tile/0/000",
        "/ledger/tile/0/000.p/200",
        "/ledger/tile/0/001.p/1",
        "/ledger/tile/1/000.p/1",
        "/ledger/tile/63/x018/x446/x744/x073/x709/x551/615",
        "/ledger/tile/64/000.p/1",
        "/ledger/tile/00/000.p/1",
        "/ledger/tile/0/0.p/1",
        "/ledger/tile/0/000.p/0",
        "/ledger/tile/%D9%A0/000.p/1",
        "/ledger/tile/entries/000",
        "/ledger/tile/entries/000.p/9999",
        "/ledger/tile/entries/x018/x446/x744/x073/x709/x551/615",
        "/ledger/tile/entries",
        "/ledger/tile",
    ] {
        let got = bench.get(path).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}: {}", got.text);
    }
    assert_eq!(bytes(&bench, "/ledger/tile/0/000.p/2").await.len(), 64);
    assert_eq!(unbundled(&bytes(&bench, "/ledger/tile/entries/000.p/2").await).len(), 2);
    assert_eq!(
        (tile_level("63"), tile_level("+1"), tile_level("64")),
        (Some(63), None, None)
    );
}

#[tokio::test]
async fn what_is_public_needs_no_token_and_the_rest_does() {
    for (public, hashes, entries) in [("nothing", 401, 401), ("hashes", 200, 401), ("entries", 200, 200)] {
        let bench = Bench::with(&format!("[ledger]\npublic = \"{public}\"")).await;
        say(&bench, 1).await;
        let token = bench.token(Scope::FeedbackRead).await;
        for (path, expected) in [
            ("/ledger/checkpoint", hashes),
            ("/ledger/tile/0/000.p/1", hashes),
            ("/ledger/tile/entries/000.p/1", entries),
        ] {
            let request = || Request::get(path);
            let got = bench.send(far_away(), request().body(Body::empty()).unwrap()).await;
            assert_eq!(got.status.as_u16(), expected, "{public}: {path}");
            if expected == 200 {
                assert!(got.headers["cache-control"].to_str().unwrap().starts_with("public"));
            }
            let known = request().header("authorization", format!("Bearer {token}"));
            let got = bench.send(far_away(), known.body(Body::empty()).unwrap()).await;
            assert_eq!(got.status.as_u16(), 200, "{public}: {path}");
        }
    }
}
