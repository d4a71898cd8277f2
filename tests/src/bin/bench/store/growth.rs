//! The same load on stores that grow: how flat each side stays.

use std::time::{Duration, Instant};

use super::picture::Curve;
use super::progress::say;
use super::records::Weight;
use super::side::{Ask, Asked, BATCH, Disk, Manner, Sample, Side, Verified, hand_in, load, median};
use super::table::{Table, bytes, grouped, millis};
use crate::quantile;

/// How records are handed in here.
const MANNER: Manner = Manner {
    clients: 8,
    batch: BATCH,
};
/// Most records of one load; each is a point of the curve, and the last before a size is that size's figure.
const CHUNK: u64 = 200_000;
/// Loads whose median is the figure of the first size: what all others are compared with must not hang on one.
const REPEATS: u64 = 5;
/// Records that are handed in right before the crash.
const BURST: u64 = 50 * BATCH;
/// Lists asked for before any is measured, and measured ones.
const WARMING: usize = 20;
const ASKED: usize = 200;

/// One side at one size.
#[derive(Debug, Clone)]
pub(super) struct Step {
    side: &'static str,
    size: u64,
    sample: Sample,
    disk: Disk,
    lists: Vec<Asked>,
    verified: Option<Verified>,
    reopened: Duration,
}

/// Lets a side grow from nothing to each of the sizes, which ascend.
pub(super) async fn measure<S: Side>(side: &mut S, sizes: &[u64]) -> (Vec<Step>, Curve) {
    let (mut kept, mut steps) = (0, Vec::new());
    let mut curve = Curve {
        name: S::NAME,
        points: Vec::new(),
    };
    for size in sizes {
        let last = CHUNK.min((size - kept) * 4 / 5);
        while kept < size - last {
            let chunk = CHUNK.min(size - last - kept);
            let sample = load(side, MANNER, kept..kept + chunk).await;
            if kept > 0 {
                curve.points.push(((kept + chunk) as f64, sample.per_second()));
            }
            kept += chunk;
        }
        side.mark().await;
        let repeats = if steps.is_empty() { REPEATS } else { 1 };
        let (first, mut samples) = (kept, Vec::new());
        for number in 1..=repeats {
            let end = first + last * number / repeats;
            let sample = load(side, MANNER, kept..end).await;
            kept = end;
            curve.points.push((kept as f64, sample.per_second()));
            samples.push(sample);
        }
        steps.push(at_size(side, kept, median(samples)).await);
        // What was there before the crash is there after it, and nothing twice.
        kept += BURST;
        side.settle().await;
        assert_eq!(side.stored().await, kept, "{} lost or doubled records", S::NAME);
    }
    (steps, curve)
}

/// Everything that is measured at one size; ends with a crash in the middle of work.
async fn at_size<S: Side>(side: &mut S, size: u64, sample: Sample) -> Step {
    say(&format!(
        "{}: lists, checks and a crash at {} records",
        S::NAME,
        grouped(size as f64)
    ));
    let disk = side.disk();
    side.learn().await;
    let mut lists = Vec::new();
    for ask in Ask::ALL {
        lists.push(asked(side, ask).await);
    }
    let verified = side.verify().await;
    hand_in(side, MANNER, size..size + BURST).await;
    Step {
        side: S::NAME,
        size,
        sample,
        disk,
        lists,
        verified,
        reopened: side.crash().await,
    }
}

async fn asked<S: Side>(side: &mut S, ask: Ask) -> Asked {
    for _ in 0..WARMING {
        side.ask(ask).await;
    }
    let (mut samples, mut records) = (Vec::new(), 0);
    for _ in 0..ASKED {
        let started = Instant::now();
        records = side.ask(ask).await;
        samples.push(started.elapsed());
    }
    Asked {
        ask,
        p50: quantile(&mut samples, 0.5),
        p99: quantile(&mut samples, 0.99),
        records,
    }
}

/// How each side takes records in, keeps them and comes back, size by size.
pub(super) fn table(ours: &[Step], theirs: &[Step], weight: Weight) -> Table {
    let mut table = Table::new(&[
        "side",
        "records",
        "records/s",
        "of the first",
        "p99",
        "settled after",
        "settled records/s",
        "disk B/record",
        "÷ content",
        "log",
        "memory",
        "reopened after a crash",
        "events verified/s",
    ]);
    for (steps, step) in both(ours, theirs) {
        let first = steps.first().map_or(f64::NAN, |first| first.sample.per_second());
        let disk = step.disk.data as f64 / step.size as f64;
        let verified = step
            .verified
            .map(|done| grouped(done.events as f64 / done.took.as_secs_f64()));
        table.add(vec![
            step.side.to_owned(),
            grouped(step.size as f64),
            grouped(step.sample.per_second()),
            format!("{:.0} %", step.sample.per_second() / first * 100.0),
            millis(step.sample.p99),
            millis(step.sample.settling),
            grouped(step.sample.settled_per_second()),
            grouped(disk),
            format!("{:.2}", disk / weight.content),
            bytes(step.disk.log),
            bytes(step.sample.resident),
            millis(step.reopened),
            verified.unwrap_or_else(|| "–".to_owned()),
        ]);
    }
    table
}

/// How long lists take, size by size.
pub(super) fn lists(ours: &[Step], theirs: &[Step]) -> Table {
    let mut table = Table::new(&["side", "list of 50", "records", "p50", "p99", "on the page"]);
    for (_, step) in both(ours, theirs) {
        for list in &step.lists {
            table.add(vec![
                step.side.to_owned(),
                list.ask.name().to_owned(),
                grouped(step.size as f64),
                millis(list.p50),
                millis(list.p99),
                list.records.to_string(),
            ]);
        }
    }
    table
}

fn both<'a>(ours: &'a [Step], theirs: &'a [Step]) -> impl Iterator<Item = (&'a [Step], &'a Step)> {
    let pairs = ours.iter().zip(theirs);
    pairs.flat_map(move |(one, other)| [(ours, one), (theirs, other)])
}
