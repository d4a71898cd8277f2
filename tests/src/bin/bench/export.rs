//! How fast everything comes out again, in each form, and what memory that takes on both sides: by the real commands, from a
//! hub that runs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mihwar_tests::{Site, peak_bytes_of};

use crate::figure;
use crate::intake::{Feeder, bulk_site, rate};

/// How often a command's memory is looked at; what it takes in its last moment may be missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Fills a hub with `records`, starts it anew, and exports them.
pub(crate) async fn export(records: u64) {
    let site = bulk_site();
    let running = site.serve().unwrap();
    let feeder = Feeder::new(&site);
    feeder.feed(records).await;
    feeder.drained(records).await;
    // What it took to fill the hub is not what is measured here.
    assert!(running.stop());
    let running = site.serve().unwrap();
    let idle = running.peak_bytes();
    for form in ["ndjson", "csv", "parquet"] {
        let file = site.data().with_file_name(format!("export.{form}"));
        let file = file.to_str().unwrap();
        let all = ["feedback", "export", "--force", "--out", file];
        // Two of eleven scores: if memory is constant, so few take as much.
        let some = [&all[..], &["--score", "nps", "--score-max", "1"]].concat();
        let (_, peak_of_some) = measured(&site, &some);
        let (took, peak) = measured(&site, &all);
        let bytes = std::fs::metadata(file).unwrap().len();
        figure(
            &format!("{form}: {records} records, {} in {took:.1?}", mb(bytes)),
            &format!("{:.0} records/s", rate(records, took)),
            "20 000 records/s",
        );
        figure(
            "  peak memory of the command: 2/11 of them, then all",
            &format!("{}, {}", mb(peak_of_some), mb(peak)),
            "the same",
        );
        figure(
            "  peak memory of the hub: idle, then until here",
            &format!("{}, {}", mb(idle), mb(running.peak_bytes())),
            "the same for all forms",
        );
    }
    assert!(running.stop());
}

/// How long a command that must succeed took from the start of its process, and the most memory that it had.
pub(crate) fn measured(site: &Site, arguments: &[&str]) -> (Duration, u64) {
    let mut command = site.command(arguments);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_bytes_of(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::park_timeout(LOOK_EVERY);
    };
    let took = started.elapsed();
    assert!(status.success(), "mihwar {arguments:?} ended with {status}");
    (took, peak)
}

pub(crate) fn mb(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
