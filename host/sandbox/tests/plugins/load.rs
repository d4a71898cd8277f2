//! Loading: versions, the cache of compiled code, files that are no plugins.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{acting, engine, hostile, request};
use mihwar_sandbox::{Call, Capability, Engine, EngineSettings, Inspection, LoadError, NotAPlugin};

fn cached(folder: &Path, key: u8) -> Engine {
    Engine::new(EngineSettings {
        cache_folder: Some(folder.join("compiled")),
        cache_key: [key; 32],
        concurrent_calls: 4,
        ..EngineSettings::default()
    })
    .unwrap()
}

/// The guest with `from` replaced by as long a `to` inside its manifest.
fn with_manifest(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut file = hostile().to_vec();
    let at = file
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .unwrap();
    file[at..at + from.len()].copy_from_slice(to.as_bytes());
    file
}

#[tokio::test]
async fn a_real_component_says_what_it_is_without_running() {
    let inspection = Inspection::of(hostile()).unwrap();
    inspection.fitness().unwrap();
    assert_eq!(
        inspection.secret_origins().collect::<Vec<_>>(),
        [
            ("token", Some("{settings.url}")),
            ("signing", None),
            ("password", Some("{settings.host}"))
        ]
    );
    assert_eq!(inspection.manifest.plugin.id, "hostile");
    assert_eq!(inspection.manifest.plugin.name.in_language("ar"), "ضيف عدائي");
    assert!(
        inspection
            .exports
            .iter()
            .any(|export| export.starts_with("mihwar:plugin/puller@")),
        "{inspection:?}"
    );
    let used: Vec<&str> = inspection.capabilities().collect();
    assert!(used.contains(&"http") && used.contains(&"state"), "{used:?}");
    assert!(
        inspection.sdk.as_deref().is_some_and(|sdk| sdk.starts_with("rust ")),
        "{inspection:?}"
    );
    let plugin = engine().load(hostile()).await.unwrap();
    assert_eq!(plugin.capabilities().collect::<Vec<_>>(), [Capability::Pull]);
    assert_eq!(plugin.settings_schema()["properties"]["act"]["type"], "string");
}

#[tokio::test]
async fn files_that_are_no_plugin_are_refused_before_anything_is_compiled() {
    let engine = engine();
    let refused = |file: &'static [u8]| {
        let engine = engine.clone();
        async move {
            match engine.load(file).await.unwrap_err() {
                LoadError::File(what) => what,
                other => panic!("{other}"),
            }
        }
    };
    assert_eq!(refused(b"").await, NotAPlugin::Empty);
    assert_eq!(refused(b"\0asm\x01\0\0\0").await, NotAPlugin::CoreModule);
    assert!(matches!(refused("نص".as_bytes()).await, NotAPlugin::Unknown(_)));
    let half = &hostile()[..hostile().len() / 2];
    assert!(matches!(
        engine.load(half).await.unwrap_err(),
        LoadError::File(NotAPlugin::Damaged(_))
    ));
}

#[tokio::test]
async fn another_contract_version_is_refused_with_both_versions() {
    let error = engine()
        .load(&with_manifest("contract = \"0.1\"", "contract = \"0.9\""))
        .await
        .unwrap_err();
    let LoadError::Contract { built_for, offered, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((built_for.as_str(), *offered), ("0.9", "0.1"));
    assert!(error.to_string().contains("Update the hub"), "{error}");
}

#[tokio::test]
async fn an_interface_that_nobody_offers_is_named() {
    // The name stands in the component's import section and in the modules inside.
    let mut file = hostile().to_vec();
    let (from, to) = (b"mihwar:plugin/clock@0.1.0", b"mihwar:plugin/clack@0.1.0");
    let mut replaced = 0;
    while let Some(at) = file.windows(from.len()).position(|window| window == from) {
        file[at..at + from.len()].copy_from_slice(to);
        replaced += 1;
    }
    assert!(replaced > 0);
    let found = Inspection::of(&file).unwrap().fitness().unwrap_err();
    assert!(matches!(found, LoadError::MissingImports(_)), "{found}");
    match engine().load(&file).await.unwrap_err() {
        LoadError::MissingImports(missing) => assert_eq!(missing, ["mihwar:plugin/clack@0.1.0"]),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn compiled_code_is_kept_and_a_damaged_missing_or_foreign_file_only_costs_time() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = async |key: u8| {
        let plugin = cached(folder.path(), key).load(hostile()).await.unwrap();
        let (instance, _) = acting("answer", 0).configure(&plugin).unwrap();
        assert!(instance.pull(request(), Call::empty()).await.is_ok());
        plugin.from_cache()
    };
    assert!(!loaded(1).await, "first start");
    assert!(loaded(1).await, "second start");

    let file = fs::read_dir(folder.path().join("compiled"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, &bytes).unwrap();
    assert!(!loaded(1).await, "damaged");
    assert!(loaded(1).await, "written anew after damage");

    fs::write(&file, "").unwrap();
    assert!(!loaded(1).await, "emptied");
    fs::remove_file(&file).unwrap();
    assert!(!loaded(1).await, "deleted");
    assert!(!loaded(2).await, "another hub's key");
    assert!(loaded(2).await, "its own file now");
    fs::remove_dir_all(folder.path().join("compiled")).unwrap();
    assert!(!loaded(1).await, "folder deleted");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_does_not_keep_a_plugin_from_loading() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("compiled"), "a file where the folder should be").unwrap();
    assert!(cached(folder.path(), 1).load(hostile()).await.is_ok());
}

/// Not a test of a limit: prints what a fresh call costs. Run with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; its figures depend on what else the machine does"]
async fn cost_of_a_fresh_call() {
    let folder = tempfile::tempdir().unwrap();
    cached(folder.path(), 1).load(hostile()).await.unwrap();
    let started = std::time::Instant::now();
    let plugin = cached(folder.path(), 1).load(hostile()).await.unwrap();
    println!("engine and load from cache: {:?}", started.elapsed());
    let engine = cached(folder.path(), 1);
    let started = std::time::Instant::now();
    for _ in 0..20 {
        engine.load(hostile()).await.unwrap();
    }
    println!(
        "20 loads from cache: {:?}, file {} bytes",
        started.elapsed(),
        hostile().len()
    );
    let (instance, _) = acting("answer", 0).configure(&plugin).unwrap();
    let mut costs = Vec::new();
    for _ in 0..5_000 {
        let started = std::time::Instant::now();
        instance.pull(request(), Call::empty()).await.unwrap();
        costs.push(started.elapsed());
    }
    costs.sort();
    let at = |share: usize| costs[costs.len() * share / 100];
    println!(
        "fresh call: p10 {:?} p50 {:?} p90 {:?} p99 {:?}",
        at(10),
        at(50),
        at(90),
        at(99)
    );
    assert!(at(50) < Duration::from_millis(5));
}
