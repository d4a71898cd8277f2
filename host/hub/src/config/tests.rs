use std::path::Path;
use std::time::Duration;

use super::{Config, OnFailure, Retry};

fn parse(text: &str, overrides: &[(&str, &str)]) -> Result<Config, String> {
    let overrides = overrides
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Config::parse(Path::new("config/mihwar.toml"), text, overrides).map_err(|error| error.to_string())
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = parse("# المنفذ\n[server]\nlistn = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert!(
        error.starts_with("config/mihwar.toml:3: listn: unknown field `listn`"),
        "{error}"
    );
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let text = r#"
[server]
listen = "here"

[[plugin]]
id = "form"

[[instance]]
name = "form"
plugin = "forms"

[[instance]]
name = "form"
plugin = "form"
time-zone = "Riyadh"

[[route]]
name = "شكاوى"
when = "record.kind =="
to = ["nobody"]
"#;
    let error = parse(text, &[]).unwrap_err();
    for expected in [
        "config/mihwar.toml:3: server.listen: is no address",
        "config/mihwar.toml:10: instance[0].plugin: there is no [[plugin]] with id = \"forms\"; the ids are: form",
        "config/mihwar.toml:15: instance[1].time-zone: \"Riyadh\" is no time zone",
        "config/mihwar.toml:13: instance[1].name: \"form\" is there twice",
        "config/mihwar.toml:19: route[0].when:",
        "config/mihwar.toml:20: route[0].to: there is no [[instance]] named \"nobody\"",
    ] {
        assert!(error.contains(expected), "{expected} not in\n{error}");
    }
}

#[test]
fn what_cannot_be_masked_is_held_back_unless_the_admin_says_otherwise() {
    let instance = |more: &str| {
        let text = format!("[[plugin]]\nid = \"redact\"\n[[instance]]\nname = \"redact\"\nplugin = \"redact\"\n{more}");
        parse(&text, &[])
    };
    let masking = instance("grant.redact = true").unwrap();
    assert!(masking.instances[0].grants.redact);
    assert_eq!(masking.instances[0].on_failure, OnFailure::Hold);
    let refusing = instance("grant.redact = true\non-failure = \"refuse\"").unwrap();
    assert_eq!(refusing.instances[0].on_failure, OnFailure::Refuse);
    let error = instance("on-failure = \"store\"").unwrap_err();
    assert!(
        error.contains("config/mihwar.toml:6: instance[0].on-failure: is for an instance"),
        "{error}"
    );
    let error = instance("grant.redact = true\non-failure = \"ignore\"").unwrap_err();
    assert!(error.contains("`hold`"), "{error}");
}

#[test]
fn a_server_that_could_serve_nobody_is_refused() {
    let text = "# خادم\n[server]\nstreams = 0\nstall-timeout = \"0s\"\nbody-limit = \"8MiB\"\nbody-memory = \"6MiB\"\n";
    let error = parse(text, &[]).unwrap_err();
    for expected in [
        "config/mihwar.toml:3: server.streams: must be at least 1",
        "config/mihwar.toml:4: server.stall-timeout: must be longer than nothing",
        "config/mihwar.toml:6: server.body-memory: must be at least 8MiB",
    ] {
        assert!(error.contains(expected), "{expected} not in\n{error}");
    }
}

#[test]
fn secrets_never_stand_in_the_file() {
    let text = "[[plugin]]\nid = \"form\"\n[[instance]]\nname = \"form\"\nplugin = \"form\"\n[instance.secrets]\nsigning = \"geheim\"\n";
    let error = parse(text, &[]).unwrap_err();
    assert!(
        error.contains("signing = { env = \"NAME\" }") && !error.contains("geheim"),
        "{error}"
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let config = parse(
        "[server]\nlisten = \"127.0.0.1:1\"\n",
        &[("server.listen", "127.0.0.1:9000"), ("storage.queue", "7")],
    );
    let config = config.unwrap();
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.storage.queue, 7);
    assert!(
        parse("", &[("storage.queue", "many")])
            .unwrap_err()
            .contains("storage.queue")
    );
}

/// A department with further keys, or what is wrong with it.
fn department(more: &str) -> Result<Config, String> {
    let text = format!("[[plugin]]\nid = \"webhook\"\n[[instance]]\nname = \"billing\"\nplugin = \"webhook\"\n{more}");
    parse(&text, &[])
}

