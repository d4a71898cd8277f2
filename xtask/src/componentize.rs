//! Core module to component, where the linker does not do it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use wit_component::ComponentEncoder;

/// Options of `cargo xtask componentize`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Core modules; `x.wasm` becomes `x.component.wasm` beside it.
    #[arg(required = true)]
    modules: Vec<PathBuf>,
}

/// Makes a component out of each module.
pub(crate) fn componentize(options: &Options) -> Result<()> {
    for module in &options.modules {
        let component = encode(module).with_context(|| format!("{} makes no component", module.display()))?;
        let to = module.with_extension("component.wasm");
        fs::write(&to, component).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

fn encode(module: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(module)?;
    ComponentEncoder::default().module(&bytes)?.validate(true).encode()
}
