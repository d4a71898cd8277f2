//! The fake hub: everything in memory, everything repeatable.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use super::conversation::{Conversation, Heard};
use super::script::Answer;
use super::world::{Blob, World};
use crate::{Host, Level, Request};

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
/// It has the hub's default limits. Each call that the test kit drives begins with a full budget of time, requests
/// and blobs; what a test does with [`FakeHost::host`] outside of them counts as one call.
///
/// Clones share one world, so a test keeps the `FakeHost` and lends [`FakeHost::host`] to the plugin.
#[derive(Clone, Default)]
pub struct FakeHost {
    world: Arc<Mutex<World>>,
}

/// Setting the scene.
impl FakeHost {
    /// A hub at 2026-01-01T00:00:00Z with 10 seconds for each call, no secrets and no network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
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

    /// Sets how long each call may take.
    #[must_use]
    pub fn with_remaining_ms(self, milliseconds: u64) -> Self {
        self.with(|world| {
            world.call_ms = milliseconds;
            world.call.remaining_ms = milliseconds;
        })
    }

    /// Sets how many bytes may be handed over at once, as `output` does under `[limits]` in the manifest. Above it the
    /// hub ends the call, and the fake hub panics.
    #[must_use]
    pub fn with_output_bytes(self, bytes: u64) -> Self {
        self.with(|world| world.output_bytes = bytes)
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

    /// The next connection to that host and port is this conversation; several for the same one begin in order. A
    /// connection that nothing is scripted for gets the typed error `denied`.
    #[must_use]
    pub fn conversation(self, host: &str, port: u16, conversation: Conversation) -> Self {
        self.with(|world| world.switchboard.expect(host, port, conversation))
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

    /// Calls as in a dry run: what is neither GET nor HEAD stays here and is answered 202.
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

    /// Every request that a dry run held back, in order.
    #[must_use]
    pub fn held_back(&self) -> Vec<Request> {
        self.world().held_back.clone()
    }

    /// Scripted answers that no request asked for.
    #[must_use]
    pub fn unused_answers(&self) -> Vec<String> {
        self.world().script.unused()
    }

    /// What was said on each connection, in the order in which they were made.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.world().switchboard.heard()
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
            let mut world = self.world();
            world.begin_call();
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

    /// Handles of the blobs that the last call stored.
    pub(super) fn stored_blobs(&self) -> BTreeSet<String> {
        self.world().call.blobs.clone()
    }

    /// A blob of the hub's own, such as an imported file.
    pub(super) fn lend(&self, media_type: &str, bytes: &[u8]) -> String {
        self.world().lend(Blob {
            media_type: media_type.into(),
            bytes: bytes.into(),
        })
    }
}
