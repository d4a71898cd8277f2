//! What both sides can be asked to do, and how their work is measured.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::process::own_cpu;
use super::progress::{Progress, say};
use super::table::millis;
use crate::quantile;

/// Records of one batch.
pub(super) const BATCH: u64 = 128;

/// One connection that hands in what was prepared.
pub(super) trait Client: Send + 'static {
    /// One request, ready to be sent.
    type Request: Send + Sync + 'static;

    /// Sends it, waits for the answer and checks it; answers how many records are new and durable.
    fn send(&mut self, request: &Self::Request) -> impl Future<Output = u64> + Send;
}

/// Bytes on disk beyond those of an empty store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    /// What keeps the records.
    pub(super) data: u64,
    /// A log that is reused and does not grow with them.
    pub(super) log: u64,
}

/// A list that both sides are asked for, 50 records, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Of everything.
    Newest,
    /// Of a channel that every fourth record has.
    Channel,
    /// Of a channel that one in five hundred has.
    RareChannel,
    /// Of a kind, and received since the last mark.
    KindSince,
    /// Of one person.
    Contact,
}

impl Ask {
    pub(super) const ALL: [Self; 5] = [
        Self::Newest,
        Self::Channel,
        Self::RareChannel,
        Self::KindSince,
        Self::Contact,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Channel => "channel",
            Self::RareChannel => "rare channel",
            Self::KindSince => "kind since",
            Self::Contact => "contact",
        }
    }
}

/// How fast a list came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// Records on the page.
    pub(super) records: u64,
}

/// How long it took to check everything that is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    pub(super) events: u64,
    /// Records whose content was opened and is what was signed.
    pub(super) contents: u64,
    pub(super) took: Duration,
}

/// A store under measurement: processes of its own, reached as an application would.
pub(super) trait Side {
    const NAME: &'static str;
    type Client: Client;

    /// A new connection.
    async fn connect(&self) -> Self::Client;
    /// The request that hands in these records: one by itself, or a batch in one transaction.
    fn request(&self, numbers: Range<u64>) -> <Self::Client as Client>::Request;
    /// Waits until what follows the answers to so many new records is done too, the last of which came at `answered`;
    /// answers how long after that it was.
    async fn settle(&mut self, answered: Instant, records: u64) -> Duration;
    /// Lets what it still holds in memory reach the disk, so that one load leaves nothing to the next. Not measured.
    async fn rest(&mut self);
    /// Lets it learn what it holds, where its answers depend on that. Not measured.
    async fn learn(&mut self);
    /// Processor time of its processes since they started.
    fn cpu(&self) -> Duration;
    /// Times that a file was made durable since the start. Called when no client is connected, also right after an answer:
    /// it asks for no work.
    async fn fsyncs(&mut self) -> u64;
    /// What lies on disk.
    fn disk(&self) -> Disk;
    /// Memory of all its processes; what they share is counted once.
    fn resident(&self) -> u64;
    /// Remembers the present for [`Ask::KindSince`].
    async fn mark(&mut self);
    /// Asks once; answers the number of records.
    async fn ask(&mut self, ask: Ask) -> u64;
    /// Records that are there.
    async fn stored(&mut self) -> u64;
    /// Ends it without warning and starts it again; answers the time until it was ready.
    async fn crash(&mut self) -> Duration;
    /// Checks everything that is kept, where a side can, and that it is so many records.
    async fn verify(&mut self, kept: u64) -> Option<Verified>;
}

/// How records are handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) clients: u64,
    /// Records of a request.
    pub(super) batch: u64,
}

impl Manner {
    pub(super) const fn name(self) -> &'static str {
        if self.batch == 1 { "single" } else { "batch of 128" }
    }
}

/// What one load showed.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) manner: Manner,
    pub(super) records: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
    /// From the last answer until what follows it was done.
    pub(super) settling: Duration,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) fsyncs: u64,
    /// Processor time of the side while records came in.
    pub(super) cpu: Duration,
    /// … and after that, until it had settled.
    pub(super) cpu_after: Duration,
    /// Processor time of the load generator.
    pub(super) cpu_client: Duration,
    /// Memory of the side when the last answer had come and every client was still connected.
    pub(super) resident: u64,
}

impl Sample {
    pub(super) fn per_second(&self) -> f64 {
        self.records as f64 / self.took.as_secs_f64()
    }

    /// The same until everything was done, also what follows an answer.
    pub(super) fn settled_per_second(&self) -> f64 {
        self.records as f64 / (self.took + self.settling).as_secs_f64()
    }

    /// Microseconds of a span for each record.
    pub(super) fn micros(&self, span: Duration) -> f64 {
        span.as_secs_f64() * 1e6 / self.records as f64
    }
}

/// Hands in the records of these numbers and waits until the side has settled. Everything is prepared before the clock starts.
pub(super) async fn load<S: Side>(side: &mut S, manner: Manner, numbers: Range<u64>) -> Sample {
    let ready = Ready::prepare(&*side, manner, numbers);
    let fsyncs = side.fsyncs().await;
    let Answered { mut sample, at, cpu } = hand_in(&*side, ready).await;
    // What follows the answers goes on meanwhile, and its time counts from the last of them.
    sample.fsyncs = side.fsyncs().await - fsyncs;
    sample.settling = side.settle(at, sample.records).await;
    sample.cpu_after = side.cpu().saturating_sub(cpu);
    say(&format!(
        "    settled {} after the last answer: {:.0} records/s",
        millis(sample.settling),
        sample.settled_per_second()
    ));
    side.rest().await;
    sample
}

