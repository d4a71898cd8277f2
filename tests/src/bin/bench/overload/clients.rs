//! Who hands in: one at a pace, some as fast as they can, and thousands at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mihwar_tests::raw::{Connection, get, post_feedback};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{FLOOD, PACE};
use crate::quantile;

/// A record that was answered with 201.
pub(super) struct Accepted {
    pub(super) number: u64,
    pub(super) sent: Instant,
    /// From sending to the whole answer.
    pub(super) took: Duration,
}

/// What came of many requests.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) accepted: Vec<Accepted>,
    pub(super) by_status: BTreeMap<u16, u64>,
    /// Were due while their connection still waited for an answer or could not be opened, and were not sent.
    pub(super) unsent: u64,
    /// Were sent, and their connection broke before an answer: nobody knows whether they are kept.
    pub(super) unknown: u64,
}

impl Tally {
    pub(super) fn merge(mut self, other: Self) -> Self {
        self.accepted.extend(other.accepted);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.unsent += other.unsent;
        self.unknown += other.unknown;
        self
    }

    pub(super) fn sent(&self) -> u64 {
        self.by_status.values().sum::<u64>() + self.unknown
    }

    pub(super) fn due(&self) -> u64 {
        self.sent() + self.unsent
    }

    /// The time that was taken by this share of the accepted at most.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let mut samples: Vec<_> = self.accepted.iter().map(|accepted| accepted.took).collect();
        quantile(&mut samples, share)
    }
}

pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Who hands in: each token gets two thirds of the places at most.
    pub(super) tokens: Vec<String>,
    /// Makes every record a new one.
    pub(super) next: AtomicU64,
}

impl Target {
    /// A record that was never sent before, by its number.
    fn request(&self, caller: usize) -> (u64, Vec<u8>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let body = "وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد. The courier left my parcel in the rain and nobody answered.";
        let record = format!(
            r#"{{"external_id":"flood-{number}","channel":"form","occurred_at":"2026-11-22T10:00:00Z","author":{{"identifiers":[{{"scheme":"crm","id":"c{}"}}]}},"body":"{body}"}}"#,
            number % 1000
        );
        (number, post_feedback(&self.tokens[caller % self.tokens.len()], &record))
    }
}

/// Who hands in, over one connection that is opened anew when it broke.
pub(super) struct Client {
    target: Arc<Target>,
    caller: usize,
    connection: Option<Connection>,
}

impl Client {
    pub(super) async fn connect(target: &Arc<Target>, caller: usize) -> Self {
        Self {
            target: target.clone(),
            caller,
            connection: Connection::open(target.address).await.ok(),
        }
    }

    /// Hands in one record, and counts what came of it.
    async fn hand_in(&mut self, tally: &mut Tally) {
        let open = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.target.address).await,
        };
        let Ok(mut connection) = open else {
            tally.unsent += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        };
        let (number, request) = self.target.request(self.caller);
        let sent = Instant::now();
        let Ok(answer) = connection.exchange(&request).await else {
            tally.unknown += 1;
            return;
        };
        *tally.by_status.entry(answer.status).or_default() += 1;
        if answer.status == 201 {
            let took = sent.elapsed();
            tally.accepted.push(Accepted { number, sent, took });
        }
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
    }
}

/// One client, at a pace that loads nothing.
pub(super) async fn paced(target: &Arc<Target>, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut client = Client::connect(target, 0).await;
    let mut due = tokio::time::interval(Duration::from_secs(1) / PACE);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tally = Tally::default();
    while Instant::now() < end {
        due.tick().await;
        client.hand_in(&mut tally).await;
    }
    tally
}

/// So many clients, each sending its next request when the one before it is answered.
pub(super) async fn closed_loop(target: &Arc<Target>, clients: usize, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for caller in 0..clients {
        let target = target.clone();
        running.spawn(async move {
            let mut client = Client::connect(&target, caller).await;
            let mut tally = Tally::default();
            while Instant::now() < end {
                client.hand_in(&mut tally).await;
            }
            tally
        });
    }
    all(running).await
}

/// A request is due `rate` times a second, whatever becomes of those before it. Answers when that began, too.
pub(super) async fn open_loop(clients: Vec<Client>, rate: f64) -> (Tally, Instant) {
    let begin = Instant::now() + Duration::from_millis(500);
    let many = clients.len() as f64;
    let every = Duration::from_secs_f64(many / rate);
    let mut running = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        let first = begin + every.mul_f64(number as f64 / many);
        running.spawn(flooding(client, first, every, begin + FLOOD));
    }
    (all(running).await, begin)
}

/// What is due while the answer to an earlier request is still awaited is counted as not sent: no client could send it.
async fn flooding(mut client: Client, first: Instant, every: Duration, end: Instant) -> Tally {
    let (mut tally, mut due) = (Tally::default(), first);
    while due < end {
        if Instant::now() < due + every {
            tokio::time::sleep_until(due).await;
            client.hand_in(&mut tally).await;
        } else {
            tally.unsent += 1;
        }
        due += every;
    }
    tally
}

async fn all(running: JoinSet<Tally>) -> Tally {
    let ended = running.join_all().await;
    ended.into_iter().fold(Tally::default(), Tally::merge)
}

/// How long `/health/live` takes, asked ten times a second until the flood is over; and how often it did not answer.
pub(super) async fn health(address: SocketAddr) -> (Vec<Duration>, u64) {
    let (mut samples, mut missed) = (Vec::new(), 0);
    let end = Instant::now() + FLOOD;
    let mut connection = None;
    while Instant::now() < end {
        let asked = Instant::now();
        if connection.is_none() {
            connection = Connection::open(address).await.ok();
        }
        let answer = match &mut connection {
            Some(open) => open.exchange(&get("/health/live", None)).await.ok(),
            None => None,
        };
        if answer.is_some_and(|answer| answer.status == 200) {
            samples.push(asked.elapsed());
        } else {
            missed += 1;
            connection = None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (samples, missed)
}
