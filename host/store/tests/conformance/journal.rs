//! The journal, which is the ledger.

use std::sync::Arc;

use mihwar_ledger::{Frontier, Hash, TILE_WIDTH, TileId, leaf_hash, node_hash, verify_consistency, verify_inclusion};
use mihwar_store::{ApplyError, Batch, Edit, Guard, MAX_PAGE_ROWS, View, prove_consistency, prove_inclusions};
use tokio::task::JoinSet;

use crate::support::{Shared, apply, edits, entries, guarded, key, put, refused, value, view};

pub(crate) async fn sequences_have_no_gaps_as_a_tailer_sees_them(store: Shared) {
    const WRITERS: u8 = 6;
    const BATCHES: u8 = 15;
    let total = u64::from(WRITERS) * u64::from(BATCHES) * 2;
    let tailer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let mut seen = Vec::new();
            while (seen.len() as u64) < total {
                let new = view(&store).await.journal(seen.len() as u64, 7).await.unwrap();
                for entry in new {
                    // Never a later entry before an earlier one, not even for a moment.
                    assert_eq!(entry.sequence, seen.len() as u64);
                    seen.push(entry.bytes);
                }
            }
            seen
        }
    });
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0..BATCHES {
                let pair = [vec![writer, number, 0], vec![writer, number, 1]];
                let commit = apply(&store, entries(pair.clone())).await;
                assert!(commit.tree_size >= commit.first_sequence + 2);
                acknowledged.push((commit, pair));
            }
            acknowledged
        });
    }
    let acknowledged = writers.join_all().await;
    let seen = tailer.await.unwrap();
    assert_eq!(seen.len() as u64, total);
    for (commit, pair) in acknowledged.iter().flatten() {
        let first = usize::try_from(commit.first_sequence).unwrap();
        assert_eq!(seen[first..first + 2], *pair);
    }
    let mut commits: Vec<_> = acknowledged.iter().flatten().map(|(commit, _)| *commit).collect();
    commits.sort_by_key(|commit| commit.version);
    // Commit order is journal order.
    assert!(commits.is_sorted_by_key(|commit| commit.first_sequence));
}

pub(crate) async fn entries_of_refused_batches_take_no_number(store: Shared) {
    let row = key("row");
    apply(&store, edits(vec![put(&row, "1")])).await;
    apply(&store, entries(["أول"])).await;
    let mut stale = guarded(vec![Guard::Absent(row)], vec![]);
    stale.journal = vec![b"never".to_vec()];
    refused(&store, stale).await;
    let commit = apply(&store, entries(["ثان"])).await;
    assert_eq!((commit.first_sequence, commit.tree_size), (1, 2));
    let found = view(&store).await.journal(0, 10).await.unwrap();
    let texts: Vec<_> = found
        .iter()
        .map(|entry| std::str::from_utf8(&entry.bytes).unwrap())
        .collect();
    assert_eq!(texts, ["أول", "ثان"]);
}

pub(crate) async fn reading_starts_and_stops_where_told(store: Shared) {
    let empty = view(&store).await;
    assert!(empty.journal(0, 10).await.unwrap().is_empty());
    let count = MAX_PAGE_ROWS as u64 + 3;
    apply(&store, entries((0..count).map(u64::to_be_bytes))).await;
    let view = view(&store).await;
    let sequences = async |from, limit| -> Vec<u64> {
        let found = view.journal(from, limit).await.unwrap();
        for entry in &found {
            assert_eq!(entry.bytes, entry.sequence.to_be_bytes());
        }
        found.into_iter().map(|entry| entry.sequence).collect()
    };
    assert_eq!(sequences(2, 3).await, [2, 3, 4]);
    assert_eq!(sequences(0, 0).await, [0]);
    assert_eq!(sequences(count - 1, 9).await, [count - 1]);
    assert!(sequences(count, 9).await.is_empty());
    assert!(sequences(u64::MAX, 9).await.is_empty());
    assert_eq!(sequences(0, usize::MAX).await.len(), MAX_PAGE_ROWS);
}

