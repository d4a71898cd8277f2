//! What crosses Mihwar's rooms: the real binary on a real folder, a real receiver, real plugins.

mod faults;
pub mod fixture;
mod hub;
pub mod raw;
mod receiver;
mod script;

pub use faults::{Dice, report_faults, rounds};
pub use hub::{Running, Site, guest_file, plugin_file, workspace};
pub use receiver::{Receiver, Seen};
pub use script::Script;