#[test]
fn deliveries_follow_the_standard_schedule_unless_the_admin_says_otherwise() {
    let of = |more: &str| department(more).unwrap().instances.remove(0);
    let usual = of("");
    assert_eq!(usual.delivery.retry, Retry::standard());
    let doubling =
        |first, most, attempts| Retry::doubling(Duration::from_secs(first), Duration::from_secs(most), attempts);
    assert_eq!(usual.retry, doubling(5, 21_600, 20), "stored requests wait shorter");
    assert_eq!((usual.delivery.batch, usual.delivery.concurrency), (32, 1));
    let doubled = of("retry = { first = \"1s\", attempts = 6 }");
    assert_eq!(doubled.delivery.retry, doubling(1, 21_600, 6));
    assert_eq!(doubled.retry, doubled.delivery.retry);
    let listed = of("retry = { schedule = [\"2s\", \"1m\"] }").delivery.retry;
    assert_eq!((listed.attempts(), listed.longest()), (3, Duration::from_secs(60)));
    let wide = of("batch = 256\nconcurrency = 8");
    assert_eq!(wide.limits.requests, Some(512), "each item of a batch needs a request");
    assert_eq!(of("batch = 256\nlimits.requests = 300").limits.requests, Some(300));
}

#[test]
fn keys_of_deliveries_are_refused_with_their_lines() {
    for (more, expected) in [
        (
            "retry = { attempts = 0 }",
            "config/mihwar.toml:6: instance[0].retry: attempts must be at least 1",
        ),
        (
            "retry = { schedule = [\"5s\"], first = \"1s\" }",
            "instance[0].retry: has a schedule, and first",
        ),
        (
            "retry = { schedule = [] }",
            "instance[0].retry: schedule: list 1 to 100 pauses",
        ),
        ("batch = 0", "config/mihwar.toml:6: instance[0].batch: use 1 to 1000"),
        (
            "concurrency = 65",
            "config/mihwar.toml:6: instance[0].concurrency: use 1 to 64",
        ),
        ("rate = \"سريع\"", "config/mihwar.toml:6: rate"),
        ("quiet = { from = \"22:00\", to = \"25:00\" }", "config/mihwar.toml:6"),
        (
            "breaker = { failures = 0 }",
            "instance[0].breaker: failures must be at least 1",
        ),
        (
            "digest = { cron = \"0 8 30 2 *\" }",
            "instance[0].digest: \"0 8 30 2 *\" is no cron pattern",
        ),
        (
            "digest = { cron = \"0 0 8 1 1 * 2027\" }",
            "instance[0].digest: \"0 0 8 1 1 * 2027\" is no cron pattern",
        ),
    ] {
        let error = department(more).unwrap_err();
        assert!(error.contains(expected), "{expected} not in\n{error}");
    }
}

#[test]
fn retention_rules_are_named_and_last_at_least_a_day() {
    let text = "[[retention]]\nname = \"مكالمات\"\nchannel = \"call\"\ndays = 0\n[[retention]]\nname = \"مكالمات\"\ndays = 9\n";
    let error = parse(text, &[]).unwrap_err();
    for expected in [
        "config/mihwar.toml:4: retention[0].days: must be at least 1",
        "config/mihwar.toml:6: retention[1].name: \"مكالمات\" is there twice",
    ] {
        assert!(error.contains(expected), "{expected} not in\n{error}");
    }
    let person = "[[hold]]\ncontact = \"huda@example.com\"\nreason = \"case 12\"\n";
    assert!(parse(person, &[]).unwrap_err().contains("config/mihwar.toml:2"));
    let id = "0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f";
    let config = parse(&person.replace("huda@example.com", id), &[]).unwrap();
    assert_eq!(config.holds.first().unwrap().contact.to_string(), id);
}

#[test]
fn a_witness_file_in_the_data_folder_witnesses_nothing_and_is_refused() {
    let text = |file: &str| format!("[storage]\nfolder = \"../بيانات\"\n[ledger]\nwitness-file = \"{file}\"\n");
    for inside in ["../بيانات/w.txt", "../x/../بيانات/أرشيف/w.txt", "./../بيانات"] {
        let error = parse(&text(inside), &[]).unwrap_err();
        assert!(
            error.starts_with("config/mihwar.toml:4: ledger.witness-file: must lie outside"),
            "{inside}: {error}"
        );
    }
    for outside in ["w.txt", "../بيانات-2/w.txt", "/mnt/شاهد/w.txt"] {
        let config = parse(&text(outside), &[]).unwrap();
        assert_eq!(config.ledger.witness_file, Some(Path::new("config").join(outside)));
    }
    let never = parse("[ledger]\nwitness-every = \"0s\"\n", &[]).unwrap_err();
    assert!(never.contains("ledger.witness-every"), "{never}");
    assert!(parse("[ledger]\npublic = \"all\"\n", &[]).is_err());
}
