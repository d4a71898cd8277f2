//! `[ledger]`: what the ledger is called, how often it is signed, who may read it, and where it is witnessed.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use mihwar_sandbox::manifest::Span;
use serde::Deserialize;

/// The ledger's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LedgerSection {
    /// First line of every checkpoint: a name that is yours alone. Default `mihwar.localhost/ledger`.
    pub origin: String,
    /// How often a grown ledger is signed. Default 10 s.
    pub checkpoint_every: Span,
    /// What of it anybody may read over HTTP without a token. Default `nothing`.
    pub public: PublicLedger,
    /// A file outside of the data folder, relative to the config file, to which checkpoints are added.
    pub witness_file: Option<PathBuf>,
    /// How often, if the ledger has grown. Default 1 h.
    pub witness_every: Span,
}

impl LedgerSection {
    /// With its paths as they are from where the hub runs.
    pub(super) fn resolved(self, base: &Path) -> Self {
        Self {
            witness_file: self.witness_file.map(|file| base.join(file)),
            ..self
        }
    }

    /// Values that would make it worthless: the key, and what would be right. The section is resolved already.
    pub(super) fn faults(&self, data: &Path) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.witness_every.0.is_zero() {
            let message = "must be longer than nothing, such as \"1h\"";
            faults.push(("witness-every", message.to_owned()));
        }
        let file = self.witness_file.as_deref();
        if file.is_some_and(|file| plain(file).starts_with(plain(data))) {
            let message = "must lie outside of the data folder, best on another machine's disk: who can rewrite the one could \
                           rewrite the other";
            faults.push(("witness-file", message.to_owned()));
        }
        faults
    }
}

/// A path from the root without detours. Links are not followed.
fn plain(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// See [`LedgerSection::public`]. Each one includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicLedger {
    /// Whoever reads the ledger needs a token that may read feedback.
    Nothing,
    /// The newest checkpoint and the tiles: how many entries there are, and hashes.
    Hashes,
    /// The entries, too: facts and pseudonymous ids, no words and no names.
    Entries,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self {
            origin: "mihwar.localhost/ledger".into(),
            checkpoint_every: Span(Duration::from_secs(10)),
            public: PublicLedger::Nothing,
            witness_file: None,
            witness_every: Span(Duration::from_secs(3600)),
        }
    }
}
