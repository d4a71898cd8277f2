//! What only the redb engine promises: durability, group commit, back-pressure, and honest answers when the disk fails.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod disk;
mod group_commit;
mod log;
mod reopen;
mod salvage;
mod scratch;
mod space;
