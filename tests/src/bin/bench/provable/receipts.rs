//! Receipts of records that are chosen by chance: over the API, and by the commands, from the start of a process to its end.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mihwar_model::SplitMix64;
use mihwar_tests::Site;

use super::{records, tell_samples, text};
use crate::intake::Feeder;
use crate::rebuild::timed;
use crate::say;

/// Receipts of each sort.
const RECEIPTS: usize = 200;
/// Receipts before each of which a record came in.
const WHILE_GROWING: usize = 50;
/// By which records are chosen.
const SEED: u64 = 11;

/// A receipt of a record of the person who is erased, and a checkpoint that covers it.
pub(super) struct Kept {
    receipt: PathBuf,
    checkpoint: PathBuf,
}

impl Kept {
    /// Checks it as a stranger would. Answers how long that took.
    pub(super) fn check(&self, site: &Site) -> Duration {
        let arguments = [
            "ledger",
            "verify",
            text(&self.receipt),
            "--checkpoint",
            text(&self.checkpoint),
        ];
        let (proved, took) = timed(site, &arguments);
        assert_eq!(proved["ok"], true, "{proved}");
        took
    }
}

/// Times receipts, and keeps one of the last of these records.
pub(super) async fn measure(site: &Site, feeder: &Feeder<'_>, ids: &[String]) -> Kept {
    let mut numbers = SplitMix64::new(SEED);
    let chance = std::iter::repeat_with(|| usize::try_from(numbers.below(ids.len() as u64)).unwrap());
    let mut chosen: Vec<&str> = chance.take(RECEIPTS).map(|place| ids[place].as_str()).collect();
    chosen[0] = ids.last().unwrap().as_str();

    say("receipts over the API");
    for (path, name, to_reach) in [
        ("receipt", "receipt over the API, quiet hub", "5 ms"),
        ("receipt.html", "receipt as a page over the API, quiet hub", "-"),
    ] {
        let mut samples = Vec::with_capacity(RECEIPTS);
        for id in &chosen {
            samples.push(over_the_api(feeder, id, path).await);
        }
        tell_samples(name, &mut samples, to_reach);
    }
    // Commands come before anything else is handed in: so one checkpoint covers them all.
    let kept = by_commands(site, &chosen);

    // Each is for a ledger of another size: a checkpoint is signed for it and made durable.
    let mut samples = Vec::with_capacity(WHILE_GROWING);
    for (number, id) in (0..).zip(chosen.iter().take(WHILE_GROWING)) {
        let name = format!("late-{number}");
        feeder.hand_in(records::record(&name, number, "late")).await;
        samples.push(over_the_api(feeder, id, "receipt").await);
    }
    tell_samples("receipt over the API, after a new record each", &mut samples, "5 ms");
    kept
}

async fn over_the_api(feeder: &Feeder<'_>, id: &str, path: &str) -> Duration {
    let started = Instant::now();
    let answer = feeder.get(&format!("/api/v1/feedback/{id}/{path}")).await;
    let took = started.elapsed();
    let opening: String = answer.chars().take(300).collect();
    let is_receipt = opening.contains("mihwar-receipt/1") || opening.contains("<html");
    assert!(is_receipt, "this is no receipt: {opening}");
    took
}

/// Has the commands write and check them. Answers the first.
fn by_commands(site: &Site, chosen: &[&str]) -> Kept {
    say("receipts by the command");
    let checkpoint = site.path().join("checkpoint.txt");
    let head = site.json(&["ledger", "head"]);
    fs::write(&checkpoint, head["checkpoint"].as_str().unwrap()).unwrap();
    let mut made = Vec::with_capacity(chosen.len());
    let (mut proving, mut checking) = (Vec::new(), Vec::new());
    for (place, id) in chosen.iter().copied().enumerate() {
        let folder = site.path().join(format!("receipt-{place}"));
        let (written, took) = timed(site, &["ledger", "prove", id, "--out", text(&folder)]);
        assert!(written["entry"].is_u64(), "{written}");
        proving.push(took);
        made.push(Kept {
            receipt: folder.join("receipt.json"),
            checkpoint: checkpoint.clone(),
        });
    }
    for kept in &made {
        checking.push(kept.check(site));
    }
    tell_samples("ledger prove, both files, process and all", &mut proving, "-");
    tell_samples("ledger verify RECEIPT, process and all", &mut checking, "-");
    made.swap_remove(0)
}
