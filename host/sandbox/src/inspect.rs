//! What a plugin file says about itself, read without compiling or running it.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Parser, Payload};

use crate::manifest::{MANIFEST_BYTES, MANIFEST_SECTION, Manifest, ManifestError, SDK_SECTION};

/// Largest plugin file that is read.
pub(crate) const FILE_BYTES: usize = 64 << 20;

/// What a plugin file holds.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The manifest inside.
    pub manifest: Manifest,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    #[serde(skip)]
    pub(crate) hash: [u8; 32],
    /// Length of the file in bytes.
    pub size: u64,
    /// Interfaces it offers, e.g. `mihwar:plugin/puller@0.1.0`.
    pub exports: Vec<String>,
    /// Interfaces it uses, e.g. `mihwar:plugin/http@0.1.0`.
    pub imports: Vec<String>,
    /// Which SDK made it, in the SDK's own words.
    pub sdk: Option<String>,
}

/// A file that is no plugin. Each message says what the file is instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAPlugin {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Too long.
    #[error("the file has {0} bytes, more than the {FILE_BYTES} that a plugin may have")]
    TooLarge(usize),
    /// A core module.
    #[error(
        "the file is a core WebAssembly module, not a component; build it for `wasm32-wasip2`, or with `mihwar plugin build`"
    )]
    CoreModule,
    /// WebAssembly text.
    #[error("the file is WebAssembly text, not a compiled component")]
    Text,
    /// Native code.
    #[error("the file is precompiled native code, which is never taken from outside; give the `.wasm` component")]
    Precompiled,
    /// Something else.
    #[error("the file is no WebAssembly component: it begins with {0}")]
    Unknown(String),
    /// A component that breaks off or breaks the rules.
    #[error("the file is a damaged WebAssembly component: {0}")]
    Damaged(String),
    /// No manifest inside.
    #[error(
        "the component holds no manifest (custom section `{MANIFEST_SECTION}`); the SDK's export macro puts it there"
    )]
    NoManifest,
    /// More than one manifest inside.
    #[error("the component holds several manifests; a plugin has one")]
    SeveralManifests,
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Inspection {
    /// Reads a plugin file.
    ///
    /// # Errors
    /// Says what the file is when it is no plugin.
    pub fn of(file: &[u8]) -> Result<Self, NotAPlugin> {
        check_kind(file)?;
        let sections = Sections::read(file)?;
        let text = sections.manifest.ok_or(NotAPlugin::NoManifest)?;
        let hash: [u8; 32] = Sha256::digest(file).into();
        Ok(Self {
            manifest: Manifest::parse(&text)?,
            sha256: hex::encode(hash),
            hash,
            size: u64::try_from(file.len()).unwrap_or(u64::MAX),
            exports: sections.exports,
            imports: sections.imports,
            sdk: sections.sdk,
        })
    }

    /// Names of the hub's own interfaces that the plugin uses: `http`, `state`, … .
    pub fn capabilities(&self) -> impl Iterator<Item = &str> {
        self.imports
            .iter()
            .filter_map(|import| import.strip_prefix("mihwar:plugin/"))
            .map(|import| import.split('@').next().unwrap_or(import))
            .filter(|name| *name != "types")
    }

    /// Where each secret goes: its name, and the origin whose requests (or the host whose connections) carry it, as the
    /// manifest writes it.
    /// `None` for a secret that only signs: it goes nowhere.
    pub fn secret_origins(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.manifest
            .secrets
            .iter()
            .map(|slot| (slot.name.as_str(), self.manifest.origin_of(slot)))
    }
}

fn check_kind(file: &[u8]) -> Result<(), NotAPlugin> {
    if file.is_empty() {
        return Err(NotAPlugin::Empty);
    }
    if file.len() > FILE_BYTES {
        return Err(NotAPlugin::TooLarge(file.len()));
    }
    if wasmtime::Engine::detect_precompiled(file).is_some() || file.starts_with(b"\x7fELF") {
        return Err(NotAPlugin::Precompiled);
    }
    if Parser::is_component(file) {
        return Ok(());
    }
    if file.starts_with(b"\0asm") {
        return Err(NotAPlugin::CoreModule);
    }
    let start = file.get(..64.min(file.len())).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    let words = text.trim_start();
    if words.starts_with("(component") || words.starts_with("(module") || words.starts_with(";;") {
        return Err(NotAPlugin::Text);
    }
    let shown: String = text.chars().take(16).collect();
    Err(NotAPlugin::Unknown(format!("{shown:?}")))
}

#[derive(Default)]
struct Sections {
    manifest: Option<String>,
    sdk: Option<String>,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Sections {
    /// Walks the file with everything nested in it. Imports and exports count on the outermost level.
    fn read(file: &[u8]) -> Result<Self, NotAPlugin> {
        let mut found = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(file) {
            match payload.map_err(damaged)? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 1 => {
                    for import in imports {
                        let import = import.map_err(damaged)?;
                        if matches!(import.ty, ComponentTypeRef::Instance(_) | ComponentTypeRef::Func(_)) {
                            found.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 1 => {
                    for export in exports {
                        let export = export.map_err(damaged)?;
                        if matches!(
                            export.kind,
                            ComponentExternalKind::Instance | ComponentExternalKind::Func
                        ) {
                            found.exports.push(export.name.name.to_owned());
                        }
                    }
                }
                Payload::CustomSection(section) => found.custom(section.name(), section.data())?,
                _ => {}
            }
        }
        Ok(found)
    }

    fn custom(&mut self, name: &str, data: &[u8]) -> Result<(), NotAPlugin> {
        match name {
            MANIFEST_SECTION => {
                if self.manifest.is_some() {
                    return Err(NotAPlugin::SeveralManifests);
                }
                self.manifest = Some(section_text(data)?);
            }
            SDK_SECTION => {
                self.sdk = section_text(data).ok().map(|text| text.chars().take(200).collect());
            }
            _ => {}
        }
        Ok(())
    }
}

fn section_text(data: &[u8]) -> Result<String, NotAPlugin> {
    if data.len() > MANIFEST_BYTES {
        return Err(NotAPlugin::Manifest(ManifestError {
            line: None,
            message: format!(
                "it has {} bytes, more than the {MANIFEST_BYTES} it may have",
                data.len()
            ),
        }));
    }
    String::from_utf8(data.to_vec()).map_err(|_| {
        NotAPlugin::Manifest(ManifestError {
            line: None,
            message: "it is not UTF-8 text".to_owned(),
        })
    })
}

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn damaged(error: wasmparser::BinaryReaderError) -> NotAPlugin {
    NotAPlugin::Damaged(error.to_string())
}

#[cfg(test)]
mod tests;
