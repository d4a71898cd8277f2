//! Records in, one by one and in batches, by few clients and by many.

use super::progress::say;
use super::records::Weight;
use super::side::{BATCH, Disk, Manner, Sample, Side, load};
use super::table::{Table, bytes, grouped, millis};

/// Clients, and the records that they hand in together: one by one, in batches.
const LOADS: [(u64, u64, u64); 4] = [
    (1, 1_000, 100 * BATCH),
    (8, 8_000, 500 * BATCH),
    (25, 20_000, 750 * BATCH),
    (64, 40_000, 1_000 * BATCH),
];
/// Records that nobody measures: statements are planned, people become known, pages are loaded.
const WARMING: u64 = 20 * BATCH;
/// The number of clients at which the sides are compared.
const COMPARED: u64 = 64;

const COLUMNS: [&str; 16] = [
    "side",
    "mode",
    "clients",
    "records/s",
    "settled after",
    "settled records/s",
    "p50",
    "p99",
    "fsyncs/record",
    "CPU µs/record",
    "… after",
    "… of clients",
    "disk B/record",
    "÷ content",
    "log",
    "memory",
];

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    side: &'static str,
    sample: Sample,
    /// Records that were there afterwards, and what they took up.
    kept: u64,
    disk: Disk,
}

/// Every load, on a side that is empty. A quick one hands in a tenth.
pub(super) async fn measure<S: Side>(side: &mut S, quick: bool, weight: Weight) -> Vec<Row> {
    let share = if quick { 10 } else { 1 };
    let warming = Manner {
        clients: 8,
        batch: BATCH,
    };
    load(side, warming, 0..WARMING).await;
    let singles = LOADS.map(|(clients, singles, _)| (Manner { clients, batch: 1 }, singles / share));
    let batches = LOADS.map(|(clients, _, batches)| (Manner { clients, batch: BATCH }, batches / share));
    let (mut kept, mut rows) = (WARMING, Vec::new());
    for (manner, records) in singles.into_iter().chain(batches) {
        let sample = load(side, manner, kept..kept + records).await;
        kept += records;
        let row = Row {
            side: S::NAME,
            sample,
            kept,
            disk: side.disk(),
        };
        // Said at once: what is known must not depend on what comes.
        let mut said = Table::new(&COLUMNS);
        said.add(cells(&row, weight));
        say(&format!("\n{}", said.text()));
        rows.push(row);
    }
    assert_eq!(side.stored().await, kept, "{} lost or doubled records", S::NAME);
    rows
}

/// Both sides under each other, load by load.
pub(super) fn table(ours: &[Row], theirs: &[Row], weight: Weight) -> Table {
    let mut table = Table::new(&COLUMNS);
    for row in ours.iter().zip(theirs).flat_map(|(ours, theirs)| [ours, theirs]) {
        table.add(cells(row, weight));
    }
    table
}

fn cells(row: &Row, weight: Weight) -> Vec<String> {
    let sample = &row.sample;
    let disk = row.disk.data as f64 / row.kept as f64;
    vec![
        row.side.to_owned(),
        sample.manner.name().to_owned(),
        sample.manner.clients.to_string(),
        grouped(sample.per_second()),
        millis(sample.settling),
        grouped(sample.settled_per_second()),
        millis(sample.p50),
        millis(sample.p99),
        format!("{:.4}", sample.fsyncs as f64 / sample.records as f64),
        grouped(sample.micros(sample.cpu)),
        grouped(sample.micros(sample.cpu_after)),
        grouped(sample.micros(sample.cpu_client)),
        grouped(disk),
        format!("{:.2}", disk / weight.content),
        bytes(row.disk.log),
        bytes(sample.resident),
    ]
}

/// The two figures that say it, for single records and for batches: until the answers, and until all is done.
pub(super) fn ratios(ours: &[Row], theirs: &[Row]) -> Vec<String> {
    let wanted = [(1, "single records", 4), (BATCH, "batches of 128", 2)];
    let at = |rows: &[Row], batch, rate: fn(&Sample) -> f64| {
        let manner = Manner {
            clients: COMPARED,
            batch,
        };
        let row = rows.iter().find(|row| row.sample.manner == manner);
        row.map_or(f64::NAN, |row| rate(&row.sample))
    };
    let lines = wanted.map(|(batch, name, to_reach)| {
        let ratio = |rate: fn(&Sample) -> f64| at(ours, batch, rate) / at(theirs, batch, rate);
        let (answered, settled) = (ratio(Sample::per_second), ratio(Sample::settled_per_second));
        format!(
            "at {COMPARED} clients, {name}: {answered:.1} × PostgreSQL (to reach: {to_reach}; the aim: 10); \
             {settled:.1} × until what follows an answer is done too"
        )
    });
    lines.to_vec()
}
