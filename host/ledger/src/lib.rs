//! The ledger's mathematics: a SHA-256 Merkle tree as in RFC 9162 (leaf `0x00‖bytes`, node `0x01‖left‖right`), the
//! proofs over it, and checkpoints as C2SP signed notes. No I/O, no clock, no randomness.
//!
//! Read in this order: [`struct@Hash`], [`Frontier`] (what an appender keeps), [`Nodes`] and [`TileSet`] (where a prover finds
//! hashes), [`inclusion_proof`] and [`consistency_proof`], [`verify_inclusion`] and [`verify_consistency`] (what an
//! outsider runs; they share no code with the provers), [`Checkpoint`] (what is signed), [`Receipt`] and [`Consistency`]
//! (what is handed out, as JSON), [`FigureReceipt`] (figures that can be made again), [`Bundle`] and [`BundleWriter`] (a whole
//! ledger in one file, over anything that is read from; nothing is opened here).

mod bundle;
mod checkpoint;
mod consistency;
mod document;
mod figure;
mod frontier;
mod hash;
mod key;
mod note;
mod prove;
mod receipt;
mod tile;
mod tile_address;
mod tiling;
mod verify;
mod witness;

pub use bundle::{
    BUNDLE_FORMAT, Bundle, BundleError, BundleWriter, ContentLine, Events, MAX_CONTENT_BYTES, MAX_ENTRY_BYTES,
    MissingContent, Piece,
};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use consistency::{CONSISTENCY_FORMAT, Consistency, EvidenceError, connect};
pub use document::{DocumentError, document_format};
pub use figure::{
    FIGURE_FORMAT, FigureDefinition, FigureGroup, FigureInterval, FigureLimits, FigureModule, FigurePart,
    FigureReceipt, FigureSelection, MAX_FIGURE_GROUPS,
};
pub use frontier::{Frontier, FrontierError};
pub use hash::{Hash, HashTextError, commitment, leaf_hash, node_hash};
pub use key::{KeyError, Signer, VerifyingKey};
pub use note::{NoteError, NoteSignature, SignedNote};
pub use prove::{Node, Nodes, ProveError, consistency_proof, inclusion_proof, subtree_root};
pub use receipt::{Inclusion, MAX_RECEIPT_ENTRIES, RECEIPT_FORMAT, Receipt};
pub use tile::{TILE_WIDTH, TileId, TileSet};
pub use tile_address::TileAddress;
pub use tiling::Tiling;
pub use verify::{VerifyError, verify_consistency, verify_inclusion};
pub use witness::{Piece as NotesPiece, notes_in};
