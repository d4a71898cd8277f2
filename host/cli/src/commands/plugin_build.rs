//! `mihwar plugin build`: from a plugin's crate to one component file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use mihwar_sandbox::Inspection;
use serde::Deserialize;

use super::plugin::tell;
use crate::output::{Outcome, json, line};

/// The target that makes components.
const TARGET: &str = "wasm32-wasip2";

/// Builds the crate in `folder` and copies its component to `out`.
pub(super) fn run(folder: &Path, out: Option<PathBuf>, profile: &str, as_json: bool) -> anyhow::Result<Outcome> {
    let built = build(folder, profile)?;
    let content = std::fs::read(&built).with_context(|| format!("{}", built.display()))?;
    let refused = || format!("{} was built, but the hub would not take it", built.display());
    let inspection = Inspection::of(&content).with_context(refused)?;
    inspection.fitness().with_context(refused)?;
    let out = out.unwrap_or_else(|| PathBuf::from(format!("{}.wasm", inspection.manifest.plugin.id)));
    std::fs::write(&out, &content).with_context(|| format!("{}", out.display()))?;
    if as_json {
        json(&inspection)?;
    } else {
        tell(&inspection)?;
        line(format_args!("written to {}", out.display()))?;
    }
    Ok(Outcome::Done)
}

/// Runs cargo and answers which component it made.
fn build(folder: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    anyhow::ensure!(
        manifest.is_file(),
        "{} is no crate: it has no Cargo.toml",
        folder.display()
    );
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--lib", "--target", TARGET, "--profile", profile])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(&manifest)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start; plugins in Rust need https://rustup.rs")?;
    anyhow::ensure!(
        done.status.success(),
        "the crate does not build; if cargo says that the target is missing: rustup target add {TARGET}"
    );
    let manifest = std::fs::canonicalize(&manifest)?;
    component(&String::from_utf8_lossy(&done.stdout), &manifest).with_context(|| {
        format!(
            "{} builds no component; set crate-type = [\"cdylib\"] under [lib]",
            manifest.display()
        )
    })
}

/// One line of what cargo reports.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The component of the crate with this manifest, by cargo's report.
fn component(report: &str, manifest: &Path) -> Option<PathBuf> {
    report
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact" && message.manifest_path == manifest)
        .flat_map(|message| message.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::component;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_component_of_the_crate_itself_is_found_among_those_of_others() {
        let report = r#"
            {"reason":"compiler-artifact","manifest_path":"/src/sdk/Cargo.toml","filenames":["/t/sdk.wasm"]}
            {"reason":"compiler-artifact","manifest_path":"/src/قناة/Cargo.toml","filenames":["/t/a.rlib","/t/قناة.wasm"]}
            {"reason":"build-finished","success":true}
        "#;
        assert_eq!(
            component(report, Path::new("/src/قناة/Cargo.toml")),
            Some(PathBuf::from("/t/قناة.wasm"))
        );
        assert_eq!(component(report, Path::new("/src/other/Cargo.toml")), None);
    }
}
