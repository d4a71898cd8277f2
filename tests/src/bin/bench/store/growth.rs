//! The same load on stores that grow: how flat each side stays.

use std::time::{Duration, Instant};

use super::picture::Curve;
use super::progress::say;
use super::records::Weight;
use super::side::{Ask, Asked, BATCH, Disk, Manner, Ready, Sample, Side, Verified, hand_in, load, median};
use super::table::{Table, bytes, grouped, millis};
use crate::quantile;

/// How records are handed in here.
const MANNER: Manner = Manner {
    clients: 8,
    batch: BATCH,
};
/// Most records of one load; each is a point of the curve, and the last before a size is that size's figure. A smaller one is
/// over too soon to be compared with.
const CHUNK: u64 = 200_000;
/// Loads whose median is the figure of the first size: they are short.
const REPEATS: u64 = 5;
/// Records that are handed in right before the crash.
const BURST: u64 = 50 * BATCH;
/// Lists asked for before any is measured, and measured ones.
const WARMING: usize = 20;
const ASKED: usize = 200;

const COLUMNS: [&str; 15] = [
    "side",
    "records",
    "in loads of",
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
    "counted after it",
    "events verified/s",
];
const LIST_COLUMNS: [&str; 6] = ["side", "list of 50", "records", "p50", "p99", "on the page"];

/// One side at one size.
#[derive(Debug, Clone)]
struct Step {
    side: &'static str,
    size: u64,
    sample: Sample,
    disk: Disk,
    lists: Vec<Asked>,
    reopened: Duration,
    /// Records that were there after the crash.
    stored: u64,
    verified: Option<Verified>,
}

/// The first full load: what all others are compared with.
#[derive(Debug, Clone)]
struct First {
    /// Records that were there before it.
    from: u64,
    sample: Sample,
}

/// One side, from nothing to the largest size.
#[derive(Debug, Clone)]
pub(super) struct Growth {
    steps: Vec<Step>,
    first: Option<First>,
    pub(super) curve: Curve,
}

/// Lets a side grow from nothing to each of the sizes, which ascend. What is known is said at once: the rest may take an hour.
pub(super) async fn measure<S: Side>(side: &mut S, sizes: &[u64], weight: Weight) -> Growth {
    let mut kept = 0;
    let mut growth = Growth {
        steps: Vec::new(),
        first: None,
        curve: Curve {
            name: S::NAME,
            points: Vec::new(),
        },
    };
    for size in sizes {
        let last = CHUNK.min((size - kept) * 4 / 5);
        while kept < size - last {
            let chunk = CHUNK.min(size - last - kept);
            let sample = load(side, MANNER, kept..kept + chunk).await;
            if kept > 0 {
                growth.curve.points.push(((kept + chunk) as f64, sample.per_second()));
            }
            if chunk == CHUNK && growth.first.is_none() && !growth.steps.is_empty() {
                growth.first = Some(First { from: kept, sample });
            }
            kept += chunk;
        }
        side.mark().await;
        let repeats = if growth.steps.is_empty() { REPEATS } else { 1 };
        let (begin, mut samples) = (kept, Vec::new());
        for number in 1..=repeats {
            let end = begin + last * number / repeats;
            let sample = load(side, MANNER, kept..end).await;
            kept = end;
            growth.curve.points.push((kept as f64, sample.per_second()));
            samples.push(sample);
        }
        let step = at_size(side, kept, median(samples)).await;
        kept = step.stored;
        say_step(&step, growth.first.as_ref(), weight);
        growth.steps.push(step);
    }
    growth
}

/// Everything that is measured at one size; ends with a crash in the middle of work, after which what was answered before it
/// is there, and nothing twice.
async fn at_size<S: Side>(side: &mut S, size: u64, sample: Sample) -> Step {
    say(&format!(
        "{}: lists, a crash and checks at {} records",
        S::NAME,
        grouped(size as f64)
    ));
    let disk = side.disk();
    side.learn().await;
    let mut lists = Vec::new();
    for ask in Ask::ALL {
        lists.push(asked(side, ask).await);
    }
    let burst = Ready::prepare(&*side, MANNER, size..size + BURST);
    hand_in(&*side, burst).await;
    let reopened = side.crash().await;
    side.settle(Instant::now(), 0).await;
    let (answered, stored) = (size + BURST, side.stored().await);
    assert_eq!(stored, answered, "{} lost or doubled records", S::NAME);
    let verified = side.verify(answered).await;
    Step {
        side: S::NAME,
        size,
        sample,
        disk,
        lists,
        reopened,
        stored,
        verified,
    }
}

