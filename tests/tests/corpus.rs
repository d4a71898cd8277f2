//! Six thousand real mails: all of them go in, none twice, none is lost, whatever kills the import.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test reports by panic, its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Running, Site, workspace};
use serde_json::Value;

/// Mail files of the corpus (its `cmds` file is no mail and is not unpacked).
const MAILS: u64 = 6046;
/// Kills of the interrupted import.
const KILLS: u32 = 20;

fn corpus() -> PathBuf {
    let folder = workspace().join("target/corpus/mails");
    assert!(
        folder.is_dir(),
        "{} is missing; run: cargo xtask corpus",
        folder.display()
    );
    folder
}

fn import(site: &Site) -> Value {
    site.json(&["import", "mail", &corpus().display().to_string()])
}

fn verified(site: &Site) -> Value {
    let report = site.json(&["ledger", "verify"]);
    assert_eq!(report["ok"], true, "{report:#}");
    report
}

/// The source's own ids of all records, with what the hub made of them.
fn records(site: &Site) -> BTreeMap<String, Value> {
    let output = site.run(&["feedback", "export"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let records = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    records
        .map(|record| (record["content"]["external_id"].as_str().unwrap().to_owned(), record))
        .collect()
}

/// Pauses that differ, without a clock or a generator: what matters is that the kill comes anywhere.
fn pause(round: u32) -> Duration {
    Duration::from_millis(u64::from(round.wrapping_mul(2_654_435_761) >> 20) % 900 + 30)
}

#[test]
fn a_killed_import_goes_on_and_ends_with_the_same_records() {
    let receiver: std::net::SocketAddr = "127.0.0.1:9".parse().unwrap();
    let undisturbed = Site::new(receiver).unwrap();
    let report = import(&undisturbed);
    let sum = ["new", "duplicates", "refused"]
        .iter()
        .map(|name| report[name].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(report["files"], MAILS, "{report:#}");
    assert_eq!(
        sum, MAILS,
        "every file is a record, a duplicate or a refusal: {report:#}"
    );
    verified(&undisturbed);
    let expected = records(&undisturbed);
    assert_eq!(expected.len() as u64, report["new"].as_u64().unwrap());
    let threads: BTreeSet<_> = expected
        .values()
        .map(|record| record["thread"].as_str().unwrap_or_default())
        .collect();
    // A header scan of the same files finds 2 104 mails that answer another one.
    assert!((3_500..5_500).contains(&threads.len()), "{} threads", threads.len());

    let again = import(&undisturbed);
    assert_eq!(
        (&again["new"], &again["revised"]),
        (&Value::from(0), &Value::from(0)),
        "{again:#}"
    );
    assert_eq!(again["duplicates"], report["new"]);

    let killed = Site::new(receiver).unwrap();
    // The first kill may come before there is a hub at all, and nothing to verify.
    assert!(killed.serve().unwrap().stop());
    let mut interrupted = 0;
    for round in 0..KILLS {
        let mut child = killed
            .command(&["--json", "import", "mail", &corpus().display().to_string()])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::park_timeout(pause(round));
        interrupted += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        verified(&killed);
    }
    assert!(
        interrupted > KILLS / 2,
        "only {interrupted} of {KILLS} kills met a running import"
    );
    import(&killed);
    verified(&killed);
    let found = records(&killed);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (id, record) in &found {
        assert_eq!(record["content"]["body"], expected[id]["content"]["body"], "{id}");
        assert_eq!(record["thread"].is_null(), expected[id]["thread"].is_null(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_routed_record_arrives_as_often_as_it_was_refused_plus_once() {
    let receiver = Receiver::start(25).await.unwrap();
    let site = Site::new(receiver.address).unwrap();
    let imported = import(&site);
    let running = site.serve().unwrap();
    let expected = imported["new"].as_u64().unwrap();
    let started = Instant::now();
    loop {
        let waiting = site.json_lines(&["delivery", "list", "--state", "waiting", "--limit", "1"]);
        let retrying = site.json_lines(&["delivery", "list", "--state", "retrying", "--limit", "1"]);
        let pipeline_done = receiver.seen().len() as u64 >= expected;
        if pipeline_done && waiting.is_empty() && retrying.is_empty() {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(420),
            "deliveries did not end; {} seen\n{}",
            receiver.seen().len(),
            site.log()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    end(running);
    assert!(receiver.unsigned().is_empty(), "{:?}", receiver.unsigned());
    let seen = receiver.seen();
    let (mut once, mut twice, mut subjects) = (0, 0, BTreeSet::new());
    for (id, seen) in &seen {
        match seen.answers.as_slice() {
            [200] => once += 1,
            [500, 200] => twice += 1,
            other => panic!("{id}: {other:?}"),
        }
        subjects.insert((
            seen.department.clone(),
            seen.body["subject"].as_str().unwrap_or_default().to_owned(),
        ));
    }
    assert!(
        twice > 500 && once > twice,
        "{once} arrived at once, {twice} after an error"
    );
    assert_eq!(
        subjects.len(),
        seen.len(),
        "no record came to a department under two keys"
    );
    verified(&site);
}

fn end(running: Running) {
    assert!(running.stop(), "the hub did not stop cleanly");
}
