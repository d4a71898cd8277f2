//! The machine, then the figures.

use std::fs;

use anyhow::Result;
use clap::Args;

use crate::plugins;
use crate::setup::WasmChoice;
use crate::shell::{Workspace, output, run};

/// Options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Handed to the benchmark as they are; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the plugins, prints the machine and runs the measurements.
pub(crate) fn bench(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    plugins::build(workspace, choice, &plugins::shipped(workspace)?)?;
    run(workspace
        .cargo()
        .args(["build", "--workspace", "--bin", "mihwar", "--bin", "bench"]))?;
    println!("{}", machine(workspace));
    run(workspace
        .command(workspace.target().join("debug/bench"))
        .args(&options.rest))
}

/// Processor, cores, memory, kernel and compiler, one to a line.
pub(crate) fn machine(workspace: &Workspace) -> String {
    let cpu = proc_field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = proc_field("/proc/meminfo", "MemTotal").map_or_else(|| "unknown".to_owned(), |kib| gibibytes(&kib));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = output(workspace.command("rustc").arg("--version")).unwrap_or_default();
    format!(
        "machine: {cpu}, {cores} cores, {memory} memory, Linux {}\ncompiler: {}, profile dev (the rooms of the host at opt-level 3)",
        kernel.trim(),
        rustc.trim()
    )
}

fn proc_field(file: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// `24614968 kB` as `23.5 GiB`.
fn gibibytes(kib: &str) -> String {
    let kib: u64 = kib.trim_end_matches(" kB").parse().unwrap_or(0);
    let tenths = kib * 10 / (1 << 20);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_in_gibibytes() {
        assert_eq!(gibibytes("24614968 kB"), "23.4 GiB");
    }
}