/// Tells a step as soon as it is known.
fn say_step(step: &Step, first: Option<&First>, weight: Weight) {
    let (mut figures, mut lists) = (Table::new(&COLUMNS), Table::new(&LIST_COLUMNS));
    figures.add(cells(step, first, weight));
    list_cells(step).for_each(|cells| lists.add(cells));
    say(&format!("\n{}\n{}", figures.text(), lists.text()));
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
pub(super) fn table(ours: &Growth, theirs: &Growth, weight: Weight) -> Table {
    let mut table = Table::new(&COLUMNS);
    for (growth, step) in both(ours, theirs) {
        table.add(cells(step, growth.first.as_ref(), weight));
    }
    table
}

fn cells(step: &Step, first: Option<&First>, weight: Weight) -> Vec<String> {
    let (sample, disk) = (&step.sample, step.disk.data as f64 / step.size as f64);
    let verified = step
        .verified
        .map(|done| grouped(done.events as f64 / done.took.as_secs_f64()));
    vec![
        step.side.to_owned(),
        grouped(step.size as f64),
        grouped(sample.records as f64),
        grouped(sample.per_second()),
        of_the_first(sample, first),
        millis(sample.p99),
        millis(sample.settling),
        grouped(sample.settled_per_second()),
        grouped(disk),
        format!("{:.2}", disk / weight.content),
        bytes(step.disk.log),
        bytes(sample.resident),
        millis(step.reopened),
        grouped(step.stored as f64),
        verified.unwrap_or_else(|| "–".to_owned()),
    ]
}

/// A load beside the first full one. One that is not full says too little.
fn of_the_first(sample: &Sample, first: Option<&First>) -> String {
    match first {
        _ if sample.records < CHUNK => "(short)".to_owned(),
        Some(first) => format!("{:.0} %", sample.per_second() / first.sample.per_second() * 100.0),
        None => "–".to_owned(),
    }
}

/// What the loads are compared with, for each side.
pub(super) fn firsts(ours: &Growth, theirs: &Growth) -> String {
    let told = [ours, theirs].map(|growth| match &growth.first {
        Some(First { from, sample }) => format!(
            "{}: {} records/s, {} settled, from {} records on",
            growth.curve.name,
            grouped(sample.per_second()),
            grouped(sample.settled_per_second()),
            grouped(*from as f64)
        ),
        None => format!("{}: none", growth.curve.name),
    });
    format!(
        "“Of the first” compares with the first {} records that came in after the first size in one load. {}.",
        grouped(CHUNK as f64),
        told.join("; ")
    )
}

/// How long lists take, size by size.
pub(super) fn lists(ours: &Growth, theirs: &Growth) -> Table {
    let mut table = Table::new(&LIST_COLUMNS);
    for (_, step) in both(ours, theirs) {
        list_cells(step).for_each(|cells| table.add(cells));
    }
    table
}

fn list_cells(step: &Step) -> impl Iterator<Item = Vec<String>> {
    step.lists.iter().map(move |list| {
        vec![
            step.side.to_owned(),
            list.ask.name().to_owned(),
            grouped(step.size as f64),
            millis(list.p50),
            millis(list.p99),
            list.records.to_string(),
        ]
    })
}

/// Size by size; theirs as far as they go.
fn both<'a>(ours: &'a Growth, theirs: &'a Growth) -> impl Iterator<Item = (&'a Growth, &'a Step)> {
    ours.steps.iter().enumerate().flat_map(move |(number, step)| {
        let other = theirs.steps.get(number).map(|step| (theirs, step));
        std::iter::once((ours, step)).chain(other)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CHUNK, First, MANNER, of_the_first};
    use crate::store::side::Sample;

    #[test]
    fn only_full_loads_are_compared_and_only_with_a_full_one() {
        let load = |records, seconds| Sample {
            manner: MANNER,
            records,
            took: Duration::from_secs(seconds),
            settling: Duration::ZERO,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            fsyncs: 0,
            cpu: Duration::ZERO,
            cpu_after: Duration::ZERO,
            cpu_client: Duration::ZERO,
            resident: 0,
        };
        let first = First {
            from: 16_400,
            sample: load(CHUNK, 10),
        };
        assert_eq!(of_the_first(&load(CHUNK, 20), Some(&first)), "50 %");
        assert_eq!(of_the_first(&load(1_600, 1), Some(&first)), "(short)");
        assert_eq!(of_the_first(&load(CHUNK, 20), None), "–");
    }
}
