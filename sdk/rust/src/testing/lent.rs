//! The functions behind [`Host`](crate::Host), with the hub's limits.

use super::FakeHost;
use super::fake_host::{LogRecord, MetricRecord};
use super::limits::{BLOB_READ, STATE_PAGE};
use super::world::{Blob, mac};
use crate::{
    BlobError, DownloadResult, HttpError, InstanceInfo, Level, Mac, Request, Response, SecretError, StateEntry,
    StateError, StatePage,
};

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Log, time, randomness, instance.
impl FakeHost {
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.world().log(LogRecord {
            level,
            message: message.into(),
            fields: owned(fields),
        });
    }

    pub(crate) fn now(&self) -> i64 {
        self.world().now
    }

    pub(crate) fn remaining_ms(&self) -> u64 {
        self.world().call.remaining_ms
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
}

/// HTTP and secrets.
impl FakeHost {
    pub(crate) fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.world().exchange(request, super::limits::RESPONSE)
    }

    pub(crate) fn download(&self, request: &Request, max_bytes: u64) -> Result<DownloadResult, HttpError> {
        let mut world = self.world();
        let room = max_bytes.min(world.blob_room());
        let Response { status, headers, body } = world.exchange(request, room)?;
        let size = body.len() as u64;
        let media_type = headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type.map_or("application/octet-stream", |h| h.value.as_str());
        let blob = Blob {
            media_type: media_type.to_owned(),
            bytes: body,
        };
        let blob = world.put(blob).map_err(|_| HttpError::ResponseTooLarge(room))?;
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

    pub(crate) fn sign_ed25519(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, SecretError> {
        let world = self.world();
        let key = world.secrets.get(name).ok_or(SecretError::NotSet)?;
        super::world::ed25519(key, bytes).ok_or_else(|| SecretError::Unusable(format!("`{name}` is no Ed25519 key")))
    }

    pub(crate) fn verify(&self, name: &str, algorithm: Mac, bytes: &[u8], tag: &[u8]) -> Result<bool, SecretError> {
        Ok(self.sign(name, algorithm, bytes)? == tag)
    }
}

/// State.
impl FakeHost {
    pub(crate) fn state_get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.world().state_get(key)
    }

    pub(crate) fn state_set(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        self.world().state_set(key, value)
    }

    pub(crate) fn state_delete(&self, key: &str) -> Result<(), StateError> {
        self.world().state_delete(key)
    }

    pub(crate) fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<StatePage, StateError> {
        super::limits::check_key(prefix)?;
        let world = self.world();
        let mut entries = world
            .state
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .map(|(key, value)| StateEntry {
                key: key.clone(),
                value: value.clone(),
            });
        let page: Vec<StateEntry> = entries.by_ref().take(limit.clamp(1, STATE_PAGE) as usize).collect();
        let next = entries.next().and(page.last().map(|entry| entry.key.clone()));
        Ok(StatePage { entries: page, next })
    }
}

/// Blobs and metrics.
impl FakeHost {
    pub(crate) fn blob_put(&self, media_type: &str, bytes: &[u8]) -> Result<String, BlobError> {
        let output = self.world().output_bytes;
        assert!(
            bytes.len() as u64 <= output,
            "the hub ends a call that hands over more than {output} bytes at once: `output` under `[limits]` in the \
             manifest asks for more"
        );
        self.world().put(Blob {
            media_type: media_type.into(),
            bytes: bytes.into(),
        })
    }

    pub(crate) fn blob_size(&self, id: &str) -> Result<u64, BlobError> {
        let world = self.world();
        let blob = world.blobs.get(id).ok_or(BlobError::NotFound)?;
        Ok(blob.bytes.len() as u64)
    }

