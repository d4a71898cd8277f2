//! How fast everything is made again from the ledger, how fast the ledger is verified, and how long a figure of it takes: by the
//! real commands, on a hub that was filled through the API and stopped.

use std::time::{Duration, Instant};

use mihwar_tests::{Site, plugin_file};
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

    let (quick, took) = timed(&site, &["ledger", "verify", "--quick"]);
    assert_eq!(quick["ok"], true, "{quick}");
    let events = quick["events"].as_u64().unwrap();
    figure(
        &format!("ledger verify --quick, {events} events in {took:.1?}"),
        &format!("{:.0} events/s", rate(events, took)),
        "500 000 events/s",
    );
    stages(&quick);

    let (whole, took) = timed(&site, &["ledger", "verify"]);
    assert_eq!(whole["ok"], true, "{whole}");
    figure(
        &format!("ledger verify, {events} events in {took:.1?}"),
        &format!("{:.0} events/s", rate(events, took)),
        "-",
    );
    stages(&whole);

    let (rebuilt, took) = timed(&site, &["doctor", "--rebuild"]);
    assert_eq!(rebuilt["rebuild"]["events"], events, "{rebuilt}");
    assert_eq!(rebuilt["rebuild"]["mended"], 0, "nothing was damaged: {rebuilt}");
    figure(
        &format!("doctor --rebuild, {events} events"),
        &format!("{took:.1?}"),
        "60 s for 1 000 000",
    );
    stages(&rebuilt["rebuild"]);
    figure_of(&site, events);
}

/// A figure over the whole ledger, from the start of the process to its end. The plugin is compiled before.
fn figure_of(site: &Site, events: u64) {
    let file = plugin_file("nps");
    let metric = format!(
        "[[plugin]]\nid = \"nps\"\nfile = \"{}\"\n[[instance]]\nname = \"nps\"\nplugin = \"nps\"\n",
        file.display()
    );
    site.configure_also(&metric).unwrap();
    let run = [
        "metric",
        "run",
        "nps",
        "--from",
        "2026-01-01",
        "--to",
        "2027-01-01",
        "--by",
        "channel",
    ];
    timed(site, &run);
    let (receipt, took) = timed(site, &run);
    let records = receipt["selection"]["records"].as_u64().unwrap();
    assert!(records > 0, "{receipt}");
    figure(
        &format!("metric run, {events} events, {records} answers"),
        &format!("{took:.1?}"),
        "2 s for 1 000 000 events",
    );
}

/// A command's answer, and how long it took from the start of its process to its end.
fn timed(site: &Site, arguments: &[&str]) -> (Value, Duration) {
    let started = Instant::now();
    let answer = site.json(arguments);
    (answer, started.elapsed())
}

/// The stages of a command, as it measured them itself.
fn stages(report: &Value) {
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
