//! Backups: a consistent copy of store and blobs in one file, made while the store is written to, and increments that
//! hold what changed since an earlier one.
//!
//! A backup file is a prologue, chunks of about 1 MiB, and an epilogue. Each chunk carries a SHA-256 hash over itself and
//! the hash of the chunk before, so that a flipped bit, a missing, foreign or misplaced chunk is found where it is, and the
//! last hash is one over all. The bytes, in their order:
//!
//! | part | what |
//! |---|---|
//! | prologue | 16 bytes that no other file begins with, the format (4 bytes) |
//! | header | CBOR: whose it is, the state that it holds, the state that it goes on from if it is an increment |
//! | rows | in the order of their keys, each with its version; of lasting spaces in an increment only what changed, and the keys of what was deleted |
//! | journal | the entries, from the state that it goes on from |
//! | files | the blobs of the rows of filed spaces that are in this very backup |
//! | footer | CBOR: counts of all that |
//! | epilogue | where the footer is (8 bytes), 8 bytes that end every backup |
//!
//! Numbers are big endian. Tiles of the ledger's tree are left out: they are made from the entries again, and the root
//! must be the header's.
//!
//! Read in this order: [`Backup`] makes one, [`receive`] puts it into a file, [`verify`] and [`restore`] read a full one
//! and its increments together.

mod error;
mod format;
mod frame;
mod merge;
mod read;
mod receive;
mod records;
mod replay;
mod restore;
mod write;

pub use error::BackupError;
pub use format::{Counts, Header, Mark, MarkTextError, Owner};
pub use receive::{Received, header, previous, receive};
pub use replay::{Replayed, Watch, verify};
pub use restore::restore;
pub use write::{About, Backup};
