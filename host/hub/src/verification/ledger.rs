//! The ledger alone: every entry hashed again, and compared with the tree, its tiles and what was signed. Pages are read
//! ahead, and hashed on a thread of their own while the tiles of the page before are compared.

use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use futures_util::future::join_all;
use mihwar_ledger::{Checkpoint, Frontier, Hash, Signer, TileId, Tiling, VerifyingKey, leaf_hash};
use mihwar_store::{JournalEntry, StoreError, View};

use super::{Verification, WitnessedHead};
use crate::fault::Fault;
use crate::kept::{Note, Notes};
use crate::walk::{self, aside};

impl Verification<'_> {
    pub(super) async fn ledger(
        &mut self,
        signer: &Signer,
        origin: &str,
        witnessed: Vec<WitnessedHead>,
    ) -> Result<(), Fault> {
        let total = self.view.tree().size();
        let view = Arc::clone(&self.view);
        let mut checkpoints = Notes::new(&*view);
        let mut pages = walk::entries(&view, total);
        let mut hashing = Hashing::new(origin, signer.verifying_key(), witnessed);
        let mut tiles = Vec::new();
        while let Some(page) = pages.recv().await {
            let page = page?;
            let due = checkpoints.until(hashing.frontier.size() + page.len() as u64).await?;
            let (hashed, compared) = tokio::join!(
                aside(move || hashing.page(&page, due)),
                compare_tiles(&*view, std::mem::take(&mut tiles))
            );
            hashing = hashed?;
            self.find_all(compared?);
            self.report.tiles += hashing.tiles.len() as u64;
            tiles = std::mem::take(&mut hashing.tiles);
            self.find_all(std::mem::take(&mut hashing.findings));
            self.stages.tell("ledger", hashing.frontier.size(), total);
        }
        if let Some(begun) = hashing.begun_tile() {
            self.report.tiles += 1;
            tiles.push(begun);
        }
        self.find_all(compare_tiles(&*view, tiles).await?);
        if hashing.next < total {
            let next = hashing.next;
            self.report.find(format!("entry {next} of {total} is missing"));
        }
        // Those of an empty ledger, and those that speak of more than there is.
        loop {
            let due = checkpoints.some().await?;
            if due.is_empty() {
                break;
            }
            hashing = aside(move || hashing.leftover(due, total)).await?;
            self.find_all(std::mem::take(&mut hashing.findings));
        }
        self.conclude(hashing, total);
        Ok(())
    }

    /// What all entries together say.
    fn conclude(&mut self, mut hashing: Hashing, total: u64) {
        // Those of an empty ledger.
        hashing.judge_witnessed();
        self.find_all(std::mem::take(&mut hashing.findings));
        let (root, stored) = (hashing.frontier.root(), self.view.tree().root());
        if root != stored {
            self.report.find(format!(
                "the entries hash to {}, but the stored tree says {}",
                root.to_base64(),
                stored.to_base64()
            ));
        }
        self.report.events = hashing.frontier.size();
        self.report.root = root.to_base64();
        self.report.checkpoints = hashing.checkpoints;
        self.report.witnessed = hashing.compared;
        for head in hashing.witnessed {
            self.report.find(format!(
                "a checkpoint that was kept outside speaks of {} entries, but there are {total}: history was cut",
                head.size
            ));
        }
        self.stages.end("ledger", "events", hashing.frontier.size());
    }

    fn find_all(&mut self, findings: Vec<String>) {
        findings.into_iter().for_each(|finding| self.report.find(finding));
    }
}

/// A full tile as the entries give it.
type Tile = (TileId, Vec<Hash>);

/// The tree, made again entry by entry. It shares no code with the one that the store keeps.
struct Hashing {
    origin: String,
    key: VerifyingKey,
    frontier: Frontier,
    /// The number that the next entry must have.
    next: u64,
    tiling: Tiling,
    /// Tiles above level 0 that have become full.
    tiles: Vec<Tile>,
    checkpoints: u64,
    /// What was kept outside and was not reached yet, from the smallest to the largest.
    witnessed: Peekable<IntoIter<WitnessedHead>>,
    compared: u64,
    findings: Vec<String>,
}

