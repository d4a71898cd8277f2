//! The contract's imports behind [`Host`](crate::Host).
//!
//! Plain calls without dynamic dispatch: an import that no code reaches does not appear in the component, so that
//! an admin sees what the plugin can really use.

use crate::bindings::host::mihwar::plugin as wit;
use crate::{
    BlobError, DownloadResult, HttpError, InstanceInfo, Level, Mac, NetError, Request, Response, SecretError, Security,
    StateError, StatePage,
};

/// The way to the hub.
#[derive(Clone)]
pub(crate) struct Door;

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

impl Door {
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if wit::log::enabled(level) {
            wit::log::emit(level, message, &owned(fields));
        }
    }

    pub(crate) fn now(&self) -> i64 {
        wit::clock::now()
    }

    pub(crate) fn remaining_ms(&self) -> u64 {
        wit::clock::remaining_ms()
    }

    pub(crate) fn random(&self, length: u32) -> Vec<u8> {
        wit::random::bytes(length)
    }

    pub(crate) fn uuid(&self) -> String {
        wit::random::uuid()
    }

    pub(crate) fn instance(&self) -> InstanceInfo {
        wit::config::info()
    }

    pub(crate) fn http(&self, request: &Request) -> Result<Response, HttpError> {
        wit::http::send(request)
    }

    pub(crate) fn download(&self, request: &Request, max_bytes: u64) -> Result<DownloadResult, HttpError> {
        wit::http::download(request, max_bytes)
    }

    pub(crate) fn connect(&self, host: &str, port: u16, security: Security) -> Result<wit::net::Connection, NetError> {
        wit::net::connect(host, port, security)
    }

    pub(crate) fn secret_is_set(&self, name: &str) -> bool {
        wit::secrets::is_set(name)
    }

    pub(crate) fn sign(&self, name: &str, algorithm: Mac, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        wit::secrets::sign(name, algorithm, bytes)
    }

    pub(crate) fn verify(&self, name: &str, algorithm: Mac, bytes: &[u8], tag: &[u8]) -> Result<bool, SecretError> {
        wit::secrets::verify(name, algorithm, bytes, tag)
    }

    pub(crate) fn sign_ed25519(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        wit::secrets::sign_ed25519(name, bytes)
    }

    pub(crate) fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        wit::state::get(key)
    }

    pub(crate) fn state_set(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        wit::state::set(key, value)
    }

    pub(crate) fn state_delete(&self, key: &str) -> Result<(), StateError> {
        wit::state::delete(key)
    }

    pub(crate) fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<StatePage, StateError> {
        wit::state::scan(prefix, after, limit)
    }

    pub(crate) fn blob_put(&self, media_type: &str, bytes: &[u8]) -> Result<String, BlobError> {
        wit::blobs::put(media_type, bytes)
    }

    pub(crate) fn blob_size(&self, id: &str) -> Result<u64, BlobError> {
        wit::blobs::size(id)
    }

    pub(crate) fn blob_read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        wit::blobs::read(id, offset, length)
    }

    pub(crate) fn count(&self, name: &str, by: u64, labels: &[(&str, &str)]) {
        wit::metrics::add(name, by, &owned(labels));
    }

    pub(crate) fn gauge(&self, name: &str, to: f64, labels: &[(&str, &str)]) {
        wit::metrics::set(name, to, &owned(labels));
    }

    pub(crate) fn observe(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        wit::metrics::observe(name, value, &owned(labels));
    }
}
