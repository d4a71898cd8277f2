//! Fuzz targets for every parser of foreign bytes, and the small fuzzer that runs them.
//!
//! A target is a function over bytes that checks properties, not only that nothing panics: what is decoded encodes to the
//! same, a refusal says where, memory stays within a bound. Inputs are mutated from seeds in this process. An input is kept
//! as a new seed when the target *answers* something that it never answered before (see [`Target::check`]): guidance by
//! outcomes instead of by branches, because the latter needs instrumented builds (a nightly compiler or linker flags and
//! `unsafe` callbacks), and this runs with the compiler and in the build that all other tests have. What it gives up: a
//! branch that changes no answer is not steered to.
//!
//! `cargo xtask fuzz` runs every target for a while, `tests/bounded.rs` for a fixed number of inputs from a fixed seed.

mod dice;
mod engine;
mod mutate;
mod targets;
mod watch;

pub use engine::{Budget, Finding, Report, run, try_input};
pub use targets::{TARGETS, Target, named};

/// Removes what targets left on the disk. To be called at the end of a process.
pub fn tidy_up() {
    targets::tidy_up();
}

/// Counts what is allocated in this process.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
