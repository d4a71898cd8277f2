//! The fake hub: everything in memory, everything repeatable.

use std::sync::{Arc, Mutex, MutexGuard};

use super::script::Answer;
use super::world::{Blob, World, mac};
use crate::{
    BlobError, DownloadResult, Host, HttpError, InstanceInfo, Level, Mac, Request, Response, SecretError, StateEntry,
    StateError, StatePage,
};

/// One log record that the plugin wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Its level.
    pub level: Level,
    /// Its message.
    pub message: String,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
}

/// One metric that the plugin wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRecord {
    /// Its name.
    pub name: String,
    /// What was added, set or observed.
    pub value: f64,
    /// Its labels, in order.
    pub labels: Vec<(String, String)>,
}

/// A hub for tests: fixed clock, seeded randomness, state, blobs and secrets in memory, scripted HTTP.
///
/// Clones share one world, so a test keeps the `FakeHost` and lends [`FakeHost::host`] to the plugin.
#[derive(Clone, Default)]
pub struct FakeHost {
    world: Arc<Mutex<World>>,
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Setting the scene.
impl FakeHost {
    /// A hub at 2026-01-01T00:00:00Z with 30 seconds left for the call, no secrets and no network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world
            .lock()
            .expect("an earlier call panicked while it held the fake host")
    }

    fn with(self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self.world());
        self
    }

    /// What the plugin gets.
    #[must_use]
    pub fn host(&self) -> Host {
        Host::new(self.clone())
    }

    /// Sets the clock, in milliseconds since 1970.
    #[must_use]
    pub fn at(self, unix_millis: i64) -> Self {
        self.with(|world| world.now = unix_millis)
    }

    /// Sets how long the call may still take.
    #[must_use]
    pub fn with_remaining_ms(self, milliseconds: u64) -> Self {
        self.with(|world| world.remaining_ms = milliseconds)
    }

    /// Sets a secret to its decoded bytes.
    #[must_use]
    pub fn secret(self, name: &str, key: impl Into<Vec<u8>>) -> Self {
        self.with(|world| {
            world.secrets.insert(name.into(), key.into());
        })
    }

    /// Answers one request of that method and exact URL; several for the same one answer in order. A request
    /// that nothing answers gets the typed error `denied`.
    #[must_use]
    pub fn answer(self, method: &str, url: &str, answer: Answer) -> Self {
        self.with(|world| world.script.expect(method, url, answer, false))
    }

    /// Answers every request of that method and exact URL that [`FakeHost::answer`] leaves.
    #[must_use]
    pub fn always(self, method: &str, url: &str, answer: Answer) -> Self {
        self.with(|world| world.script.expect(method, url, answer, true))
    }

    /// Seeds the random numbers; the same seed gives the same numbers.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.with(|world| world.seed = seed)
    }

    /// Sets one entry of the instance's state.
    #[must_use]
    pub fn state(self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.with(|world| {
            world.state.insert(key.into(), value.into());
        })
    }

    /// Calls as in a dry run.
    #[must_use]
    pub fn dry_run(self) -> Self {
        self.with(|world| world.dry_run = true)
    }
}

/// Looking at what happened.
impl FakeHost {
    /// Every request that the plugin sent, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.world().requests.clone()
    }

    /// Scripted answers that no request asked for.
    #[must_use]
    pub fn unused_answers(&self) -> Vec<String> {
        self.world().script.unused()
    }

    /// Every log record, in order.
    #[must_use]
    pub fn logs(&self) -> Vec<LogRecord> {
        self.world().logs.clone()
    }

    /// Every metric, in order.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricRecord> {
        self.world().metrics.clone()
    }

    /// The instance's state, ordered by key.
    #[must_use]
    pub fn state_entries(&self) -> Vec<(String, Vec<u8>)> {
        self.world()
            .state
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// The media type and the bytes of a blob.
    #[must_use]
    pub fn blob(&self, id: &str) -> Option<(String, Vec<u8>)> {
        self.world()
            .blobs
            .get(id)
            .map(|blob| (blob.media_type.clone(), blob.bytes.clone()))
    }

    /// Runs one call as a transaction: on an error, state and metrics are as before.
    pub(super) fn transaction<T, E>(&self, call: impl FnOnce(&Host) -> Result<T, E>) -> Result<T, E> {
        let (state, metrics) = {
            let world = self.world();
            (world.state.clone(), world.metrics.len())
        };
        let result = call(&self.host());
        if result.is_err() {
            let mut world = self.world();
            world.state = state;
            world.metrics.truncate(metrics);
        }
        result
    }
}

