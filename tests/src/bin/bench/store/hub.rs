//! Our side: the real binary, over HTTP and JSON.

use std::ops::Range;
use std::time::{Duration, Instant};

use mihwar_tests::{Running, Site};

use super::http::{Http, Prepared};
use super::process::{allocated, cpu};
use super::records::{CHANNEL, KIND, RARE_CHANNEL, Record};
use super::side::{Ask, Disk, Side, Verified};

/// How soon it must be ready again after a crash: as long as PostgreSQL gets.
const READY_MAX: Duration = Duration::from_mins(15);
/// For how long nothing may happen until a hub counts as done of which it is not known what it has to do. Its workers look
/// into the store at least every two seconds.
const QUIET: Duration = Duration::from_secs(3);
/// Longest wait for it.
const SETTLING_MAX: Duration = Duration::from_mins(30);
/// Records of a list.
const LISTED: u64 = 50;

/// The hub with a folder of its own.
pub(super) struct Hub {
    /// Before the folder, so that it ends before its files go.
    running: Option<Running>,
    site: Site,
    token: String,
    control: Http,
    /// Bytes on disk before the first record: compiled plugins, mostly.
    empty: u64,
    /// Records that were routed in this life of the hub, when it had last settled; nothing after a crash: nobody knows how many
    /// of those before it were.
    routed: Option<u64>,
    /// Time and person for the filters, from the newest record.
    since: String,
    contact: String,
}

/// How far the hub is with what follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Records enriched and routed since the start.
    routed: u64,
    entries: u64,
    /// Entries of the ledger that the read models do not know yet.
    behind: u64,
}

impl Progress {
    fn read(metrics: &str) -> Self {
        let told = |name| metric(metrics, name).unwrap_or_else(|| panic!("the hub does not tell {name}"));
        Self {
            // Not told before it is first counted.
            routed: metric(metrics, "mihwar_pipeline_records_total").unwrap_or_default(),
            entries: told("mihwar_ledger_entries"),
            behind: told("mihwar_read_models_behind"),
        }
    }
}