pub(crate) async fn rows_say_which_entry_tells_of_them(store: Shared) {
    let telling = |rows: Vec<Edit>, told: &[&str]| Batch {
        edits: rows,
        ..entries(told.iter().map(|text| text.as_bytes().to_vec()))
    };
    let second = |name: &str| Edit::PutSequence(key(name), 1);
    apply(&store, entries(["أول"])).await;
    apply(&store, telling(vec![second("واحد")], &["before", "one"])).await;
    // Of several writers who share a commit each gets its own.
    let batch = |name: &str| telling(vec![second(name)], &["قبله", name]);
    let (two, three, four) = tokio::join!(
        store.apply(batch("two")),
        store.apply(batch("three")),
        store.apply(batch("four"))
    );
    for applied in [two, three, four] {
        applied.unwrap();
    }
    let told = [("واحد", "one"), ("two", "two"), ("three", "three"), ("four", "four")];
    let mut sequences = Vec::new();
    for (name, _) in told {
        let row = value(&store, &key(name)).await.unwrap();
        sequences.push(u64::from_le_bytes(row.try_into().unwrap()));
    }
    let view = view(&store).await;
    let texts = told.map(|(_, text)| Some(text.as_bytes().to_vec()));
    assert_eq!(view.entries(&sequences).await.unwrap(), texts);
    let missing = [u64::MAX, 0, view.tree().size()];
    let first = Some("أول".as_bytes().to_vec());
    assert_eq!(view.entries(&missing).await.unwrap(), [None, first, None]);
    // The last edit of a row counts, and an entry that the batch does not have is nobody's.
    let row = key("واحد");
    apply(&store, telling(vec![second("واحد"), put(&row, "x")], &["a", "b"])).await;
    assert_eq!(value(&store, &row).await, Some(b"x".to_vec()));
    for told in [Vec::new(), vec!["وحيد"]] {
        let error = refused(&store, telling(vec![second("واحد")], &told)).await;
        assert!(matches!(error, ApplyError::Invalid { key, .. } if key == row));
    }
}

/// Appends `count` entries in batches of different sizes and gives their leaf hashes.
async fn fill(store: &Shared, count: usize) -> Vec<Hash> {
    let all: Vec<Vec<u8>> = (0..count).map(|number| format!("قيد {number}").into_bytes()).collect();
    let mut rest = all.as_slice();
    for size in [1, 2, 252, 1, 1, 300].into_iter().cycle() {
        let (batch, after) = rest.split_at(size.min(rest.len()));
        apply(store, entries(batch.iter().cloned())).await;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    all.iter().map(|entry| leaf_hash(entry)).collect()
}

async fn leaves_read_back(view: &dyn View) -> Vec<Hash> {
    let mut leaves = Vec::new();
    loop {
        let found = view.journal(leaves.len() as u64, 1_000).await.unwrap();
        if found.is_empty() {
            return leaves;
        }
        leaves.extend(found.iter().map(|entry| leaf_hash(&entry.bytes)));
    }
}

/// RFC 9162 section 2.1.1, word for word.
fn plain_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of_empty_tree(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&plain_root(left), &plain_root(right))
        }
    }
}

pub(crate) async fn the_tree_is_that_of_the_entries(store: Shared) {
    assert_eq!(*view(&store).await.tree(), Frontier::new());
    let leaves = fill(&store, 700).await;
    let view = view(&store).await;
    assert_eq!(leaves_read_back(&*view).await, leaves);
    assert_eq!(view.tree().size(), 700);
    assert_eq!(view.tree().root(), plain_root(&leaves));
}

pub(crate) async fn tiles_are_those_of_the_entries(store: Shared) {
    let leaves = fill(&store, 700).await;
    let view = view(&store).await;
    let tile = async |level, index| view.tile(TileId { level, index }).await.unwrap();
    for (index, expected) in (0..).zip(leaves.chunks(TILE_WIDTH)) {
        assert_eq!(tile(0, index).await, expected);
    }
    let above: Vec<Hash> = leaves.chunks_exact(TILE_WIDTH).map(plain_root).collect();
    assert_eq!(above.len(), 2);
    assert_eq!(tile(1, 0).await, above);
    assert!(tile(0, 3).await.is_empty());
    assert!(tile(1, 1).await.is_empty());
    assert!(tile(2, 0).await.is_empty());
    assert!(tile(255, u64::MAX).await.is_empty());
}

pub(crate) async fn proofs_verify_at_every_kind_of_size(store: Shared) {
    let leaves = fill(&store, 600).await;
    let view = view(&store).await;
    let root = |size: u64| plain_root(&leaves[..usize::try_from(size).unwrap()]);
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 600] {
        for index in [0, size / 2, size - 1] {
            let proof = prove_inclusions(&*view, &[index], size).await.unwrap().remove(0);
            let leaf = leaves[usize::try_from(index).unwrap()];
            verify_inclusion(&leaf, index, size, &proof, &root(size)).unwrap();
        }
        for old in [0, 1, size / 2, size - 1, size] {
            let proof = prove_consistency(&*view, old, size).await.unwrap();
            verify_consistency(old, size, &root(old), &root(size), &proof).unwrap();
        }
    }
    let several = prove_inclusions(&*view, &[599, 0, 300], 600).await.unwrap();
    let one = prove_inclusions(&*view, &[300], 600).await.unwrap();
    assert_eq!((several.len(), &several[2]), (3, &one[0]));
    assert_eq!(prove_inclusions(&*view, &[], 600).await, Ok(vec![]));
    assert!(prove_inclusions(&*view, &[0], 601).await.is_err());
    assert!(prove_inclusions(&*view, &[600], 600).await.is_err());
    assert!(prove_consistency(&*view, 5, 4).await.is_err());
    assert!(prove_consistency(&*view, 5, 601).await.is_err());
}
