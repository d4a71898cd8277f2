//! Faults, on the real binary: killed at any moment, a full disk, flipped bytes, a clock that jumps, folders that must
//! not be touched. Each test says what it did in a line that `cargo xtask faults` gathers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

mod clock;
mod copies;
mod flips;
mod full_disk;
mod kill;
mod load;
mod refusals;
mod support;
