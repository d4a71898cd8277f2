//! The parsers of foreign bytes, asked about bytes that nobody would write.

use anyhow::Result;
use clap::Args;

use crate::plugins;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, run};

/// Options of `cargo xtask fuzz`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Handed to the fuzzer as they are: [TARGET] [--seconds N] [--seed N] [--input FILE]; `list` lists the targets.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the plugins, whose files are seeds, and runs the fuzzer.
pub(crate) fn fuzz(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    let components = [plugins::shipped(workspace)?, plugins::guests(workspace)?].concat();
    plugins::build(workspace, choice, &components)?;
    run(workspace.cargo().args(["build", "--workspace", "--bin", "fuzz"]))?;
    run(workspace
        .command(workspace.target().join("debug/fuzz"))
        .args(&options.rest))
}
