//! The disk fails at its Nth operation, for every N until a run passes.

use crate::disk::{Disk, Fault, Image};
use crate::lives::{Told, judge, live};
use crate::random::{Random, seeds, summary};
use crate::story::Story;

const STEPS: usize = 16;

/// What was done and what came of it.
#[derive(Default)]
struct Tally {
    failed: u64,
    judged: u64,
    unknown: u64,
    kept: u64,
}

impl Tally {
    async fn judge(&mut self, image: &Image, story: &Story, told: &Told, moment: &str) {
        let applied = judge(image, story, told, 2, moment).await;
        self.judged += 1;
        self.unknown += u64::from(told.unknown > 0);
        self.kept += u64::from(applied > told.acknowledged);
    }

    fn tell(&self, name: &str) {
        summary(
            name,
            &[
                ("operations failed", self.failed),
                ("disks judged", self.judged),
                ("with an unknown outcome", self.unknown),
                ("of these written", self.kept),
                ("lost", 0),
                ("doubled", 0),
            ],
        );
    }
}

#[tokio::test]
async fn a_disk_that_dies_at_any_operation_costs_nothing_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(1) {
        let story = Story::new(seed, STEPS);
        for at in 1.. {
            let disk = Disk::default().with(Fault::DeadFrom(at));
            let told = live(&disk, &story, 0).await;
            if told.passed {
                assert_eq!(told.acknowledged + 1, story.states.len());
                assert!(at > 100, "only {at} operations");
                break;
            }
            tally.failed += 1;
            let moment = format!("seed {seed}, disk dead from operation {at}");
            let random = &mut Random::new(seed ^ (at << 20));
            let images = [
                ("all kept", disk.after_kill()),
                ("nothing unsynced kept", disk.after_the_worst_power_cut()),
                ("some unsynced kept", disk.after_power_cut(random.numbers())),
            ];
            for (kept, image) in images {
                tally.judge(&image, &story, &told, &format!("{moment}, {kept}")).await;
            }
        }
    }
    assert!(tally.unknown > 0 && tally.kept > 0, "no commit was ever cut through");
    tally.tell("store, disk dead from the Nth operation");
}

#[tokio::test]
async fn one_failing_operation_costs_nothing_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(1) {
        let story = Story::new(seed, STEPS);
        for fault in [Fault::Once, Fault::ShortFrom] {
            for at in 1.. {
                let disk = Disk::default().with(fault(at));
                let told = live(&disk, &story, 0).await;
                let reached = disk.operations().0 >= at;
                assert!(reached || told.passed, "seed {seed}, {:?}", fault(at));
                if !reached {
                    break;
                }
                tally.failed += 1;
                if told.opened {
                    let moment = format!("seed {seed}, {:?}", fault(at));
                    tally.judge(&disk.after_kill(), &story, &told, &moment).await;
                }
            }
        }
    }
    tally.tell("store, the Nth operation failing, or a write cut short");
}

#[tokio::test]
async fn opening_may_fail_at_any_operation() {
    let mut tally = Tally::default();
    for seed in seeds(1) {
        let story = Story::new(seed, STEPS);
        for (how, image, told) in left_behind(&story).await {
            for at in 1.. {
                let disk = Disk::of(&image).with(Fault::DeadFrom(at));
                let opened = crate::disk::open(&disk);
                let passed = opened.is_ok() && {
                    // Dropping it closes it, which is to fail, too.
                    drop(opened);
                    disk.operations().0 < at
                };
                if passed {
                    break;
                }
                tally.failed += 1;
                let moment = format!("seed {seed}, {how}, second death at operation {at} of opening");
                let random = &mut Random::new(seed ^ (at << 20));
                let images = [
                    disk.after_kill(),
                    disk.after_the_worst_power_cut(),
                    disk.after_power_cut(random.numbers()),
                ];
                for image in images {
                    tally.judge(&image, &story, &told, &moment).await;
                }
            }
        }
    }
    tally.tell("store, opening and closing, disk dead from the Nth operation");
}

/// Files as they may be found: closed cleanly, left by a kill, and left by a power cut in the middle of work.
async fn left_behind(story: &Story) -> Vec<(&'static str, Image, Told)> {
    let disk = Disk::default();
    let told = live(&disk, story, 0).await;
    assert!(told.passed);
    let mut found = vec![("closed cleanly", disk.after_kill(), told)];
    let dying = Disk::default().with(Fault::DeadFrom(disk.operations().0 / 2));
    let told = live(&dying, story, 0).await;
    assert!(told.opened && told.acknowledged > 0 && !told.passed);
    found.push(("killed", dying.after_kill(), told));
    found.push(("without power", dying.after_the_worst_power_cut(), told));
    found
}
