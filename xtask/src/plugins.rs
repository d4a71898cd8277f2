//! Builds each folder of `plugins/` into `target/plugins/NAME.wasm`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::setup::{self, WASM_TARGET, WasmChoice, WasmToolchain};
use crate::shell::{Workspace, run, say};

/// Builds every plugin and returns the files. A file whose content did not change is left alone, so
/// that the hub's compiled copy stays valid.
pub(crate) fn build(workspace: &Workspace, choice: WasmChoice) -> Result<Vec<PathBuf>> {
    let names = names(workspace)?;
    let built = match setup::wasm_toolchain(workspace, choice)? {
        WasmToolchain::Rustup => build_for_wasip2(workspace, &names)?,
        WasmToolchain::Debian(toolchain) => debian::build(workspace, &toolchain, &names)?,
    };
    let folder = workspace.path("target/plugins");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut changed = 0;
    let mut files = Vec::new();
    for (name, from) in names.iter().zip(&built) {
        let to = folder.join(format!("{name}.wasm"));
        changed += usize::from(copy_if_changed(from, &to)?);
        files.push(to);
    }
    say(format!(
        "{} plugins in target/plugins, {changed} of them new or changed",
        files.len()
    ));
    Ok(files)
}

/// The folders of `plugins/`, sorted.
pub(crate) fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.path("plugins");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if names.is_empty() {
        bail!("{} holds no plugin", folder.display());
    }
    names.sort();
    Ok(names)
}

/// The cargo package of a plugin's folder.
pub(crate) fn package(name: &str) -> String {
    format!("plugin-{name}")
}

/// The file that cargo makes of a plugin.
pub(crate) fn artefact(name: &str) -> String {
    format!("{}.wasm", package(name).replace('-', "_"))
}

fn build_for_wasip2(workspace: &Workspace, names: &[String]) -> Result<Vec<PathBuf>> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "plugin", "--target", WASM_TARGET]);
    for name in names {
        cargo.args(["--package", &package(name)]);
    }
    run(&mut cargo)?;
    let folder = workspace.target().join(WASM_TARGET).join("plugin");
    Ok(names.iter().map(|name| folder.join(artefact(name))).collect())
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    // Written beside and renamed: a running hub never sees half a file.
    let beside = to.with_extension("new");
    fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_folder_names_its_package_and_file() {
        assert_eq!(package("call-notes"), "plugin-call-notes");
        assert_eq!(artefact("call-notes"), "plugin_call_notes.wasm");
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("a"), folder.join("b.wasm"));
        fs::write(&from, "واحة").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap());
        assert!(!copy_if_changed(&from, &to).unwrap());
        fs::write(&from, "واحة 2").unwrap();
        assert!(copy_if_changed(&from, &to).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "واحة 2");
        fs::remove_dir_all(&folder).unwrap();
    }
}
