//! What came of a flood, in figures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::clients::Tally;
use super::{FLOOD, PART, SENT_TIMES, TIMES};
use crate::{figure, quantile};

/// How many times the capacity was due and sent in a flood, and whether that is one.
fn over_capacity(due: u64, sent: u64, capacity: f64) -> (f64, f64, bool) {
    let [due, sent] = [due, sent].map(|count| count as f64 / FLOOD.as_secs_f64() / capacity);
    // Of each connection's last interval a part lies beyond the end.
    (due, sent, due >= TIMES * 0.99 && sent >= SENT_TIMES)
}

fn per_second(count: u64) -> String {
    format!("{:.0}/s", count as f64 / FLOOD.as_secs_f64())
}

pub(super) fn rates(flooded: &Tally, capacity: f64) {
    let (due, sent, is_flood) = over_capacity(flooded.due(), flooded.sent(), capacity);
    figure("  due", &per_second(flooded.due()), "-");
    figure("  due to capacity", &format!("{due:.1} x"), "10 x");
    figure("  sent", &per_second(flooded.sent()), "-");
    figure("  sent to capacity", &format!("{sent:.1} x"), "above it");
    println!(
        "  The hub keeps refusals waiting for their turn, and a client that waits sends nothing: so less is sent than is due."
    );
    if !is_flood {
        println!(
            "  INVALID: it takes {TIMES} times the capacity due, and {SENT_TIMES} times sent; what follows tells of no such flood"
        );
    }
    figure("  due and not sent", &per_second(flooded.unsent), "-");
    for (status, count) in &flooded.by_status {
        figure(&format!("  answered {status}"), &per_second(*count), "-");
    }
    figure(
        "  not answered: the connection broke",
        &flooded.unknown.to_string(),
        "-",
    );
}

pub(super) fn times(flooded: &Tally, begin: Instant, unloaded: Duration) {
    let (p50, p99) = (flooded.quantile(0.5), flooded.quantile(0.99));
    let name = "  p50 of the accepted, from sending to the answer";
    figure(name, &format!("{p50:.1?}"), "-");
    figure("  p99 of the accepted", &format!("{p99:.1?}"), "-");
    let mut part = begin;
    while part < begin + FLOOD {
        let within = flooded
            .accepted
            .iter()
            .filter(|accepted| (part..part + PART).contains(&accepted.sent));
        let mut samples: Vec<_> = within.map(|accepted| accepted.took).collect();
        let second = (part - begin).as_secs();
        let name = format!("    … of the {} sent from second {second} on", samples.len());
        figure(&name, &format!("{:.1?}", quantile(&mut samples, 0.99)), "-");
        part += PART;
    }
    let ratio = p99.as_secs_f64() / unloaded.as_secs_f64();
    figure("  p99 to the unloaded p99", &format!("{ratio:.1} x"), "5 x");
}

pub(super) fn health((mut samples, missed): (Vec<Duration>, u64)) {
    let p99 = quantile(&mut samples, 0.99);
    figure("  p99 of /health/live meanwhile", &format!("{p99:.1?}"), "-");
    figure("  /health/live without an answer", &missed.to_string(), "0");
}

/// What of the accepted is not kept, and what is kept more than once.
fn lost_and_doubled(kept: &BTreeMap<u64, u64>, accepted: &BTreeSet<u64>) -> (usize, usize) {
    let lost = accepted.iter().filter(|number| !kept.contains_key(*number));
    let doubled = kept.values().filter(|times| **times > 1);
    (lost.count(), doubled.count())
}

/// Answers whether all that was accepted is kept, and nothing twice.
pub(super) fn kept(kept: &BTreeMap<u64, u64>, all: &Tally) -> bool {
    let accepted: BTreeSet<_> = all.accepted.iter().map(|accepted| accepted.number).collect();
    let (lost, doubled) = lost_and_doubled(kept, &accepted);
    let (sure, unknown) = (accepted.len() as u64, all.unknown);
    let most = if unknown == 0 {
        String::new()
    } else {
        format!(" to {}", sure + unknown)
    };
    figure("  kept in the end", &kept.len().to_string(), &format!("{sure}{most}"));
    let untold = kept.keys().filter(|number| !accepted.contains(*number)).count() as u64;
    if untold > unknown {
        println!("  {untold} are kept that were not accepted, and only {unknown} were not answered");
    }
    figure("  lost, doubled", &format!("{lost}, {doubled}"), "0, 0");
    lost == 0 && doubled == 0
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{lost_and_doubled, over_capacity};

    #[test]
    fn a_flood_is_by_what_was_due_and_by_what_arrived() {
        // In a minute, at a capacity of a thousand a second.
        assert_eq!(over_capacity(600_000, 120_000, 1_000.0), (10.0, 2.0, true));
        assert_eq!(over_capacity(600_000, 60_000, 1_000.0), (10.0, 1.0, false));
        assert_eq!(over_capacity(300_000, 300_000, 1_000.0), (5.0, 5.0, false));
    }

    #[test]
    fn what_nobody_was_told_of_is_neither_lost_nor_doubled() {
        let accepted = BTreeSet::from([1, 2]);
        assert_eq!(
            lost_and_doubled(&BTreeMap::from([(1, 1), (2, 1), (3, 1)]), &accepted),
            (0, 0)
        );
        assert_eq!(lost_and_doubled(&BTreeMap::from([(1, 2), (3, 2)]), &accepted), (1, 2));
    }
}
