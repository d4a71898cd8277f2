//! What goes out of the house: figures with their receipts, and the whole ledger as one file, from which a stranger checks the
//! history and makes the figures again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mihwar_tests::{Running, Site, plugin_file};
use serde_json::Value;

use super::{METRICS, text};
use crate::export::{mb, measured};
use crate::intake::rate;
use crate::rebuild::timed;
use crate::{figure, say};

/// All records lie in it.
const PERIOD: [&str; 4] = ["--from", "2026-01-01", "--to", "2027-01-01"];
/// How figures are grouped.
const GROUPINGS: [&[&str]; 2] = [&[], &["--by", "channel"]];

/// A figure that the hub made.
struct Made {
    name: String,
    metric: &'static str,
    file: PathBuf,
    receipt: Value,
}

/// Times figures and bundles of a hub that serves at least so many records.
pub(super) fn measure(site: &Site, running: &Running, records: u64) {
    say("figures");
    let mut made = Vec::new();
    for metric in METRICS {
        for grouping in GROUPINGS {
            made.push(make(site, metric, grouping, records));
        }
    }
    let bundle = site.path().join("ledger.bundle");
    say("exporting the ledger");
    export(site, running, &bundle, &made);
    say("figures made again from the bundle");
    for made in &made {
        make_again(site, made, &bundle);
    }
}

fn make(site: &Site, metric: &'static str, grouping: &[&str], records: u64) -> Made {
    let name = [&[metric][..], grouping].concat().join(" ");
    let file = site.path().join(format!("{metric}-{}.json", grouping.len()));
    let arguments = [
        &["metric", "run", metric][..],
        &PERIOD,
        grouping,
        &["--receipt", text(&file)],
    ]
    .concat();
    let (receipt, took) = timed(site, &arguments);
    let counted = receipt["selection"]["records"].as_u64().unwrap_or_default();
    assert!(counted >= records, "{counted} of {records}: {receipt}");
    figure(
        &format!("metric run {name}, {} events, {counted} records", receipt["size"]),
        &format!("{took:.2?}"),
        "2 s for 1 000 000 events",
    );
    Made {
        name,
        metric,
        file,
        receipt,
    }
}

fn export(site: &Site, running: &Running, bundle: &Path, made: &[Made]) {
    let before = running.peak_bytes();
    let (exporting, peak) = measured(site, &["ledger", "export", text(bundle)]);
    let bytes = fs::metadata(bundle).unwrap().len();
    let key = made[0].receipt["verifier_key"].as_str().unwrap();
    let (checked, checking) = timed(site, &["ledger", "verify", text(bundle), "--key", key]);
    assert_eq!(checked["ok"], true, "{checked}");
    let events = checked["size"].as_u64().unwrap();
    let told = |name: &str, took: Duration, to_reach: &str| {
        figure(
            &format!("{name}, {events} events in {took:.1?}"),
            &format!("{:.0} events/s", rate(events, took)),
            to_reach,
        );
    };
    told("ledger export", exporting, "-");
    figure(
        "  peak memory of the command",
        &mb(peak),
        "the same for any number of events",
    );
    figure(
        "  peak memory of the hub: before, then until here",
        &format!("{}, {}", mb(before), mb(running.peak_bytes())),
        "-",
    );
    figure(
        &format!("  a bundle of {}", mb(bytes)),
        &format!("{} bytes/event", bytes / events.max(1)),
        "-",
    );
    told(
        "ledger verify BUNDLE (every leaf, tile, count)",
        checking,
        "500 000 events/s",
    );
}

/// Makes a figure again from the bundle, and compares the digits.
fn make_again(site: &Site, made: &Made, bundle: &Path) {
    let module = plugin_file(made.metric);
    let arguments = [
        "metric",
        "verify",
        text(&made.file),
        "--bundle",
        text(bundle),
        "--module",
        text(&module),
    ];
    let (verified, took) = timed(site, &arguments);
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["groups"], made.receipt["groups"], "the digits differ");
    figure(
        &format!("metric verify {}, module compiled anew", made.name),
        &format!("{took:.2?}"),
        "-",
    );
    figure(
        "  the digits, of the hub and of the bundle",
        &digits(&verified),
        "the same",
    );
}

/// The values of a figure's groups.
fn digits(made: &Value) -> String {
    let groups = made["groups"].as_array().into_iter().flatten();
    let values: Vec<&str> = groups.filter_map(|group| group["value"].as_str()).collect();
    values.join(" ")
}
