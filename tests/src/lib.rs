//! What crosses Mihwar's rooms: the real binary on a real folder, a real receiver, real plugins.

mod address;
mod compiled;
mod faults;
pub mod fixture;
mod hub;
mod picture;
pub mod raw;
mod receiver;
mod script;

pub use faults::{Dice, report_faults, rounds};
pub use hub::{Running, Site, guest_file, peak_bytes_of, plugin_file, said, workspace};
pub use picture::{assert_same_picture, picture, snapshot};
pub use receiver::{Receiver, Seen};
pub use script::Script;
