//! Stored files on a disk that loses power: what was acknowledged is whole afterwards, and nothing else is taken for whole.
//!
//! Whoever names a file in a row waits for its `put` to be acknowledged first, and for the row to be gone before it deletes
//! the file. So at any moment every row must name a whole file.

use std::collections::BTreeMap;
use std::path::Path;

use mihwar_model::OrgId;
use mihwar_store::{Batch, BlobError, BlobFolder, Edit, Execution, Key, Space, Store};
use uuid::Uuid;

use crate::disk::{Disk, Fault, Image, open as open_store};
use crate::random::{Random, seeds, summary};

/// Where they lie. Neither folder is there at first.
const ROOT: &str = "/بيانات/ملفات";
/// Power cuts that are drawn after each change.
const CUTS: u64 = 3;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    There,
    /// Whoever writes or deletes it has no answer yet.
    Open,
    Gone,
}

/// By the numbers of the files.
type Fates = BTreeMap<u64, Fate>;

fn open(disk: &Disk) -> Result<BlobFolder, BlobError> {
    Ok(BlobFolder::open_on(disk.files(), ROOT)?.with_execution(Execution::Inline))
}

/// Numbers with the same last byte share a folder.
fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

/// More than a sector, and different everywhere.
fn bytes(number: u64) -> Vec<u8> {
    let lines = (0..400).map(|line| format!("ملف {number} سطر {line}\n"));
    lines.collect::<String>().into_bytes()
}

async fn put(folder: &BlobFolder, numbers: &[u64]) -> Result<(), BlobError> {
    let files = numbers.iter().map(|number| (id(*number), bytes(*number)));
    folder.put_many(files.collect()).await
}

/// Opens what is left, and looks for each file: it is whole, or it is not there, as its fate allows.
async fn judge(image: &Image, fates: &Fates, moment: &str) {
    let folder = open(&Disk::of(image)).unwrap_or_else(|error| panic!("{moment}: {error}"));
    for (number, fate) in fates {
        match folder.read(id(*number)).await {
            Ok(found) => {
                let length = found.len();
                assert!(
                    found == bytes(*number),
                    "{moment}: file {number} is not whole: {length} bytes"
                );
                assert_ne!(*fate, Fate::Gone, "{moment}: file {number} is there again");
            }
            Err(BlobError::Missing(_)) => assert_ne!(*fate, Fate::There, "{moment}: file {number} is lost"),
            Err(error) => panic!("{moment}: {error}"),
        }
    }
}

/// Writes and deletes, and marks on the disk which fates hold from there on.
struct Clerk {
    disk: Disk,
    folder: BlobFolder,
    told: Vec<Fates>,
}

impl Clerk {
    fn tell(&mut self, numbers: &[u64], fate: Fate) {
        let mut fates = self.told.last().cloned().unwrap_or_default();
        fates.extend(numbers.iter().map(|number| (*number, fate)));
        self.disk.mark(self.told.len() as u64);
        self.told.push(fates);
    }

    async fn put(&mut self, numbers: &[u64]) {
        self.tell(numbers, Fate::Open);
        put(&self.folder, numbers).await.unwrap();
        self.tell(numbers, Fate::There);
    }

    async fn delete(&mut self, number: u64) {
        self.tell(&[number], Fate::Open);
        self.folder.delete(id(number)).await.unwrap();
        self.tell(&[number], Fate::Gone);
    }
}

#[tokio::test]
async fn a_power_cut_after_any_change_leaves_what_was_acknowledged_and_nothing_by_half() {
    let disk = Disk::default();
    disk.record();
    let mut clerk = Clerk {
        folder: open(&disk).unwrap(),
        disk: disk.clone(),
        told: vec![Fates::new()],
    };
    clerk.put(&[1]).await;
    clerk.put(&[2, 3, 0x102]).await;
    clerk.put(&[0x103]).await;
    clerk.delete(1).await;
    let hold = clerk.folder.hold();
    clerk.delete(2).await;
    assert!(hold.read(id(2), 0, 1).await.unwrap().is_some());
    drop(hold);
    disk.kill();
    clerk.folder = open(&disk).unwrap();
    clerk.put(&[0x203, 4]).await;
    clerk.delete(3).await;

    let (told, recorded) = (clerk.told, disk.recorded());
    let (mut changes, mut cuts) = (0, 0);
    for seed in seeds(1) {
        let random = &mut Random::new(seed);
        let mut recording = recorded.clone();
        while recording.advance() {
            changes += 1;
            let fates = &told[usize::try_from(recording.marked()).unwrap()];
            let moment = format!("seed {seed}, power gone after change {changes}");
            judge(&recording.after_the_worst_power_cut(), fates, &moment).await;
            for _ in 0..CUTS {
                judge(&recording.after_power_cut(random.numbers()), fates, &moment).await;
            }
            cuts += 1 + CUTS;
        }
    }
    summary(
        "store, power cut after each change of stored files",
        &[("changes", changes), ("cuts", cuts), ("lost", 0), ("by half", 0)],
    );
}

/// Files 1 and 2 are written, and 1 is deleted: whether either was acknowledged.
async fn first_life(disk: &Disk) -> (bool, bool) {
    let Ok(folder) = open(disk) else {
        return (false, false);
    };
    let written = put(&folder, &[1, 2]).await.is_ok();
    (written, written && folder.delete(id(1)).await.is_ok())
}

