//! Loads, checks, limits and calls Mihwar's WebAssembly plugins.
//!
//! The way through this room:
//! 1. [`Engine`] compiles a component once ([`Engine::load`]) and keeps the machine code on disk;
//! 2. [`Instance::configure`] binds a [`Plugin`] to settings, secrets and grants;
//! 3. each contract call (`pull`, `deliver`, …) runs in a fresh store and hands back the plugin's
//!    answer together with its [`Effects`], which the caller commits in one transaction or drops.
//!
//! Nothing here knows how records are stored or which routes exist: a call borrows what it needs
//! through [`StateSource`] and [`BlobSource`].

mod address;
mod cache;
mod call;
pub mod contract;
mod echo;
mod effects;
mod egress;
mod engine;
mod error;
mod failure;
mod figures;
mod fitness;
mod grants;
mod host;
mod inspect;
mod instance;
mod invoke;
mod limits;
mod load;
pub mod manifest;
mod meter;
mod offered;
mod outcome;
mod plugin;
mod problem;
mod run;
mod schema;
mod secrets;
mod stdio;
mod teller;
mod template;
mod webhook;

pub use address::{AddressRule, refused_because};
pub use call::{BlobSource, Call, Done, SourceError, StateSource};
pub use effects::{
    Cost, Effects, LogLevel, LogLine, Measurement, MeasurementKind, NewBlob, StateWrite, TOLD_MAX, Told,
};
pub use egress::{ByteStream, CheckedNetwork, Dial, HOP, Incoming, Outgoing, Transport};
pub use engine::{Engine, EngineError, EngineSettings};
pub use error::{CallError, CallFailure};
pub use figures::Batches;
pub use grants::{Grants, HttpGrant, NetGrant};
pub use inspect::{Inspection, NotAPlugin};
pub use instance::{Instance, InstanceSettings};
pub use limits::{LimitOverrides, Limits};
pub use load::LoadError;
pub use manifest::{Manifest, ManifestError};
pub use plugin::{Capability, Plugin};
pub use problem::{Problem, Severity};
pub use secrets::{SecretError, SecretSet};
pub use webhook::{InboundHeaders, Refusal as WebhookRefusal, WebhookVerifier};
