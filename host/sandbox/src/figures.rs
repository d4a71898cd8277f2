//! Metric plugins: what they are linked with, and how one makes a figure.
//!
//! The same module over the same facts gives the same digits on any machine. Nothing of the hub is linked; of WASI only
//! what a language runtime needs to start and to die: an environment without variables, an input that is at its end, outputs
//! that are kept with a failure, and the streams that these are. Clocks, randomness, files and sockets are not there.

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::cli;
use wasmtime_wasi_io::bindings::wasi::io;

use crate::call::{Call, Done};
use crate::contract::figure::{Batch, Definition, Outcome};
use crate::error::CallError;
use crate::host::{Admission, CallState};
use crate::instance::Instance;
use crate::invoke::offered as required;
use crate::offered;

/// Interfaces that are linked. None of them tells one machine from another.
const LINKED: [&str; 13] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
];

/// Facts on their way into a plugin, made while they are wanted.
pub type Batches = Box<dyn Iterator<Item = Batch> + Send>;

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// What metric plugins are linked with.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    io::error::add_to_linker::<CallState, Io>(l, |state| state.ctx().table)?;
    io::poll::add_to_linker::<CallState, Io>(l, |state| state.ctx().table)?;
    io::streams::add_to_linker::<CallState, Io>(l, |state| state.ctx().table)?;
    cli::environment::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::exit::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::stdin::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::stdout::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::stderr::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::terminal_input::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::terminal_output::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdin::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::terminal_stdout::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    cli::terminal_stderr::add_to_linker::<CallState, WasiCli>(l, CallState::cli)?;
    Ok(linker)
}

/// What a metric plugin imports and may not, in words.
pub(crate) fn forbidden(imports: &[String]) -> Vec<String> {
    imports
        .iter()
        .filter(|import| !is_linked(import))
        .map(|import| named(import))
        .collect()
}

fn is_linked(import: &str) -> bool {
    // Shared types are names: there is nothing in them to call.
    let is_types = offered::served(import) == Some("types");
    is_types
        || import
            .split_once('@')
            .is_some_and(|(name, version)| LINKED.contains(&name) && version.starts_with("0.2."))
}

fn named(import: &str) -> String {
    let (name, _) = import.split_once('@').unwrap_or((import, ""));
    let (package, interface) = name.split_once('/').unwrap_or((name, ""));
    let what = match (package, interface) {
        ("wasi:clocks", _) | ("mihwar:plugin", "clock") => "a clock",
        ("wasi:random", _) | ("mihwar:plugin", "random") => "random numbers",
        ("wasi:sockets" | "wasi:http", _) | ("mihwar:plugin", "http" | "net") => "the network",
        ("wasi:filesystem", _) | ("mihwar:plugin", "blobs") => "files",
        ("mihwar:plugin", interface) => return format!("the hub's `{interface}`"),
        _ => return format!("`{import}`"),
    };
    format!("{what} ({import})")
}

impl Instance {
    /// Makes one figure in one fresh instance of the plugin: every batch in its order, then the result. Answers besides what
    /// the plugin says that it computes. The instance's time limit holds for all of it.
    ///
    /// # Errors
    /// See [`crate::CallFailure`].
    pub async fn measure(&self, batches: Batches) -> Result<Done<(Definition, Outcome)>, CallError> {
        let guest = required(self.bound.plugin.exports.figure.as_ref(), "figure")?;
        let done = self
            .run("figure", Call::empty(), Admission::Offline, move |store, component| {
                Box::pin(async move {
                    let guest = guest.load(&mut *store, component)?;
                    let definition = guest.call_define(&mut *store).await?;
                    for batch in batches {
                        guest.call_add(&mut *store, &batch).await?;
                    }
                    let outcome = guest.call_finish(store).await?;
                    Ok(Ok((definition, outcome)))
                })
            })
            .await?;
        self.counted(done, |(_, outcome)| outcome.parts.len())
    }
}
