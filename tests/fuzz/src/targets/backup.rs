//! Backup files.

use std::path::Path;
use std::sync::Arc;

use mihwar_ledger::Frontier;
use mihwar_model::{OrgId, Time};
use mihwar_store::backup::{About, Backup, Mark, Owner, Watch, verify};
use mihwar_store::{Batch, BlobFolder, Edit, Key, MemoryStore, Nature, Natures, Row, Space, Store};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Target, same};

/// A backup of a hub, as `mihwar restore` and `mihwar backup verify` are given one.
pub(super) const BACKUP: Target = Target {
    name: "backup",
    seeds,
    words: &["\0\0\0\0", "\u{7f}\u{7f}\u{7f}\u{7f}", "\u{1}", "\u{4}", "\r\nwhole\n", "شحن"],
    check,
    bounded_inputs: 1_500,
    bytes_max: 64 << 20,
};

const LASTING: Space = Space(0x10);
const PASSING: Space = Space(0x11);
const FILED: Space = Space(0x13);
const NATURES: Natures = Natures::all(Nature::Lasting)
    .with(PASSING, Nature::Passing)
    .with(FILED, Nature::Filed);

/// Length of what stands before the first chunk, of a chunk's head without its hash, of the hash, of what stands at the end.
const PROLOGUE_BYTES: usize = 20;
const HEAD_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const EPILOGUE_BYTES: usize = 16;

fn seeds() -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let (Ok(runtime), Ok(folder)) = (runtime, tempfile::tempdir()) else {
        return Vec::new();
    };
    runtime.block_on(made(folder.path())).unwrap_or_default()
}

/// A full backup, and the increment after it.
async fn made(folder: &Path) -> Option<Vec<Vec<u8>>> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_natures(NATURES));
    let files = BlobFolder::open(folder).ok()?;
    let row = |space, name: u8| Key::space(space, OrgId::FIRST).id([name; 16]).finish();
    let mut edits: Vec<Edit> = (1..6)
        .map(|name| Edit::Put(row(LASTING, name), "وصلت الشحنة متأخرة".repeat(usize::from(name)).into_bytes()))
        .collect();
    edits.push(Edit::Put(row(PASSING, 1), b"queued".to_vec()));
    edits.push(Edit::Put(row(FILED, 9), Vec::new()));
    files.put(Uuid::from_bytes([9; 16]), vec![3; 500]).await.ok()?;
    store.apply(batch(edits, 5)).await.ok()?;
    let full = Backup::begin(store.clone(), &files, about(None)).await.ok()?;
    let since = full.header().state;
    let full = collected(full).await;
    let later = vec![Edit::Delete(row(LASTING, 2)), Edit::Put(row(LASTING, 7), vec![7])];
    store.apply(batch(later, 2)).await.ok()?;
    let increment = Backup::begin(store, &files, about(Some(since))).await.ok()?;
    Some(vec![full, collected(increment).await])
}

fn batch(edits: Vec<Edit>, entries: u8) -> Batch {
    Batch {
        edits,
        journal: (0..entries).map(|entry| vec![entry; 40]).collect(),
        ..Batch::default()
    }
}

fn about(since: Option<Mark>) -> About {
    About {
        owner: Owner {
            origin: "مثال.example/ledger".into(),
            verifier_key: String::new(),
        },
        lineage: [7; 16],
        made_at: Time(1_790_000_000_000),
        made_by: "fuzz".into(),
        since,
    }
}

async fn collected(backup: Backup) -> Vec<u8> {
    let (sink, mut chunks) = mpsc::channel(64);
    let mut bytes = Vec::new();
    tokio::join!(backup.stream(sink), async {
        while let Some(chunk) = chunks.recv().await {
            bytes.extend(chunk);
        }
    });
    bytes
}

/// As it is, and once more with hashes that fit: whoever makes a backup can make those, too.
fn check(input: &[u8]) -> Result<String, String> {
    let as_it_is = verified(input)?;
    let mut fitted = input.to_vec();
    fit_hashes(&mut fitted);
    let again = if fitted == input {
        as_it_is.clone()
    } else {
        verified(&fitted)?
    };
    Ok(format!("{as_it_is} | {again}"))
}

fn verified(bytes: &[u8]) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("backup");
    std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
    let mut seen = Seen::default();
    match verify(&[&path], &mut seen) {
        Ok(replayed) => {
            same("rows that were shown and counted", &seen.rows, &replayed.rows)?;
            same("bytes of the file", &replayed.bytes, &(bytes.len() as u64))?;
            Ok(format!("whole {}", replayed.entries.min(9)))
        }
        Err(error) => {
            let words = error.to_string();
            // The place differs from input to input; what is wrong there does not.
            let (_, what) = words.rsplit_once(": ").unwrap_or(("", &words));
            if what.trim().is_empty() {
                return Err("a refusal without a word".into());
            }
            Ok(what.chars().filter(|letter| !letter.is_numeric()).take(60).collect())
        }
    }
}

#[derive(Default)]
struct Seen {
    rows: u64,
}

impl Watch for Seen {
    fn row(&mut self, _: &Row) {
        self.rows += 1;
    }

    fn tree(&mut self, _: &Frontier) {}

    fn progress(&mut self, _: u64, _: u64) {}
}

/// Goes from chunk to chunk as far as their lengths lead, and gives each its number and the hash that it should have.
fn fit_hashes(bytes: &mut [u8]) {
    let Some((prologue, _)) = bytes.split_at_checked(PROLOGUE_BYTES) else {
        return;
    };
    let mut hash: [u8; HASH_BYTES] = Sha256::digest(prologue).into();
    let (mut at, mut last) = (PROLOGUE_BYTES, PROLOGUE_BYTES);
    for number in 0_u32.. {
        if bytes.len() - at <= EPILOGUE_BYTES {
            break;
        }
        let rest = bytes.get_mut(at..).unwrap_or_default();
        let Some((head, rest)) = rest.split_first_chunk_mut::<HEAD_BYTES>() else {
            break;
        };
        head[4..8].copy_from_slice(&number.to_be_bytes());
        let stored = u32::from_be_bytes([head[12], head[13], head[14], head[15]]) as usize;
        let Some((place, rest)) = rest.split_first_chunk_mut::<HASH_BYTES>() else {
            break;
        };
        let Some(stored) = rest.get(..stored) else { break };
        hash = Sha256::new()
            .chain_update(hash)
            .chain_update(&head)
            .chain_update(stored)
            .finalize()
            .into();
        *place = hash;
        last = at;
        at += HEAD_BYTES + HASH_BYTES + stored.len();
    }
    if let Some(footer) = bytes.get_mut(at..at + 8) {
        footer.copy_from_slice(&(last as u64).to_be_bytes());
    }
}
