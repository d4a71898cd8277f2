//! The durable engine: one redb file, one writer thread with group commit, a few reader threads.
//!
//! redb blocks, so none of it runs on a thread of the async runtime. It is asked for little: no savepoints, no
//! `insert_reserve`, no `retain`, one process.

mod applying;
mod backend;
mod compaction;
mod containment;
mod counters;
mod create;
mod database;
mod integrity;
mod layout;
mod log;
mod overlay;
mod peek;
mod readers;
mod rebuild;
mod row;
mod salvage;
mod schema;
mod scratch;
mod settings;
mod spaces;
mod store;
mod view;
mod writer;

pub use self::log::LostGroup;
pub use compaction::{CompactError, Compacted, CompactionProgress, CompactionStage, CompactionTell};
pub use integrity::Integrity;
pub use peek::{Held, hold, peek, repair};
pub(crate) use rebuild::Rebuild;
pub use salvage::{LogExamined, Reached, examine_log, salvage_log};
pub use settings::{Execution, RedbSettings};
pub use store::RedbStore;
