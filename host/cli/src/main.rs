//! `mihwar`: the feedback hub and everything an admin does with it, in one binary.
//!
//! One door: every command that needs the hub speaks its HTTP API, written once. If a hub serves the data folder, over
//! its socket there; if none does, the command opens the hub itself, as much of it as it needs, and asks the same routes
//! in this process.

mod answer;
mod args;
mod client;
mod commands;
mod output;
mod words;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use output::Outcome;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Twice as many threads as cores. Sealing a group of records, or reading a batch with an enricher, takes a thread for
/// milliseconds; with as many threads as cores everybody else would wait for that, down to `/health/live`. So the operating
/// system shares the cores instead.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) * 2
}

fn main() -> ExitCode {
    // Wrong use ends here, with status 2 and the sentence that says what would be right.
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mihwar: no threads to work with: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(commands::run(args));
    // Whatever still runs is not waited for: a hub that was to be closed is closed, and one that was told to stop at once
    // must.
    runtime.shutdown_background();
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::FAILURE,
        // An export, whose reader has seen enough: `mihwar feedback export | head`. What other commands print may go unread
        // and changes nothing.
        Err(error) if output::is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mihwar: {}", output::plain(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
