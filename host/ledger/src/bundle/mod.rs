//! Bundles: a whole ledger in one file, for a stranger who has nothing else. A tar file with the checkpoint, every entry, and
//! the tiles over them as in C2SP tlog-tiles; `docs/ledger-format.md` says it byte by byte and is in each of them.
//!
//! A bundle is written and read from its beginning to its end, and neither side keeps more of it than one group of 256
//! entries. Nothing is opened here: whoever has a file hands over what reads it.

mod content;
mod error;
mod files;
mod group;
mod missing;
mod read;
mod tar;
mod write;

pub use content::ContentLine;
pub use error::BundleError;
pub use missing::MissingContent;
pub use read::{Bundle, Events, Piece};
pub use write::BundleWriter;

use crate::{TILE_WIDTH, TileAddress, TileId};

/// What the first file of a bundle says.
pub const BUNDLE_FORMAT: &str = "mihwar-bundle/1";
/// Bytes of an entry: no ledger takes longer ones.
pub const MAX_ENTRY_BYTES: usize = 100_000;
/// Bytes of a file with personal content: the longest that plugins hand over as they are configured first, 16 MiB in base64,
/// and of its text of 4 MiB each character written as six.
pub const MAX_CONTENT_BYTES: usize = 64_000_000;
/// Bytes of the file in which a group's missing content is named.
const MAX_MISSING_BYTES: usize = 1_000_000;

/// What the format is, for whoever unpacks a bundle.
const FORMAT_TEXT: &str = include_str!("../../../../docs/ledger-format.md");
/// A program that checks a bundle and needs nothing of ours.
const VERIFIER_TEXT: &str = include_str!("verify.py");

const MARK: &str = "mihwar-bundle";
const KEY: &str = "key";
const CHECKPOINT: &str = "checkpoint";
/// Stands where something else should be: why there is no more.
const STOPPED: &str = "stopped";
/// Files for people, between the mark and the key. They are passed over when a bundle is read.
const TEXTS: [(&str, &str); 2] = [("FORMAT.md", FORMAT_TEXT), ("verify.py", VERIFIER_TEXT)];

/// The place of the group of entries that begins with the entry `first`.
fn address(first: u64, width: usize) -> TileAddress {
    TileAddress {
        index: first / TILE_WIDTH as u64,
        width,
    }
}

fn checkpoints_name(first: u64) -> String {
    format!("checkpoints/{}", address(first, TILE_WIDTH))
}

/// Each entry behind its length in two bytes.
fn entries_name(first: u64, width: usize) -> String {
    format!("tile/entries/{}", address(first, width))
}

/// Each entry behind its length in four bytes, for a group that has one which is too long for two.
fn long_entries_name(first: u64, width: usize) -> String {
    format!("long-entries/{}", address(first, width))
}

fn content_name(first: u64, part: u64) -> String {
    format!("content/{}/{part:03}.ndjson", address(first, TILE_WIDTH))
}

/// Where it is named what could not be read of the group of entries that ends with `last`.
fn missing_name(last: u64) -> String {
    format!("content/{}/missing.ndjson", address(last, TILE_WIDTH))
}

/// The lines of a file that has at least one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n')
}

fn tile_name(id: TileId, width: usize) -> String {
    let TileId { level, index } = id;
    format!("tile/{level}/{}", TileAddress { index, width })
}
