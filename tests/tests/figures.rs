//! A figure that a hub makes while it serves, and that a stranger makes again: from receipt, bundle and module alone, with a
//! configuration and a data folder that are not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::fs;
use std::path::{Path, PathBuf};

use mihwar_tests::{Receiver, Site, guest_file, plugin_file};
use serde_json::{Value, json};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn metric(id: &str, file: &Path) -> String {
    format!(
        "[[plugin]]\nid = \"{id}\"\nfile = \"{}\"\n[[instance]]\nname = \"{id}\"\nplugin = \"{id}\"\n",
        file.display()
    )
}

fn site(receiver: &Receiver) -> Site {
    let site = Site::small(receiver.address).unwrap();
    for id in ["nps", "csat"] {
        site.configure_also(&metric(id, &plugin_file(id))).unwrap();
    }
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_that_was_made_with_more_memory_is_checked_with_as_much() {
    let receiver = Receiver::start(0).await.unwrap();
    let (site, stranger) = (Site::small(receiver.address).unwrap(), stranger(&receiver));
    let raised = metric("nps", &plugin_file("nps")) + "limits = { memory = \"96MiB\", table = 50000 }\n";
    site.configure_also(&raised).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let [receipt, bundle] = ["figure.json", "ledger.bundle"].map(|name| outside.path().join(name));
    run(&site, "nps", &[], &receipt);
    site.ends_with(0, &["ledger", "export", text(&bundle)]);
    let told: Value = serde_json::from_str(&fs::read_to_string(&receipt).unwrap()).unwrap();
    assert_eq!(told["limits"], json!({"memory": 96 << 20, "table": 50_000}));
    let module = plugin_file("nps");
    let files = ["--bundle", text(&bundle), "--module", text(&module)];
    let verify = [&["metric", "verify", text(&receipt)][..], &files].concat();
    assert!(stranger.ends_with(0, &verify).contains("gives the same digits"));
    let refused = stranger.ends_with(1, &[&verify[..], &["--memory", "64MiB"]].concat());
    assert!(
        refused.contains("96MiB of memory") && refused.contains("--memory"),
        "{refused}"
    );
}

/// A stranger: nothing of a hub, neither configuration nor data.
fn stranger(receiver: &Receiver) -> Site {
    let site = Site::small(receiver.address).unwrap();
    fs::remove_file(site.config()).unwrap();
    site
}

fn record(number: usize, value: f64, channel: &str, day: &str) -> Value {
    json!({
        "external_id": format!("رأي-{number}"),
        "channel": channel,
        "occurred_at": format!("{day}T12:00:00Z"),
        "author": {"name": format!("هدى {number}")},
        "body": "شكرًا لكم",
        "scores": [{"metric": "nps", "value": value, "min": 0, "max": 10}],
    })
}

async fn post(site: &Site, records: &[Value]) {
    send(site, records, "new").await;
}

/// Brings records in, all of which must be `new` or `revised`.
async fn send(site: &Site, records: &[Value], as_what: &str) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = site.json(&["token", "create", "test", "--scope", "feedback:write"]);
    let body: String = records.iter().map(|record| format!("{record}\n")).collect();
    let answer = client
        .post(format!("http://{}/api/v1/feedback:batch", site.listen))
        .bearer_auth(token["token"].as_str().unwrap())
        .header("content-type", "application/x-ndjson")
        .body(body)
        .send()
        .await
        .unwrap();
    let told = answer.text().await.unwrap();
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(summary["summary"][as_what], records.len(), "{told}");
}

/// What the definition's first vector is of, on two channels; and one answer of another month.
fn vector() -> Vec<Value> {
    let answers = [(50, 10.0), (30, 7.0), (20, 0.0)];
    let flat = answers
        .iter()
        .flat_map(|(count, value)| std::iter::repeat_n(*value, *count));
    let mut records: Vec<Value> = (0..)
        .zip(flat)
        .map(|(number, value)| {
            let channel = if number % 2 == 0 { "branch-visit" } else { "survey" };
            record(number, value, channel, "2026-01-15")
        })
        .collect();
    records.push(record(100, 0.0, "survey", "2026-02-01"));
    records
}

const JANUARY: [&str; 4] = ["--from", "2026-01-01", "--to", "2026-02-01"];

/// Has the hub make a figure into a file.
fn run(site: &Site, metric: &str, more: &[&str], receipt: &Path) -> String {
    let arguments = [
        &["metric", "run", metric][..],
        &JANUARY,
        more,
        &["--receipt", text(receipt)],
    ]
    .concat();
    site.ends_with(0, &arguments)
}

