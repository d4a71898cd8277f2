//! The process dies at each step of a compaction, and at any moment: what was acknowledged is there exactly once, in the
//! old file or in the new one, and nothing is left lying about.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mihwar_store::{RedbStore, Store};

use crate::model::contents;
use crate::random::{Random, rounds, seeds, summary};
use crate::{grown, key, names, open, rows};

const WRITERS: u32 = 3;
/// Rows in each batch.
const ROWS: u32 = 10;

/// What the child is told.
const FOLDER: &str = "MIHWAR_COMPACTION_FOLDER";
const DIE_AT: &str = "MIHWAR_COMPACTION_DIE_AT";

fn acknowledged_file(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

/// Writes batch after batch, and notes each that was acknowledged.
async fn write(store: Arc<RedbStore>, writer: u32, from: u32, mut noted: File) {
    for number in from.. {
        let batch = rows(writer, number * ROWS..(number + 1) * ROWS, 150);
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
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
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
    assert_eq!(left, ["store.redb"], "{moment}");
    let found = contents(&*store.view().await.unwrap()).await.unwrap();
    let mut entries: Vec<_> = found
        .journal
        .iter()
        .map(|entry| String::from_utf8(entry.to_vec()).unwrap())
        .collect();
    entries.sort();
    let mut wanted: Vec<_> = (0..20_000).map(|number| format!("0 قيد {number}")).collect();
    let mut total = 0;
    for writer in 1..=WRITERS {
        let there = batches_of(&store, writer).await;
        let noted = acknowledged[usize::try_from(writer).unwrap()];
        assert!(
            (noted..=noted + 1).contains(&there),
            "{moment}: writer {writer}: {there}, not {noted}"
        );
        wanted.extend((0..there * ROWS).map(|number| format!("{writer} قيد {number}")));
        total += there;
    }
    wanted.sort();
    assert!(
        entries == wanted,
        "{moment}: {} entries, not {}",
        entries.len(),
        wanted.len()
    );
    assert_eq!(
        found.rows.len(),
        2_500 + usize::try_from(total * ROWS).unwrap(),
        "{moment}"
    );
    store.close().await.unwrap();
    RedbStore::check_integrity(folder.join("store.redb")).unwrap_or_else(|error| panic!("{moment}: {error}"));
    // The next child writes on from here; one more batch may be there than was noted.
    let noted: String = (1..=WRITERS)
        .filter_map(|writer| {
            let there = found
                .journal
                .iter()
                .filter(|entry| entry.starts_with(format!("{writer} ").as_bytes()))
                .count();
            let there = u32::try_from(there).unwrap() / ROWS;
            (there > 0).then(|| format!("{writer} {}\n", there - 1))
        })
        .collect();
    std::fs::write(acknowledged_file(folder), noted).unwrap();
    total
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_loses_nothing() {
    for _ in 0..rounds(1) {
        let folder = tempfile::tempdir().unwrap();
        grown(&folder.path().join("store.redb")).await;
        let mut written = 0;
        for die_at in 1.. {
            let status: ExitStatus = start(folder.path(), die_at).wait().unwrap();
            written = judge(folder.path(), &format!("dead at step {die_at}")).await;
            if status.success() {
                assert!(die_at > 6, "only {die_at} steps");
                summary(&format!(
                    "store, process dead at each step of a compaction: {} deaths, {written} batches written meanwhile, \
                     0 lost, 0 doubled",
                    die_at - 1
                ));
                break;
            }
        }
        assert!(written > 0);
    }
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
        child.wait().unwrap();
        written = judge(folder.path(), &format!("seed {seed}, killed after {wait:?}")).await;
    }
    assert!(written > 0 && kills > 0);
    summary(&format!(
        "store, process killed during a compaction: {kills} kills, {written} batches written, 0 lost, 0 doubled"
    ));
}