impl Hub {
    /// Starts it on an empty folder, plugins compiled.
    pub(super) async fn start() -> Self {
        let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
        // No department listens here: what is measured is intake, with enrichment and routing behind it.
        site.reconfigure("default = [\"service\"]", "default = []");
        // All clients show one token, which gets two thirds of the places.
        site.reconfigure("[storage]", "[server]\nstreams = 256\n[storage]");
        // The first start compiles the plugins, which is not what is measured.
        assert!(site.serve().unwrap().stop());
        let running = site.serve().unwrap();
        let token = site.json(&["token", "create", "bench", "--scope", "admin"]);
        Self {
            token: token["token"].as_str().unwrap().to_owned(),
            control: Http::connect(site.listen).await,
            empty: allocated(&site.data()),
            running: Some(running),
            site,
            routed: Some(0),
            since: String::new(),
            contact: String::new(),
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the hub runs")
    }

    /// The hub ends connections that lie idle, as this one does while a load runs.
    async fn reconnect(&mut self) {
        self.control = Http::connect(self.site.listen).await;
    }

    async fn overview(&mut self) -> serde_json::Value {
        self.reconnect().await;
        self.control.get("/api/v1/overview", &self.token).await
    }

    async fn newest(&mut self) -> serde_json::Value {
        self.reconnect().await;
        let page = self.control.get("/api/v1/feedback?limit=1", &self.token).await;
        page["items"][0].clone()
    }

    /// What the hub counts along. It does no other work for it.
    async fn metrics(&mut self) -> String {
        let request = Prepared::get("/metrics", &self.token);
        String::from_utf8_lossy(self.control.exchange(&request).await).into_owned()
    }

    async fn progress(&mut self) -> Progress {
        Progress::read(&self.metrics().await)
    }

    /// Waits until so many records are routed and the read models know of all of them.
    async fn catch_up(&mut self, routed: u64, since: Instant) {
        let mut all_routed = false;
        loop {
            let now = self.progress().await;
            if all_routed && now.behind == 0 {
                return;
            }
            assert!(now.routed <= routed, "{routed} records came in: {now:?}");
            assert!(since.elapsed() < SETTLING_MAX, "of {routed} records: {now:?}");
            if now.routed == routed && !all_routed {
                // The hub reads its ledger a moment before that count: the next look shows one that holds all of it.
                all_routed = true;
                continue;
            }
            tokio::time::sleep(until_next_look(since.elapsed())).await;
        }
    }

    /// Waits until nothing happens any more; answers how far the hub is then.
    async fn come_to_rest(&mut self) -> Progress {
        let started = Instant::now();
        let (mut last, mut since) = (self.progress().await, Instant::now());
        while last.behind > 0 || since.elapsed() < QUIET {
            tokio::time::sleep(QUIET / 30).await;
            let now = self.progress().await;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(
                started.elapsed() < SETTLING_MAX,
                "the hub does not come to rest: {now:?}"
            );
        }
        last
    }
}

/// How long to wait before the hub is asked again how far it is: what is read is off by a hundredth at most, or by ten
/// milliseconds, and asking costs the hub next to nothing.
fn until_next_look(elapsed: Duration) -> Duration {
    (elapsed / 100).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

/// A metric, all its series together; nothing where it was never counted.
fn metric(metrics: &str, name: &str) -> Option<u64> {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let series = series.filter(|rest| rest.starts_with([' ', '{']));
    let values = series.filter_map(|rest| rest.trim_end().rsplit(' ').next()?.parse::<u64>().ok());
    values.reduce(|sum, value| sum + value)
}

/// Where a page of a list goes on. It stands behind the records.
fn next_page(page: &[u8]) -> Option<String> {
    let tail = page.get(page.len().saturating_sub(100)..).unwrap_or_default();
    let tail = String::from_utf8_lossy(tail);
    let (_, next) = tail.rsplit_once("\"next\":\"")?;
    next.split('"').next().map(str::to_owned)
}

impl Side for Hub {
    const NAME: &'static str = "mihwar";
    type Client = Http;

    async fn connect(&self) -> Http {
        Http::connect(self.site.listen).await
    }

    fn request(&self, numbers: Range<u64>) -> Prepared {
        let records = numbers.end - numbers.start;
        let mut body = String::new();
        for number in numbers {
            Record::of(number).write_json(&mut body);
            body.push('\n');
        }
        Prepared::hand_in(records, &body, &self.token)
    }

    /// To a hundredth of the time, or ten milliseconds. After a crash it takes longer than it must, and says nothing.
    async fn settle(&mut self, answered: Instant, records: u64) -> Duration {
        self.reconnect().await;
        let Some(before) = self.routed else {
            self.routed = Some(self.come_to_rest().await.routed);
            return answered.elapsed();
        };
        self.catch_up(before + records, answered).await;
        self.routed = Some(before + records);
        answered.elapsed()
    }

    /// Everything that it has answered or done is on disk.
    async fn rest(&mut self) {}

    /// Its lists are kept as they are asked for.
    async fn learn(&mut self) {}

    fn cpu(&self) -> Duration {
        cpu(self.running().id())
    }

    async fn fsyncs(&mut self) -> u64 {
        self.reconnect().await;
        metric(&self.metrics().await, "mihwar_store_fsyncs_total").expect("the hub counts its fsyncs")
    }

    fn disk(&self) -> Disk {
        let log = allocated(&self.site.data().join("mihwar.redb.wal"));
        Disk {
            data: allocated(&self.site.data()).saturating_sub(log + self.empty),
            log,
        }
    }

    fn resident(&self) -> u64 {
        self.running().resident_bytes()
    }

    async fn mark(&mut self) {
        let newest = self.newest().await;
        newest["received_at"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.since);
        newest["contact"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.contact);
        assert!(
            !self.since.is_empty() && !self.contact.is_empty(),
            "the newest record names no time or no person: {newest}"
        );
    }

    async fn ask(&mut self, ask: Ask) -> u64 {
        let filter = match ask {
            Ask::Newest => String::new(),
            Ask::Channel => format!("&channel={CHANNEL}"),
            Ask::RareChannel => format!("&channel={RARE_CHANNEL}"),
            Ask::KindSince => format!("&kind={KIND}&received_from={}", self.since),
            Ask::Contact => format!("&contact={}", self.contact),
        };
        // The hub looks at so many records for a page, and says where the next one begins.
        let (mut found, mut cursor) = (0, String::new());
        loop {
            let limit = LISTED - found;
            let path = format!("/api/v1/feedback?limit={limit}{filter}{cursor}");
            let page = self.control.exchange(&Prepared::get(&path, &self.token)).await;
            // Counted, not parsed: a reader's work is not what is measured.
            let mark = b"\"received_at\":";
            found += page.windows(mark.len()).filter(|window| window == mark).count() as u64;
            match next_page(page) {
                Some(next) if found < LISTED => cursor = format!("&cursor={next}"),
                _ => return found,
            }
        }
    }

    async fn stored(&mut self) -> u64 {
        self.overview().await["feedback"]
            .as_u64()
            .expect("the hub counts its records")
    }

    async fn crash(&mut self) -> Duration {
        self.running.take().expect("the hub runs").kill();
        let running = self.site.serve_within(READY_MAX).unwrap();
        let ready_after = running.ready_after;
        self.running = Some(running);
        self.routed = None;
        self.control = Http::connect(self.site.listen).await;
        ready_after
    }

    async fn verify(&mut self, kept: u64) -> Option<Verified> {
        let mut command = self.site.command(&["--json", "ledger", "verify"]);
        let started = Instant::now();
        // On a thread of its own: it takes minutes, and until then the benchmark can be told to stop.
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let took = started.elapsed();
        let output = output.expect("the command was waited for").unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("mihwar ledger verify: {error}: {said}")
        });
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["read_models_unchecked"].is_null(), "{report}");
        let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"));
        let verified = Verified {
            events: number("events"),
            contents: number("contents"),
            took,
        };
        assert_eq!(verified.contents, kept, "contents, of {kept} records: {report}");
        Some(verified)
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, metric, next_page};

    #[test]
    fn the_hubs_metrics_are_read() {
        let metrics = "# TYPE mihwar_pipeline_records_total counter\nmihwar_pipeline_records_total 330000\n\n\
            mihwar_ledger_entries 990001\nmihwar_read_models_behind 0\nmihwar_deliveries{destination=\"فرع\",state=\"dead\"} 2\n\
            mihwar_deliveries{destination=\"service\",state=\"dead\"} 3\n";
        let told = Progress {
            routed: 330_000,
            entries: 990_001,
            behind: 0,
        };
        assert_eq!(Progress::read(metrics), told);
        assert_eq!(metric(metrics, "mihwar_deliveries"), Some(5));
        assert_eq!(metric(metrics, "mihwar_ledger"), None);
    }

    #[test]
    fn the_next_page_stands_behind_the_records() {
        let page = "{\"items\":[{\"subject\":\"تأخر\"}],\"next\":\"AZ-_9\"}";
        assert_eq!(next_page(page.as_bytes()).as_deref(), Some("AZ-_9"));
        assert_eq!(next_page(b"{\"items\":[],\"next\":null}"), None);
    }
}