/// The functions behind [`Host`].
impl FakeHost {
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.world().logs.push(LogRecord {
            level,
            message: message.into(),
            fields: owned(fields),
        });
    }

    pub(crate) fn now(&self) -> i64 {
        self.world().now
    }

    pub(crate) fn remaining_ms(&self) -> u64 {
        self.world().remaining_ms
    }

    pub(crate) fn random(&self, length: u32) -> Vec<u8> {
        self.world().random(length.min(4096) as usize)
    }

    pub(crate) fn uuid(&self) -> String {
        self.world().uuid()
    }

    pub(crate) fn instance(&self) -> InstanceInfo {
        InstanceInfo {
            instance: "test".into(),
            plugin_version: "0.0.0".into(),
            hub_version: "test-kit".into(),
            time_zone: "Asia/Riyadh".into(),
            dry_run: self.world().dry_run,
        }
    }

    pub(crate) fn http(&self, request: &Request) -> Result<Response, HttpError> {
        let mut world = self.world();
        world.requests.push(request.clone());
        let answer = world.script.play(request);
        world.pass(answer.takes_ms);
        answer.result
    }

    pub(crate) fn download(&self, request: &Request, max_bytes: u64) -> Result<DownloadResult, HttpError> {
        let Response { status, headers, body } = self.http(request)?;
        let size = body.len() as u64;
        if size > max_bytes {
            return Err(HttpError::ResponseTooLarge(max_bytes));
        }
        let media_type = headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type
            .map_or("application/octet-stream", |h| h.value.as_str())
            .to_owned();
        let blob = self.world().put(Blob {
            media_type,
            bytes: body,
        });
        Ok(DownloadResult {
            status,
            headers,
            blob,
            size,
        })
    }

    pub(crate) fn secret_is_set(&self, name: &str) -> bool {
        self.world().secrets.contains_key(name)
    }

    pub(crate) fn sign(&self, name: &str, algorithm: Mac, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        let world = self.world();
        let key = world.secrets.get(name).ok_or(SecretError::NotSet)?;
        Ok(mac(algorithm, key, bytes))
    }

    pub(crate) fn verify(&self, name: &str, algorithm: Mac, bytes: &[u8], tag: &[u8]) -> Result<bool, SecretError> {
        Ok(self.sign(name, algorithm, bytes)? == tag)
    }

    pub(crate) fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.world().state.get(key).cloned())
    }

    pub(crate) fn state_set(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        self.world().state.insert(key.into(), value.into());
        Ok(())
    }

    pub(crate) fn state_delete(&self, key: &str) -> Result<(), StateError> {
        self.world().state.remove(key);
        Ok(())
    }

    pub(crate) fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<StatePage, StateError> {
        let limit = limit.min(1000) as usize;
        let world = self.world();
        let mut entries = world
            .state
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .map(|(key, value)| StateEntry {
                key: key.clone(),
                value: value.clone(),
            });
        let page: Vec<StateEntry> = entries.by_ref().take(limit).collect();
        let next = entries.next().and(page.last().map(|entry| entry.key.clone()));
        Ok(StatePage { entries: page, next })
    }

    pub(crate) fn blob_put(&self, media_type: &str, bytes: &[u8]) -> Result<String, BlobError> {
        Ok(self.world().put(Blob {
            media_type: media_type.into(),
            bytes: bytes.into(),
        }))
    }

    pub(crate) fn blob_size(&self, id: &str) -> Result<u64, BlobError> {
        self.world()
            .blobs
            .get(id)
            .map(|blob| blob.bytes.len() as u64)
            .ok_or(BlobError::NotFound)
    }

    pub(crate) fn blob_read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        let world = self.world();
        let bytes = &world.blobs.get(id).ok_or(BlobError::NotFound)?.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length as usize).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    pub(crate) fn count(&self, name: &str, by: u64, labels: &[(&str, &str)]) {
        #[expect(clippy::cast_precision_loss, reason = "a test counts less than 2^53")]
        self.observe(name, by as f64, labels);
    }

    pub(crate) fn gauge(&self, name: &str, to: f64, labels: &[(&str, &str)]) {
        self.observe(name, to, labels);
    }

    pub(crate) fn observe(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        self.world().metrics.push(MetricRecord {
            name: name.into(),
            value,
            labels: owned(labels),
        });
    }
}
