//! The power goes after each change that the disk gets while the store is compacted and written to.

use std::path::Path;
use std::sync::{Arc, mpsc};

use mihwar_store::{Recording, RedbStore, Store};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::disk::{Disk, Image, STORE, open};
use crate::lives::{Told, judge};
use crate::random::{Random, seeds, summary};
use crate::story::Story;

/// Steps of the story, and how many of them come before the compaction and after it at least.
const STEPS: usize = 64;
const BEFORE: usize = 24;
const AFTER: usize = 6;
/// The thread on which the store writes: who waits there for a write waits for ever.
const WRITER: &str = "store-writer";

/// A writer that sends one step at a time and marks on the disk how many batches were acknowledged.
struct Scribe {
    disk: Disk,
    store: Arc<RedbStore>,
    story: Arc<Story>,
    next: usize,
    acknowledged: usize,
}

impl Scribe {
    /// Sends so many steps, but none from `end` on.
    async fn write(&mut self, steps: usize, end: usize) {
        for number in self.next..end.min(self.next + steps) {
            let step = &self.story.steps[number];
            let answer = self.store.apply(step.batch.clone()).await;
            if let Ok(wanted) = &step.verdict {
                assert_eq!(answer.as_ref(), Ok(wanted));
                self.acknowledged += 1;
                self.disk.mark(self.acknowledged as u64);
            } else {
                assert!(answer.is_err(), "{answer:?}");
            }
            self.next = number + 1;
        }
    }

    /// Writes a step for each order, and says when it is done.
    async fn serve(mut self, mut orders: UnboundedReceiver<mpsc::Sender<()>>) -> Self {
        while let Some(done) = orders.recv().await {
            self.write(1, STEPS - AFTER).await;
            // Whoever ordered it may not have waited.
            done.send(()).ok();
        }
        self
    }
}

/// What was recorded of a compaction, and of the writes during and after it.
struct Compacted {
    recording: Recording,
    /// How many batches were acknowledged before it was begun.
    before: usize,
    /// How many in all.
    acknowledged: usize,
    /// Steps that were sent while it ran.
    meanwhile: usize,
}

/// Writes, compacts with a write at each step of it, writes on and closes.
async fn compact_and_write(story: &Arc<Story>) -> Compacted {
    let disk = Disk::default();
    let store = Arc::new(open(&disk).unwrap());
    let mut scribe = Scribe {
        disk: disk.clone(),
        store: Arc::clone(&store),
        story: Arc::clone(story),
        next: 0,
        acknowledged: 0,
    };
    scribe.write(BEFORE, STEPS).await;
    let before = scribe.acknowledged;
    disk.record();
    let (orders, ordered) = unbounded_channel();
    let scribe = tokio::spawn(scribe.serve(ordered));
    let told = store.compact(Box::new(move |_| {
        let (done, is_done) = mpsc::channel();
        assert!(orders.send(done).is_ok());
        // Where the writer itself tells, the write comes when it goes on; else the compaction waits for it.
        if std::thread::current().name() != Some(WRITER) {
            is_done.recv().unwrap();
        }
    }));
    told.await.unwrap();
    let mut scribe = scribe.await.unwrap();
    let meanwhile = scribe.next - BEFORE;
    scribe.write(AFTER, STEPS).await;
    store.close().await.unwrap();
    Compacted {
        recording: disk.recorded(),
        before,
        acknowledged: scribe.acknowledged,
        meanwhile,
    }
}

/// The old file or the new one is in use, with a log that fits it, and holds what was acknowledged; what is left of the other
/// is gone when the store was opened.
async fn judge_cut(image: &Image, story: &Story, acknowledged: usize, moment: &str) {
    let told = Told {
        acknowledged,
        // One step is sent at a time.
        unknown: 1,
        ..Told::default()
    };
    judge(image, story, &told, 1, moment).await;
}

#[tokio::test]
async fn a_power_cut_after_any_change_of_a_compaction_costs_nothing_acknowledged() {
    let (mut changes, mut cuts, mut written, mut unfinished) = (0_u64, 0_u64, 0_u64, 0_u64);
    for seed in seeds(1) {
        let random = &mut Random::new(seed);
        let story = Arc::new(Story::new(seed, STEPS));
        let mut compacted = compact_and_write(&story).await;
        let (meanwhile, recording) = (compacted.meanwhile, &mut compacted.recording);
        assert!(meanwhile > 8, "only {meanwhile} steps were sent while it was compacted");
        written += meanwhile as u64;
        let mut last = None;
        while recording.advance() {
            changes += 1;
            let moment = format!("seed {seed}, power gone after change {changes}");
            let marked = usize::try_from(recording.marked()).unwrap();
            let acknowledged = marked.max(compacted.before);
            let drawn = recording.after_power_cut(random.numbers());
            unfinished += u64::from(drawn.files.len() > 2);
            judge_cut(&drawn, &story, acknowledged, &moment).await;
            cuts += 1;
            // Only a sync changes what is durable for certain.
            let worst = (acknowledged, recording.after_the_worst_power_cut());
            if last.as_ref() != Some(&worst) {
                judge_cut(
                    &worst.1,
                    &story,
                    acknowledged,
                    &format!("{moment}, nothing unsynced kept"),
                )
                .await;
                cuts += 1;
                last = Some(worst);
            }
        }
        let (acknowledged, left) = last.unwrap();
        assert_eq!(acknowledged, compacted.acknowledged, "not all of it was passed");
        assert!(left.files.contains_key(Path::new(STORE)));
    }
    assert!(unfinished > 0, "no cut left an unfinished file");
    summary(
        "store, power cut after each change while it is compacted",
        &[
            ("changes", changes),
            ("cuts", cuts),
            ("steps sent meanwhile", written),
            ("of the cuts leaving an unfinished file", unfinished),
            ("lost", 0),
            ("doubled", 0),
        ],
    );
}
