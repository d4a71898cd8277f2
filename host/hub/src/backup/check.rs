//! What can be said of backups without any key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mihwar_ledger::{Checkpoint, Frontier, Hash, VerifyingKey};
use mihwar_model::Time;
use mihwar_store::backup::{self, BackupError, Header, Owner, Replayed, Watch};
use mihwar_store::{Key, Row, Space};
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::ledger;
use crate::tokens;

/// Findings told one by one; beyond it they are counted.
const FINDINGS_MAX: usize = 50;

/// What a full backup and its increments hold together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Whether nothing was found.
    pub ok: bool,
    /// The origin of the ledger.
    pub origin: String,
    /// The key that its checkpoints were checked with, as the backup names it: compare it with the one you know.
    pub verifier_key: String,
    /// When the last of them was made.
    pub made_at: Time,
    /// The state that they hold.
    pub state: String,
    /// Rows.
    pub rows: u64,
    /// Entries of the ledger, hashed again.
    pub events: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// Signed checkpoints that were compared with the tree.
    pub checkpoints: u64,
    /// Files.
    pub files: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
    /// Files that the backups lack because the hub lacked them.
    pub files_missing: u64,
    /// API tokens that were good when it was made, whatever became of them since.
    #[serde(default)]
    pub tokens: u64,
    /// Bytes of the backups.
    pub bytes: u64,
    /// What does not fit.
    pub findings: Vec<String>,
    /// Findings beyond those told.
    pub findings_untold: u64,
}

/// Goes through a full backup and its increments: structure, every hash, counts, the ledger hashed again, every signed
/// checkpoint compared with it. Needs no key and no hub. Blocks.
///
/// # Errors
/// The first thing that makes them unusable, with file, chunk and byte. What is merely suspicious stands in the report.
pub fn verify_backup(files: &[PathBuf], progress: &mut dyn FnMut(u64, u64)) -> Result<BackupReport, BackupError> {
    let mut looking = Looking::new(files, progress)?;
    let replayed = backup::verify(files, &mut looking)?;
    Ok(looking.report(&replayed))
}

/// Looks at checkpoints while backups are gone through.
pub(super) struct Looking<'a> {
    owner: Owner,
    /// When the last of them was made.
    made_at: Time,
    /// None when the backup names none that can be read.
    key: Option<VerifyingKey>,
    /// Roots that were signed for sizes that have not come yet.
    signed: BTreeMap<u64, Hash>,
    compared: u64,
    findings: Vec<String>,
    untold: u64,
    tokens: u64,
    seed_key: Key,
    /// The signing key as it lies in the store, sealed: by it a master key is known to fit.
    pub(super) sealed_seed: Option<Vec<u8>>,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Looking<'a> {
    pub(super) fn new(files: &[PathBuf], progress: &'a mut dyn FnMut(u64, u64)) -> Result<Self, BackupError> {
        let (owner, made_at) = match files.last() {
            Some(last) => {
                let Header { owner, made_at, .. } = backup::header(last)?;
                (owner, made_at)
            }
            None => (Owner::default(), Time(0)),
        };
        let mut looking = Self {
            key: owner.verifier_key.parse().ok(),
            owner,
            made_at,
            signed: BTreeMap::new(),
            compared: 0,
            findings: Vec::new(),
            untold: 0,
            tokens: 0,
            seed_key: ledger::seed_key(),
            sealed_seed: None,
            progress,
        };
        if looking.key.is_none() {
            looking.find("it names no key that checkpoints could be checked with".into());
        }
        Ok(looking)
    }

    fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.untold += 1;
        }
    }

    fn checkpoint(&mut self, note: &str) {
        let Some(key) = &self.key else { return };
        match Checkpoint::open(note, &self.owner.origin, key) {
            Ok((checkpoint, _)) => drop(self.signed.insert(checkpoint.size, checkpoint.root)),
            Err(error) => self.find(format!("a kept checkpoint does not verify: {error}")),
        }
    }

    fn compare(&mut self, size: u64, root: impl FnOnce() -> Hash) {
        if let Some(signed) = self.signed.remove(&size) {
            self.compared += 1;
            if signed != root() {
                self.find(format!(
                    "the signed checkpoint at {size} entries has another root: history was rewritten"
                ));
            }
        }
    }

    pub(super) fn report(mut self, replayed: &Replayed) -> BackupReport {
        self.compare(0, Hash::of_empty_tree);
        let beyond: Vec<u64> = self.signed.keys().copied().collect();
        for size in beyond {
            self.find(format!(
                "a signed checkpoint speaks of {size} entries, but there are {}: history was cut",
                replayed.entries
            ));
        }
        if replayed.files_missing > 0 {
            let missing = replayed.files_missing;
            self.find(format!(
                "{missing} files are not in it: the hub lacked them when it was made"
            ));
        }
        let state = replayed.header.state;
        BackupReport {
            ok: self.findings.is_empty(),
            origin: self.owner.origin,
            verifier_key: self.owner.verifier_key,
            made_at: replayed.header.made_at,
            state: state.to_string(),
            rows: replayed.rows,
            events: replayed.entries,
            root: state.root.to_base64(),
            checkpoints: self.compared,
            files: replayed.files,
            file_bytes: replayed.file_bytes,
            files_missing: replayed.files_missing,
            tokens: self.tokens,
            bytes: replayed.bytes,
            findings: self.findings,
            findings_untold: self.untold,
        }
    }
}

impl Watch for Looking<'_> {
    fn row(&mut self, row: &Row) {
        let space = row.key.as_bytes().first().copied().map(Space);
        if space == Some(keys::CHECKPOINT) {
            self.checkpoint(&String::from_utf8_lossy(&row.value.bytes));
        } else if space == Some(keys::TOKEN) {
            self.tokens += u64::from(tokens::is_good(&row.value.bytes, self.made_at));
        } else if row.key == self.seed_key {
            self.sealed_seed = Some(row.value.bytes.clone());
        }
    }

    fn tree(&mut self, tree: &Frontier) {
        self.compare(tree.size(), || tree.root());
    }

    fn progress(&mut self, done: u64, total: u64) {
        (self.progress)(done, total);
    }
}
