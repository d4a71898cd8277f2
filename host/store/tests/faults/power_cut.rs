//! The power goes at any moment, again and again: what was not synced is kept or lost sector by sector, in any order.

use std::path::Path;

use crate::disk::{Disk, Fault, Image, STORE};
use crate::lives::{judge, live};
use crate::random::{Random, seeds, summary};
use crate::story::Story;

/// Lives of one store: each may end while the one before is still being recovered from.
const LIVES: usize = 4;

#[tokio::test]
async fn lost_and_reordered_writes_cost_nothing_acknowledged() {
    let (mut cuts, mut in_recovery, mut in_commit) = (0, 0, 0);
    let seeds = seeds(80);
    let count = seeds.clone().count();
    for seed in seeds {
        let random = &mut Random::new(seed);
        let story = Story::new(seed, 12 + random.below(24));
        let (mut image, mut applied) = (Image::default(), 0);
        for life in 1..=LIVES {
            // Early deaths hit the recovery, late ones the work.
            let at = if random.chance(40) {
                random.below(40)
            } else {
                random.below(900)
            };
            let disk = Disk::of(&image).with(Fault::DeadFrom(at as u64 + 1));
            let told = live(&disk, &story, applied).await;
            if !image.files.contains_key(Path::new(STORE)) && !told.opened {
                // It was being made; what is left of that is looked at in the tests of each operation.
                continue;
            }
            cuts += 1;
            in_recovery += u64::from(!told.opened);
            in_commit += u64::from(told.unknown > 0);
            let left = disk.after_power_cut(random.numbers());
            let moment = format!("seed {seed}, life {life}, power gone at operation {at}");
            applied = judge(&left, &story, &told, 1, &moment).await;
            image = left;
        }
    }
    assert!(
        in_recovery > 0 && in_commit > 0,
        "{in_recovery} in recovery, {in_commit} in a commit"
    );
    summary(
        "store, power cuts with writes lost, torn and reordered",
        &[
            ("cuts", cuts),
            ("seeds", count as u64),
            ("in a commit", in_commit),
            ("while recovering from the cut before", in_recovery),
            ("lost", 0),
            ("doubled", 0),
        ],
    );
}
