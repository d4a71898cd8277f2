//! Our side: the real binary, over HTTP and JSON.

use std::ops::Range;
use std::time::{Duration, Instant};

use mihwar_tests::{Running, Site};

use super::http::{Http, Prepared};
use super::process::{allocated, cpu};
use super::records::{CHANNEL, KIND, RARE_CHANNEL, Record};
use super::side::{Ask, Disk, Side, Verified};

/// For how long nothing may happen before the hub counts as done.
const QUIET: Duration = Duration::from_millis(500);
/// Longest wait for it.
const SETTLING_MAX: Duration = Duration::from_secs(1800);

/// The hub with a folder of its own.
pub(super) struct Hub {
    site: Site,
    running: Option<Running>,
    token: String,
    control: Http,
    /// Bytes on disk before the first record: compiled plugins, mostly.
    empty: u64,
    /// Time and person for the filters, from the newest record.
    since: String,
    contact: String,
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

    async fn settle(&mut self) -> Duration {
        let started = Instant::now();
        let (mut last, mut since) = (serde_json::Value::Null, Instant::now());
        while since.elapsed() < QUIET {
            let overview = self.overview().await;
            let now = serde_json::json!([overview["ledger_size"], overview["feedback"]]);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(
                started.elapsed() < SETTLING_MAX,
                "the hub does not come to rest: {overview}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Up to the last change, without the quiet that shows that it was the last.
        since.saturating_duration_since(started)
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
        let request = Prepared::get("/metrics", &self.token);
        let metrics = String::from_utf8_lossy(self.control.exchange(&request).await).into_owned();
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("mihwar_store_fsyncs_total "));
        value
            .and_then(|value| value.trim().parse().ok())
            .expect("the hub counts its fsyncs")
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
        let page = Prepared::get(&format!("/api/v1/feedback?limit=50{filter}"), &self.token);
        let body = self.control.exchange(&page).await;
        // Counted, not parsed: a reader's work is not what is measured.
        let mark = b"\"received_at\":";
        body.windows(mark.len()).filter(|window| window == mark).count() as u64
    }

    async fn stored(&mut self) -> u64 {
        self.overview().await["feedback"]
            .as_u64()
            .expect("the hub counts its records")
    }

    async fn crash(&mut self) -> Duration {
        self.running.take().expect("the hub runs").kill();
        let running = self.site.serve().unwrap();
        let ready_after = running.ready_after;
        self.running = Some(running);
        self.control = Http::connect(self.site.listen).await;
        ready_after
    }

    async fn verify(&mut self) -> Option<Verified> {
        let started = Instant::now();
        let report = self.site.json(&["ledger", "verify"]);
        assert_eq!(report["ok"], true, "{report}");
        Some(Verified {
            events: report["events"].as_u64().expect("the report counts events"),
            took: started.elapsed(),
        })
    }
}
