//! What a machine needs before it can build: found, or installed and named.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::debian;
use crate::shell::{Workspace, installed, output, run, say};

/// The target that plugins are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// What the person asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WasmChoice {
    /// The wasm32-wasip2 target if it is there or rustup can add it, else Debian's compiler.
    Auto,
    /// Only the wasm32-wasip2 target.
    Rustup,
    /// Only Debian's rustc-web.
    Debian,
}

/// What makes the plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    /// The installed compiler with the wasm32-wasip2 target.
    Rustup,
    /// Debian's rustc-web for wasm32-unknown-unknown, and wit-component.
    Debian(debian::Toolchain),
}

/// Finds or installs what makes the plugins, and says which it is.
pub(crate) fn wasm_toolchain(workspace: &Workspace, choice: WasmChoice) -> Result<WasmToolchain> {
    let found = match choice {
        WasmChoice::Rustup => add_target(workspace).map(|()| WasmToolchain::Rustup)?,
        WasmChoice::Debian => WasmToolchain::Debian(debian::install(workspace)?),
        WasmChoice::Auto => match add_target(workspace) {
            Ok(()) => WasmToolchain::Rustup,
            Err(error) => {
                say(format!("{error:#}; trying Debian's Wasm compiler instead"));
                WasmToolchain::Debian(debian::install(workspace)?)
            }
        },
    };
    say(match &found {
        WasmToolchain::Rustup => {
            format!("plugins are built by the installed rustc for {WASM_TARGET}")
        }
        WasmToolchain::Debian(toolchain) => format!("plugins are built by {}", toolchain.name()),
    });
    Ok(found)
}

fn add_target(workspace: &Workspace) -> Result<()> {
    if target_is_there(workspace)? {
        return Ok(());
    }
    if !installed("rustup") {
        bail!("rustc lacks the target {WASM_TARGET} and there is no rustup to add it");
    }
    say(format!("installing the Wasm target {WASM_TARGET}"));
    run(workspace.command("rustup").args(["target", "add", WASM_TARGET]))
        .with_context(|| format!("rustup could not add {WASM_TARGET}"))?;
    if !target_is_there(workspace)? {
        bail!("rustup added {WASM_TARGET} to another toolchain than the one in use");
    }
    Ok(())
}

fn target_is_there(workspace: &Workspace) -> Result<bool> {
    let folder = output(
        workspace
            .command("rustc")
            .args(["--print", "target-libdir", "--target", WASM_TARGET]),
    )?;
    Ok(holds_std(Path::new(folder.trim())))
}

fn holds_std(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

/// A Debian package, and a file that shows that it is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    /// Its name for apt-get.
    pub(crate) name: &'static str,
    /// A file that it brings.
    pub(crate) file: &'static str,
}

/// Installs the packages that are missing.
pub(crate) fn apt(workspace: &Workspace, packages: &[Package], why: &str) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .filter(|package| !Path::new(package.file).exists())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !installed("apt-get") {
        bail!("{why} needs {list}, and this machine has no apt-get; install them by hand");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("{why} needs {list}; run `sudo apt-get install {list}` and start again");
    }
    say(format!("installing {list} for {why}"));
    let install = || {
        let options = ["install", "--yes", "--no-install-recommends"];
        run(workspace
            .command("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(options)
            .args(&missing))
    };
    if install().is_err() {
        // The package lists of a fresh machine are empty or old.
        run(workspace.command("apt-get").arg("update"))?;
        install()?;
    }
    Ok(())
}