/// A receipt with a piece of its text replaced.
fn doctored(receipt: &Path, from: &str, to: &str) -> PathBuf {
    let whole = fs::read_to_string(receipt).unwrap();
    let other = whole.replacen(from, to, 1);
    assert_ne!(other, whole, "{from} is not in it: {whole}");
    let path = receipt.with_file_name("محرّف.json");
    fs::write(&path, other).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_the_same_digits_from_the_bundle_alone() {
    let receiver = Receiver::start(0).await.unwrap();
    let (site, stranger) = (site(&receiver), stranger(&receiver));
    let hub = site.serve().unwrap();
    post(&site, &vector()).await;

    let outside = tempfile::tempdir().unwrap();
    let [plain, by_channel, bundle] =
        ["figure.json", "by-channel.json", "ledger.bundle"].map(|name| outside.path().join(name));
    let printed = run(&site, "nps", &[], &plain);
    assert!(printed.contains("30.000 points, 14.692 to 45.308"), "{printed}");
    assert!(printed.contains("n = 100 of 100 records"), "{printed}");
    let grouped = run(&site, "nps", &["--by", "channel"], &by_channel);
    assert!(
        grouped.contains("branch-visit") && grouped.contains("n = 50 of 50 records"),
        "{grouped}"
    );
    let again = site.ends_with(
        1,
        &[&["metric", "run", "nps"][..], &JANUARY, &["--receipt", text(&plain)]].concat(),
    );
    assert!(again.contains("exists already"), "{again}");
    let whole = fs::read_to_string(&plain).unwrap() + &fs::read_to_string(&by_channel).unwrap();
    assert!(!whole.contains("هدى") && !whole.contains("شكرًا"), "{whole}");
    site.ends_with(0, &["ledger", "export", text(&bundle)]);
    assert!(hub.stop(), "{}", site.log());

    // Elsewhere, with what was handed out and nothing else.
    fs::copy(plugin_file("nps"), outside.path().join("nps.wasm")).unwrap();
    for receipt in [&plain, &by_channel] {
        let verify = ["metric", "verify", text(receipt), "--bundle", text(&bundle)];
        let verified = stranger.ends_with(0, &verify);
        assert!(verified.contains("gives the same digits"), "{verified}");
        let told = stranger.json(&verify);
        assert_eq!((&told["ok"], &told["definition"]), (&json!(true), &json!("nps@1")));
    }
    // A hub that does not run makes the same figure.
    let later = outside.path().join("later.json");
    run(&site, "nps", &[], &later);
    let figures = [&plain, &later].map(|path| {
        let receipt: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        receipt["groups"].clone()
    });
    assert_eq!(figures[0], figures[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_changed_or_moved_out_is_told_and_cannot_be_hushed_up() {
    let receiver = Receiver::start(0).await.unwrap();
    let (site, stranger) = (site(&receiver), stranger(&receiver));
    let hub = site.serve().unwrap();
    let first: Vec<Value> = (0..3)
        .map(|number| record(number, 2.0, "survey", "2026-01-31"))
        .collect();
    post(&site, &first).await;
    let mut later = vec![
        record(0, 10.0, "survey", "2026-01-31"),
        record(1, 2.0, "survey", "2026-02-01"),
    ];
    for record in &mut later {
        record["revision"] = json!("معدّل");
    }
    send(&site, &later, "revised").await;
    let outside = tempfile::tempdir().unwrap();
    let [receipt, bundle] = ["figure.json", "ledger.bundle"].map(|name| outside.path().join(name));
    let printed = run(&site, "nps", &[], &receipt);
    let told = "1 of these was changed after it was given; 1 was moved out";
    assert!(printed.contains(told), "{printed}");
    site.ends_with(0, &["ledger", "export", text(&bundle)]);
    assert!(hub.stop(), "{}", site.log());

    let module = plugin_file("nps");
    let verify = |receipt: &Path, status| {
        let files = ["--bundle", text(&bundle), "--module", text(&module)];
        stranger.ends_with(status, &[&["metric", "verify", text(receipt)][..], &files].concat())
    };
    assert!(verify(&receipt, 0).contains(told));
    for (said, hushed) in [("\"revised\": 1", "\"revised\": 0"), ("\"moved\": 1", "\"moved\": 0")] {
        let refused = verify(&doctored(&receipt, said, hushed), 1);
        assert!(refused.contains("the receipt says 0, here it is 1"), "{refused}");
    }
    let older = verify(&doctored(&receipt, "mihwar-figure/2", "mihwar-figure/1"), 1);
    assert!(older.contains("have it made again"), "{older}");
}

/// What was handed out: by a hub, by the same one when its ledger was longer, and by another hub.
struct HandedOut {
    folder: tempfile::TempDir,
    stranger: Site,
    module: PathBuf,
}

impl HandedOut {
    async fn new() -> Self {
        let receiver = Receiver::start(0).await.unwrap();
        let handed = Self {
            folder: tempfile::tempdir().unwrap(),
            stranger: stranger(&receiver),
            module: plugin_file("nps"),
        };
        for (receipt, bundle, longer) in [("r.json", "r.bundle", true), ("f.json", "f.bundle", false)] {
            let site = site(&receiver);
            let hub = site.serve().unwrap();
            post(&site, &vector()).await;
            run(&site, "nps", &[], &handed.path(receipt));
            site.ends_with(0, &["ledger", "export", text(&handed.path(bundle))]);
            if longer {
                post(&site, &[record(101, 0.0, "survey", "2026-01-20")]).await;
                run(&site, "nps", &[], &handed.path("longer.json"));
            }
            assert!(hub.stop(), "{}", site.log());
        }
        handed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the stranger is told of these files, who must refuse them.
    fn refused(&self, receipt: &Path, bundle: &str, module: &Path) -> String {
        let bundle = self.path(bundle);
        let files = ["--bundle", text(&bundle), "--module", text(module)];
        let arguments = [&["metric", "verify", text(receipt)][..], &files].concat();
        self.stranger.ends_with(1, &arguments)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_says_what() {
    let handed = HandedOut::new().await;
    let receipt = handed.path("r.json");
    let whole = fs::read_to_string(&receipt).unwrap();
    let digest = whole.split("\"sha256\": \"").nth(1).unwrap().get(..64).unwrap();
    for (from, to, word) in [
        ("30.000", "31.000", "the receipt says 31.000, here it is 30.000"),
        ("2026-01-01T", "2026-01-16T", "records that the filter chooses"),
        ("\"by\": null", "\"by\": \"person\"", "filter"),
        // The module has what it had when the figure was made, and not what is usual.
        ("\"memory\": 67108864", "\"memory\": 65536", "the limit is 64KiB"),
        ("\"memory\": 67108864", "\"memory\": 3221225472", "at most 1GiB"),
        (digest, "0".repeat(64).as_str(), "the module is another one"),
        (
            "\"plugin\": \"nps\"",
            "\"plugin\": \"csat\"",
            "says of itself that it is nps",
        ),
        (
            "\"by\": null",
            "\"by\": \"channel\"",
            "groups: the receipt says all, here it is branch-visit, survey",
        ),
    ] {
        let refused = handed.refused(&doctored(&receipt, from, to), "r.bundle", &handed.module);
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let cut = handed.path("cut.json");
    fs::write(&cut, whole.get(..whole.floor_char_boundary(whole.len() / 2)).unwrap()).unwrap();
    let (module, longer) = (&handed.module, handed.path("longer.json"));
    for (receipt, bundle, module, word) in [
        (&receipt, "r.bundle", &plugin_file("csat"), "the module is another one"),
        (&receipt, "r.bundle", &handed.path("nowhere.wasm"), "--module"),
        (&longer, "r.bundle", module, "shorter history"),
        (&receipt, "f.bundle", module, "no signature by"),
        (&cut, "r.bundle", module, "cut short"),
        (&handed.path("r.bundle"), "r.bundle", module, "no JSON"),
        (&receipt, "r.json", module, "no bundle"),
    ] {
        let refused = handed.refused(receipt, bundle, module);
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let wrong_command = ["ledger", "verify", text(&receipt), "--checkpoint", text(&receipt)];
    assert!(
        handed
            .stranger
            .ends_with(1, &wrong_command)
            .contains("mihwar metric verify")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_figure_is_refused_and_a_metric_with_a_clock_is_not_loaded() {
    let receiver = Receiver::start(0).await.unwrap();
    let site = site(&receiver);
    let ask = |words: &[&str]| site.ends_with(1, &[&["metric", "run"][..], words].concat());
    let unknown = ask(&["رضا", "--from", "2026-01-01", "--to", "2026-02-01"]);
    assert!(unknown.contains("there are: csat, nps"), "{unknown}");
    let department = ask(&["service", "--from", "2026-01-01", "--to", "2026-02-01"]);
    assert!(department.contains("there is no metric \"service\""), "{department}");
    let backwards = ask(&["nps", "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert!(backwards.contains("begins at"), "{backwards}");
    site.configure_also(&metric("timed", &guest_file("timed"))).unwrap();
    let clock = site.ends_with(1, &["config", "check"]);
    assert!(clock.contains("asks for a clock"), "{clock}");
}
