//! Ten times what the hub can take, for ten seconds: what it accepts, how quick that stays, what it says to the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mihwar_tests::Site;
use mihwar_tests::raw::{Connection, get, post_feedback};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{figure, quantile};

/// Who floods: each a token of its own, since one token gets two thirds of the places.
const CALLERS: usize = 8;
/// Connections over which the flood comes. Each has one request on its way at a time, as HTTP/1.1 has it.
const CONNECTIONS: usize = 1024;
const FLOOD: Duration = Duration::from_secs(10);
const CALM: Duration = Duration::from_secs(5);
/// What is called a flood: so many times the capacity must really be sent.
const TIMES: f64 = 10.0;
/// Requests a second of the one client of an unloaded hub: each has it to itself.
const PACE: u32 = 20;

/// What came of many requests.
#[derive(Default)]
struct Tally {
    /// From sending to the whole answer, of those that were accepted.
    accepted: Vec<Duration>,
    by_status: BTreeMap<u16, u64>,
    /// Were due while their connection still waited for an answer, and were not sent.
    unsent: u64,
    /// Connections that were closed by the hub.
    closed: u64,
}

impl Tally {
    fn take(&mut self, status: u16, took: Duration) {
        *self.by_status.entry(status).or_default() += 1;
        if status == 201 {
            self.accepted.push(took);
        }
    }

    fn merge(mut self, other: Self) -> Self {
        self.accepted.extend(other.accepted);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.unsent += other.unsent;
        self.closed += other.closed;
        self
    }

    fn sent(&self) -> u64 {
        self.by_status.values().sum()
    }
}

struct Target {
    address: SocketAddr,
    tokens: Vec<String>,
    /// Makes every record a new one.
    next: AtomicU64,
}

impl Target {
    fn request(&self, caller: usize) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let body = "وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد. The courier left my parcel in the rain and nobody answered.";
        let record = format!(
            r#"{{"external_id":"flood-{number}","channel":"form","occurred_at":"2026-11-22T10:00:00Z","author":{{"identifiers":[{{"scheme":"crm","id":"c{}"}}]}},"body":"{body}"}}"#,
            number % 1000
        );
        post_feedback(&self.tokens[caller % CALLERS], &record)
    }
}

/// One client, at a pace that loads nothing.
async fn paced(target: &Target, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut connection = Connection::open(target.address).await.unwrap();
    let mut due = tokio::time::interval(Duration::from_secs(1) / PACE);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tally = Tally::default();
    while Instant::now() < end {
        due.tick().await;
        let request = target.request(0);
        let sent = Instant::now();
        let answer = connection.exchange(&request).await.unwrap();
        tally.take(answer.status, sent.elapsed());
    }
    tally
}

/// So many clients, each sending its next request when the one before it is answered.
async fn closed_loop(target: &Arc<Target>, clients: usize, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for client in 0..clients {
        let target = target.clone();
        running.spawn(async move {
            let mut connection = Connection::open(target.address).await.unwrap();
            let mut tally = Tally::default();
            while Instant::now() < end {
                let request = target.request(client);
                let sent = Instant::now();
                let answer = connection.exchange(&request).await.unwrap();
                tally.take(answer.status, sent.elapsed());
            }
            tally
        });
    }
    running
        .join_all()
        .await
        .into_iter()
        .fold(Tally::default(), Tally::merge)
}

/// A request is due `rate` times a second, whatever becomes of those before it. What is due while its connection still waits
/// for an answer is counted as not sent: no client could send it.
async fn open_loop(target: &Arc<Target>, rate: f64, time: Duration) -> Tally {
    let begin = Instant::now() + Duration::from_millis(500);
    let mut running = JoinSet::new();
    for number in 0..CONNECTIONS {
        let target = target.clone();
        let every = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
        let first = begin + every.mul_f64(number as f64 / CONNECTIONS as f64);
        running.spawn(async move {
            let mut tally = Tally::default();
            let Ok(mut connection) = Connection::open(target.address).await else {
                tally.closed += 1;
                return tally;
            };
            let mut due = first;
            while due < begin + time {
                let late = Instant::now().saturating_duration_since(due);
                let missed = u32::try_from(late.as_nanos() / every.as_nanos().max(1)).unwrap_or(u32::MAX);
                due += every * missed;
                tally.unsent += u64::from(missed);
                tokio::time::sleep_until(due).await;
                let request = target.request(number);
                let sent = Instant::now();
                match connection.exchange(&request).await {
                    Ok(answer) => tally.take(answer.status, sent.elapsed()),
                    Err(_) => match Connection::open(target.address).await {
                        Ok(again) => {
                            connection = again;
                            tally.closed += 1;
                        }
                        Err(_) => break,
                    },
                }
                due += every;
            }
            tally
        });
    }
    running
        .join_all()
        .await
        .into_iter()
        .fold(Tally::default(), Tally::merge)
}

