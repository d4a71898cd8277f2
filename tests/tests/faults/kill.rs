//! The hub is killed at random moments under mixed load, and started again, round after round on one folder. Some of these
//! starts are killed, too: what a kill left is then mended more than once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mihwar_tests::{Dice, Receiver, Site, report_faults, rounds};

use crate::load::Load;
use crate::support::{assert_verifies, delivered, marks, token, until};

/// Kills in a usual run; 200 in the long one.
const KILLS: u64 = 12;
/// The ledger is verified after each kill of this number.
const VERIFIED_EVERY: u64 = 4;
/// Out of a hundred first deliveries the department fails this many.
const FAILED_PERCENT: u64 = 25;
/// Latest moment of a kill after the load began, in milliseconds.
const LATEST_KILL: u64 = 400;
/// Before each round of this number a start is killed …
const START_KILLED_EVERY: u64 = 3;
/// … at the latest so many milliseconds after it began: while the store is opened and mended, plugins are loaded, or workers
/// go on with what they find.
const LATEST_KILL_OF_A_START: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_under_load_nothing_answered_is_lost_or_doubled() {
    let mut dice = Dice::thrown();
    let kills = rounds(KILLS);
    let receiver = Receiver::start(FAILED_PERCENT).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let running = site.serve().unwrap();
    let load = Arc::new(Load::new(&site, token(&site)));
    let (mut running, mut unanswered, mut verified, mut starts) = (Some(running), 0, 0, 0);
    for kill in 1..=kills {
        if kill.is_multiple_of(START_KILLED_EVERY) {
            kill_start(&site, Duration::from_millis(dice.below(LATEST_KILL_OF_A_START))).await;
            starts += 1;
        }
        let hub = running.take().unwrap_or_else(|| site.serve().unwrap());
        let over = Arc::new(AtomicBool::new(false));
        let pressed = {
            let (load, over) = (Arc::clone(&load), Arc::clone(&over));
            tokio::spawn(async move { load.press(&over).await })
        };
        tokio::time::sleep(Duration::from_millis(dice.below(LATEST_KILL))).await;
        hub.kill();
        over.store(true, Ordering::Relaxed);
        pressed.await.unwrap();
        unanswered += load.book().again.len() as u64;
        if kill.is_multiple_of(VERIFIED_EVERY) {
            // Opens what the kill has left, before anything else does.
            assert_verifies(&site, &format!("after kill {kill}"));
            verified += 1;
        }
    }
    let hub = site.serve().unwrap();
    settle(&load, &receiver).await;
    assert!(hub.stop(), "{}", site.log());
    assert_verifies(&site, "at the end");

    let book = load.book();
    assert_eq!(book.strange, Vec::<String>::new());
    assert!(
        book.kept.len() > usize::try_from(kills).unwrap(),
        "hardly anything was sent"
    );
    let there = marks(&site);
    let lost: Vec<_> = book.kept.keys().filter(|mark| !there.contains_key(*mark)).collect();
    let doubled: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    let invented: Vec<_> = there.keys().filter(|mark| !book.sent.contains(*mark)).collect();
    assert!(
        lost.is_empty() && doubled.is_empty() && invented.is_empty(),
        "lost {lost:?}, doubled {doubled:?}, invented {invented:?}"
    );
    let ids: BTreeMap<String, String> = ids(&site);
    for (mark, id) in &book.kept {
        let same = id.as_ref().is_none_or(|id| ids.get(id) == Some(mark));
        assert!(same, "{mark} was answered with {id:?}, which is another record");
    }
    let repeated = assert_delivered_under_one_key(&receiver);
    report_faults(
        "kill -9 under load",
        &[
            ("seed", dice.seed()),
            ("rounds", kills),
            ("starts killed besides", starts),
            ("answered", book.kept.len() as u64),
            ("unanswered at a kill", unanswered),
            ("verified", verified + 1),
            ("delivered", there.len() as u64),
            ("delivered again under the same key", repeated),
            ("lost", lost.len() as u64),
            ("doubled", doubled.len() as u64),
        ],
    );
}

/// Starts the hub on what the last kill left, and kills it so soon that most likely it is not ready yet.
async fn kill_start(site: &Site, after: Duration) {
    let log = site.path().join("killed-start.log");
    let listen = site.listen.to_string();
    let mut child = site
        .command(&["serve", "--listen", &listen])
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    tokio::time::sleep(after).await;
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let said = fs::read_to_string(log).unwrap();
    assert_eq!(status.signal(), Some(9), "it ended by itself ({status}):\n{said}");
}

/// What was not answered is sent again, as a client would, until it is; then everything must arrive.
async fn settle(load: &Arc<Load>, receiver: &Receiver) {
    for _ in 0..50 {
        if load.book().again.is_empty() {
            break;
        }
        Arc::clone(load).repeat().await;
    }
    let expected = load.book().kept.len();
    assert_eq!(load.book().sent.len(), expected, "some of it is never answered");
    until("every delivery", || (receiver.delivered() >= expected).then_some(())).await;
    let arrived = delivered(receiver);
    assert!(load.book().kept.keys().all(|mark| arrived.contains_key(mark)));
}

/// Records by their id.
fn ids(site: &Site) -> BTreeMap<String, String> {
    let record = |record: serde_json::Value| {
        let mark = record["content"]["body"].as_str().and_then(crate::support::mark_in)?;
        Some((record["id"].as_str()?.to_owned(), mark))
    };
    let records = site.json_lines(&["feedback", "export"]);
    records.into_iter().filter_map(record).collect()
}

/// A department that goes by the key sees each record once: one key for it. Answers how many deliveries came again
/// although they had been answered 200: those whose hub died before it could write that down.
fn assert_delivered_under_one_key(receiver: &Receiver) -> u64 {
    assert_eq!(receiver.unsigned(), Vec::<String>::new());
    let (mut keys, mut repeated) = (BTreeMap::new(), 0);
    for (key, seen) in receiver.seen() {
        let feedback = seen.body["subject"].as_str().unwrap().to_owned();
        // By the record alone: each has one department, so one key.
        let other = keys.insert(feedback, key.clone());
        assert_eq!(
            other, None,
            "{key} delivers to {} what another key did",
            seen.department
        );
        let bill = seen.body.to_string().contains("فاتورة");
        let department = if bill { "billing" } else { "service" };
        assert_eq!(seen.department, department, "{key}: {}", seen.body);
        repeated += u64::from(seen.answers.iter().filter(|status| **status == 200).count() > 1);
    }
    repeated
}