impl Hashing {
    fn new(origin: &str, key: VerifyingKey, mut witnessed: Vec<WitnessedHead>) -> Self {
        witnessed.sort_unstable_by_key(|head| head.size);
        Self {
            origin: origin.to_owned(),
            key,
            frontier: Frontier::new(),
            next: 0,
            tiling: Tiling::new(),
            tiles: Vec::new(),
            checkpoints: 0,
            witnessed: witnessed.into_iter().peekable(),
            compared: 0,
            findings: Vec::new(),
        }
    }

    fn page(mut self, entries: &[JournalEntry], due: Vec<Note>) -> Self {
        let mut due = due.into_iter().peekable();
        self.judge(&mut due);
        self.judge_witnessed();
        for entry in entries {
            if entry.sequence != self.next {
                self.findings.push(format!("entry {} is missing", self.next));
            }
            self.append(leaf_hash(&entry.bytes));
            self.next = entry.sequence.saturating_add(1);
            self.judge(&mut due);
            self.judge_witnessed();
        }
        self
    }

    fn append(&mut self, leaf: Hash) {
        self.frontier.append(leaf);
        let before = self.tiles.len();
        self.tiling.append(leaf, &mut self.tiles);
        // A tile of level 0 holds the hashes of the entries, which the store makes as this does when it is asked. What it
        // keeps of one is its root, a hash of the tile above.
        if self.tiles.get(before).is_some_and(|(id, _)| id.level == 0) {
            self.tiles.remove(before);
        }
    }

    /// The last tile of level 1, if it is begun.
    fn begun_tile(&self) -> Option<Tile> {
        let mut begun = self.tiling.begun();
        let (id, hashes) = begun.find(|(id, _)| id.level == 1)?;
        Some((id, hashes.to_vec()))
    }

    /// Judges the checkpoints of the tree as it is now.
    fn judge(&mut self, due: &mut Peekable<IntoIter<Note>>) {
        while let Some((_, note)) = due.next_if(|(size, _)| *size <= self.frontier.size()) {
            let Some(checkpoint) = self.open(&note) else {
                continue;
            };
            self.checkpoints += 1;
            if checkpoint.size != self.frontier.size() || checkpoint.root != self.frontier.root() {
                self.findings.push(format!(
                    "the signed checkpoint at {} entries has another root: history was rewritten",
                    checkpoint.size
                ));
            }
        }
    }

    /// Compares the tree as it is now with what was kept outside.
    fn judge_witnessed(&mut self) {
        let size = self.frontier.size();
        while let Some(head) = self.witnessed.next_if(|head| head.size <= size) {
            self.compared += 1;
            if head.size != size || head.root != self.frontier.root() {
                self.findings.push(format!(
                    "the checkpoint of {} entries that was kept outside has another root: history was rewritten after it was \
                     signed",
                    head.size
                ));
            }
        }
    }

    /// Judges checkpoints after the last entry.
    fn leftover(mut self, due: Vec<Note>, total: u64) -> Self {
        let mut due = due.into_iter().peekable();
        self.judge(&mut due);
        for (_, note) in due {
            if let Some(checkpoint) = self.open(&note) {
                self.findings.push(format!(
                    "a signed checkpoint speaks of {} entries, but there are {total}: history was cut",
                    checkpoint.size
                ));
            }
        }
        self
    }

    fn open(&mut self, note: &str) -> Option<Checkpoint> {
        match Checkpoint::open(note, &self.origin, &self.key) {
            Ok((checkpoint, _)) => Some(checkpoint),
            Err(error) => {
                self.findings
                    .push(format!("a kept checkpoint does not verify: {error}"));
                None
            }
        }
    }
}

/// What is wrong with the stored tiles.
async fn compare_tiles(view: &dyn View, tiles: Vec<Tile>) -> Result<Vec<String>, Fault> {
    let stored = join_all(tiles.iter().map(|(id, _)| view.tile(*id))).await;
    let mut findings = Vec::new();
    for ((TileId { level, index }, expected), stored) in tiles.iter().zip(stored) {
        match stored {
            Ok(stored) if stored == *expected => {}
            Ok(_) => findings.push(format!(
                "tile {index} of level {level} of the stored tree is not what the entries give"
            )),
            Err(StoreError::Corrupt { what }) => findings.push(what),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(findings)
}
