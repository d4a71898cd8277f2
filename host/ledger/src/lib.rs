//! The ledger's mathematics: a SHA-256 Merkle tree as in RFC 9162 (leaf `0x00‖bytes`, node `0x01‖left‖right`), the
//! proofs over it, and checkpoints as C2SP signed notes. No I/O, no clock, no randomness.
//!
//! Read in this order: [`struct@Hash`], [`Frontier`] (what an appender keeps), [`Nodes`] and [`TileSet`] (where a prover finds
//! hashes), [`inclusion_proof`] and [`consistency_proof`], [`verify_inclusion`] and [`verify_consistency`] (what an
//! outsider runs; they share no code with the provers), [`Checkpoint`] (what is signed).

mod checkpoint;
mod frontier;
mod hash;
mod key;
mod note;
mod prove;
mod tile;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use frontier::{Frontier, FrontierError};
pub use hash::{Hash, HashTextError, leaf_hash, node_hash};
pub use key::{KeyError, Signer, VerifyingKey};
pub use note::{NoteError, NoteSignature, SignedNote};
pub use prove::{Node, Nodes, ProveError, consistency_proof, inclusion_proof, subtree_root};
pub use tile::{TILE_WIDTH, TileId, TileSet};
pub use verify::{VerifyError, verify_consistency, verify_inclusion};
