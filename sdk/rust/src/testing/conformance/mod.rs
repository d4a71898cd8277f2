//! A conformance kit for departments: a destination that misbehaves in every way that one can, and a plugin that keeps the
//! contract all the same, or is told what it does wrong.
//!
//! The author says what the other system does when nothing goes wrong: a [`System`] in memory. Around it the kit lets time-outs,
//! limits, failures after the work was done, lost and garbled answers, revoked credentials, redirects and deaths of the hub
//! happen, at every request of a call, one after the other; and looks at the verdicts, at what the other system has in the
//! end, and at what was told to people.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use mihwar_sdk::testing::Answer;
//! use mihwar_sdk::testing::conformance::{Department, Handed, System};
//! use mihwar_sdk::{
//!     Ack, AckState, Delivered, Delivery, Destination, Host, Plugin, PluginError, Request, Setback, one_by_one,
//! };
//! use serde_json::json;
//!
//! /// A department: each delivery is a message, with its id as the key.
//! struct Board;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Settings {}
//!
//! impl Plugin for Board {
//!     type Settings = Settings;
//! }
//!
//! impl Destination for Board {
//!     fn deliver(host: &Host, _: &Settings, batch: Vec<Delivery>) -> Result<Vec<Ack>, PluginError> {
//!         Ok(one_by_one(host, &batch, 2_000, |delivery| {
//!             let left = u32::try_from(host.remaining_ms() - 500).unwrap_or(u32::MAX);
//!             let post = Request::post("https://board.example/messages").header("x-key", &delivery.id);
//!             let response = host.http(&post.timeout_ms(left.min(5_000)))?;
//!             let code = format!("http-{}", response.status);
//!             let pause = response.retry_after_ms(host.now());
//!             match response.status {
//!                 200..=299 => Ok(AckState::Delivered(Delivered { external_ref: None, url: None })),
//!                 401 | 403 | 410 => Err(Setback::All(PluginError::unauthorized(code, "set a new token"))),
//!                 429 => Err(Setback::All(PluginError::rate_limited(code, "asked for a pause", pause))),
//!                 500..=599 => Err(Setback::failed(code, "the board failed", pause)),
//!                 _ => Err(Setback::Item(PluginError::permanent(code, "the board refuses it"))),
//!             }
//!         }))
//!     }
//! }
//!
//! /// The other system: it takes a message once, by its key.
//! #[derive(Default)]
//! struct Messages(BTreeSet<String>);
//!
//! impl System for Messages {
//!     fn answer(&mut self, request: &Request) -> Answer {
//!         let key = request.headers.iter().find(|header| header.name == "x-key");
//!         self.0.extend(key.map(|header| header.value.clone()));
//!         Answer::status(202)
//!     }
//!
//!     fn copies(&self, handed: &Handed) -> usize {
//!         usize::from(self.0.contains(&handed.delivery))
//!     }
//! }
//!
//! Department::<Board, _>::new(json!({}), Messages::default).origin("https://board.example").must_pass();
//! ```

mod batch;
mod bench;
mod callbacks;
mod expect;
mod fault;
mod finding;
mod pause;
mod stage;
mod stand;
mod system;
mod trial;
mod verdict;

#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use serde_json::Value as Json;

pub use super::live::Said;
pub use finding::{Finding, Rule};
pub use system::{Handed, System, Told, Trouble};

use super::drive;
use super::limits;
use crate::{Ack, Delivery, Destination, Host, InboundRequest, Outcome, PluginError, Webhook};

type Deliver = fn(&Host, &Json, Vec<Delivery>) -> Result<Vec<Ack>, PluginError>;
type Handle = fn(&Host, &Json, InboundRequest) -> Result<Outcome, PluginError>;

/// A department that is tried: its plugin, its settings, what is granted to it, and the system that it speaks to.
pub struct Department<P, S> {
    setup: Setup<S>,
    plugin: PhantomData<fn() -> P>,
}

/// What a trial is made of.
struct Setup<S> {
    settings: Json,
    make: Box<dyn Fn() -> S>,
    deliver: Deliver,
    handle: Option<Handle>,
    secrets: Vec<(String, Vec<u8>)>,
    origins: Vec<String>,
    lines: Vec<(String, u16)>,
    time_ms: u64,
}

impl<P: Destination, S: System> Department<P, S> {
    /// The department `P` with these settings. `system` makes the other system as it is before anything was delivered; each
    /// trial has its own.
    #[must_use]
    pub fn new(settings: Json, system: impl Fn() -> S + 'static) -> Self {
        Self {
            setup: Setup {
                settings,
                make: Box::new(system),
                deliver: drive::deliver::<P>,
                handle: None,
                secrets: Vec::new(),
                origins: Vec::new(),
                lines: Vec::new(),
                time_ms: limits::CALL_MS,
            },
            plugin: PhantomData,
        }
    }

    /// Sets a secret to its decoded bytes. Take a value of at least six bytes that stands nowhere else: it is looked for in
    /// what the plugin tells.
    #[must_use]
    pub fn secret(mut self, name: &str, key: impl Into<Vec<u8>>) -> Self {
        self.setup.secrets.push((name.into(), key.into()));
        self
    }

    /// Grants an origin, such as `https://api.example.org`. Nothing else is granted.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.setup.origins.push(origin.into());
        self
    }

    /// Grants connections to a host and port.
    #[must_use]
    pub fn connection(mut self, host: &str, port: u16) -> Self {
        self.setup.lines.push((host.into(), port));
        self
    }

    /// How long a call may take in milliseconds, as `time` under `[limits]` in the manifest says. 10 seconds if it says
    /// nothing.
    #[must_use]
    pub fn time_ms(mut self, milliseconds: u64) -> Self {
        self.setup.time_ms = milliseconds;
        self
    }

    /// Plays all trials: everything that the department does wrong, in the order in which it was found.
    ///
    /// # Panics
    /// When the model of the other system panics.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = trial::deliveries(&self.setup);
        findings.extend(callbacks::reports(&self.setup));
        findings
    }

    /// Plays all trials.
    ///
    /// # Panics
    /// When the department does anything wrong; the message says what, in which trial, and what is expected.
    #[track_caller]
    pub fn must_pass(&self) {
        let findings = self.findings();
        assert!(findings.is_empty(), "{}", finding::told(&findings));
    }
}

impl<P: Destination + Webhook, S: System> Department<P, S> {
    /// Tries the reports of a department that is called, too. The model says what it is told: [`System::tells`].
    #[must_use]
    pub fn reports(mut self) -> Self {
        self.setup.handle = Some(drive::handle_unchecked::<P>);
        self
    }
}
