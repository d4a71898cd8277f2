//! Write plugins for Mihwar in Rust.
//!
//! A plugin is a type that implements [`Plugin`] and one or more capabilities: [`Importer`], [`Puller`] and
//! [`Webhook`] bring feedback in, [`Processor`] enriches it, [`Destination`] hands it to a department. A [`Metric`] is
//! another sort of plugin: it makes a figure of facts, and has nothing but these.
//! [`export!`] makes the component of it and embeds the manifest `plugin.toml`. Whatever a plugin may touch
//! comes through the [`Host`] that each call gets; natively, `testing::FakeHost` stands in for it, so
//! that a plugin's tests need no WebAssembly at all.
//!
//! `docs/plugin-authors.md` builds a complete plugin step by step.

pub mod bindings;
mod capability;
mod error;
mod export;
mod feedback;
pub mod figure;
mod host;
mod http;
mod json;
mod net;
mod setback;
mod settings;
mod status;
pub mod time;
mod types;

#[cfg(target_arch = "wasm32")]
mod door;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use capability::{Destination, Importer, Plugin, Processor, Puller, Webhook};
pub use figure::Metric;
pub use host::Host;
pub use http::json_fault;
pub use net::Connection;
pub use setback::{Setback, one_by_one};
pub use settings::{parse_settings, settings_schema};
pub use types::*;

#[doc(hidden)]
pub use export::STAMP;