fn there_if(acknowledged: bool) -> Fate {
    if acknowledged { Fate::There } else { Fate::Open }
}

/// A killed process leaves names and bytes that are seen and not durable: what rests on them makes them so.
#[tokio::test]
async fn what_a_killed_process_began_is_durable_when_the_next_one_answers() {
    for at in 1.. {
        let disk = Disk::default().with(Fault::DeadFrom(at));
        let (written, deleted) = first_life(&disk).await;
        disk.kill();
        disk.order(None);
        let folder = open(&disk).unwrap();
        let moment = format!("killed at operation {at}, then without power");
        folder.delete(id(1)).await.unwrap();
        let mut fates = Fates::from([(1, Fate::Gone), (2, there_if(written))]);
        // Before anything else makes their folder durable.
        judge(&disk.after_the_worst_power_cut(), &fates, &moment).await;
        put(&folder, &[0x101, 0x102, 3]).await.unwrap();
        fates.extend([0x101, 0x102, 3].map(|number| (number, Fate::There)));
        judge(&disk.after_the_worst_power_cut(), &fates, &moment).await;
        if deleted {
            assert!(at > 20, "only {at} operations");
            break;
        }
    }
}

#[tokio::test]
async fn a_file_is_durable_though_the_one_that_made_its_folder_failed() {
    for at in 1.. {
        let disk = Disk::default().with(Fault::Once(at));
        let folder = open(&disk).or_else(|_| open(&disk)).unwrap();
        let written = put(&folder, &[1]).await.is_ok();
        let passed = written && disk.operations().0 < at;
        disk.order(None);
        put(&folder, &[0x101]).await.unwrap();
        let fates = Fates::from([(1, there_if(written)), (0x101, Fate::There)]);
        let moment = format!("operation {at} failed, later without power");
        judge(&disk.after_the_worst_power_cut(), &fates, &moment).await;
        if passed {
            assert!(at > 15, "only {at} operations");
            break;
        }
    }
}

#[tokio::test]
async fn what_was_deleted_is_destroyed_for_good_once_the_folder_is_opened_again() {
    let disk = Disk::default();
    let folder = open(&disk).unwrap();
    put(&folder, &[1, 2]).await.unwrap();
    let hold = folder.hold();
    folder.delete(id(1)).await.unwrap();
    // Of what was not synced a power cut may keep everything; a file that was being written lies there as well.
    let mut image = disk.after_kill();
    let unfinished = Path::new(ROOT).join("unfinished").join(id(3).to_string());
    image.files.insert(unfinished, bytes(3));
    let has = |image: &Image, number| image.files.values().any(|file| *file == bytes(number));
    assert_eq!([1, 2, 3].map(|number| has(&image, number)), [true; 3]);
    let left = Disk::of(&image);
    let folder = open(&left).unwrap();
    for image in [left.after_kill(), left.after_the_worst_power_cut()] {
        assert_eq!([1, 2, 3].map(|number| has(&image, number)), [false, true, false]);
    }
    assert_eq!(folder.read(id(2)).await.unwrap(), bytes(2));
    drop(hold);
}

/// Files that rows name in the test below. Every third one takes the one before it with it.
const NAMED: u64 = 9;

fn key(number: u64) -> Key {
    Key::space(Space(0x10), OrgId::FIRST)
        .text(&format!("مرفق {number}"))
        .finish()
}

fn batch(edit: Edit) -> Batch {
    Batch {
        edits: vec![edit],
        ..Batch::default()
    }
}

async fn judge_rows(image: &Image, acknowledged: u64, moment: &str) {
    let disk = Disk::of(image);
    let (store, folder) = (open_store(&disk).unwrap(), open(&disk).unwrap());
    let view = store.view().await.unwrap();
    for number in 1..=NAMED {
        let is_named = view.get(&key(number)).await.unwrap().is_some();
        let may_be_gone = number > acknowledged || number % 3 == 2;
        assert!(is_named || may_be_gone, "{moment}: the row of file {number} is lost");
        if is_named {
            let found = folder.read(id(number)).await;
            assert!(
                found.is_ok_and(|found| found == bytes(number)),
                "{moment}: a row names file {number}, which is not there or not whole"
            );
        }
    }
}

#[tokio::test]
async fn every_row_names_a_whole_file_whenever_the_power_goes() {
    let disk = Disk::default();
    let (store, folder) = (open_store(&disk).unwrap(), open(&disk).unwrap());
    disk.record();
    for number in 1..=NAMED {
        put(&folder, &[number]).await.unwrap();
        let named = batch(Edit::Put(key(number), number.to_be_bytes().to_vec()));
        store.apply(named).await.unwrap();
        disk.mark(number);
        if number.is_multiple_of(3) {
            store.apply(batch(Edit::Delete(key(number - 1)))).await.unwrap();
            folder.delete(id(number - 1)).await.unwrap();
        }
    }
    let mut recording = disk.recorded();
    let random = &mut Random::new(1);
    let mut changes = 0;
    while recording.advance() {
        changes += 1;
        let moment = format!("power gone after change {changes}");
        let images = [
            recording.after_the_worst_power_cut(),
            recording.after_power_cut(random.numbers()),
        ];
        for image in images {
            judge_rows(&image, recording.marked(), &moment).await;
        }
    }
    assert!(changes > 80, "only {changes} changes");
}
