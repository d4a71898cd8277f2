//! Ten times what the hub can take, for a minute: what it accepts, how quick that stays, what it says to the rest.

mod clients;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mihwar_tests::{Running, Site};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use tokio::time::Instant;

use crate::figure;
use clients::{Client, Tally, Target, closed_loop, health, open_loop, paced};

/// Who floods: each a token of its own, since one token gets two thirds of the places.
const CALLERS: usize = 8;
/// Connections over which the flood comes, where the system gives as many files. Each has one request on its way at a time, as
/// HTTP/1.1 has it, and waits up to a second for a refusal: fewer could not send much more than the hub can take.
const CONNECTIONS_MAX: u64 = 9_000;
/// Open files, here and in the hub, for all that is not the flood.
const OTHER_FILES: u64 = 1_000;
const UNLOADED: Duration = Duration::from_secs(30);
const FULL: Duration = Duration::from_secs(20);
const FLOOD: Duration = Duration::from_mins(1);
/// What happens to the accepted is told for each of these parts of a flood.
const PART: Duration = Duration::from_secs(10);
/// What is called a flood: so many times the capacity must be due …
const TIMES: f64 = 10.0;
/// … and so many times must really be sent. It is less because clients that wait for their answer send nothing meanwhile.
const SENT_TIMES: f64 = 1.5;
/// Requests a second of the one client of an unloaded hub: each has it to itself.
const PACE: u32 = 20;

/// Has the system give as many open files as it may, and answers how many of them can be connections of the flood. The hub
/// inherits the limit, and each connection is a file there, too.
fn connections() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let room = maximum.map_or(CONNECTIONS_MAX, |files| files.saturating_sub(OTHER_FILES));
    usize::try_from(room.clamp(1, CONNECTIONS_MAX)).expect("a few thousand")
}

/// A hub that lets so many connections in, and whom it lets hand in.
fn start(connections: usize) -> (Site, Running, Arc<Target>) {
    let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
    // Nobody to deliver to: what is flooded is intake, with enrichment and routing behind it.
    site.reconfigure("default = [\"service\"]", "default = []");
    // A few more than the flood has: who asks how the hub is must get in, too.
    let server = format!("[server]\nconnections = {}", connections + 100);
    site.reconfigure("[storage]", &format!("{server}\n[storage]"));
    assert!(site.serve().unwrap().stop());
    let running = site.serve().unwrap();
    let token = |number: usize| {
        let made = site.json(&["token", "create", &format!("flood {number}"), "--scope", "admin"]);
        made["token"].as_str().unwrap().to_owned()
    };
    let target = Target {
        address: site.listen,
        tokens: (0..CALLERS).map(token).collect(),
        next: AtomicU64::new(0),
    };
    (site, running, Arc::new(target))
}

/// Capacity, the unloaded hub, the flood, and what is left of it. Answers whether all that was accepted is kept, once.
pub(crate) async fn flood() -> bool {
    let connections = connections();
    let (site, running, target) = start(connections);
    let unloaded = paced(&target, UNLOADED).await;
    let (p50, p99) = (unloaded.quantile(0.5), unloaded.quantile(0.99));
    let of = format!("unloaded, {PACE} a second for {UNLOADED:?},");
    let samples = unloaded.accepted.len();
    figure(&format!("{of} p50 of {samples}"), &format!("{p50:.1?}"), "-");
    figure(&format!("{of} p99"), &format!("{p99:.1?}"), "-");
    let full = closed_loop(&target, 64, FULL).await;
    let capacity = full.accepted.len() as f64 / FULL.as_secs_f64();
    figure(
        &format!("capacity: 64 clients, one record each, for {FULL:?}"),
        &format!("{capacity:.0}/s"),
        "-",
    );
    let idle = running.resident_bytes();
    let mut clients = Vec::with_capacity(connections);
    for caller in 0..connections {
        clients.push(Client::connect(&target, caller).await);
    }
    let ((flooded, begin), health) = tokio::join!(open_loop(clients, capacity * TIMES), health(site.listen));
    let over = Instant::now();
    let name = format!("flood: so many times that was due, over {connections} connections");
    figure(&name, &format!("{TIMES} x"), "-");
    report::rates(&flooded, capacity);
    report::times(&flooded, begin, p99);
    report::health(health);
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let memory = format!("{}, {}", megabytes(idle), megabytes(running.peak_bytes()));
    figure("  resident memory before it, and the most ever", &memory, "bounded");
    let (back, after) = recovered(&target, p99).await;
    figure(
        "  from its end until all are accepted, as quickly as before",
        &format!("{:.1?}", back - over),
        "seconds",
    );
    if !running.stop() {
        println!("  the hub did not stop in good order:\n{}", site.log());
    }
    let all = [unloaded, full, flooded, after];
    report::kept(&kept(&site), &all.into_iter().fold(Tally::default(), Tally::merge))
}

/// The beginning of the first second in which a client at the same pace was always accepted, with a p99 of at most twice the
/// unloaded one; and what was handed in meanwhile.
async fn recovered(target: &Arc<Target>, unloaded: Duration) -> (Instant, Tally) {
    let give_up = Instant::now() + Duration::from_mins(1);
    let mut before = Tally::default();
    loop {
        let began = Instant::now();
        let calm = paced(target, Duration::from_secs(1)).await;
        let all = calm.due() == calm.accepted.len() as u64;
        let is_calm = all && calm.quantile(0.99) <= unloaded * 2;
        before = before.merge(calm);
        if is_calm || began > give_up {
            return (began, before);
        }
    }
}

/// How often each record is kept, by its number.
fn kept(site: &Site) -> BTreeMap<u64, u64> {
    #[derive(Deserialize)]
    struct Record {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        external_id: String,
    }
    let exported = site.run(&["--json", "feedback", "export"]).unwrap();
    let said = String::from_utf8_lossy(&exported.stderr);
    assert!(exported.status.success(), "mihwar feedback export: {said}");
    let mut kept = BTreeMap::new();
    let lines = exported.stdout.split(|byte| *byte == b'\n');
    for line in lines.filter(|line| !line.is_empty()) {
        let record: Record = serde_json::from_slice(line).unwrap();
        let number = record.content.external_id.strip_prefix("flood-").map(str::parse::<u64>);
        *kept.entry(number.unwrap().unwrap()).or_default() += 1;
    }
    kept
}
