//! `cargo xtask run`: the hub with its plugins, the demo records and a receiver, in one terminal.

mod client;
mod forms;
mod hub;
mod secrets;
mod tour;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::clock;
use crate::plugins;
use crate::receiver::{self, Tally};
use crate::run::hub::Hub;
use crate::run::secrets::Secrets;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, run as run_program, say};

/// The data folder that config/mihwar.toml names.
const DATA: &str = "data";
/// Lines that the receiver prints while the demo records come in; the rest it counts.
const RECEIVER_LINES: u64 = 12;
/// The receiver counts as quiet when nothing came for this long.
const QUIET: Duration = Duration::from_secs(3);
const QUIET_WAIT_MAX: Duration = Duration::from_mins(2);

/// Options of `cargo xtask run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address of the hub.
    #[arg(long, default_value = "127.0.0.1:8480")]
    pub(crate) listen: SocketAddr,
    /// Address of the receiver; config/mihwar.toml names it too.
    #[arg(long, default_value = "127.0.0.1:8481")]
    receiver: SocketAddr,
    /// The receiver answers every N-th request with 500, to show retries. 0: never.
    #[arg(long, default_value_t = 40, value_name = "N")]
    fail_every: u64,
    /// Data folder.
    #[arg(long, default_value = DATA)]
    data: PathBuf,
    /// Start what was built before.
    #[arg(long)]
    no_build: bool,
    /// Start without the demo records.
    #[arg(long)]
    no_demo_records: bool,
    /// Stop when the demo records have arrived at the receiver.
    #[arg(long)]
    once: bool,
}

/// Builds, starts, fills and then stays until it is interrupted.
pub(crate) fn run(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    if !options.no_build {
        build(workspace, choice)?;
    }
    let interrupt = Interrupt::install()?;
    let data = workspace.path(&options.data);
    let secrets = Secrets::load_or_make(&data)?;
    let tally = Tally::new(options.fail_every, RECEIVER_LINES);
    receiver::start(options.receiver, &tally)?;
    say(format!(
        "a receiver stands for a department on http://{}",
        options.receiver
    ));
    let mut hub = Hub::start(workspace, options.listen, &data, &secrets)?;
    hub.wait_until_ready(&interrupt)?;
    say(format!("the hub is ready on http://{}", options.listen));
    let filled = fill(workspace, options, &hub, &secrets, &tally, &interrupt);
    let done = filled.and_then(|()| stay(&mut hub, options, &tally, &interrupt));
    let interrupted = interrupt.came();
    hub.stop()?;
    if interrupted { Ok(()) } else { done }
}

/// Builds the plugins beside the hub: both have stretches that keep one core busy only.
fn build(workspace: &Workspace, choice: WasmChoice) -> Result<()> {
    let components = plugins::shipped(workspace)?;
    std::thread::scope(|scope| {
        let plugins = scope.spawn(|| plugins::build(workspace, choice, &components));
        let hub = build_hub(workspace);
        let plugins = plugins
            .join()
            .unwrap_or_else(|_| bail!("building the plugins panicked"));
        plugins.and(hub)
    })
}

/// Builds the binary. Features are resolved for the whole workspace, as they are for its tests: with
/// `--package` some would be fewer, and the biggest dependencies would be built once for each.
pub(crate) fn build_hub(workspace: &Workspace) -> Result<()> {
    say("building the hub");
    run_program(workspace.cargo().args(["build", "--workspace", "--bin", "mihwar"]))
}

/// Brings in the demo records over the three channels. Those that are there already add nothing.
fn fill(
    workspace: &Workspace,
    options: &Options,
    hub: &Hub,
    secrets: &Secrets,
    tally: &Tally,
    interrupt: &Interrupt,
) -> Result<()> {
    if options.no_demo_records {
        return Ok(());
    }
    for channel in ["mail", "calls"] {
        interrupt.check()?;
        run_program(
            hub.command()
                .args(["import", channel])
                .arg(format!("config/demo/{channel}")),
        )?;
    }
    let records = workspace.path("config/demo/form/submissions.ndjson");
    say("posting the form answers, each signed, to /hooks/form/submit");
    let posted = forms::post_all(options.listen, &records, secrets.form_signing(), || interrupt.check())?;
    say(format!(
        "{} form answers accepted, {} refused",
        posted.accepted, posted.refused
    ));
    wait_until_quiet(tally, interrupt)?;
    say(format!(
        "the receiver got {} records in {} requests, {} of which it failed on purpose",
        tally.records(),
        tally.requests(),
        tally.failed_on_purpose()
    ));
    if posted.refused > 0 {
        bail!("{} form answers were refused; see above", posted.refused);
    }
    Ok(())
}

/// The first deliveries are worth seeing before the tour is printed over them.
fn wait_until_quiet(tally: &Tally, interrupt: &Interrupt) -> Result<()> {
    let begin = Instant::now();
    let mut last = (tally.requests(), Instant::now());
    while last.1.elapsed() < QUIET && begin.elapsed() < QUIET_WAIT_MAX {
        interrupt.check()?;
        clock::wait(Duration::from_millis(200));
        if tally.requests() != last.0 {
            last = (tally.requests(), Instant::now());
        }
    }
    Ok(())
}

fn stay(hub: &mut Hub, options: &Options, tally: &Tally, interrupt: &Interrupt) -> Result<()> {
    if options.once {
        if hub.was_new() && !options.no_demo_records && tally.records() == 0 {
            bail!("no record reached the receiver");
        }
        return Ok(());
    }
    tour::print(hub, options)?;
    tally.print_all();
    while !interrupt.came() {
        if let Some(status) = hub.ended()? {
            bail!("the hub ended by itself with {status}");
        }
        clock::wait(Duration::from_millis(200));
    }
    Ok(())
}

/// Ctrl-C, or the terminal going away.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn install() -> Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&came)).context("cannot watch for Ctrl-C")?;
        }
        Ok(Self(came))
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it came.
    pub(crate) fn check(&self) -> Result<()> {
        if self.came() { bail!("interrupted") } else { Ok(()) }
    }
}
