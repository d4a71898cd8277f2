//! The other way to build plugins: Debian's Wasm compiler, for machines without the wasm32-wasip2 target.
//!
//! Debian ships no standard library for that target, so the standard library is built from source for
//! wasm32-unknown-unknown, which imports nothing from the outside. The linker makes a core module;
//! wit-component wraps it by the types that the SDK's bindings left in a custom section. The result
//! exports and imports the same interfaces as the one of the usual way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::plugins::Component;
use crate::setup::{Package, apt};
use crate::shell::{Workspace, output, run, say};

const TARGET: &str = "wasm32-unknown-unknown";
const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";

/// What our plugins use that was stable later than Debian's 1.85 and is there under a feature's name.
const PLUGINS_AHEAD: &str =
    "let_chains,unsigned_is_multiple_of,slice_as_chunks,duration_constructors,round_char_boundary";
/// The same of other crates. Those without the standard library know only features of the core.
const OTHERS_AHEAD: [(&str, &str); 4] = [
    ("mihwar-sdk", "let_chains,panic_payload_as_str"),
    ("encoding_rs", "let_chains,slice_as_chunks"),
    ("mail-parser", "let_chains,slice_as_chunks"),
    ("sha2", "slice_as_chunks"),
];

const PACKAGES: [Package; 4] = [
    Package {
        name: "rustc-web",
        file: RUSTC,
    },
    Package {
        name: "cargo-web",
        file: CARGO,
    },
    Package {
        name: "rust-web-src",
        file: "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
    },
    Package {
        name: "lld-19",
        file: "/usr/bin/wasm-ld-19",
    },
];

/// Debian's compiler, installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    version: String,
}

impl Toolchain {
    /// For messages.
    pub(crate) fn name(&self) -> String {
        format!("Debian's {} for {TARGET} and wit-component", self.version)
    }
}

/// Installs Debian's compiler if it is missing.
pub(crate) fn install(workspace: &Workspace) -> Result<Toolchain> {
    apt(workspace, &PACKAGES, "building plugins without rustup")?;
    let version = output(workspace.command(RUSTC).arg("--version"))?;
    Ok(Toolchain {
        version: version.trim().to_owned(),
    })
}

/// Builds the plugins as core modules and makes components of them.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain, components: &[Component]) -> Result<Vec<PathBuf>> {
    say(format!(
        "building {} plugins and the standard library with {}",
        components.len(),
        toolchain.version
    ));
    // A folder of its own: two compilers in one target folder would throw out each other's work.
    let target = workspace.target().join("debian-wasm");
    run(&mut cargo(workspace, &target, components))?;
    let folder = target.join(TARGET).join("plugin");
    let modules: Vec<_> = components
        .iter()
        .map(|component| folder.join(component.artefact()))
        .collect();
    let encoded: Vec<_> = modules
        .iter()
        .map(|module| module.with_extension("component.wasm"))
        .collect();
    let mut encode = workspace.cargo();
    encode.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "componentize",
        "--",
        "componentize",
    ]);
    run(encode.args(&modules))?;
    Ok(encoded)
}

fn cargo(workspace: &Workspace, target: &Path, components: &[Component]) -> Command {
    let mut command = workspace.cargo_at(CARGO);
    command
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Clinker=wasm-ld-19")
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTUP_TOOLCHAIN")
        .args([
            "build",
            "--locked",
            "--profile",
            "plugin",
            "--target",
            TARGET,
            "--ignore-rust-version",
        ])
        .args(["-Zbuild-std=std,panic_abort", "-Zprofile-rustflags"]);
    let packages = || components.iter().map(|component| component.package.as_str());
    let plugins = packages().map(|package| (package, PLUGINS_AHEAD));
    for (package, features) in plugins.chain(OTHERS_AHEAD) {
        command.args(["--config", &unlock(package, features)]);
    }
    for package in packages() {
        command.args(["--package", package]);
    }
    command
}

/// Lets one crate use features that its Rust version has made stable since.
fn unlock(package: &str, features: &str) -> String {
    format!("profile.plugin.package.{package}.rustflags=[\"-Zcrate-attr=feature({features})\"]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_unlocked_for_one_crate_at_a_time() {
        let config = unlock("plugin-form", "let_chains");
        assert_eq!(
            config,
            "profile.plugin.package.plugin-form.rustflags=[\"-Zcrate-attr=feature(let_chains)\"]"
        );
    }
}
