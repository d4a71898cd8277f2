//! The fixture of the present data format, which every later version must open.

use anyhow::Result;
use clap::Args;

use crate::plugins;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, run};

/// Options of `cargo xtask fixture`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The format that this version writes: `FORMAT` in host/hub/src/format/mod.rs.
    format: u32,
}

/// Builds everything, fills a data folder with the demo's records and packs it into tests/fixtures.
pub(crate) fn fixture(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    let components = [plugins::shipped(workspace)?, plugins::guests(workspace)?].concat();
    plugins::build(workspace, choice, &components)?;
    run(workspace
        .cargo()
        .args(["build", "--workspace", "--bin", "mihwar", "--bin", "fixture"]))?;
    run(workspace
        .command(workspace.target().join("debug/fixture"))
        .arg(options.format.to_string()))
}
