//! What a call may keep, and what the engine can give.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::support::{Setup, acting, plugin, request, told};
use mihwar_sandbox::manifest::ByteSize;
use mihwar_sandbox::{Call, CallFailure, LimitOverrides, Severity, SourceError, StateSource};

/// State that was there before the call.
struct Stored(BTreeMap<String, Vec<u8>>);

#[async_trait]
impl StateSource for Stored {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.0.get(key).cloned())
    }
    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
        let found = self
            .0
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        Ok(found
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
    async fn used(&self) -> Result<u64, SourceError> {
        let bytes = self.0.iter().map(|(key, value)| key.len() + value.len());
        Ok(u64::try_from(bytes.sum::<usize>()).unwrap())
    }
}

#[tokio::test]
async fn blobs_have_quotas() {
    let done = acting("blob", 1000).pull().await.unwrap();
    assert_eq!(told(&done), "new:0 1000");
    assert_eq!(done.effects.blobs[0].bytes.len(), 1000);
    let limits = LimitOverrides {
        blobs: Some(ByteSize(999)),
        ..LimitOverrides::default()
    };
    let error = Setup {
        limits,
        ..acting("blob", 1000)
    }
    .pull()
    .await
    .unwrap_err();
    assert!(error.to_string().contains("TooLarge"), "{error}");
}

#[tokio::test]
async fn state_has_a_quota_of_bytes() {
    let done = acting("state", 10).pull().await.unwrap();
    assert_eq!(
        done.value.changes.len(),
        9,
        "a scan sees the call's own writes and deletions"
    );
    assert_eq!(done.effects.state.len(), 9);
    let limits = LimitOverrides {
        state: Some(ByteSize(5_000)),
        ..LimitOverrides::default()
    };
    let error = Setup {
        limits,
        ..acting("state", 10)
    }
    .pull()
    .await
    .unwrap_err();
    assert!(error.to_string().contains("QuotaExceeded(5000)"), "{error}");
}

#[tokio::test]
async fn a_call_writes_a_bounded_number_of_keys() {
    let done = acting("state-keys", 10_000).pull().await.unwrap();
    assert_eq!(done.effects.state.len(), 10_000);
    let error = acting("state-keys", 10_001).pull().await.unwrap_err();
    assert!(error.to_string().contains("QuotaExceeded(10000)"), "{error}");
}

#[tokio::test]
async fn only_what_was_stored_leaves_a_deletion() {
    // Twice as many keys as a call may write: none of them counts.
    let done = acting("state-traces", 20_000).pull().await.unwrap();
    assert_eq!(told(&done), "0 left");
    assert_eq!(done.effects.state, []);

    let (instance, _) = acting("state", 1).configure(&plugin()).unwrap();
    let stored = BTreeMap::from([("key-000000".to_owned(), "قبل".as_bytes().to_vec())]);
    let call = Call {
        state: Arc::new(Stored(stored)),
        ..Call::empty()
    };
    let done = instance.pull(request(), call).await.unwrap();
    assert_eq!(done.value.changes.len(), 0);
    let [write] = done.effects.state.as_slice() else {
        panic!("{:?}", done.effects.state)
    };
    assert_eq!((write.key.as_str(), &write.value), ("key-000000", &None));
}

#[tokio::test]
async fn memory_above_the_engine_s_is_cut_with_a_word_and_the_right_setting() {
    let limits = LimitOverrides {
        memory: Some(ByteSize(1 << 30)),
        ..LimitOverrides::default()
    };
    let setup = Setup {
        limits,
        ..acting("allocate", 0)
    };
    let (instance, warnings) = setup.configure(&plugin()).unwrap();
    assert_eq!(instance.limits().memory, 256 << 20);
    assert!(
        warnings.iter().any(|warning| warning.severity == Severity::Warning
            && warning.path == "limits.memory"
            && warning.message.contains("engine.memory")),
        "{warnings:?}"
    );
    let error = instance.pull(request(), Call::empty()).await.unwrap_err();
    assert!(
        matches!(
            *error.failure,
            CallFailure::MemoryLimit {
                limit: 268_435_456,
                setting: "engine.memory",
                ..
            }
        ),
        "{error}"
    );
}
