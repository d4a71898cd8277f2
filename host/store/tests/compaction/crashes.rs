//! The process dies at each step of a compaction, and at any moment: what was acknowledged is there exactly once, in the
//! old file or in the new one, and nothing is left lying about.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mihwar_store::{Edit, Key, RedbStore, Store};

use crate::model::{Model, contents};
use crate::random::{Random, rounds, seeds, summary};
use crate::{grown, key, names, open, rows};

const WRITERS: u32 = 3;
/// Rows in each batch.
const ROWS: u32 = 10;
/// Bytes of each row of a batch.
const ROW_BYTES: usize = 150;
/// More steps than a compaction of so small a file can have.
const STEPS_MAX: u64 = 2_000;
/// The signal that `abort` sends.
const SIGABRT: i32 = 6;
/// The signal that a kill sends.
const SIGKILL: i32 = 9;

/// What the child is told.
const FOLDER: &str = "MIHWAR_COMPACTION_FOLDER";
const DIE_AT: &str = "MIHWAR_COMPACTION_DIE_AT";

fn acknowledged_file(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

/// Writes batch after batch, and notes each that was acknowledged.
async fn write(store: Arc<RedbStore>, writer: u32, from: u32, mut noted: File) {
    for number in from.. {
        let batch = rows(writer, number * ROWS..(number + 1) * ROWS, ROW_BYTES);
        if store.apply(batch).await.is_err() {
            return;
        }
        noted.write_all(format!("{writer} {number}\n").as_bytes()).unwrap();
    }
}

/// Number of batches of a writer in the store.
async fn batches_of(store: &RedbStore, writer: u32) -> u32 {
    let view = store.view().await.unwrap();
    let mut number = 0;
    while view.get(&key(writer, number * ROWS)).await.unwrap().is_some() {
        number += 1;
    }
    number
}

/// Not a test by itself: the process that dies. Compacts while writers write.
#[test]
#[ignore = "run by the tests below, as a process of its own"]
fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let die_at: u64 = std::env::var(DIE_AT).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(&folder.join("store.redb")));
        for writer in 1..=WRITERS {
            let from = batches_of(&store, writer).await;
            let noted = OpenOptions::new()
                .append(true)
                .create(true)
                .open(acknowledged_file(&folder))
                .unwrap();
            tokio::spawn(write(Arc::clone(&store), writer, from, noted));
        }
        let step = AtomicU64::new(0);
        store
            .compact(Box::new(move |_| {
                if step.fetch_add(1, Ordering::Relaxed) + 1 == die_at {
                    // No destructor runs; to the files it is a kill.
                    std::process::abort();
                }
            }))
            .await
            .unwrap();
        store.close().await.unwrap();
    });
}

fn noted_bytes(folder: &Path) -> u64 {
    std::fs::metadata(acknowledged_file(folder)).map_or(0, |file| file.len())
}

