//! The disk dies at its Nth operation, for every N until a run passes; then the power goes. What was acknowledged is
//! there afterwards, whole and in order; what was not is there whole or not at all.

use std::sync::Arc;

use mihwar_ledger::{Frontier, leaf_hash};
use mihwar_model::OrgId;
use mihwar_store::{ApplyError, Batch, Commit, Edit, Guard, Key, RedbStore, Space, Store};

use crate::disk::{Disk, Endless, Luck, settings};

const BATCHES: u32 = 8;

fn key(text: &str) -> Key {
    Key::space(Space(0x10), OrgId::FIRST).text(text).finish()
}

/// A batch that touches every kind of edit, rows of several sizes, and the same rows as its neighbours.
fn batch(number: u32) -> Batch {
    let size = usize::try_from(number % 4).unwrap() * 9_000 + 10;
    Batch {
        guards: vec![Guard::Absent(key(&format!("صف {number}")))],
        edits: vec![
            Edit::Put(key(&format!("صف {number}")), vec![u8::try_from(number).unwrap(); size]),
            Edit::Put(key("last"), number.to_be_bytes().to_vec()),
            Edit::Add(key("count"), 1),
            Edit::Delete(key(&format!("صف {}", number.wrapping_sub(3)))),
        ],
        journal: vec![format!("قيد {number}").into_bytes(), number.to_be_bytes().to_vec()],
    }
}

fn open(disk: Disk) -> Result<RedbStore, mihwar_store::StoreError> {
    RedbStore::open_with(disk, Arc::new(Endless), settings())
}

/// What the writers were told.
struct Told {
    /// Whether the store could be made at all. A file is made under another name, so a half-made one is in nobody's way.
    made: bool,
    acknowledged: u32,
    /// Whether one more may have been written.
    unknown: bool,
    passed: bool,
}

/// Writes batch after batch until one fails, or all are written and the store is closed.
async fn work(disk: &Disk) -> Told {
    let mut told = Told {
        made: false,
        acknowledged: 0,
        unknown: false,
        passed: false,
    };
    let Ok(store) = open(disk.clone()) else {
        return told;
    };
    told.made = true;
    for number in 0..BATCHES {
        match store.apply(batch(number)).await {
            Ok(Commit {
                version,
                first_sequence,
                tree_size,
            }) => {
                let number = u64::from(number);
                assert_eq!(
                    (version, first_sequence, tree_size),
                    (number + 1, number * 2, number * 2 + 2)
                );
                told.acknowledged += 1;
            }
            Err(ApplyError::Unknown) => {
                told.unknown = true;
                // Nothing more is taken in, and it is said why.
                let next = store.apply(batch(number)).await;
                assert!(matches!(next, Err(ApplyError::Broken(_))), "{next:?}");
                return told;
            }
            Err(ApplyError::Broken(_)) => return told,
            Err(error) => panic!("{error}"),
        }
    }
    told.passed = store.close().await.is_ok();
    told
}

/// Opens what is left and compares it with what the writers were told.
async fn check(image: Vec<u8>, told: &Told, moment: &str) {
    let store = open(Disk::of(image)).unwrap_or_else(|error| panic!("{moment}: {error}"));
    let view = store.view().await.unwrap();
    let written = u32::try_from(view.version()).unwrap();
    let possible = told.acknowledged..=told.acknowledged + u32::from(told.unknown);
    assert!(
        possible.contains(&written),
        "{moment}: {written} batches, not {possible:?}"
    );

    for number in 0..BATCHES {
        let row = view.get(&key(&format!("صف {number}"))).await.unwrap();
        let deleted = number + 3 < written;
        assert_eq!(row.is_some(), number < written && !deleted, "{moment}: row {number}");
        if let (Some(row), Some(Edit::Put(_, value))) = (row, batch(number).edits.first()) {
            assert_eq!((&row.bytes, row.version), (value, u64::from(number) + 1), "{moment}");
        }
    }
    let count = view.get(&key("count")).await.unwrap();
    let count = count.map_or(0, |row| i64::from_le_bytes(row.bytes.try_into().unwrap()));
    assert_eq!(count, i64::from(written), "{moment}");

    let mut frontier = Frontier::new();
    let journal = view.journal(0, 1_000).await.unwrap();
    let expected: Vec<Vec<u8>> = (0..written).flat_map(|number| batch(number).journal).collect();
    let found: Vec<Vec<u8>> = journal.into_iter().map(|entry| entry.bytes).collect();
    assert_eq!(found, expected, "{moment}");
    found.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
    assert_eq!(*view.tree(), frontier, "{moment}");
    drop(view);

    // And work goes on.
    let commit = store.apply(batch(written)).await;
    assert_eq!(commit.unwrap().version, u64::from(written) + 1, "{moment}");
    store.close().await.unwrap();
}

/// A small generator of luck (xorshift), so that a failure can be repeated from its seed.
fn luck(seed: u64) -> impl FnMut() -> Luck {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 5 {
            0 | 1 => Luck::Kept,
            2 | 3 => Luck::Lost,
            _ => Luck::Torn,
        }
    }
}

#[tokio::test]
async fn acknowledged_batches_survive_a_disk_that_dies_at_any_moment() {
    let mut unknowns = 0;
    for fail_at in 1.. {
        let disk = Disk::default();
        disk.fail_at(fail_at);
        let told = work(&disk).await;
        unknowns += u32::from(told.unknown);
        if !told.made {
            continue;
        }
        let images = [
            ("nothing unsynced kept", disk.after_power_cut(|| Luck::Lost)),
            ("all unsynced kept", disk.after_power_cut(|| Luck::Kept)),
            ("some unsynced kept", disk.after_power_cut(luck(fail_at))),
            ("other unsynced kept", disk.after_power_cut(luck(fail_at + 1_000_000))),
        ];
        for (kept, image) in images {
            check(image, &told, &format!("disk dead at operation {fail_at}, {kept}")).await;
        }
        if told.passed {
            assert_eq!(told.acknowledged, BATCHES);
            assert!(fail_at > 100, "only {} operations", disk.operations());
            assert!(unknowns > 0, "no commit was ever cut through");
            break;
        }
    }
}

#[tokio::test]
async fn a_disk_that_dies_while_reopening_costs_nothing() {
    let disk = Disk::default();
    // Dies late enough that some batches are in, and never closes cleanly.
    disk.fail_at(150);
    let told = work(&disk).await;
    assert!(told.acknowledged > 0 && !told.passed);
    let image = disk.after_power_cut(|| Luck::Lost);
    for fail_at in 1.. {
        let disk = Disk::of(image.clone());
        disk.fail_at(fail_at);
        let opened = open(disk.clone());
        let passed = opened.is_ok_and(|store| {
            drop(store);
            disk.operations() < fail_at
        });
        let left = disk.after_power_cut(luck(fail_at));
        check(left, &told, &format!("second death at operation {fail_at}")).await;
        if passed {
            break;
        }
    }
}
