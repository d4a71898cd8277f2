//! What the sandbox costs.

use std::sync::Arc;
use std::time::Instant;

use mihwar_sandbox::contract::types::{ChannelKind, Details, Feedback, StoredFeedback};
use mihwar_sandbox::{Call, Engine, EngineSettings, Instance, InstanceSettings, SecretSet};
use mihwar_sdk::testing::FakeHost;

use crate::{figure, quantile};

const TEXTS: [&str; 4] = [
    "وصلت الشحنة متأخرة أسبوعاً كاملاً ولم يرد علي أحد رغم اتصالي أكثر من مرة",
    "The courier left my parcel in the rain and nobody answered the phone for two days",
    "سرویس شما خیلی خوب بود و راننده بسیار مؤدب بود، از شما سپاسگزارم",
    "The app يتعطل every time I try to login من جوالي وما فيه حل",
];

async fn instance() -> Instance {
    let engine = Engine::new(EngineSettings::default()).unwrap();
    let file = std::fs::read(mihwar_tests::plugin_file("language")).unwrap();
    let plugin = engine.load(&file).await.unwrap();
    let settings = InstanceSettings {
        name: "language".into(),
        settings: serde_json::json!({}),
        grants: mihwar_sandbox::Grants::default(),
        secrets: SecretSet::new(),
        limits: mihwar_sandbox::LimitOverrides::default(),
        time_zone: "UTC".into(),
        hub_version: "bench".into(),
    };
    Instance::configure(&plugin, settings)
        .map_err(|problems| format!("{problems:?}"))
        .unwrap()
        .0
}

/// `validate` parses `{}` and compares two numbers: what is left is the cost of a fresh instance.
pub(crate) async fn fresh_call() {
    let instance = Arc::new(instance().await);
    let mut samples = Vec::new();
    for round in 0..6_000 {
        let started = Instant::now();
        instance.validate(Call::empty()).await.unwrap();
        if round >= 1_000 {
            samples.push(started.elapsed());
        }
    }
    let p99 = quantile(&mut samples, 0.99);
    figure(
        "fresh instance per call, p50",
        &format!("{:.1?}", quantile(&mut samples, 0.5)),
        "60 µs",
    );
    figure("fresh instance per call, p99", &format!("{p99:.1?}"), "-");
}

fn item(index: usize) -> StoredFeedback {
    let feedback = Feedback {
        external_id: index.to_string(),
        revision: None,
        channel: ChannelKind::Form,
        kind: None,
        occurred_at: None,
        author: None,
        thread_id: None,
        in_reply_to: None,
        subject: None,
        body: TEXTS[index % TEXTS.len()].to_owned(),
        body_html: None,
        language: None,
        scores: vec![],
        tags: vec![],
        attachments: vec![],
        details: Details::None,
        attributes: vec![],
        raw: None,
    };
    StoredFeedback {
        id: index.to_string(),
        connector: "form".into(),
        received_at: 0,
        version: 1,
        feedback,
    }
}

/// The same code over the same 256 texts: in the sandbox and natively.
pub(crate) async fn enricher_batch() {
    let instance = instance().await;
    let (mut inside, mut native) = (Vec::new(), Vec::new());
    for round in 0..60 {
        let items: Vec<_> = (0..256).map(item).collect();
        let started = Instant::now();
        let done = instance.process(items, Call::empty()).await.unwrap();
        let took = started.elapsed();
        assert_eq!(done.value.len(), 256);
        let host = FakeHost::new().host();
        let texts = (0..256).map(|index| {
            let feedback = mihwar_sdk::Feedback::new(index.to_string(), mihwar_sdk::ChannelKind::Form)
                .body(TEXTS[index % TEXTS.len()]);
            mihwar_sdk::testing::stored(&index.to_string(), feedback)
        });
        let texts: Vec<_> = texts.collect();
        let started = Instant::now();
        let verdicts =
            mihwar_sdk::testing::process::<plugin_language::LanguageEnricher>(&host, &serde_json::json!({}), texts)
                .unwrap();
        let natively = started.elapsed();
        assert_eq!(verdicts.len(), 256);
        if round >= 10 {
            inside.push(took);
            native.push(natively);
        }
    }
    let (inside, native) = (quantile(&mut inside, 0.5), quantile(&mut native, 0.5));
    figure(
        "256 texts through the language enricher, sandboxed",
        &format!("{inside:.1?}"),
        "-",
    );
    figure(
        "256 texts through the language enricher, native",
        &format!("{native:.1?}"),
        "-",
    );
    figure(
        "sandboxed to native",
        &format!("{:.2} x", inside.as_secs_f64() / native.as_secs_f64()),
        "3 x",
    );
}
