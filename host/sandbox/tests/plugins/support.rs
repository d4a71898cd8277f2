//! The hostile guest and instances of it.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use mihwar_sandbox::contract::puller::{PullMode, PullPage, PullRequest};
use mihwar_sandbox::contract::types::Change;
use mihwar_sandbox::{
    Call, CallError, Done, Engine, EngineSettings, Grants, HttpGrant, Instance, InstanceSettings, LimitOverrides,
    NetGrant, Plugin, Problem, SecretSet,
};
use serde_json::{Value, json};

/// The guest's component.
pub(crate) fn hostile() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/hostile.wasm");
        std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run: cargo xtask test", file.display()))
    })
}

/// One engine for a test: small. What was compiled is shared with the others, each of which may be a process of its own.
pub(crate) fn engine() -> Engine {
    Engine::new(EngineSettings {
        concurrent_calls: 8,
        cache_folder: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled")),
        ..EngineSettings::default()
    })
    .unwrap()
}

/// The guest, compiled once for all tests of a binary.
pub(crate) fn plugin() -> Arc<Plugin> {
    static PLUGIN: Mutex<Option<Arc<Plugin>>> = Mutex::new(None);
    let mut plugin = PLUGIN.lock().unwrap();
    let loaded = plugin.get_or_insert_with(|| {
        let engine = engine();
        std::thread::spawn(move || {
            tokio::runtime::Runtime::new()
                .unwrap()
                .block_on(engine.load(hostile()))
                .unwrap()
        })
        .join()
        .unwrap()
    });
    Arc::clone(loaded)
}

/// How an instance is set up.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) settings: Value,
    pub(crate) grants: Vec<HttpGrant>,
    pub(crate) net: Vec<NetGrant>,
    pub(crate) limits: LimitOverrides,
}

/// An instance that performs `act`.
pub(crate) fn acting(act: &str, amount: u32) -> Setup {
    Setup {
        settings: json!({ "act": act, "amount": amount }),
        ..Setup::default()
    }
}

impl Setup {
    pub(crate) fn configure(self, plugin: &Arc<Plugin>) -> Result<(Instance, Vec<Problem>), Vec<Problem>> {
        let mut secrets = SecretSet::new();
        secrets.insert("token", "s3cret-token-value".into());
        secrets.insert("signing", "00ff00ff".into());
        secrets.insert("password", "كلمة-السر-9431".into());
        let settings = InstanceSettings {
            name: "تجربة".to_owned(),
            settings: self.settings,
            grants: Grants {
                http: self.grants,
                net: self.net,
                ..Grants::default()
            },
            secrets,
            limits: self.limits,
            time_zone: "Asia/Riyadh".to_owned(),
            hub_version: "0.1.0".to_owned(),
        };
        Instance::configure(plugin, settings)
    }

    pub(crate) async fn pull(self) -> Result<Done<PullPage>, CallError> {
        let (instance, _warnings) = self.configure(&plugin()).unwrap();
        instance.pull(request(), Call::empty()).await
    }
}

pub(crate) fn request() -> PullRequest {
    PullRequest {
        mode: PullMode::Incremental,
        cursor: Some("قبل".to_owned()),
        max_items: 10,
    }
}

/// The text of the only item of a page.
pub(crate) fn told(done: &Done<PullPage>) -> &str {
    match done.value.changes.as_slice() {
        [Change::Upsert(feedback)] => &feedback.body,
        other => panic!("not one item: {other:?}"),
    }
}
