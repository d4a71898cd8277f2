//! What the store and the room for files promise when the disk does not: failing disks, power cuts, full disks, flipped
//! bits, and random histories against a plain map.
//!
//! Everything is drawn from numbered seeds. `MIHWAR_FAULT_ROUNDS=20` makes a run twenty times as long;
//! `MIHWAR_FAULT_SEED=7` begins with seed 7, to repeat what failed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod compacted;
mod disk;
mod flipped_bits;
mod full_disk;
mod histories;
mod lives;
mod model;
mod nth_operation;
mod power_cut;
mod random;
mod stored_files;
mod story;
