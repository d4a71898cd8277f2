//! How a call fails.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::contract::types::PluginError;
use crate::effects::{Cost, LogLine, Told};
use crate::manifest::{ByteSize, Span};

/// A call that failed. Nothing that it wrote is kept; what it said is here.
#[derive(Debug, Error)]
#[error("{failure}")]
pub struct CallError {
    /// What went wrong.
    pub failure: Box<CallFailure>,
    /// Log lines up to the failure, secrets masked.
    pub log: Vec<LogLine>,
    /// The last 8 KiB of what the guest wrote to its standard output and error, secrets masked.
    pub stderr: String,
    /// What it cost until then.
    pub cost: Cost,
    /// Its last requests: see [`crate::Effects::told`].
    pub told: Box<[Told]>,
}

impl CallError {
    /// Short and stable, for grouping and alerts.
    #[must_use]
    pub fn code(&self) -> &str {
        self.failure.code()
    }
}

/// The ways a call can fail.
#[derive(Debug, Error)]
pub enum CallFailure {
    /// The plugin returned a typed error; texts are masked and cut.
    #[error("{}", PluginErrorText(.0))]
    Plugin(PluginError),
    /// The plugin broke off: a panic, or something WebAssembly does not allow.
    #[error("the plugin broke off in {during}: {message}{}", .place.as_ref().map(|place| format!(" (at {place})")).unwrap_or_default())]
    Trap {
        /// Which contract function was called.
        during: &'static str,
        /// The panic's message, else the trap's.
        message: String,
        /// Source place of a panic, `src/lib.rs:27:5`.
        place: Option<String>,
        /// Function names, innermost first.
        frames: Vec<String>,
    },
    /// The call took too long.
    #[error("the call took longer than {}; `{setting}` raises the limit", Span(*.limit))]
    TimeLimit {
        /// The limit in force.
        limit: Duration,
        /// Config key that raises it.
        setting: &'static str,
    },
    /// The plugin wanted too much memory.
    #[error("the plugin wanted {} of memory, the limit is {}; `{setting}` raises it", ByteSize(*.wanted), ByteSize(*.limit))]
    MemoryLimit {
        /// Bytes it wanted in all.
        wanted: u64,
        /// The limit in force.
        limit: u64,
        /// Config key that raises it.
        setting: &'static str,
    },
    /// The plugin wanted too many table elements.
    #[error("the plugin wanted {wanted} table elements, the limit is {limit}; `{setting}` raises it")]
    TableLimit {
        /// Elements it wanted in all.
        wanted: u64,
        /// The limit in force.
        limit: u64,
        /// Config key that raises it.
        setting: &'static str,
    },
    /// The plugin handed the host too much at once.
    #[error("the plugin handed over more than {limit} {unit} at once; `{setting}` raises the limit")]
    OutputTooLarge {
        /// The limit in force.
        limit: u64,
        /// `bytes` or `items`.
        unit: &'static str,
        /// Config key that raises it.
        setting: &'static str,
    },
    /// The plugin does not export this function.
    #[error("the plugin does not offer `{0}`")]
    NotOffered(&'static str),
    /// Every slot was taken for as long as a call may wait.
    #[error("all {slots} call slots stayed taken for {}; `engine.concurrent-calls` gives more", Span(*.waited))]
    Busy {
        /// How many calls may run at once.
        slots: usize,
        /// How long it waited.
        waited: Duration,
    },
    /// The host could not do its part; not the plugin's fault.
    #[error("the host could not run the call: {0}")]
    Host(String),
}

impl CallFailure {
    /// Short and stable, for grouping and alerts.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Plugin(error) => plugin_code(error),
            Self::Trap { .. } => "plugin-trap",
            Self::TimeLimit { .. } => "limit-time",
            Self::MemoryLimit { .. } => "limit-memory",
            Self::TableLimit { .. } => "limit-table",
            Self::OutputTooLarge { .. } => "limit-output",
            Self::NotOffered(_) => "not-offered",
            Self::Busy { .. } => "busy",
            Self::Host(_) => "host",
        }
    }
}

fn plugin_code(error: &PluginError) -> &str {
    match error {
        PluginError::Transient(retry) | PluginError::RateLimited(retry) => &retry.failure.code,
        PluginError::Permanent(failure) | PluginError::Unauthorized(failure) => &failure.code,
        PluginError::Misconfigured(_) => "misconfigured",
        PluginError::Unsupported(_) => "unsupported",
    }
}

/// A plugin's own error in one line.
struct PluginErrorText<'a>(&'a PluginError);

impl fmt::Display for PluginErrorText<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PluginError::Transient(retry) => {
                write!(to, "{} ({})", retry.failure.message, retry.failure.code)
            }
            PluginError::RateLimited(retry) => {
                write!(
                    to,
                    "the other side asks for a pause: {} ({})",
                    retry.failure.message, retry.failure.code
                )
            }
            PluginError::Permanent(failure) => write!(to, "{} ({})", failure.message, failure.code),
            PluginError::Unauthorized(failure) => {
                write!(to, "not authorised: {} ({})", failure.message, failure.code)
            }
            PluginError::Misconfigured(problems) => {
                write!(to, "the settings are wrong:")?;
                for problem in problems {
                    write!(to, " `{}`: {};", problem.path, problem.message)?;
                }
                Ok(())
            }
            PluginError::Unsupported(what) => write!(to, "the plugin does not support {what}"),
        }
    }
}
