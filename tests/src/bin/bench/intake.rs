//! How fast things come in, durably, through the real binary.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use mihwar_tests::{Site, workspace};

use crate::{figure, say};

/// Longest wait until the hub has done what follows an answer.
const DRAINING_MAX: Duration = Duration::from_secs(1800);
/// How often it is told how far that is.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Requests at once that feed a hub.
const STREAMS: u64 = 4;
/// Records in one piece of such a request.
pub(crate) const PIECE: u64 = 500;
/// Records that are fed come in multiples of this.
pub(crate) const FED_TOGETHER: u64 = STREAMS * PIECE;

/// The mail corpus, from the command line's start to its report.
pub(crate) fn mail() {
    let corpus = workspace().join("target/corpus/mails");
    if !corpus.is_dir() {
        figure("import of the mail corpus", "no corpus", "run: cargo xtask corpus");
        return;
    }
    let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
    // The first start compiles the plugins; that is not what is measured here.
    assert!(site.serve().unwrap().stop());
    let started = Instant::now();
    let report = site.json(&["import", "mail", &corpus.display().to_string()]);
    let took = started.elapsed();
    let files = report["files"].as_u64().unwrap_or_default();
    figure(
        &format!("import of {files} mails in {took:.2?}"),
        &format!("{:.0} mails/s", rate(files, took)),
        "1 500 mails/s",
    );
    let overview = site.json(&["ledger", "verify"]);
    assert_eq!(overview["ok"], true, "{overview}");
}

pub(crate) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A site for records in bulk: no department listens, so that what is measured is intake, with enrichment and routing
/// behind it. Its plugins are compiled already; neither that time nor that memory is what is measured.
pub(crate) fn bulk_site() -> Site {
    drop(rustls::crypto::ring::default_provider().install_default());
    let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
    site.reconfigure("default = [\"service\"]", "default = []");
    assert!(site.serve().unwrap().stop());
    site
}

/// What speaks to a running hub in bulk.
pub(crate) struct Feeder<'a> {
    site: &'a Site,
    token: String,
    client: reqwest::Client,
}

impl<'a> Feeder<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        let token = site.json(&["token", "create", "bench", "--scope", "admin"]);
        Self {
            site,
            token: token["token"].as_str().unwrap().to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// NDJSON over HTTP, four streams at once; every line is durable when it is answered. A multiple of [`FED_TOGETHER`].
    pub(crate) async fn feed(&self, records: u64) -> Duration {
        self.feed_with(0, records, lines).await.took
    }

    /// As [`Feeder::feed`], of so many records from a number on; `lines` writes down [`PIECE`] of them, from a number on.
    pub(crate) async fn feed_with(&self, from: u64, records: u64, lines: fn(u64) -> String) -> Fed {
        let share = records / STREAMS;
        let started = Instant::now();
        let streams = (0..STREAMS).map(|stream| {
            let request = self
                .client
                .post(format!("http://{}/api/v1/feedback:batch", self.site.listen))
                .bearer_auth(&self.token);
            let request = request.header("content-type", "application/x-ndjson");
            let first = from + stream * share;
            let pieces = futures_util::stream::iter(
                (0..share / PIECE).map(move |piece| Ok::<_, std::io::Error>(lines(first + piece * PIECE))),
            );
            async move {
                let answer = request.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap().to_vec()
            }
        });
        let answers: Vec<Vec<u8>> = futures_util::future::join_all(streams).await;
        let took = started.elapsed();
        let accepted: u64 = answers.iter().map(|answer| new_records(answer)).sum();
        assert_eq!(accepted, records, "records that were answered as new");
        Fed { took, answers }
    }

    /// Hands in one record, which is durable then.
    pub(crate) async fn hand_in(&self, record: String) {
        let request = self
            .client
            .post(format!("http://{}/api/v1/feedback", self.site.listen))
            .bearer_auth(&self.token);
        let request = request.header("content-type", "application/json");
        let answer = request.body(record).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    /// Waits until all of it is enriched, routed and in the read models. To be asked once in a life of the hub, for all that
    /// came in it.
    pub(crate) async fn drained(&self, records: u64) -> Duration {
        let started = Instant::now();
        let mut told = started;
        let (mut routed, mut behind) = (0, String::new());
        while started.elapsed() < DRAINING_MAX {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                say(&format!(
                    "{routed} of {records} records are routed; read models: {behind}"
                ));
            }
            if routed < records {
                routed = routed_records(&self.get("/metrics").await);
            } else {
                behind = read_models(&self.get("/health/ready").await);
                if behind == "0 events behind" {
                    return started.elapsed();
                }
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("after {DRAINING_MAX:?} {routed} of {records} are routed, and read models are {behind:?}");
    }

    /// What the hub answers, whatever its status is.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("http://{}{path}", self.site.listen));
        let answer = request.bearer_auth(&self.token).send().await.unwrap();
        String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned()
    }
}

/// What a hub answered to records.
pub(crate) struct Fed {
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    answers: Vec<Vec<u8>>,
}

impl Fed {
    /// The hub's ids of the records, in no order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let lines = self
            .answers
            .iter()
            .flat_map(|answer| answer.split(|byte| *byte == b'\n'));
        lines.filter_map(id_in).collect()
    }
}