    pub(crate) fn blob_read(&self, id: &str, offset: u64, length: u32) -> Result<Vec<u8>, BlobError> {
        let world = self.world();
        let bytes = &world.blobs.get(id).ok_or(BlobError::NotFound)?.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length.min(BLOB_READ) as usize).min(bytes.len());
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
        self.world().measure(MetricRecord {
            name: name.into(),
            value,
            labels: owned(labels),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Answer;

    const URL: &str = "https://api.example/a";

    /// One call in which everything is tried, whatever comes of it.
    fn call<T>(fake: &FakeHost, work: impl FnOnce(&crate::Host) -> T) -> T {
        fake.transaction(|host| Ok::<_, ()>(work(host))).unwrap()
    }

    #[test]
    fn state_has_the_limits_of_the_hub() {
        let host = FakeHost::new().host();
        let long = "م".repeat(257);
        assert_eq!(host.state_set(&long, b""), Err(StateError::KeyTooLong));
        assert_eq!(host.state_get(&long), Err(StateError::KeyTooLong));
        assert_eq!(host.state_delete(&long), Err(StateError::KeyTooLong));
        assert_eq!(host.state_scan(&long, None, 1), Err(StateError::KeyTooLong));
        assert_eq!(host.state_set("k", &[0; 90_000]), Ok(()));
        assert_eq!(
            host.state_set("k", &[0; 90_001]),
            Err(StateError::ValueTooLarge(90_000))
        );
        let full = (0..200).find_map(|at| host.state_set(&format!("مفتاح{at}"), &[0; 90_000]).err());
        assert_eq!(full, Some(StateError::QuotaExceeded(10 << 20)));
        assert_eq!(host.state_set("k", b"less"), Ok(()), "shrinking always works");
    }

    #[test]
    fn blobs_have_the_limits_of_the_hub() {
        let fake = FakeHost::new().with_output_bytes(100 << 20);
        let bytes = vec![7; 32 << 20];
        let put = |host: &crate::Host| host.blob_put("audio/ogg", &bytes);
        let id = call(&fake, |host| {
            assert!(put(host).is_ok());
            let id = put(host).unwrap();
            assert_eq!(host.blob_put("a/b", b"x"), Err(BlobError::QuotaExceeded(64 << 20)));
            id
        });
        assert!(call(&fake, |host| put(host).is_ok()), "the next call has its own quota");
        let host = fake.host();
        assert_eq!(
            host.blob_put("a/b", &vec![0; (64 << 20) + 1]),
            Err(BlobError::TooLarge(64 << 20))
        );
        assert_eq!(host.blob_read(&id, 0, u32::MAX).unwrap().len(), 8 << 20);
        assert_eq!(host.read_blob_to_end(&id, 32 << 20).unwrap(), bytes);
        let many = call(&fake, |host| {
            (0..1025).filter(|_| host.blob_put("a/b", b"x").is_ok()).count()
        });
        assert_eq!(many, 1024);
    }

    #[test]
    #[should_panic(expected = "more than 16777216 bytes at once")]
    fn bytes_above_the_output_limit_end_the_call() {
        drop(FakeHost::new().host().blob_put("a/b", &vec![0; (16 << 20) + 1]));
    }

    #[test]
    fn requests_have_the_limits_of_the_hub() {
        let large = "https://api.example/large";
        let fake = FakeHost::new().always("GET", URL, Answer::status(200)).always(
            "GET",
            large,
            Answer::body(200, vec![0; (8 << 20) + 1]),
        );
        call(&fake, |host| {
            let body = Request::post(URL).body(vec![0; (8 << 20) + 1]);
            assert_eq!(host.http(&body), Err(HttpError::RequestTooLarge(8 << 20)));
            assert_eq!(
                host.http(&Request::get(large)),
                Err(HttpError::ResponseTooLarge(8 << 20))
            );
            let answered = (0..100).filter(|_| host.http(&Request::get(URL)).is_ok()).count();
            assert_eq!(answered, 98);
            assert_eq!(host.http(&Request::get(URL)), Err(HttpError::BudgetExceeded(10_000)));
        });
        assert!(call(&fake, |host| host.http(&Request::get(URL)).is_ok()));
    }

    #[test]
    fn a_request_never_outlives_its_time_or_the_call() {
        let fake = FakeHost::new().always("GET", URL, Answer::status(200).takes_ms(7000));
        call(&fake, |host| {
            assert_eq!(host.remaining_ms(), 10_000);
            let hurried = host.http(&Request::get(URL).timeout_ms(1000));
            assert!(matches!(hurried, Err(HttpError::Timeout(_))));
            assert_eq!(host.remaining_ms(), 9000);
            assert!(host.http(&Request::get(URL)).is_ok());
            assert!(matches!(host.http(&Request::get(URL)), Err(HttpError::Timeout(_))));
            assert_eq!(host.remaining_ms(), 0);
        });
        assert_eq!(call(&fake, crate::Host::remaining_ms), 10_000);
    }

    #[test]
    fn a_dry_run_holds_back_what_would_change_something() {
        let fake = FakeHost::new().dry_run().always("GET", URL, Answer::status(200));
        let host = fake.host();
        assert_eq!(host.http(&Request::get(URL)).unwrap().status, 200);
        assert_eq!(host.http(&Request::post(URL).body("نص")).unwrap().status, 202);
        assert_eq!((fake.requests().len(), fake.held_back().len()), (1, 1));
    }

    #[test]
    fn log_and_metrics_are_cut_as_in_the_hub() {
        let fake = FakeHost::new();
        call(&fake, |host| {
            for at in 0..250 {
                host.info(&"سطر ".repeat(1000));
                host.count(&format!("name_{at}"), 1, &[]);
                host.count("name_0", 1, &[("kind", &at.to_string())]);
            }
            host.gauge("Name", f64::NAN, &[]);
        });
        assert_eq!(fake.logs().len(), 200);
        assert!(fake.logs().iter().all(|record| record.message.len() <= 4096));
        assert_eq!(fake.metrics().len(), 64 + 8);
    }
}
