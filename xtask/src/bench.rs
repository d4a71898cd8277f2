//! The machine, then the figures.

use std::fs;
use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::plugins;
use crate::setup::{Package, WasmChoice, apt};
use crate::shell::{Workspace, output, run};

/// What `bench store` is compared with.
const POSTGRES: Package = Package {
    name: "postgresql-15",
    file: "/usr/lib/postgresql/15/bin/postgres",
};

/// Options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Handed to the benchmark as they are; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the plugins and what is deployed (the release profile), prints the machine and runs the measurements.
pub(crate) fn bench(workspace: &Workspace, choice: WasmChoice, options: &Options) -> Result<()> {
    let given = |word: &str| options.rest.iter().any(|given| given.starts_with(word));
    let beside_postgres = options.rest.first().is_some_and(|word| word == "store") && !given("--help");
    if beside_postgres && !(given("--postgres=") || options.rest.iter().any(|word| word == "--postgres")) {
        apt(workspace, &[POSTGRES], "the comparison with PostgreSQL")?;
    }
    plugins::build(workspace, choice, &plugins::shipped(workspace)?)?;
    run(workspace
        .cargo()
        .args(["build", "--release", "--workspace", "--bin", "mihwar", "--bin", "bench"]))?;
    let machine = machine(workspace);
    println!("{machine}");
    let mut bench = workspace.command(workspace.target().join("release/bench"));
    bench.args(&options.rest);
    if beside_postgres {
        // It stands above the tables in the documentation.
        bench.arg(format!("--machine={machine}"));
    }
    run(&mut bench)
}

/// Processor, cores, memory, kernel, disk and compiler.
pub(crate) fn machine(workspace: &Workspace) -> String {
    let cpu = proc_field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = proc_field("/proc/meminfo", "MemTotal").map_or_else(|| "unknown".to_owned(), |kib| gibibytes(&kib));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = output(workspace.command("rustc").arg("--version")).unwrap_or_default();
    format!(
        "machine: {cpu}, {cores} cores, {memory} memory, Linux {}\ndisk: {}\ncompiler: {}, profile release",
        kernel.trim(),
        disk(&std::env::temp_dir()),
        rustc.trim()
    )
}

/// Where the stores lie that are measured: file system and device of a folder.
fn disk(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mount(&mounts, folder);
    found.map_or_else(|| "unknown".to_owned(), |(device, kind)| format!("{kind} on {device}"))
}

/// Device and file system that a folder lies on: those mounted nearest to it, and last.
fn mount<'a>(mounts: &'a str, folder: &Path) -> Option<(&'a str, &'a str)> {
    let lines = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, Path::new(fields.next()?), fields.next()?))
    });
    let holding = lines.filter(|(_, place, _)| folder.starts_with(place));
    let nearest = holding.max_by_key(|(_, place, _)| place.components().count());
    nearest.map(|(device, _, kind)| (device, kind))
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
    fn the_disk_is_the_one_mounted_nearest() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /مؤقت tmpfs rw 0 0\n/dev/vdb /مؤقت/hub xfs rw 0 0\n";
        assert_eq!(mount(mounts, Path::new("/srv")), Some(("/dev/vda", "ext4")));
        assert_eq!(mount(mounts, Path::new("/مؤقت/x")), Some(("tmpfs", "tmpfs")));
        assert_eq!(mount(mounts, Path::new("/مؤقت/hub/y")), Some(("/dev/vdb", "xfs")));
        assert_eq!(mount("", Path::new("/srv")), None);
    }

    #[test]
    fn memory_is_shown_in_gibibytes() {
        assert_eq!(gibibytes("24614968 kB"), "23.4 GiB");
    }
}