/// The id in a line of an answer, if it is of a record.
fn id_in(line: &[u8]) -> Option<String> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    line["id"].as_str().map(ToOwned::to_owned)
}

/// How many records a stream's answer calls new: its last line counts them.
fn new_records(answer: &[u8]) -> u64 {
    let last = answer.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let summary: serde_json::Value = serde_json::from_slice(last.unwrap_or_default()).unwrap_or_default();
    let new = summary["summary"]["new"].as_u64();
    new.unwrap_or_else(|| panic!("a stream ended without its summary: {summary}"))
}

/// How many records were enriched and routed since the hub started, by its metrics.
fn routed_records(metrics: &str) -> u64 {
    counter(metrics, "mihwar_pipeline_records_total")
}

/// How far a counter has come since the hub started; 0 before it counted anything. Labels belong to the name.
pub(crate) fn counter(metrics: &str, name: &str) -> u64 {
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
    // What goes on otherwise is another name that begins like this one.
    let value = values.find_map(|rest| rest.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// What the hub says of its read models.
fn read_models(readiness: &str) -> String {
    let readiness: serde_json::Value = serde_json::from_str(readiness).unwrap_or_default();
    let mut checks = readiness["checks"].as_array().into_iter().flatten();
    let check = checks.find(|check| check["name"] == "read models");
    check
        .and_then(|check| check["detail"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Records in bulk, and what they leave: time, memory, bytes on disk.
pub(crate) async fn bulk(records: u64) {
    let site = bulk_site();
    let running = site.serve().unwrap();
    let idle = running.resident_bytes();
    let feeder = Feeder::new(&site);
    let took = feeder.feed(records).await;
    figure(
        &format!("bulk NDJSON, {records} records durable in {took:.1?}"),
        &format!("{:.0} records/s", rate(records, took)),
        "15 000 records/s",
    );
    let drained = feeder.drained(records).await;
    figure(
        "  until all were enriched, routed and in the read models",
        &format!("{drained:.1?} more"),
        "-",
    );
    let resident = running.resident_bytes();
    let mib = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    figure(
        "  resident memory: idle, then after it",
        &format!("{}, {}", mib(idle), mib(resident)),
        "150 MB after 1 000 000",
    );
    let file = std::fs::metadata(site.data().join("mihwar.redb")).map_or(0, |metadata| metadata.len());
    figure("  bytes on disk per record", &format!("{}", file / records), "-");
    assert!(running.stop());
}

/// Five hundred records of about five hundred bytes, from a thousand people.
fn lines(first: u64) -> String {
    let mut text = String::new();
    for number in first..first + PIECE {
        let body = "وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد. The courier left my parcel in the rain and nobody answered the phone for two days. ".repeat(2);
        writeln!(
            text,
            r#"{{"external_id":"bench-{number}","channel":"form","occurred_at":"2026-11-{:02}T10:00:00Z","author":{{"name":"ليلى {number}","identifiers":[{{"scheme":"crm","id":"c{}"}}]}},"body":"{body}","scores":[{{"metric":"nps","value":{},"min":0,"max":10}}]}}"#,
            1 + number % 28,
            number % 1000,
            number % 11
        )
        .unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counter, id_in, new_records, read_models, routed_records};

    #[test]
    fn the_answers_of_the_hub_are_read() {
        // Each line calls its record new as well; only the summary counts.
        let lines = "{\"line\":1,\"result\":\"new\"}\n{\"line\":2,\"result\":\"new\"}\n";
        let answer = format!("{lines}{{\"summary\":{{\"new\":2,\"duplicate\":0}}}}\n");
        assert_eq!(new_records(answer.as_bytes()), 2);
        let metrics = "# TYPE mihwar_pipeline_records_total counter\nmihwar_pipeline_records_total 330000\n";
        assert_eq!((routed_records(metrics), routed_records("")), (330_000, 0));
        let metrics =
            "batches_total_of{} 7\nbatches_total{outcome=\"refused\"} 1\nbatches_total{outcome=\"applied\"} 23\n";
        assert_eq!(counter(metrics, "batches_total{outcome=\"applied\"}"), 23);
        assert_eq!(counter(metrics, "batches_total"), 0);
        let line = r#"{"line":1,"result":"new","id":"0199-سجل","revision":1}"#;
        assert_eq!(id_in(line.as_bytes()).as_deref(), Some("0199-سجل"));
        assert_eq!(id_in(br#"{"summary":{"new":1}}"#), None);
        let ready = r#"{"ready":true,"checks":[{"name":"store","ok":true,"detail":"writes"},{"name":"read models","ok":true,"detail":"7 events behind"}]}"#;
        assert_eq!(
            (read_models(ready).as_str(), read_models("").as_str()),
            ("7 events behind", "")
        );
    }

    #[test]
    #[should_panic(expected = "without its summary")]
    fn a_stream_that_was_given_up_is_no_answer() {
        new_records("{\"problem\":{\"detail\":\"القرص ممتلئ\"}}\n".as_bytes());
    }
}
