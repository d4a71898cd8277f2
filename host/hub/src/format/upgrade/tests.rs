//! Folders of every older format, and on every part of the way from there.

use std::fs;

use mihwar_model::{FeedbackId, ManualClock, OrgId, Time};
use mihwar_store::{Batch, Edit, Key, KeyRange, Order, Space};

use super::*;
use crate::keys;

const LOG_FILE: &str = "mihwar.redb.wal";

fn config(data: &Path) -> Config {
    let text = "[storage]\nfree-space-floor = \"1MiB\"";
    let mut config = Config::parse("mihwar.toml".as_ref(), text, Vec::new()).unwrap();
    data.clone_into(&mut config.data);
    config
}

/// A row of a read model that this hub does not have.
fn of_another_hub() -> Key {
    Key::space(Space(0x2F), OrgId::FIRST).text("قديم").finish()
}

/// Has an open store look as a hub of this format left it: with rows of read models, and one that is to stay.
async fn fill(store: &RedbStore, format: u32) {
    set_row(store, format).await.unwrap();
    let put = |key| Edit::Put(key, "قديم".into());
    let batch = Batch {
        edits: vec![
            put(keys::head(FeedbackId::from_bytes([1; 16]))),
            put(of_another_hub()),
            put(keys::setting("يبقى")),
        ],
        ..Batch::default()
    };
    store.apply(batch).await.unwrap();
}

/// A folder of this format.
async fn of_format(config: &Config, format: u32) {
    let data = config.data.as_path();
    let store = open(data, config).await.unwrap();
    fill(&store, format).await;
    store.close().await.unwrap();
    Note::at(format).write(data).unwrap();
}

async fn upgraded(config: &Config) -> Result<Option<Upgraded>, OpenError> {
    let clock = ManualClock::at(Time(1_790_000_000_000));
    upgrade(config, &clock, &mut |_| {}).await
}

/// That the folder is of this hub's format, with nothing left of the way there.
async fn assert_arrived(config: &Config, why: &str) {
    let data = config.data.as_path();
    assert_eq!(standing(data).await.unwrap(), Standing::Current, "{why}");
    assert_eq!(Note::read(data).unwrap(), Some(Note::at(FORMAT)), "{why}");
    assert!(!data.join(LOG_FILE).exists(), "{why}");
    let store = open(data, config).await.unwrap();
    let view = store.view().await.unwrap();
    let models = KeyRange::between(
        Key::space(Space(0x20), OrgId::FIRST).finish(),
        Key::space(Space(0x30), OrgId::FIRST).finish(),
    );
    let left = view.scan(models.clone(), Order::Ascending, 10).await.unwrap();
    assert!(left.rows.is_empty(), "{why}");
    assert!(view.removed(models, 10).await.unwrap().rows.is_empty(), "{why}");
    let stays = view.get(&keys::setting("يبقى")).await.unwrap();
    assert_eq!(stays.unwrap().bytes, "قديم".as_bytes(), "{why}");
}

#[tokio::test]
async fn a_clock_that_was_never_set_upgrades_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    of_format(&config, 1).await;
    let clock = ManualClock::at(Time(0));
    let refused = upgrade(&config, &clock, &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused, OpenError::Clock { .. }), "{refused}");
    assert_eq!(standing(folder.path()).await.unwrap(), Standing::Older(1));
}

#[tokio::test]
async fn one_upgrade_at_a_time_and_none_beside_a_hub() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    of_format(&config, 1).await;
    let other = Alone::in_folder(folder.path()).unwrap().unwrap();
    let refused = upgraded(&config).await.unwrap_err();
    assert!(matches!(refused, OpenError::BeingUpgraded { .. }), "{refused}");
    drop(other);
    let held = hold(folder.path()).await.unwrap();
    let refused = open(folder.path(), &config).await.err().unwrap();
    assert!(matches!(refused, OpenError::AlreadyServed { .. }), "{refused}");
    held.release().unwrap();
    let done = upgraded(&config).await.unwrap().unwrap();
    assert_eq!((done.from, done.to), (1, FORMAT));
    assert!(done.backup.join(STORE_FILE).exists());
    assert_eq!(upgraded(&config).await.unwrap(), None);
}

#[tokio::test]
async fn every_older_format_comes_here_and_its_read_models_leave_no_trace() {
    for format in 1..FORMAT {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        of_format(&config, format).await;
        let clock = ManualClock::at(Time(1_790_000_000_000));
        let mut steps = Vec::new();
        let done = upgrade(&config, &clock, &mut |progress: UpgradeProgress| {
            steps.push(progress.step);
        })
        .await;
        let done = done.unwrap().unwrap();
        assert_eq!((done.from, done.to), (format, FORMAT));
        assert_eq!(Note::read(&done.backup).unwrap(), Some(Note::at(format)));
        assert!(steps.contains(&"copying the store"), "{steps:?}");
        assert!(steps.contains(&"forgetting read models"), "{steps:?}");
        assert_arrived(&config, &format!("from {format}")).await;
    }
}

