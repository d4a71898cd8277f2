//! What crosses Mihwar's rooms: the real binary on a real folder, a real receiver, real plugins.

pub mod fixture;
mod hub;
mod receiver;
mod script;

pub use hub::{Running, Site, guest_file, plugin_file, workspace};
pub use receiver::{Receiver, Seen};
pub use script::Script;
