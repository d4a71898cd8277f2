//! Builds the crates that become components: each folder of `plugins/` into `target/plugins/NAME.wasm`, each of
//! `tests/guests/` into `target/guests/NAME.wasm`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::setup::{self, WASM_TARGET, WasmChoice, WasmToolchain};
use crate::shell::{Workspace, run, say};

/// A crate that becomes a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// The cargo package.
    pub(crate) package: String,
    /// The file that it is built into.
    file: PathBuf,
}

impl Component {
    /// The file that cargo makes of it.
    pub(crate) fn artefact(&self) -> String {
        format!("{}.wasm", self.package.replace('-', "_"))
    }
}

/// The plugins that are shipped, by name.
pub(crate) fn shipped(workspace: &Workspace) -> Result<Vec<Component>> {
    components(workspace, "plugins", "plugin", "target/plugins")
}

/// The plugins that only tests run, by name.
pub(crate) fn guests(workspace: &Workspace) -> Result<Vec<Component>> {
    components(workspace, "tests/guests", "guest", "target/guests")
}

/// Builds components. A file whose content did not change is left alone, so that the hub's compiled copy stays valid.
pub(crate) fn build(workspace: &Workspace, choice: WasmChoice, components: &[Component]) -> Result<()> {
    let built = match setup::wasm_toolchain(workspace, choice)? {
        WasmToolchain::Rustup => build_for_wasip2(workspace, components)?,
        WasmToolchain::Debian(toolchain) => debian::build(workspace, &toolchain, components)?,
    };
    let mut changed = 0;
    for (component, from) in components.iter().zip(&built) {
        if let Some(folder) = component.file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        changed += usize::from(copy_if_changed(from, &component.file)?);
    }
    say(format!(
        "{} plugins in target/, {changed} of them new or changed",
        components.len()
    ));
    Ok(())
}

/// The crates below `folder`, sorted.
fn components(workspace: &Workspace, folder: &str, prefix: &str, to: &str) -> Result<Vec<Component>> {
    let path = workspace.path(folder);
    let mut components = Vec::new();
    for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            components.push(Component {
                package: format!("{prefix}-{name}"),
                file: workspace.path(to).join(format!("{name}.wasm")),
            });
        }
    }
    if components.is_empty() {
        bail!("{} holds no plugin", path.display());
    }
    components.sort_by(|a, b| a.package.cmp(&b.package));
    Ok(components)
}

fn build_for_wasip2(workspace: &Workspace, components: &[Component]) -> Result<Vec<PathBuf>> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "plugin", "--target", WASM_TARGET]);
    for component in components {
        cargo.args(["--package", &component.package]);
    }
    run(&mut cargo)?;
    let folder = workspace.target().join(WASM_TARGET).join("plugin");
    Ok(components
        .iter()
        .map(|component| folder.join(component.artefact()))
        .collect())
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
    fn cargo_writes_an_underscore_for_a_hyphen() {
        let component = Component {
            package: "plugin-call-notes".to_owned(),
            file: PathBuf::from("call-notes.wasm"),
        };
        assert_eq!(component.artefact(), "plugin_call_notes.wasm");
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
