//! Real metric components: what they make, what they may not have.

use std::path::Path;

use mihwar_sandbox::contract::figure::{Batch, Fact, Outcome, ScoreFact};
use mihwar_sandbox::{
    Batches, Call, CallFailure, Capability, Grants, Inspection, Instance, InstanceSettings, LimitOverrides, LoadError,
    SecretSet,
};
use serde_json::{Value, json};

use crate::support::{engine, hostile, plugin, request};

fn component(file: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(file);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run: cargo xtask test", file.display()))
}

fn settings(settings: Value) -> InstanceSettings {
    InstanceSettings {
        name: "رضا".to_owned(),
        settings,
        grants: Grants::default(),
        secrets: SecretSet::new(),
        limits: LimitOverrides::default(),
        time_zone: "UTC".to_owned(),
        hub_version: "0.1.0".to_owned(),
    }
}

async fn instance(file: &str) -> Instance {
    let plugin = engine().load(&component(file)).await.unwrap();
    Instance::configure(&plugin, settings(Value::Null)).unwrap().0
}

/// So many records for each value, some without a score between them, cut into batches of `size`.
fn given(metric: &str, max: f64, values: &[(f64, usize)], size: usize) -> Batches {
    let flat: Vec<f64> = values
        .iter()
        .flat_map(|(value, count)| std::iter::repeat_n(*value, *count))
        .collect();
    let metric = metric.to_owned();
    let min = if max > 9.0 { 0.0 } else { 1.0 };
    let batches: Vec<Batch> = flat
        .chunks(size)
        .map(|values| Batch {
            names: vec!["نموذج".to_owned(), metric.clone()],
            facts: values
                .iter()
                .flat_map(|_| {
                    [1, 0].map(|scores| Fact {
                        at: 1_767_225_600_000,
                        channel: 0,
                        kind: None,
                        scores,
                    })
                })
                .collect(),
            scores: values
                .iter()
                .map(|value| ScoreFact {
                    metric: 1,
                    value: *value,
                    min,
                    max,
                })
                .collect(),
        })
        .collect();
    Box::new(batches.into_iter())
}

async fn figure(instance: &Instance, batches: Batches) -> Outcome {
    instance.measure(batches).await.unwrap().value.1
}

#[tokio::test]
async fn the_real_components_give_the_definitions_digits() {
    let nps = instance("plugins/nps.wasm").await;
    let answers = [(9.0, 50), (7.0, 30), (3.0, 20)];
    let once = figure(&nps, given("nps", 10.0, &answers, 1000)).await;
    assert_eq!((once.n, once.value.as_deref()), (100, Some("30.000")));
    let interval = once.interval.as_ref().unwrap();
    assert_eq!((interval.low.as_str(), interval.high.as_str()), ("14.692", "45.308"));
    // Each figure has an instance of its own, and how records are cut into batches changes no digit.
    assert_eq!(figure(&nps, given("nps", 10.0, &answers, 7)).await, once);

    let csat = instance("plugins/csat.wasm").await;
    let found = figure(&csat, given("csat", 5.0, &[(5.0, 45), (2.0, 5)], 16)).await;
    let interval = found.interval.as_ref().unwrap();
    assert_eq!((interval.low.as_str(), interval.high.as_str()), ("78.64", "95.65"));

    let ces = instance("plugins/ces.wasm").await;
    let found = figure(&ces, given("ces", 7.0, &[(7.0, 1)], 16)).await;
    let interval = found.interval.as_ref().unwrap();
    assert_eq!((interval.low.as_str(), interval.high.as_str()), ("20.65", "100.00"));
    assert_eq!(figure(&ces, Box::new(std::iter::empty())).await.value, None);
}

#[tokio::test]
async fn a_metric_component_is_known_by_its_export_and_has_nothing_to_set() {
    let file = component("plugins/nps.wasm");
    let inspection = Inspection::of(&file).unwrap();
    inspection.fitness().unwrap();
    assert!(inspection.is_metric());
    assert_eq!(inspection.capabilities().count(), 0, "{:?}", inspection.imports);
    let plugin = engine().load(&file).await.unwrap();
    assert_eq!(plugin.capabilities().collect::<Vec<_>>(), [Capability::Measure]);
    let problems = Instance::configure(&plugin, settings(json!({"scale": 10}))).unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.to_string().contains("scale")),
        "{problems:?}"
    );
    let instance = Instance::configure(&plugin, settings(json!({}))).unwrap().0;
    assert!(instance.validate(Call::empty()).await.unwrap().value.is_empty());
    let error = instance.pull(request(), Call::empty()).await.unwrap_err();
    assert!(matches!(*error.failure, CallFailure::NotOffered(_)), "{error}");
}

#[tokio::test]
async fn a_metric_that_asks_for_a_clock_is_refused_before_it_runs() {
    let file = component("guests/timed.wasm");
    for error in [
        Inspection::of(&file).unwrap().fitness().unwrap_err(),
        engine().load(&file).await.unwrap_err(),
    ] {
        assert!(matches!(error, LoadError::Forbidden(_)), "{error}");
        assert!(
            error.to_string().contains("asks for a clock (mihwar:plugin/clock@"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_no_metric_makes_no_figure() {
    let loaded = plugin();
    let acting = json!({"act": "answer", "amount": 0});
    let mut with = settings(acting);
    with.secrets.insert("token", "s3cret-token-value".into());
    with.secrets.insert("signing", "00ff00ff".into());
    let (instance, _) = Instance::configure(&loaded, with).unwrap();
    let error = instance.measure(Box::new(std::iter::empty())).await.unwrap_err();
    assert!(matches!(*error.failure, CallFailure::NotOffered("figure")), "{error}");
    assert!(!Inspection::of(hostile()).unwrap().is_metric());
}
