//! Random histories, backed up at random moments: each restore is what was there at that moment.

use std::path::{Path, PathBuf};

use mihwar_model::OrgId;
use mihwar_store::{Batch, BlobError, Edit, Guard, Key};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{
    Contents, DERIVED, FILED, House, LASTING, PASSING, checked, file_id, file_key, key, noise, put, put_file, restored,
    rows_of,
};

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, Vec<u8>),
    Delete(u8, u8),
    Journal(u8),
    /// A full backup, or what changed since the last one.
    Backup,
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = prop::collection::vec(any::<u8>(), 0..30);
    prop_oneof![
        6 => (0..4_u8, 0..6_u8, value).prop_map(|(space, number, value)| Step::Put(space, number, value)),
        4 => (0..4_u8, 0..6_u8).prop_map(|(space, number)| Step::Delete(space, number)),
        3 => (0..40_u8).prop_map(Step::Journal),
        2 => Just(Step::Backup),
    ]
}

fn row_key(space: u8, number: u8) -> Key {
    let space = [LASTING, PASSING, DERIVED, FILED][usize::from(space)];
    if space == FILED {
        file_key(number)
    } else {
        Key::space(space, OrgId::FIRST)
            .text(&"ش".repeat(usize::from(number)))
            .finish()
    }
}

/// What was there when a backup was made, and the backups that tell of it.
struct Moment {
    files: Vec<PathBuf>,
    contents: Contents,
}

async fn play(house: &House, steps: &[Step]) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    for step in steps {
        let mut batch = Batch::default();
        match step {
            Step::Put(space, number, value) => {
                if *space == 3 {
                    let bytes = noise(usize::from(*number) * 300, u64::from(*number) + 1);
                    match house.files.put(file_id(*number), bytes).await {
                        Ok(()) | Err(BlobError::Exists(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                batch.edits.push(Edit::Put(row_key(*space, *number), value.clone()));
            }
            Step::Delete(space, number) => batch.edits.push(Edit::Delete(row_key(*space, *number))),
            Step::Journal(count) => {
                batch.journal = (0..*count).map(|number| format!("حدث {number}").into_bytes()).collect();
            }
            Step::Backup => {
                let mut files = moments.last().map_or(Vec::new(), |moment| moment.files.clone());
                let name = format!("نسخة-{}", files.len());
                let file = house.backup(&name, files.last().map(PathBuf::as_path)).await;
                files.push(file);
                moments.push(Moment {
                    files,
                    contents: house.contents().await,
                });
                continue;
            }
        }
        house.store.apply(batch).await.unwrap();
        if let Step::Delete(3, number) = step {
            house.files.delete(file_id(*number)).await.unwrap();
        }
    }
    moments
}

async fn compare(moments: Vec<Moment>) -> Result<(), TestCaseError> {
    for moment in moments {
        let files: Vec<&Path> = moment.files.iter().map(PathBuf::as_path).collect();
        let report = checked(&files).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let there = restored(&files);
        prop_assert_eq!(there.contents().await, moment.contents);
        let view = there.store.view().await.unwrap();
        prop_assert_eq!(report.header.state.root, view.tree().root());
        prop_assert!(
            rows_of(&*view, DERIVED).await.is_empty(),
            "what is derived is made anew"
        );
    }
    Ok(())
}

fn histories(house: fn() -> House) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 20,
        ..Config::default()
    });
    runner
        .run(&prop::collection::vec(any_step(), 1..25), |mut steps| {
            steps.push(Step::Backup);
            runtime.block_on(async {
                let house = house();
                let moments = play(&house, &steps).await;
                compare(moments).await
            })
        })
        .unwrap();
}

#[test]
fn a_restore_is_what_was_there_redb() {
    histories(House::redb);
}

/// Backups are made through the contract, so the engine for tests has them too.
#[test]
fn a_restore_is_what_was_there_memory() {
    histories(House::memory);
}

/// The first file leaves a little less than nothing of its chunk for the piece of the second.
#[tokio::test]
async fn files_of_any_sizes_can_stand_behind_each_other() {
    let house = House::redb();
    house.files.put(file_id(1), vec![1; 1_048_510]).await.unwrap();
    house.files.put(file_id(2), vec![2; 1_048_576]).await.unwrap();
    house.apply(vec![put_file(1), put_file(2)], &["استلام"]).await;
    let full = house.backup("full", None).await;
    assert_eq!(checked(&[&full]).unwrap().file_bytes, 2_097_086);
    assert_eq!(restored(&[&full]).contents().await, house.contents().await);
}

#[tokio::test]
async fn what_is_restored_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::redb();
    house.files.put(file_id(1), "مرفق".into()).await.unwrap();
    house.apply(vec![put_file(1)], &["استلام"]).await;
    let full = house.backup("full", None).await;
    let there = restored(&[&full]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = there.path("files").join("01").join(file_id(1).to_string());
    assert_eq!(mode(&there.path("store")), 0o600);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&there.path("files")), 0o700);
}

#[tokio::test]
async fn a_restored_store_goes_on_where_it_was() {
    let house = House::redb();
    house.apply(vec![put(LASTING, "a", "شكوى")], &["1"]).await;
    house.apply(vec![put(LASTING, "b", "x")], &[]).await;
    // Many entries, so that tiles of two levels have to be made again.
    for _ in 0..70 {
        let entries = vec!["حدث"; 1000];
        house.apply(Vec::new(), &entries).await;
    }
    let file = house.backup("full", None).await;
    let there = restored(&[&file]);
    let (old, new) = (house.store.view().await.unwrap(), there.store.view().await.unwrap());
    assert_eq!(old.tree(), new.tree());
    for (level, index) in [(0, 0), (0, 273), (1, 0), (1, 1)] {
        let id = mihwar_ledger::TileId { level, index };
        assert_eq!(old.tile(id).await.unwrap(), new.tile(id).await.unwrap(), "{id:?}");
    }
    let row = new.get(&key(LASTING, "a")).await.unwrap().unwrap();
    let batch = Batch {
        guards: vec![Guard::At(key(LASTING, "a"), row.version)],
        edits: vec![put(LASTING, "a", "معدلة")],
        journal: vec![b"2".to_vec()],
    };
    let here = house.store.apply(batch.clone()).await.unwrap();
    assert_eq!(
        there.store.apply(batch).await.unwrap(),
        here,
        "versions and sequences go on as they would have"
    );
}