/// What a kill leaves of a folder on its way: this row in its store, the last of it in the log; and this note.
async fn killed(folder: &Path, row: u32, note: &Note) -> Config {
    let (live, left) = (folder.join("حي"), folder.join("مقتول"));
    for path in [&live, &left] {
        fs::create_dir(path).unwrap();
    }
    let store = open(&live, &config(&live)).await.unwrap();
    fill(&store, row).await;
    // All of it is there before the store is closed, as it would be after a kill.
    for name in [STORE_FILE, LOG_FILE] {
        fs::copy(live.join(name), left.join(name)).unwrap();
    }
    store.close().await.unwrap();
    note.write(&left).unwrap();
    config(&left)
}

fn note(format: u32, to: u32, backed_up: bool, position: &str) -> Note {
    let position = position.to_owned();
    let moving = Moving {
        to,
        backed_up,
        position,
    };
    Note {
        format,
        moving: Some(moving),
    }
}

#[tokio::test]
async fn cut_off_anywhere_it_goes_on() {
    for (row, note) in [
        (1, note(1, FORMAT, false, "")),
        (1, note(1, FORMAT, true, "blobs/07")),
        // The store has come through a step, and the file does not say so yet.
        (2, note(1, FORMAT, true, "mihwar.redb")),
        (2, note(2, FORMAT, false, "")),
        (2, note(2, FORMAT, true, "")),
        (FORMAT, note(2, FORMAT, true, "")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let why = format!("{row}, {note:?}");
        let backed_up = note.moving.as_ref().is_some_and(|moving| moving.backed_up);
        let config = killed(folder.path(), row, &note).await;
        let found = standing(&config.data).await.unwrap();
        assert!(
            matches!(found, Standing::Unfinished { reached, .. } if reached == row),
            "{why}: {found:?}"
        );
        let done = upgraded(&config).await.unwrap().unwrap();
        assert_eq!((done.from, done.to), (row, FORMAT), "{why}");
        assert_eq!(done.backup.exists(), !backed_up, "{why}");
        // The last one has come through everything: its rows are of this format.
        if row < FORMAT {
            assert_arrived(&config, &why).await;
        }
        assert_eq!(upgraded(&config).await.unwrap(), None, "{why}");
    }
}

#[tokio::test]
async fn what_an_older_hub_began_ends_here_and_its_copy_stays_the_way_back() {
    for (row, backed_up) in [(1, false), (1, true), (2, true)] {
        let folder = tempfile::tempdir().unwrap();
        let config = killed(folder.path(), row, &note(1, 2, backed_up, "")).await;
        let [old, new] = [2, FORMAT].map(|to| backup::folder_before(&config.data, to));
        let unfinished = old.with_extension("unfinished");
        let copy = if backed_up { &old } else { &unfinished };
        fs::create_dir(copy).unwrap();
        fs::write(copy.join(STORE_FILE), "نسخة").unwrap();
        let done = upgraded(&config).await.unwrap().unwrap();
        assert_eq!((done.from, done.to, &done.backup), (row, FORMAT, &new));
        assert!(!old.exists() && !unfinished.exists());
        let kept = fs::read(new.join(STORE_FILE)).unwrap() == "نسخة".as_bytes();
        assert_eq!(kept, backed_up);
        assert_arrived(&config, "begun by an older hub").await;
    }
}

#[tokio::test]
async fn an_older_hub_is_refused_by_the_file_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    of_format(&config, 1).await;
    note(1, 2, true, "blobs/9").write(folder.path()).unwrap();
    // As if another hub had it open: the upgrade comes no further than to opening it.
    let held = hold(folder.path()).await.unwrap();
    let refused = upgraded(&config).await.unwrap_err();
    assert!(matches!(refused, OpenError::AlreadyServed { .. }), "{refused}");
    let told = Note::read(folder.path()).unwrap();
    assert_eq!(told, Some(note(1, FORMAT, true, "blobs/9")));
    held.release().unwrap();
    upgraded(&config).await.unwrap();
    assert_arrived(&config, "once it was closed").await;
}

#[tokio::test]
async fn a_backup_in_the_way_of_an_older_hubs_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    of_format(&config, 1).await;
    let begun = note(1, 2, true, "");
    begun.write(folder.path()).unwrap();
    for to in [2, FORMAT] {
        fs::create_dir(backup::folder_before(folder.path(), to)).unwrap();
    }
    let refused = upgraded(&config).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Format(FormatError::BackupInTheWay { .. })),
        "{refused}"
    );
    assert_eq!(Note::read(folder.path()).unwrap(), Some(begun));
}