fn start(folder: &Path, die_at: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crashes::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(DIE_AT, die_at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// That the child ended well or by this signal: one that failed otherwise has shown nothing.
fn assert_ended(child: &Output, signal: i32, moment: &str) {
    let ended = child.status.success() || child.status.signal() == Some(signal);
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(ended, "{moment}: the child ended with {}: {said}", child.status);
}

/// The rows that [`grown`] leaves, and those of so many batches of each writer.
fn expected_rows(batches: &[(u32, u32)]) -> BTreeMap<Key, Vec<u8>> {
    let kept = rows(0, 0..20_000, 400).edits.into_iter().step_by(8);
    let written = batches
        .iter()
        .flat_map(|(writer, there)| rows(*writer, 0..there * ROWS, ROW_BYTES).edits);
    let put = |edit: Edit| match edit {
        Edit::Put(key, value) => Some((key, value)),
        Edit::Delete(_) | Edit::Add(..) | Edit::PutSequence(..) => None,
    };
    kept.chain(written).filter_map(put).collect()
}

/// Every row is there, with its bytes, and no other.
fn assert_rows(found: &Model, wanted: &BTreeMap<Key, Vec<u8>>, moment: &str) {
    for (key, value) in wanted {
        let there = found.rows.get(key).map(|(_, bytes)| &bytes[..]);
        assert_eq!(there, Some(&value[..]), "{moment}: row {key} is lost or another");
    }
    let more = found.rows.keys().find(|key| !wanted.contains_key(*key));
    assert_eq!(more, None, "{moment}: a row that nobody wrote");
}

/// What is found must be what was acknowledged, and at most one more batch of each writer.
async fn judge(folder: &Path, moment: &str) -> u32 {
    let noted = std::fs::read_to_string(acknowledged_file(folder)).unwrap_or_default();
    let mut acknowledged = vec![0; usize::try_from(WRITERS).unwrap() + 1];
    for line in noted.lines() {
        let (writer, number) = line.split_once(' ').unwrap();
        acknowledged[writer.parse::<usize>().unwrap()] = number.parse::<u32>().unwrap() + 1;
    }
    let store = open(&folder.join("store.redb"));
    let left: Vec<_> = names(folder)
        .into_iter()
        .filter(|name| name != "acknowledged")
        .collect();
    assert_eq!(left, ["store.redb", "store.redb.wal"], "{moment}");
    let found = contents(&*store.view().await.unwrap()).await.unwrap();
    let mut entries: Vec<_> = found
        .journal
        .iter()
        .map(|entry| String::from_utf8(entry.to_vec()).unwrap())
        .collect();
    entries.sort();
    let mut wanted: Vec<_> = (0..20_000).map(|number| format!("0 قيد {number}")).collect();
    let mut all_there = Vec::new();
    for writer in 1..=WRITERS {
        let there = batches_of(&store, writer).await;
        let noted = acknowledged[usize::try_from(writer).unwrap()];
        assert!(
            (noted..=noted + 1).contains(&there),
            "{moment}: writer {writer}: {there}, not {noted}"
        );
        wanted.extend((0..there * ROWS).map(|number| format!("{writer} قيد {number}")));
        all_there.push((writer, there));
    }
    wanted.sort();
    assert!(
        entries == wanted,
        "{moment}: {} entries, not {}",
        entries.len(),
        wanted.len()
    );
    assert_rows(&found, &expected_rows(&all_there), moment);
    store.close().await.unwrap();
    RedbStore::check_integrity(folder.join("store.redb")).unwrap_or_else(|error| panic!("{moment}: {error}"));
    // The next child writes on from here; one more batch may be there than was noted.
    let noted: String = all_there
        .iter()
        .filter(|(_, there)| *there > 0)
        .map(|(writer, there)| format!("{writer} {}\n", there - 1))
        .collect();
    std::fs::write(acknowledged_file(folder), noted).unwrap();
    all_there.iter().map(|(_, there)| there).sum()
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_loses_nothing() {
    let (mut deaths, mut written) = (0, 0);
    for _ in 0..rounds(1) {
        let untouched = tempfile::tempdir().unwrap();
        grown(&untouched.path().join("store.redb")).await;
        let mut whole = false;
        for die_at in 1..=STEPS_MAX {
            let moment = format!("dead at step {die_at}");
            // Each child begins with the same: what the others wrote would make a compaction longer and longer, and on a
            // busy machine endless.
            let folder = tempfile::tempdir().unwrap();
            for name in names(untouched.path()) {
                std::fs::copy(untouched.path().join(&name), folder.path().join(&name)).unwrap();
            }
            let child = start(folder.path(), die_at).wait_with_output().unwrap();
            assert_ended(&child, SIGABRT, &moment);
            written += judge(folder.path(), &moment).await;
            if child.status.success() {
                assert!(die_at > 6, "only {die_at} steps");
                whole = true;
                break;
            }
            deaths += 1;
        }
        assert!(whole, "a compaction has more than {STEPS_MAX} steps, or never ends");
        assert!(written > 0);
    }
    summary(
        "store, process dead at each step of a compaction",
        &[
            ("deaths", deaths),
            ("batches written meanwhile", u64::from(written)),
            ("lost", 0),
            ("doubled", 0),
        ],
    );
}

#[tokio::test]
async fn a_process_killed_at_any_moment_of_a_compaction_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    grown(&folder.path().join("store.redb")).await;
    let (mut kills, mut written) = (0, 0);
    for seed in seeds(8) {
        let mut random = Random::new(seed);
        let mut child = start(folder.path(), u64::MAX);
        // Once it works, any moment will do.
        let before = noted_bytes(folder.path());
        while noted_bytes(folder.path()) == before && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let wait = Duration::from_millis(random.next() % 150);
        tokio::time::sleep(wait).await;
        // Not there any more: it was faster.
        kills += u64::from(child.try_wait().unwrap().is_none());
        child.kill().ok();
        let moment = format!("seed {seed}, killed after {wait:?}");
        assert_ended(&child.wait_with_output().unwrap(), SIGKILL, &moment);
        written = judge(folder.path(), &moment).await;
    }
    assert!(written > 0 && kills > 0);
    summary(
        "store, process killed during a compaction",
        &[
            ("kills", kills),
            ("batches written", u64::from(written)),
            ("lost", 0),
            ("doubled", 0),
        ],
    );
}
