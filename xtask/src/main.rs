//! The developer's door: `cargo xtask run`, `test`, `faults`, `bench`, `lint` and what they stand on.
//!
//! Every command installs what the machine lacks before it starts, and says so.

mod bench;
mod clock;
#[cfg(feature = "componentize")]
mod componentize;
mod corpus;
mod debian;
mod demo;
mod faults;
mod fixture;
mod fuzz;
mod lint;
mod plugins;
mod receiver;
mod run;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::setup::WasmChoice;
use crate::shell::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Setup, build, run, test and bench for Mihwar.")]
struct Cli {
    /// Which compiler makes the plugins.
    #[arg(long, global = true, value_enum, default_value_t = WasmChoice::Auto)]
    wasm_toolchain: WasmChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the plugins and the hub, start it with the demo records and a receiver.
    Run(run::Options),
    /// Run every test.
    Test(test::Options),
    /// Run the fault suite at length, and print what was done and found.
    Faults(faults::Options),
    /// Measure, and print the machine with the figures.
    Bench(bench::Options),
    /// Fuzz the parsers of foreign bytes, each for a while.
    Fuzz(fuzz::Options),
    /// Pack a data folder of the present format into tests/fixtures: once for each release that changes the format.
    Fixture(fixture::Options),
    /// Formatting and clippy, warnings denied.
    Lint,
    /// Install what is missing to build the plugins.
    Setup,
    /// Build every plugin into target/plugins.
    Plugins,
    /// Install the corpus of 6,046 real mails into target/corpus.
    Corpus,
    /// Stand for a department: print each record that arrives.
    Receiver(receiver::Options),
    /// Write config/demo anew from the texts in xtask/demo.
    DemoRecords,
    /// Make a component out of a core module.
    #[cfg(feature = "componentize")]
    #[command(hide = true)]
    Componentize(componentize::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let workspace = Workspace::locate()?;
    let choice = cli.wasm_toolchain;
    match cli.command {
        Command::Run(options) => run::run(&workspace, choice, &options),
        Command::Test(options) => test::test(&workspace, choice, &options),
        Command::Faults(options) => faults::faults(&workspace, choice, &options),
        Command::Bench(options) => bench::bench(&workspace, choice, &options),
        Command::Fuzz(options) => fuzz::fuzz(&workspace, choice, &options),
        Command::Fixture(options) => fixture::fixture(&workspace, choice, &options),
        Command::Lint => lint::lint(&workspace, choice),
        Command::Setup => setup::wasm_toolchain(&workspace, choice).map(drop),
        Command::Plugins => plugins::build(&workspace, choice, &plugins::shipped(&workspace)?),
        Command::Corpus => corpus::install(&workspace).map(drop),
        Command::Receiver(options) => receiver::serve(&options),
        Command::DemoRecords => demo::write(&workspace),
        #[cfg(feature = "componentize")]
        Command::Componentize(options) => componentize::componentize(&options),
    }
}
