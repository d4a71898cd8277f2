//! One life of a store on a disk, from opening to death, and the judgement on what it left.

use std::path::Path;
use std::sync::Arc;

use mihwar_store::{ApplyError, Commit, RedbStore, Store};
use tokio::task::JoinSet;

use crate::disk::{Disk, Image, STORE, open};
use crate::model::{contents, difference};
use crate::story::Story;

/// What the writers were told, in numbers of applied batches.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// Acknowledged, this life and before.
    pub(crate) acknowledged: usize,
    /// How many more may be there, all of them or none.
    pub(crate) unknown: usize,
    /// Whether the store could be opened at all.
    pub(crate) opened: bool,
    /// Whether all went well, to a clean end.
    pub(crate) passed: bool,
}

/// Sends the rest of the story until something fails, or all is written and the store is closed.
pub(crate) async fn live(disk: &Disk, story: &Story, acknowledged: usize) -> Told {
    let mut told = Told {
        acknowledged,
        ..Told::default()
    };
    let Ok(store) = open(disk) else {
        return told;
    };
    told.opened = true;
    let store = Arc::new(store);
    let start = story.step_after(acknowledged);
    for wave in &story.waves {
        if wave.end > start && !send(&store, story, wave.start.max(start)..wave.end, &mut told).await {
            read_the_broken(&store, story, &told).await;
            return told;
        }
    }
    told.passed = store.close().await.is_ok();
    told
}

/// Sends steps at once. Whether all were answered as the story says.
async fn send(store: &Arc<RedbStore>, story: &Story, steps: std::ops::Range<usize>, told: &mut Told) -> bool {
    let mut sent = JoinSet::new();
    for number in steps.clone() {
        let (store, batch) = (Arc::clone(store), story.steps[number].batch.clone());
        sent.spawn(async move { (number, store.apply(batch).await) });
    }
    let mut answers = sent.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    let mut sound = true;
    for (number, answer) in answers {
        match (answer, &story.steps[number].verdict) {
            (Ok(commit), Ok(wanted)) => {
                let Commit { version, .. } = commit;
                assert!(sound, "batch {version} was acknowledged after one that failed");
                assert_eq!(commit, *wanted);
                told.acknowledged += 1;
            }
            (Err(ApplyError::Stale(key)), Err(wanted)) => assert_eq!(key, *wanted),
            (Err(ApplyError::Unknown), Ok(_)) => {
                sound = false;
                told.unknown += 1;
            }
            (Err(ApplyError::Broken(_)), _) => sound = false,
            (answer, verdict) => panic!("step {number}: {answer:?} instead of {verdict:?}"),
        }
    }
    if told.unknown > 0 {
        // Nothing more is taken in, and it is said why.
        let next = store.apply(story.steps[steps.start].batch.clone()).await;
        assert!(matches!(next, Err(ApplyError::Broken(_))), "{next:?}");
    }
    sound
}

/// A store whose disk failed may refuse to read, but what it shows is right.
async fn read_the_broken(store: &RedbStore, story: &Story, told: &Told) {
    let Ok(view) = store.view().await else { return };
    if let Ok(found) = contents(&*view).await {
        let possible = [told.acknowledged, told.acknowledged + told.unknown];
        assert!(possible.iter().any(|applied| found == story.states[*applied]));
    }
}

/// Opens what is left and compares it with what the writers were told: all that was acknowledged exactly once, what is
/// unknown whole or not at all, nothing else; and work goes on to the story's end or `further` steps. Closed, it is one file.
/// Gives the number of batches that were there.
pub(crate) async fn judge(image: &Image, story: &Story, told: &Told, further: usize, moment: &str) -> usize {
    let disk = Disk::of(image);
    let store = open(&disk).unwrap_or_else(|error| panic!("{moment}: {error}"));
    let view = store.view().await.unwrap();
    let found = contents(&*view)
        .await
        .unwrap_or_else(|error| panic!("{moment}: {error}"));
    let applied = usize::try_from(found.version).unwrap();
    let possible = [told.acknowledged, told.acknowledged + told.unknown];
    assert!(
        possible.contains(&applied),
        "{moment}: {applied} batches are there, not one of {possible:?}"
    );
    let wanted = &story.states[applied];
    assert!(found == *wanted, "{moment}: {}", difference(&found, wanted));
    drop(view);

    let mut now = applied;
    for step in story.steps.iter().skip(story.step_after(applied)).take(further) {
        match (store.apply(step.batch.clone()).await, &step.verdict) {
            (Ok(commit), Ok(wanted)) => {
                assert_eq!(commit, *wanted, "{moment}");
                now += 1;
            }
            (Err(ApplyError::Stale(key)), Err(wanted)) => assert_eq!(key, *wanted, "{moment}"),
            (answer, verdict) => panic!("{moment}: {answer:?} instead of {verdict:?}"),
        }
    }
    let view = store.view().await.unwrap();
    let found = contents(&*view).await.unwrap();
    assert!(
        found == story.states[now],
        "{moment}, and on: {}",
        difference(&found, &story.states[now])
    );
    drop(view);
    store.close().await.unwrap_or_else(|error| panic!("{moment}: {error}"));
    let left: Vec<_> = disk.after_kill().files.into_keys().collect();
    assert_eq!(left, [Path::new(STORE)], "{moment}: something is left lying about");
    applied
}
