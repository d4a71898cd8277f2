//! What is refused, and that nothing is left or changed by it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use mihwar_store::backup::{Backup, BackupError, Mark, previous, receive, restore};

use crate::support::{House, LASTING, Nobody, about, checked, collect, put};

#[tokio::test]
async fn files_that_do_not_belong_together_are_named() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
    let full = house.backup("full", None).await;
    house.apply(vec![put(LASTING, "b", "٢")], &["b"]).await;
    let first = house.backup("first", Some(&full)).await;
    house.apply(vec![put(LASTING, "c", "٣")], &["c"]).await;
    let second = house.backup("second", Some(&first)).await;
    let later = house.backup("later", None).await;
    let foreign = {
        let other = House::redb();
        other.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
        let bytes = other.bytes(about([8; 16], None)).await.unwrap();
        let base = other.path("base");
        let state = receive(bytes.as_slice(), &base, |_| {}).unwrap().header.state;
        let bytes = other.bytes(about([8; 16], Some(state))).await.unwrap();
        let path = house.path("foreign");
        receive(bytes.as_slice(), &path, |_| {}).unwrap();
        path
    };
    assert!(checked(&[&full, &first, &second]).is_ok());
    for (files, at_fault, why) in [
        (vec![&first], &first, "it is an increment"),
        (vec![&full, &second], &second, "give all increments in the order"),
        (
            vec![&full, &second, &first],
            &second,
            "give all increments in the order",
        ),
        (vec![&full, &later], &later, "it is a full backup"),
        (vec![&full, &foreign], &foreign, "it is of another hub"),
    ] {
        let files: Vec<_> = files.into_iter().map(std::path::PathBuf::as_path).collect();
        let error = checked(&files).unwrap_err();
        assert!(matches!(error, BackupError::Order { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.starts_with(&at_fault.display().to_string()) && said.contains(why),
            "{said}"
        );
    }
}

#[tokio::test]
async fn what_is_no_backup_is_said_to_be_none() {
    let house = House::redb();
    let path = house.path("ملاحظات.txt");
    fs::write(&path, "هذه ليست نسخة احتياطية").unwrap();
    let error = checked(&[&path]).unwrap_err();
    assert!(matches!(error, BackupError::Foreign { .. }) && error.to_string().contains("ملاحظات.txt"));
    let newer = house.backup("newer", None).await;
    let mut bytes = fs::read(&newer).unwrap();
    bytes[19] = 99;
    fs::write(&newer, bytes).unwrap();
    let error = checked(&[&newer]).unwrap_err();
    assert!(matches!(error, BackupError::Format { found: 99, .. }), "{error}");
    let nowhere = house.path("لا شيء");
    assert!(matches!(checked(&[&nowhere]).unwrap_err(), BackupError::Io { .. }));
}

#[tokio::test]
async fn an_increment_goes_on_only_from_a_state_that_was() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
    let state = previous(&house.backup("full", None).await).unwrap().state;
    house.apply(vec![], &["b"]).await;
    let strangers = [
        Mark {
            lineage: [1; 16],
            ..state
        },
        Mark { version: 99, ..state },
        Mark { entries: 99, ..state },
        Mark {
            root: mihwar_ledger::leaf_hash("آخر".as_bytes()),
            ..state
        },
    ];
    for stranger in strangers {
        let error = house.bytes(about([7; 16], Some(stranger))).await.unwrap_err();
        assert!(matches!(error, BackupError::Since { .. }), "{error}");
        assert!(error.to_string().ends_with("make a full one"), "{error}");
    }
    assert!(house.bytes(about([7; 16], Some(state))).await.is_ok());
}

#[tokio::test]
async fn a_backup_that_was_not_finished_leaves_no_file() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
    let path = house.path("half");
    let whole = house.bytes(about([7; 16], None)).await.unwrap();
    let names = || {
        let names = fs::read_dir(house.folder.path()).unwrap();
        names
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("half"))
            .count()
    };
    assert!(receive(&whole[..whole.len() - 3], &path, |_| {}).is_err());
    assert_eq!(names(), 0);
    let broken = whole[..30].chain(Broken);
    assert!(matches!(
        receive(broken, &path, |_| {}).unwrap_err(),
        BackupError::Io { .. }
    ));
    assert_eq!(names(), 0);

    let backup = Backup::begin(house.store.clone(), &house.files, about([7; 16], None))
        .await
        .unwrap();
    house.store.close().await.unwrap();
    let stopped = collect(backup).await;
    let error = receive(stopped.as_slice(), &path, |_| {}).unwrap_err();
    assert!(
        matches!(&error, BackupError::Stopped { reason, .. } if reason.contains("closed")),
        "{error}"
    );
    assert_eq!(names(), 0);

    receive(whole.as_slice(), &path, |_| {}).unwrap();
    let error = receive(whole.as_slice(), &path, |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), whole, "what was there is untouched");
}

#[tokio::test]
async fn a_backup_that_comes_in_touches_nobody_elses_file() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
    let whole = house.bytes(about([7; 16], None)).await.unwrap();
    let (path, foreign) = (house.path("نسخة"), house.path("نسخة.part"));
    fs::write(&foreign, "ملاحظات").unwrap();
    let meanwhile = Meanwhile {
        bytes: &whole,
        path: &path,
        begun: false,
    };
    let error = receive(meanwhile, &path, |_| {}).unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), whole, "the one that was faster is whole");
    assert_eq!(fs::read(&foreign).unwrap(), "ملاحظات".as_bytes());
    let names = fs::read_dir(house.folder.path()).unwrap();
    let parts = names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 1);
}

/// Before its own first byte comes, the same backup is received under the same name.
struct Meanwhile<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    begun: bool,
}

impl Read for Meanwhile<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begun = true;
            receive(self.bytes, self.path, |_| {}).unwrap();
        }
        self.bytes.read(into)
    }
}

/// A connection that breaks.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

#[tokio::test]
async fn a_restore_never_writes_over_anything() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "١")], &["a"]).await;
    let full = house.backup("full", None).await;
    let (store, files) = (house.path("store"), house.path("files"));
    let other = house.path("other");
    assert!(restore(&[&full], &store, &other, &mut Nobody).is_err());
    assert!(restore(&[&full], &house.path("new"), &files, &mut Nobody).is_err());
    let row = house
        .store
        .view()
        .await
        .unwrap()
        .get(&crate::support::key(LASTING, "a"))
        .await;
    assert_eq!(row.unwrap().unwrap().bytes, "١".as_bytes());
}
