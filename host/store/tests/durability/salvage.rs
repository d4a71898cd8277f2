//! A damaged log: what is whole is taken, what lies behind the damage is told, and nothing is thrown away.

use std::fs;
use std::path::Path;

use mihwar_store::{LogExamined, RedbStore, Store, examine_log, salvage_log};

use crate::disk::settings;
use crate::log::{key, killed, rows, wal};

/// Frame `number` of the log gets another byte.
fn damage(path: &Path, number: usize) -> Vec<u8> {
    let mut log = fs::read(wal(path)).unwrap();
    log[number * 4_096 + 120] ^= 1;
    fs::write(wal(path), &log).unwrap();
    log
}

fn examined(path: &Path) -> LogExamined {
    examine_log(path).unwrap().unwrap()
}

fn salvaged(path: &Path) -> LogExamined {
    salvage_log(path, |_| Vec::new()).unwrap().unwrap()
}

fn entry(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

#[tokio::test]
async fn what_is_before_the_damage_is_taken_and_what_is_behind_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 6).await;
    let log = damage(&path, 3);
    let before = fs::read(&path).unwrap();
    let found = examined(&path);
    assert_eq!((found.stored.entries, found.whole.entries, found.groups), (0, 2, 2));
    assert_eq!(found.last_entry, Some(entry(1)));
    assert!(found.damage.as_ref().unwrap().contains("byte 12288"), "{found:?}");
    assert_eq!(found.batches_lost(), 4, "one cannot be read, three can");
    let lost: Vec<_> = found.beyond.iter().flat_map(|group| group.entries.clone()).collect();
    assert_eq!(lost, [entry(3), entry(4), entry(5)]);
    assert_eq!(found.beyond[0].rows, [(key(3), "شكوى".as_bytes().to_vec())]);
    // Looking at it changes nothing.
    assert!(fs::read(&path).unwrap() == before && fs::read(wal(&path)).unwrap() == log);
    assert!(!found.aside.exists());

    let done = salvage_log(&path, |found| {
        assert_eq!(found.beyond.len(), 3);
        vec![(key(100), Some("بقي".into())), (key(0), None)]
    });
    let done = done.unwrap().unwrap();
    assert_eq!((done.whole, done.batches_lost()), (found.whole, 4));
    assert!(
        fs::read(&done.aside).unwrap() == log,
        "the damaged log lies there as it was"
    );
    assert!(!wal(&path).exists());
    assert_eq!(RedbStore::check_integrity(&path).unwrap().journal_entries, 2);
    let store = RedbStore::open(&path, settings()).unwrap();
    let view = store.view().await.unwrap();
    assert!(view.version() > 6, "no version of a lost batch comes again");
    let rows_of = view.get_many(&[key(0), key(1), key(2), key(100)]).await.unwrap();
    assert_eq!(
        rows_of.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true, false, true]
    );
    drop(view);
    store.close().await.unwrap();
    // There is nothing more to do.
    assert_eq!(examine_log(&path), Ok(None));
    assert_eq!(salvage_log(&path, |_| Vec::new()), Ok(None));
    assert_eq!(rows(&path).await, 2);
}

#[tokio::test]
async fn a_log_that_a_crash_cut_off_is_left_to_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 6).await;
    damage(&path, 6);
    let found = examined(&path);
    assert_eq!((found.damage, found.whole.entries), (None, 5));
    let before = (fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap());
    assert_eq!(salvage_log(&path, |_| Vec::new()), Ok(None));
    assert!((fs::read(&path).unwrap(), fs::read(wal(&path)).unwrap()) == before);
    assert_eq!(rows(&path).await, 5);
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_behind_the_renaming_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مقتول", 5).await;
    let log = damage(&path, 2);
    let found = examined(&path);
    fs::rename(wal(&path), &found.aside).unwrap();
    let again = examined(&path);
    assert_eq!((again.whole, &again.damage), (found.whole, &found.damage));
    let done = salvaged(&path);
    assert_eq!(done.beyond, found.beyond);
    assert!(fs::read(&found.aside).unwrap() == log);
    assert_eq!(rows(&path).await, 1);
}

#[tokio::test]
async fn of_a_log_that_is_cut_off_or_begins_otherwise_the_groups_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for (name, said) in [("مقطوع", "cut off"), ("بلا رأس", "does not begin")] {
        let path = killed(folder.path(), name, 4).await;
        let mut log = fs::read(wal(&path)).unwrap();
        match said {
            "cut off" => log.truncate(log.len() - 1),
            _ => log[3] ^= 1,
        }
        fs::write(wal(&path), &log).unwrap();
        let done = salvaged(&path);
        assert!(done.damage.as_ref().unwrap().contains(said), "{done:?}");
        assert_eq!((done.whole.entries, done.batches_lost()), (4, 0));
        assert_eq!(rows(&path).await, 4);
    }
}

#[tokio::test]
async fn of_a_log_that_is_gone_or_another_stores_nothing_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = killed(folder.path(), "مفقود", 4).await;
    fs::remove_file(wal(&path)).unwrap();
    let done = salvaged(&path);
    assert!(done.damage.unwrap().contains("is missing"));
    assert_eq!((done.log, done.groups), (None, 0));
    assert_eq!(rows(&path).await, 0);

    let (path, other) = (
        killed(folder.path(), "هذا", 4).await,
        killed(folder.path(), "ذاك", 4).await,
    );
    let theirs = fs::read(wal(&other)).unwrap();
    fs::copy(wal(&other), wal(&path)).unwrap();
    let done = salvaged(&path);
    assert_eq!((done.groups, done.beyond.len()), (0, 0));
    assert!(fs::read(&done.aside).unwrap() == theirs);
}

#[tokio::test]
async fn a_store_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("مخزن");
    let store = RedbStore::open(&path, settings()).unwrap();
    for error in [
        examine_log(&path).unwrap_err(),
        salvage_log(&path, |_| Vec::new()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("is open in another process"), "{error}");
    }
    store.close().await.unwrap();
}
