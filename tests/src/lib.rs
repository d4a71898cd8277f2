//! What crosses Mihwar's rooms: the real binary on a real folder, a real receiver, real plugins.

mod hub;
mod receiver;

pub use hub::{Running, Site, plugin_file, plugins_folder, workspace};
pub use receiver::{Receiver, Seen};
