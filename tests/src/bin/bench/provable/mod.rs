//! `bench provable`: what it costs to prove, to take along and to forget, at about a million events: verification, receipts,
//! bundles, figures, and the erasure of a person who said much. By the real commands, on one data folder. No department
//! listens; what departments are told of an erasure is not measured here.

mod erasure;
mod outside;
mod receipts;
mod records;

use std::path::Path;
use std::time::Duration;

use mihwar_tests::{Site, plugin_file};

use crate::export::mb;
use crate::intake::{FED_TOGETHER, Feeder, bulk_site, rate};
use crate::rebuild::verify;
use crate::{figure, quantile, say};

/// The metrics that are shipped.
const METRICS: [&str; 3] = ["nps", "csat", "ces"];
/// Records of the person who is erased.
const OF_ONE: u64 = 10_000;
/// Records that are fed before it is told how far that is.
const TELL_AFTER: u64 = 50_000;

/// Options of `bench provable`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "bench provable",
    about = "Verification, receipts, bundles, figures and an erasure, on one ledger."
)]
pub(crate) struct Options {
    /// How many records there are, each about three events; 10 000 of them are of one person. Rounded down to a multiple of 2 000.
    #[arg(long, default_value_t = 330_000, value_parser = clap::value_parser!(u64).range(20_000..))]
    records: u64,
}

/// Measures and prints.
pub(crate) async fn run(options: &Options) {
    let records = options.records / FED_TOGETHER * FED_TOGETHER;
    let site = site();
    let running = site.serve().unwrap();
    let feeder = Feeder::new(&site);
    let ids = fill(&feeder, records).await;
    // What it took to fill the hub is not what is measured here.
    assert!(running.stop());

    say("verifying: the ledger alone, then contents and read models");
    let events = verify(&site);
    let file = std::fs::metadata(site.data().join("mihwar.redb")).map_or(0, |metadata| metadata.len());
    figure(
        &format!("all that follows: {events} events of {records} records"),
        &format!("{} on disk", mb(file)),
        "-",
    );

    let running = site.serve().unwrap();
    let kept = receipts::measure(&site, &feeder, &ids).await;
    outside::measure(&site, &running, records);
    erasure::measure(&site, &feeder, &kept).await;
    assert!(running.stop());
    say("verifying after the erasure");
    verify(&site);
}

/// A site for records in bulk with the metrics that are shipped, whose plugins are compiled.
fn site() -> Site {
    let site = bulk_site();
    for id in METRICS {
        let file = plugin_file(id);
        let metric = format!(
            "[[plugin]]\nid = \"{id}\"\nfile = \"{}\"\n[[instance]]\nname = \"{id}\"\nplugin = \"{id}\"\n",
            file.display()
        );
        site.configure_also(&metric).unwrap();
    }
    assert!(site.serve().unwrap().stop());
    site
}

/// Hands in all records, and waits until everything is done that follows. Answers their ids; the last ones are those of the
/// person who is erased.
async fn fill(feeder: &Feeder<'_>, records: u64) -> Vec<String> {
    let (of_all, mut ids, mut took) = (records - OF_ONE, Vec::new(), Duration::ZERO);
    let mut from = 0;
    while from < records {
        let is_of_many = from < of_all;
        let until = if is_of_many {
            of_all.min(from + TELL_AFTER)
        } else {
            records
        };
        let lines: fn(u64) -> String = if is_of_many { records::of_many } else { records::of_one };
        let fed = feeder.feed_with(from, until - from, lines).await;
        took += fed.took;
        ids.extend(fed.ids());
        from = until;
        say(&format!("{until} of {records} records are durable"));
    }
    figure(
        &format!("bulk NDJSON, {records} records durable in {took:.1?}"),
        &format!("{:.0} records/s", rate(records, took)),
        "-",
    );
    let drained = feeder.drained(records).await;
    figure(
        "  until all were enriched, routed and in the read models",
        &format!("{drained:.1?} more"),
        "-",
    );
    ids
}

/// Prints the median of samples, and what one in a hundred exceeds.
fn tell_samples(name: &str, samples: &mut [Duration], to_reach: &str) {
    let (median, late) = (quantile(samples, 0.5), quantile(samples, 0.99));
    figure(
        &format!("{name}, {} times: p50, p99", samples.len()),
        &format!("{median:.2?}, {late:.2?}"),
        to_reach,
    );
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
