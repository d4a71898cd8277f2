//! The disk is full at the Nth write, for every N; later there is room again.

use crate::disk::{Disk, Fault};
use crate::lives::live;
use crate::model::contents;
use crate::random::{seeds, summary};
use crate::story::Story;
use mihwar_store::Store;

#[tokio::test]
async fn a_full_disk_costs_nothing_and_work_goes_on_when_there_is_room() {
    let (mut filled, mut refused) = (0_u64, 0_u64);
    for seed in seeds(1) {
        let story = Story::new(seed, 16);
        for at in 1.. {
            let disk = Disk::default().with(Fault::FullFrom(at));
            let told = live(&disk, &story, 0).await;
            if told.passed && disk.operations().1 < at {
                break;
            }
            filled += 1;
            refused += u64::from(!told.passed);
            if !told.opened {
                continue;
            }
            // Room is made, and the same file is opened again: what is unknown is looked at, the rest is sent.
            disk.order(None);
            let moment = format!("seed {seed}, full from write {at}");
            let store = crate::disk::open(&disk).unwrap_or_else(|error| panic!("{moment}: {error}"));
            let found = contents(&*store.view().await.unwrap()).await.unwrap();
            store.close().await.unwrap();
            let applied = usize::try_from(found.version).unwrap();
            let possible = [told.acknowledged, told.acknowledged + told.unknown];
            assert!(
                possible.contains(&applied),
                "{moment}: {applied}, not one of {possible:?}"
            );
            assert!(found == story.states[applied], "{moment}");
            let told = live(&disk, &story, applied).await;
            assert!(
                told.passed && told.acknowledged + 1 == story.states.len(),
                "{moment}: {told:?}"
            );
            let store = crate::disk::open(&disk).unwrap();
            let found = contents(&*store.view().await.unwrap()).await.unwrap();
            assert!(found == *story.states.last().unwrap(), "{moment}");
        }
    }
    assert!(refused > 50, "only {refused} runs were cut off by a full disk");
    summary(
        "store, disk full from the Nth write and room again later",
        &[("runs", filled), ("cut off", refused), ("lost", 0), ("doubled", 0)],
    );
}
