//! Channels that are asked and channels that are called: what comes, what changes, what is taken back, and what
//! was refused and comes right after the admin has mended the configuration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports by panic, its helpers too"
)]

use std::time::{Duration, Instant};

use mihwar_tests::{Receiver, Script, Site, guest_file};
use serde_json::{Value, json};

/// A site with one scripted channel beside the usual ones.
fn site(receiver: &Receiver, script: &Script) -> Site {
    let site = Site::new(receiver.address).unwrap();
    let channel = format!(
        r#"
[[plugin]]
id = "scripted"
file = "{}"
[[instance]]
name = "notes"
plugin = "scripted"
every = "200ms"
limits.time = "1s"
settings = {{ url = "http://{}/pages", refused_word = "ممنوع" }}
[[instance.grant.http]]
origin = "http://{}"
methods = ["GET"]
private = true
"#,
        guest_file("scripted").display(),
        script.address,
        script.address,
    );
    site.configure_also(&channel).unwrap();
    site
}

async fn until<T>(site: &Site, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let patience = started.elapsed() < Duration::from_secs(60);
        if !patience {
            let told = |words: &[&str]| String::from_utf8_lossy(&site.run(words).unwrap().stdout).into_owned();
            let (plugins, feedback) = (told(&["plugin", "list"]), told(&["feedback", "list"]));
            panic!("{what} did not happen:\n{}\n{plugins}\n{feedback}", site.log());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The bodies of everything that a channel brought, newest first.
fn bodies(site: &Site, instance: &str) -> Vec<String> {
    let items = site.json_lines(&["feedback", "list", "--instance", instance]);
    let body = |item: &Value| item["content"]["body"].as_str().unwrap_or("(gone)").to_owned();
    items.iter().map(body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_asked_page_by_page_and_what_it_takes_back_is_destroyed() {
    let receiver = Receiver::start(0).await.unwrap();
    let script = Script::start().await.unwrap();
    script.add(&json!([
        { "id": "1", "body": "الطابور طويل والموظف واحد", "author": "سعاد" },
        { "id": "2", "body": "The counter closed before noon", "author": "Omar" },
    ]));
    script.add(&json!([{ "id": "3", "body": "شكراً على سرعة الإنجاز" }]));
    let site = site(&receiver, &script);
    let running = site.serve().unwrap();
    until(&site, "three notes", || {
        (bodies(&site, "notes").len() == 3).then_some(())
    })
    .await;
    let first = site.json_lines(&["feedback", "list", "--text", "الطابور"]);
    let id = first[0]["id"].as_str().unwrap().to_owned();
    until(&site, "three deliveries", || (receiver.seen().len() == 3).then_some(())).await;

    // Killed and started again it goes on where it was: no page is asked for from the beginning.
    let before = script.asked(0);
    running.kill();
    let running = site.serve().unwrap();
    script.set_down(true);
    tokio::time::sleep(Duration::from_millis(600)).await;
    script.add(&json!([
        { "erase": "1" },
        { "id": "2", "body": "The counter closed before noon, twice", "author": "Omar", "revision": "b" },
        { "id": "3", "body": "شكراً على سرعة الإنجاز" },
    ]));
    script.set_down(false);
    let now = until(&site, "the change", || {
        let bodies = bodies(&site, "notes");
        bodies.iter().any(|body| body.contains("twice")).then_some(bodies)
    })
    .await;
    assert_eq!(script.asked(0), before, "the cursor was lost");
    assert!(!now.iter().any(|body| body.contains("الطابور")), "{now:?}");
    let withdrawn = site.json(&["feedback", "show", &id]);
    assert!(withdrawn.to_string().contains("withdrawn"), "{withdrawn:#}");
    assert!(!withdrawn.to_string().contains("الطابور"), "{withdrawn:#}");
    assert!(site.json_lines(&["feedback", "list", "--text", "الطابور"]).is_empty());
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_comes_in_by_replay_once_the_changed_configuration_is_read() {
    let receiver = Receiver::start(0).await.unwrap();
    let script = Script::start().await.unwrap();
    let site = site(&receiver, &script);
    let running = site.serve().unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for text in ["كلام ممنوع في البداية", "Everything was fine"] {
        let answer = http
            .post(format!("http://{}/hooks/notes/note", site.listen))
            .body(text)
            .send();
        assert_eq!(answer.await.unwrap().status(), 202, "it is stored before it is read");
    }
    let dead = until(&site, "the dead letter", || {
        let dead = site.json_lines(&["delivery", "list", "--inbound"]);
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    assert_eq!(dead.len(), 1, "{dead:#?}");
    let reason = dead[0]["reason"].as_str().unwrap();
    assert!(reason.contains("ممنوع"), "the admin sees why: {reason}");
    until(&site, "the good one", || {
        (bodies(&site, "notes").len() == 1).then_some(())
    })
    .await;

    // Replayed before anything was mended it is refused again, once; asking for all ends.
    assert!(
        site.run(&["delivery", "replay", "--all", "--inbound"])
            .unwrap()
            .status
            .success()
    );
    until(&site, "it being refused again", || {
        (site.json_lines(&["delivery", "list", "--inbound"]).len() == 1).then_some(())
    })
    .await;

    // A broken file changes nothing and says where; a good one is taken over without a restart.
    site.reconfigure("refused_word = \"ممنوع\"", "refused_wrod = \"ممنوع\"");
    until(&site, "the complaint", || {
        site.log().contains("refused_wrod").then_some(())
    })
    .await;
    site.reconfigure("refused_wrod = \"ممنوع\"", "refused_word = \"محظور\"");
    until(&site, "the replay", || {
        assert!(
            site.run(&["delivery", "replay", "--all", "--inbound"])
                .unwrap()
                .status
                .success()
        );
        (bodies(&site, "notes").len() == 2).then_some(())
    })
    .await;
    until(&site, "an empty list", || {
        site.json_lines(&["delivery", "list", "--inbound"])
            .is_empty()
            .then_some(())
    })
    .await;
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_dropped_and_folded_again_from_the_ledger() {
    let receiver = Receiver::start(0).await.unwrap();
    let script = Script::start().await.unwrap();
    let notes: Vec<Value> = (0..700)
        .map(|number| json!({ "id": number.to_string(), "body": format!("ملاحظة رقم {number} about the bill"), "author": format!("عميل {}", number % 40) }))
        .collect();
    for page in notes.chunks(200) {
        script.add(&json!(page));
    }
    let site = site(&receiver, &script);
    let running = site.serve().unwrap();
    until(&site, "all notes", || {
        let output = site
            .run(&["--json", "feedback", "export", "--instance", "notes"])
            .unwrap();
        (output.stdout.iter().filter(|byte| **byte == b'\n').count() == 700).then_some(())
    })
    .await;
    let refused = site.run(&["doctor", "--rebuild"]).unwrap();
    assert!(
        !refused.status.success(),
        "a running hub is not rebuilt under its readers"
    );
    assert!(running.stop());
    let before = site.run(&["--json", "feedback", "export"]).unwrap().stdout;
    let rebuilt = site.run(&["doctor", "--rebuild"]).unwrap();
    let said = String::from_utf8_lossy(&rebuilt.stderr).into_owned() + &String::from_utf8_lossy(&rebuilt.stdout);
    assert!(rebuilt.status.success(), "{said}");
    let after = site.run(&["--json", "feedback", "export"]).unwrap().stdout;
    assert_eq!(before.len(), after.len());
    assert!(before == after, "the export differs after the rebuild");
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
    let again = site.json(&["doctor", "--rebuild"]);
    assert_eq!(again["rebuild"]["mended"], 0, "{again}");
    let quick = site.json(&["ledger", "verify", "--quick"]);
    assert_eq!(
        (&quick["ok"], &quick["events"]),
        (&json!(true), &again["rebuild"]["events"])
    );
    assert_eq!(quick["contents"], 0, "a quick verification opens no content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_its_plugin_costs_itself_and_nothing_beside_it() {
    let receiver = Receiver::start(0).await.unwrap();
    let script = Script::start().await.unwrap();
    let site = site(&receiver, &script);
    let running = site.serve().unwrap();
    let broken = [
        (17, "[trap]"),
        (300, "[leak] ذاكرة"),
        (301, "[trap]"),
        (399, "[loop] دوران"),
    ];
    let line = |number: usize| match broken.iter().find(|(at, _)| *at == number) {
        Some((_, text)) => (*text).to_owned(),
        None => format!("ملاحظة رقم {number} from the visitors' book"),
    };
    let lines: Vec<String> = (0..400).map(line).collect();
    let file = site.path().join("notes.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let import = || {
        let output = site
            .run(&["--json", "import", "notes", &file.display().to_string()])
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "something was refused");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let report = import();
    assert_eq!(
        (&report["new"], &report["refused"]),
        (&json!(396), &json!(4)),
        "{report:#}"
    );
    let codes: Vec<&str> = report["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|refusal| refusal["code"].as_str())
        .collect();
    assert!(
        codes.iter().filter(|code| code.contains("trap")).count() >= 2,
        "{codes:?}"
    );
    assert_eq!(codes.len(), 4, "{report:#}");
    // Again it adds nothing and refuses the same.
    let again = import();
    assert_eq!(
        (&again["new"], &again["duplicates"]),
        (&json!(0), &json!(396)),
        "{again:#}"
    );
    assert!(running.stop());
    assert_eq!(site.json(&["ledger", "verify"])["ok"], true);
}
