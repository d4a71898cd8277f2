//! Formatting and clippy.

use anyhow::Result;

use crate::plugins;
use crate::setup::{self, WASM_TARGET, WasmChoice, WasmToolchain};
use crate::shell::{Workspace, run};

/// Checks formatting, then clippy over everything, then over the plugins as they are built for the
/// sandbox: the code that only exists there is seen by no other check.
pub(crate) fn lint(workspace: &Workspace, choice: WasmChoice) -> Result<()> {
    run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    run(workspace
        .cargo()
        .args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if setup::wasm_toolchain(workspace, choice)? != WasmToolchain::Rustup {
        // Debian's compiler is older than the lints this workspace names.
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["clippy", "--target", WASM_TARGET, "--lib"]);
    for component in plugins::shipped(workspace)? {
        cargo.args(["--package", &component.package]);
    }
    run(cargo.args(["--", "-D", "warnings"]))
}
