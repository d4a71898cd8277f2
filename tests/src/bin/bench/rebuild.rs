//! How fast everything is made again from the ledger, and how fast the ledger is verified: by the real commands, on a hub
//! that was filled through the API and stopped.

use std::time::{Duration, Instant};

use mihwar_tests::Site;
use serde_json::Value;

use crate::figure;
use crate::intake::{Feeder, bulk_site, rate};

/// Fills a hub with `records`, each about three events, stops it, and times the commands.
pub(crate) async fn rebuild(records: u64) {
    let site = bulk_site();
    let running = site.serve().unwrap();
    let feeder = Feeder::new(&site);
    feeder.feed(records).await;
    feeder.drained(records).await;
    assert!(running.stop());

    let events = verify(&site);

    let (rebuilt, took) = timed(&site, &["doctor", "--rebuild"]);
    assert_eq!(rebuilt["rebuild"]["events"], events, "{rebuilt}");
    assert_eq!(rebuilt["rebuild"]["mended"], 0, "nothing was damaged: {rebuilt}");
    figure(
        &format!("doctor --rebuild, {events} events"),
        &format!("{took:.1?}"),
        "60 s for 1 000 000",
    );
    stages(&rebuilt["rebuild"]);
}

/// Verifies a hub that is stopped: its ledger alone, then everything. Answers how many events there are.
pub(crate) fn verify(site: &Site) -> u64 {
    let (quick, took) = timed(site, &["ledger", "verify", "--quick"]);
    assert_eq!(quick["ok"], true, "{quick}");
    let events = quick["events"].as_u64().unwrap();
    figure(
        &format!("ledger verify --quick (entries, tree, tiles), {events} events in {took:.1?}"),
        &format!("{:.0} events/s", rate(events, took)),
        "500 000 events/s",
    );
    stages(&quick);

    let (whole, took) = timed(site, &["ledger", "verify"]);
    assert_eq!(whole["ok"], true, "{whole}");
    figure(
        &format!("ledger verify (contents, read models too), {events} events in {took:.1?}"),
        &format!("{:.0} events/s", rate(events, took)),
        "-",
    );
    stages(&whole);
    events
}

/// A command's answer, and how long it took from the start of its process to its end.
pub(crate) fn timed(site: &Site, arguments: &[&str]) -> (Value, Duration) {
    let started = Instant::now();
    let answer = site.json(arguments);
    (answer, started.elapsed())
}

/// The stages of a command, as it measured them itself.
pub(crate) fn stages(report: &Value) {
    for stage in report["stages"].as_array().into_iter().flatten() {
        let text = |key: &str| stage[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| stage[key].as_u64().unwrap_or_default();
        let took = Duration::from_millis(number("millis").max(1));
        let (unit, count) = (text("unit"), number("count"));
        figure(
            &format!("  {}: {count} {unit} in {took:.1?}", text("stage")),
            &format!("{:.0} {unit}/s", rate(count, took)),
            "-",
        );
    }
}
