//! What the hub lends to one call.

#[cfg(target_arch = "wasm32")]
use crate::door::Door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::FakeHost as Door;
use crate::{
    BlobError, Connection, DownloadResult, HttpError, InstanceInfo, Level, Mac, NetError, Request, Response,
    SecretError, Security, StateError, StatePage,
};

/// Most bytes that one [`Host::blob_read`] asks for inside [`Host::read_blob_to_end`]; below the hub's 8 MiB.
const BLOB_CHUNK: u32 = 1 << 20;

/// The hub, as one call sees it. In a component the functions are the contract's imports, and only those that the
/// plugin uses appear in the component; natively `testing::FakeHost` answers.
pub struct Host {
    door: Door,
}

impl Host {
    pub(crate) fn new(door: Door) -> Self {
        Self { door }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn fake(&self) -> &Door {
        &self.door
    }

    /// Writes a log record with fields. At most 200 records of 4 KiB each per call; the hub masks secrets.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.door.log(level, message, fields);
    }

    /// Logs at level `info`.
    pub fn info(&self, message: &str) {
        self.log(Level::Info, message, &[]);
    }

    /// Logs at level `warn`.
    pub fn warn(&self, message: &str) {
        self.log(Level::Warn, message, &[]);
    }

    /// Logs at level `debug`.
    pub fn debug(&self, message: &str) {
        self.log(Level::Debug, message, &[]);
    }

    /// The time of this call, in milliseconds since 1970 (UTC).
    #[must_use]
    pub fn now(&self) -> i64 {
        self.door.now()
    }

    /// Milliseconds left for this call. Long loops stop before it reaches zero and return what they have.
    #[must_use]
    pub fn remaining_ms(&self) -> u64 {
        self.door.remaining_ms()
    }

    /// Random bytes, at most 4096.
    #[must_use]
    pub fn random(&self, length: u32) -> Vec<u8> {
        self.door.random(length)
    }

    /// A new UUID version 7 as text.
    #[must_use]
    pub fn uuid(&self) -> String {
        self.door.uuid()
    }

    /// Which instance this call is for.
    #[must_use]
    pub fn instance(&self) -> InstanceInfo {
        self.door.instance()
    }

    /// Sends an HTTP request to a granted origin.
    ///
    /// # Errors
    /// Nothing was answered; any status is an `Ok`. `PluginError::from` gives each error its class.
    pub fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.door.http(request)
    }

    /// Like [`Host::http`], but streams the answer into a blob: its bytes never enter the plugin's memory.
    ///
    /// # Errors
    /// As for [`Host::http`], and when the answer is longer than `max_bytes`.
    pub fn download(&self, request: &Request, max_bytes: u64) -> Result<DownloadResult, HttpError> {
        self.door.download(request, max_bytes)
    }

    /// Connects to a granted host and port. With [`Security::StartTls`] the bytes go as they are until
    /// [`Connection::upgrade_tls`].
    ///
    /// # Errors
    /// No connection came about. `PluginError::from` gives each error its class.
    pub fn connect(&self, host: &str, port: u16, security: Security) -> Result<Connection, NetError> {
        let stream = self.door.connect(host, port, security)?;
        Ok(Connection::new(self.door.clone(), stream))
    }

    /// Whether a secret of that name is set for this instance.
    #[must_use]
    pub fn secret_is_set(&self, name: &str) -> bool {
        self.door.secret_is_set(name)
    }

    /// A MAC over `bytes` with the named secret as key. The secret itself is never seen.
    ///
    /// # Errors
    /// The secret is not set, not granted, or does not decode as its manifest entry says.
    pub fn sign(&self, name: &str, algorithm: Mac, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.door.sign(name, algorithm, bytes)
    }

    /// Checks a MAC in constant time.
    ///
    /// # Errors
    /// As for [`Host::sign`]; a wrong MAC is `Ok(false)`.
    pub fn verify(&self, name: &str, algorithm: Mac, bytes: &[u8], tag: &[u8]) -> Result<bool, SecretError> {
        self.door.verify(name, algorithm, bytes, tag)
    }

    /// An Ed25519 signature (64 bytes) over `bytes` with the named secret as private key: its seed of 32 bytes, or seed
    /// and public key together.
    ///
    /// # Errors
    /// As for [`Host::sign`]; [`SecretError::Unusable`] when the secret is no such key.
    pub fn sign_ed25519(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.door.sign_ed25519(name, bytes)
    }

    /// Reads the instance's own durable state; sees this call's writes.
    ///
    /// # Errors
    /// The key is too long or the storage failed.
    pub fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.door.state_get(key)
    }

    /// Writes state; durable only if the call returns `Ok`.
    ///
    /// # Errors
    /// A limit (the error carries it) or the storage.
    pub fn state_set(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        self.door.state_set(key, value)
    }

    /// Removes state; a missing key is no error.
    ///
    /// # Errors
    /// The key is too long or the storage failed.
    pub fn state_delete(&self, key: &str) -> Result<(), StateError> {
        self.door.state_delete(key)
    }

    /// State under a prefix, ordered by key, at most `limit` (up to 1000) entries after the key `after`.
    ///
    /// # Errors
    /// The storage failed.
    pub fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<StatePage, StateError> {
        self.door.state_scan(prefix, after, limit)
    }

    /// Stores bytes and returns their handle, for an attachment larger than 256 KiB. Bytes above the manifest's
    /// `output` (16 MiB by default) cannot be handed over at once: the hub ends the call.
    ///
    /// # Errors
    /// The quota of the call's blobs (the error carries it) or the storage.
    pub fn blob_put(&self, media_type: &str, bytes: &[u8]) -> Result<String, BlobError> {
        self.door.blob_put(media_type, bytes)
    }

    /// How many bytes a blob has.
    ///
    /// # Errors
    /// There is no such blob for this call.
    pub fn blob_size(&self, id: &str) -> Result<u64, BlobError> {
        self.door.blob_size(id)
    }

    /// Up to `length` bytes of a blob from `offset`, and never more than 8 MiB at once: who wants more asks again from
    /// where the last bytes ended, until none come. [`Host::read_blob_to_end`] does that.
    ///
    /// # Errors
    /// There is no such blob for this call.
    pub fn blob_read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        self.door.blob_read(id, offset, length)
    }

    /// A whole blob, if it has at most `max` bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] with `max`, before anything is read; otherwise as for [`Host::blob_read`].
    pub fn read_blob_to_end(&self, id: &str, max: u64) -> Result<Vec<u8>, BlobError> {
        if self.blob_size(id)? > max {
            return Err(BlobError::TooLarge(max));
        }
        let mut bytes = Vec::new();
        loop {
            let chunk = self.blob_read(id, bytes.len() as u64, BLOB_CHUNK)?;
            if chunk.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// Adds to a counter of this plugin. At most 64 names, 8 values per label.
    pub fn count(&self, name: &str, by: u64, labels: &[(&str, &str)]) {
        self.door.count(name, by, labels);
    }

    /// Sets a gauge of this plugin.
    pub fn gauge(&self, name: &str, to: f64, labels: &[(&str, &str)]) {
        self.door.gauge(name, to, labels);
    }

    /// Adds one value to a distribution, such as a duration in milliseconds.
    pub fn observe(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        self.door.observe(name, value, labels);
    }
}