/// How long `/health/live` takes, asked ten times a second until the flood is over.
async fn health(address: SocketAddr) -> Vec<Duration> {
    let mut samples = Vec::new();
    let end = Instant::now() + FLOOD;
    let mut connection = Connection::open(address).await.unwrap();
    while Instant::now() < end {
        let asked = Instant::now();
        assert_eq!(
            connection.exchange(&get("/health/live", None)).await.unwrap().status,
            200
        );
        samples.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    samples
}

/// As many open files as the system gives: the flood's connections are files here, too.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

fn per_second(count: u64, time: Duration) -> String {
    format!("{:.0}/s", count as f64 / time.as_secs_f64())
}

/// Capacity, the unloaded hub, the flood, and what is left of it.
pub(crate) async fn flood() {
    raise_open_files();
    let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
    // Nobody to deliver to: what is flooded is intake, with enrichment and routing behind it.
    site.reconfigure("default = [\"service\"]", "default = []");
    assert!(site.serve().unwrap().stop());
    let running = site.serve().unwrap();
    let token = |number: usize| {
        let made = site.json(&["token", "create", &format!("flood {number}"), "--scope", "admin"]);
        made["token"].as_str().unwrap().to_owned()
    };
    let target = Arc::new(Target {
        address: site.listen,
        tokens: (0..CALLERS).map(token).collect(),
        next: AtomicU64::new(0),
    });
    let mut unloaded = paced(&target, CALM).await;
    let (p50, p99) = (
        quantile(&mut unloaded.accepted, 0.5),
        quantile(&mut unloaded.accepted, 0.99),
    );
    figure(&format!("unloaded, {PACE} a second, p50"), &format!("{p50:.1?}"), "-");
    figure(&format!("unloaded, {PACE} a second, p99"), &format!("{p99:.1?}"), "-");
    let full = closed_loop(&target, 64, CALM).await;
    let capacity = full.accepted.len() as f64 / CALM.as_secs_f64();
    figure(
        "capacity: 64 clients, one record each, accepted",
        &format!("{capacity:.0}/s"),
        "-",
    );
    let idle = running.resident_bytes();
    let rate = capacity * TIMES;
    let (mut flooded, mut health) = tokio::join!(open_loop(&target, rate, FLOOD), health(site.listen));
    let over = Instant::now();
    report_flood(&mut flooded, &mut health, capacity, p99);
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let peak = running.peak_bytes();
    let memory = format!("{}, {}", megabytes(idle), megabytes(peak));
    figure("  resident memory before it, and the most ever", &memory, "bounded");
    let (back, after) = recovered(&target, p99).await;
    figure(
        "  from its end until all are accepted, as quickly as before",
        &format!("{:.1?}", back - over),
        "seconds",
    );
    let accepted = unloaded.accepted.len() + full.accepted.len() + flooded.accepted.len() + after;
    assert!(running.stop());
    let kept = site.json_lines(&["feedback", "export"]).len();
    assert_eq!(kept, accepted, "so many are kept, and so many were answered 201");
}

/// What was sent in a flood over what the hub can take, and whether that is a flood.
fn over_capacity(sent: u64, capacity: f64) -> (f64, bool) {
    let times = sent as f64 / FLOOD.as_secs_f64() / capacity;
    (times, times >= TIMES)
}

fn report_flood(flooded: &mut Tally, health: &mut [Duration], capacity: f64, unloaded: Duration) {
    let rate = capacity * TIMES;
    figure(
        "flood: ten times that was due, over 1024 connections",
        &format!("{rate:.0}/s"),
        "-",
    );
    figure("  sent", &per_second(flooded.sent(), FLOOD), "-");
    let (times, is_flood) = over_capacity(flooded.sent(), capacity);
    figure("  sent to capacity", &format!("{times:.1} x"), "10 x");
    if !is_flood {
        println!("  INVALID: less than ten times the capacity was sent; what follows tells of no such flood");
    }
    let unsent = per_second(flooded.unsent, FLOOD);
    figure("  due while its connection waited, and not sent", &unsent, "-");
    for (status, count) in &flooded.by_status {
        figure(&format!("  answered {status}"), &per_second(*count, FLOOD), "-");
    }
    figure("  connections closed by the hub", &flooded.closed.to_string(), "-");
    let (p50, p99) = (
        quantile(&mut flooded.accepted, 0.5),
        quantile(&mut flooded.accepted, 0.99),
    );
    figure(
        "  p50 of the accepted, from sending to the answer",
        &format!("{p50:.1?}"),
        "-",
    );
    figure("  p99 of the accepted", &format!("{p99:.1?}"), "-");
    let ratio = p99.as_secs_f64() / unloaded.as_secs_f64();
    let mark = if is_flood { "" } else { ", invalid" };
    figure("  … to the unloaded p99", &format!("{ratio:.1} x{mark}"), "5 x");
    figure(
        "  p99 of /health/live meanwhile",
        &format!("{:.1?}", quantile(health, 0.99)),
        "-",
    );
}

/// The beginning of the first second in which a client at the same pace was always accepted, with a p99 of at most twice the
/// unloaded one; and how many were accepted meanwhile.
async fn recovered(target: &Target, unloaded: Duration) -> (Instant, usize) {
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut accepted = 0;
    loop {
        let began = Instant::now();
        let mut calm = paced(target, Duration::from_secs(1)).await;
        accepted += calm.accepted.len();
        let all = calm.sent() == calm.accepted.len() as u64;
        if (all && quantile(&mut calm.accepted, 0.99) <= unloaded * 2) || began > give_up {
            return (began, accepted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::over_capacity;

    #[test]
    fn less_than_ten_times_the_capacity_is_no_flood() {
        // In ten seconds, at a capacity of a thousand a second.
        assert_eq!(over_capacity(100_000, 1_000.0), (10.0, true));
        assert_eq!(over_capacity(50_000, 1_000.0), (5.0, false));
    }
}
