//! Backups: what comes out is what went in, and what was damaged is named.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod damage;
mod increments;
mod refusals;
mod round_trip;
mod serving;
mod support;
