//! The demo's secrets: made once for each data folder, kept beside the data, readable only by their owner.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const FILE: &str = "demo-secrets.env";
const FORM: &str = "FORM_SIGNING_SECRET";
const DEPARTMENT: &str = "DEPARTMENT_SIGNING_SECRET";
const KEY_BYTES: usize = 32;

/// Environment variables that config/mihwar.toml reads.
#[derive(Debug)]
pub(super) struct Secrets {
    form: String,
    department: String,
    new: bool,
}

impl Secrets {
    /// Reads `demo-secrets.env` in the data folder, or makes it with mode 0600.
    pub(super) fn load_or_make(data: &Path) -> Result<Self> {
        let file = data.join(FILE);
        if file.exists() {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            return Self::parse(&text)
                .with_context(|| format!("{} is damaged; remove it to get new secrets", file.display()));
        }
        // As the hub makes it: closed to others.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.with_context(|| format!("cannot make {}", data.display()))?;
        let secrets = Self {
            form: make()?,
            department: make()?,
            new: true,
        };
        let text = format!(
            "# Made by `cargo xtask run` for the demo. Not for real use.\n{FORM}={}\n{DEPARTMENT}={}\n",
            secrets.form, secrets.department
        );
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)?;
        to.write_all(text.as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(secrets)
    }

    fn parse(text: &str) -> Result<Self> {
        let find = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            match value {
                Some(value) if !value.is_empty() => Ok(value.to_owned()),
                _ => bail!("it holds no {name}"),
            }
        };
        Ok(Self {
            form: find(FORM)?,
            department: find(DEPARTMENT)?,
            new: false,
        })
    }

    /// Whether they were made just now, as for a new data folder.
    pub(super) fn are_new(&self) -> bool {
        self.new
    }

    /// The key that signs form posts, as text.
    pub(super) fn form_signing(&self) -> &str {
        &self.form
    }

    /// Name and value of each variable.
    pub(super) fn variables(&self) -> [(&'static str, &str); 2] {
        [(FORM, &self.form), (DEPARTMENT, &self.department)]
    }
}

/// A key in the form of Standard Webhooks.
fn make() -> Result<String> {
    let mut key = [0_u8; KEY_BYTES];
    getrandom::fill(&mut key).context("the system gives no random bytes")?;
    Ok(format!("whsec_{}", STANDARD.encode(key)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_closed_to_others() {
        let data = std::env::temp_dir().join(format!("xtask-secrets-{}", std::process::id()));
        let made = Secrets::load_or_make(&data).unwrap();
        let read = Secrets::load_or_make(&data).unwrap();
        assert!(made.are_new() && !read.are_new());
        assert_eq!(made.variables(), read.variables());
        assert_ne!(made.form, made.department);
        assert_eq!(
            fs::metadata(data.join(FILE)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(data.join(FILE), "FORM_SIGNING_SECRET=\n").unwrap();
        assert!(Secrets::load_or_make(&data).is_err());
        fs::remove_dir_all(&data).unwrap();
    }
}