/// Records that need only be sent.
pub(super) struct Ready<S: Side> {
    manner: Manner,
    records: u64,
    requests: Vec<<S::Client as Client>::Request>,
}

impl<S: Side> Ready<S> {
    /// The records of these numbers.
    pub(super) fn prepare(side: &S, manner: Manner, numbers: Range<u64>) -> Self {
        let step = usize::try_from(manner.batch).expect("a batch is small");
        let starts = numbers.clone().step_by(step);
        let requests = starts.map(|start| side.request(start..(start + manner.batch).min(numbers.end)));
        Self {
            manner,
            records: numbers.end - numbers.start,
            requests: requests.collect(),
        }
    }
}

/// A load whose last answer has come.
pub(super) struct Answered {
    /// Without its fsyncs, and without what follows the answers.
    sample: Sample,
    /// When the last answer came.
    at: Instant,
    /// Processor time of the side since its start, at that moment.
    cpu: Duration,
}

/// The one in the middle, by records per second.
///
/// # Panics
/// When there is none.
pub(super) fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
    samples.swap_remove(samples.len() / 2)
}

/// Hands in what is ready, and leaves the side as it is after its last answer: it is asked for nothing more.
pub(super) async fn hand_in<S: Side>(side: &S, ready: Ready<S>) -> Answered {
    let Ready {
        manner,
        records,
        requests,
    } = ready;
    let what = format!("{}: {}, {} clients", S::NAME, manner.name(), manner.clients);
    let progress = Progress::start(&what, records);
    let mut clients = Vec::new();
    for _ in 0..manner.clients {
        clients.push(side.connect().await);
    }
    let (cpu_before, own) = (side.cpu(), own_cpu());
    let mut driven = drive(clients, requests, &progress).await;
    let (cpu, own) = (side.cpu(), own_cpu().saturating_sub(own));
    // What a server process has touched of the memory that they share counts only while it lives.
    let resident = side.resident();
    assert_eq!(driven.new, records, "{what}: not every record was answered as new");
    drop(driven.clients);
    let sample = Sample {
        manner,
        records,
        took: driven.took,
        settling: Duration::ZERO,
        p50: quantile(&mut driven.latencies, 0.5),
        p99: quantile(&mut driven.latencies, 0.99),
        fsyncs: 0,
        cpu: cpu.saturating_sub(cpu_before),
        cpu_after: Duration::ZERO,
        cpu_client: own,
        resident,
    };
    progress.end(&format!(
        "{} records in {}: {:.0} records/s",
        sample.records,
        millis(sample.took),
        sample.per_second()
    ));
    Answered {
        sample,
        at: driven.at,
        cpu,
    }
}

struct Driven<C> {
    took: Duration,
    /// When the last answer came.
    at: Instant,
    latencies: Vec<Duration>,
    new: u64,
    /// Still connected, so that hanging up costs nothing that is measured.
    clients: Vec<C>,
}

/// Each client takes the next request as soon as it has its answer, until none is left.
async fn drive<C: Client>(clients: Vec<C>, requests: Vec<C::Request>, progress: &Progress) -> Driven<C> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    // They end with this set, when the benchmark is told to stop.
    let mut running = JoinSet::new();
    for mut client in clients {
        let (requests, next, done) = (requests.clone(), next.clone(), progress.counter());
        running.spawn(async move {
            let (mut latencies, mut new) = (Vec::new(), 0);
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let asked = Instant::now();
                let durable = client.send(request).await;
                latencies.push(asked.elapsed());
                new += durable;
                done.fetch_add(durable, Ordering::Relaxed);
            }
            (latencies, new, client)
        });
    }
    let mut ended = Vec::new();
    while let Some(client) = running.join_next().await {
        ended.push(client.expect("a client said why it stopped"));
    }
    let at = Instant::now();
    let mut driven = Driven {
        took: at - started,
        at,
        latencies: Vec::new(),
        new: 0,
        clients: Vec::new(),
    };
    for (latencies, new, client) in ended {
        driven.latencies.extend(latencies);
        driven.new += new;
        driven.clients.push(client);
    }
    driven
}

#[cfg(test)]
mod tests {
    use super::{BATCH, Manner, Sample, median};
    use std::time::Duration;

    fn sample(records: u64, millis: u64, settling: u64) -> Sample {
        Sample {
            manner: Manner {
                clients: 8,
                batch: BATCH,
            },
            records,
            took: Duration::from_millis(millis),
            settling: Duration::from_millis(settling),
            p50: Duration::ZERO,
            p99: Duration::ZERO,
            fsyncs: 0,
            cpu: Duration::ZERO,
            cpu_after: Duration::ZERO,
            cpu_client: Duration::ZERO,
            resident: 0,
        }
    }

    #[test]
    fn what_follows_an_answer_counts_when_all_is_to_be_done() {
        let sample = sample(1_000, 500, 1_500);
        assert!((sample.per_second() - 2_000.0).abs() < 1e-6);
        assert!((sample.settled_per_second() - 500.0).abs() < 1e-6);
    }

    #[test]
    fn one_load_that_is_off_moves_no_median() {
        let of = [100, 10_000, 110, 90, 105].map(|millis| sample(1_000, millis, 0));
        assert_eq!(median(of.to_vec()).took, Duration::from_millis(105));
    }
}
