//! Errors of a call, in the classes that tell the hub what to do next.

use crate::{
    BlobError, ConfigProblem, Failure, HttpError, NetError, PluginError, Refusal, Retry, SecretError, StateError,
    TransportFailure,
};

fn failure(code: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure {
        code: code.into(),
        message: message.into(),
    }
}

/// `code` is short and stable, for grouping and alerts; `message` is for people and names what to do next.
impl PluginError {
    /// Nothing wrong with the data: the hub tries again with its own back-off.
    pub fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::transient_after(code, message, None)
    }

    /// Like [`PluginError::transient`], not before `after_ms` milliseconds have passed.
    pub fn transient_after(
        code: impl Into<String>,
        message: impl Into<String>,
        after_ms: impl Into<Option<u64>>,
    ) -> Self {
        Self::Transient(Retry {
            failure: failure(code, message),
            after_ms: after_ms.into(),
        })
    }

    /// The other side asks for a pause of `after_ms` milliseconds (`None`: the hub decides). No failure.
    pub fn rate_limited(code: impl Into<String>, message: impl Into<String>, after_ms: impl Into<Option<u64>>) -> Self {
        Self::RateLimited(Retry {
            failure: failure(code, message),
            after_ms: after_ms.into(),
        })
    }

    /// Repeating cannot help: this unit of work becomes a dead letter.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Permanent(failure(code, message))
    }

    /// The credential is missing, expired or revoked: the instance pauses and the admin is told.
    pub fn unauthorized(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unauthorized(failure(code, message))
    }

    /// The setting at `path` (like `filters.labels[0]`) is wrong: the instance pauses.
    pub fn misconfigured(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Misconfigured(vec![ConfigProblem::new(path, message)])
    }

    /// This plugin does not do that.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    /// The stable code, where the class carries one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Transient(retry) | Self::RateLimited(retry) => Some(&retry.failure.code),
            Self::Permanent(failure) | Self::Unauthorized(failure) => Some(&failure.code),
            Self::Misconfigured(_) | Self::Unsupported(_) => None,
        }
    }

    /// One line for people (the generated `Display` shows the variant as Rust does).
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Transient(retry) | Self::RateLimited(retry) => retry.failure.summary(),
            Self::Permanent(failure) | Self::Unauthorized(failure) => failure.summary(),
            Self::Misconfigured(problems) => {
                let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
                lines.join("; ")
            }
            Self::Unsupported(what) => format!("not supported: {what}"),
        }
    }
}

impl Failure {
    /// The message with its code.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} ({})", self.message, self.code)
    }
}

impl ConfigProblem {
    /// A problem at the key path `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl Refusal {
    /// A part of the input, at `place`, that could not become a record.
    pub fn new(place: impl Into<String>, code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            code: code.into(),
            reason: reason.into(),
        }
    }
}

impl From<HttpError> for PluginError {
    fn from(error: HttpError) -> Self {
        let lost = |code: &str, what: &str, failure: TransportFailure| {
            let sent = if failure.sent {
                "; the request may have arrived"
            } else {
                ""
            };
            Self::transient(code, format!("{what}: {}{sent}", failure.message))
        };
        match error {
            HttpError::Denied(grant) => Self::misconfigured("grant.http", grant),
            HttpError::BlockedAddress(address) => {
                Self::misconfigured("grant.http", format!("the address is refused: {address}"))
            }
            HttpError::InvalidRequest(why) => Self::permanent("http-invalid-request", why),
            HttpError::Timeout(failure) => lost("http-timeout", "no answer in time", failure),
            HttpError::Connect(failure) => lost("http-connect", "no connection", failure),
            HttpError::Tls(failure) => lost("http-tls", "no trusted connection", failure),
            HttpError::Protocol(failure) => lost("http-protocol", "the answer is not HTTP", failure),
            HttpError::RequestTooLarge(limit) => Self::permanent(
                "http-request-too-large",
                format!("the request is larger than {limit} bytes"),
            ),
            HttpError::ResponseTooLarge(limit) => Self::permanent(
                "http-response-too-large",
                format!("the answer is larger than {limit} bytes"),
            ),
            HttpError::BudgetExceeded(after_ms) => {
                Self::rate_limited("http-budget", "the instance's own request budget is used up", after_ms)
            }
            HttpError::CredentialMissing(name) => Self::unauthorized(
                "credential-missing",
                format!("the secret `{name}` is not set for this instance"),
            ),
        }
    }
}

impl From<NetError> for PluginError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Denied(grant) => Self::misconfigured("grant.net", grant),
            NetError::BlockedAddress(address) => {
                Self::misconfigured("grant.net", format!("the address is refused: {address}"))
            }
            NetError::InvalidRequest(why) => Self::permanent("net-invalid-request", why),
            NetError::Timeout => Self::transient("net-timeout", "no answer in time"),
            NetError::Closed => Self::transient("net-closed", "the other side closed the connection"),
            NetError::Io(why) => Self::transient("net-io", why),
            NetError::Tls(why) => Self::transient("net-tls", why),
            // Alone, in a call of its own, the same may well fit.
            NetError::LimitExceeded(limit) => Self::transient("net-limit", limit),
            NetError::CredentialMissing(why) => Self::unauthorized("credential-missing", why),
        }
    }
}

impl From<StateError> for PluginError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::KeyTooLong => Self::permanent("state-key-too-long", "the state key is too long"),
            StateError::ValueTooLarge(limit) => Self::permanent(
                "state-value-too-large",
                format!("the state value is larger than {limit} bytes"),
            ),
            StateError::QuotaExceeded(limit) => Self::permanent(
                "state-quota",
                format!("the instance's state is larger than {limit} bytes"),
            ),
            StateError::Storage(why) => Self::transient("state-storage", why),
        }
    }
}

impl From<BlobError> for PluginError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::permanent("blob-not-found", "the blob does not exist"),
            BlobError::TooLarge(limit) => {
                Self::permanent("blob-too-large", format!("the blob is larger than {limit} bytes"))
            }
            BlobError::QuotaExceeded(limit) => Self::permanent(
                "blob-quota",
                format!("the call's blobs are larger than {limit} bytes together"),
            ),
            BlobError::Storage(why) => Self::transient("blob-storage", why),
        }
    }
}

impl From<SecretError> for PluginError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::NotSet => Self::unauthorized(
                "secret-not-set",
                "a secret that the plugin needs is not set for this instance",
            ),
            SecretError::NotGranted => Self::misconfigured(
                "secrets",
                "a secret that the plugin uses is not granted to this instance",
            ),
            SecretError::Unusable(why) => Self::unauthorized("secret-unusable", why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_errors_fall_into_the_class_that_drives_the_hub() {
        let lost = |sent| TransportFailure {
            message: "انتهت المهلة".into(),
            sent,
        };
        let timeout = PluginError::from(HttpError::Timeout(lost(true)));
        assert!(matches!(&timeout, PluginError::Transient(_)));
        assert_eq!(
            timeout.summary(),
            "no answer in time: انتهت المهلة; the request may have arrived (http-timeout)"
        );
        let denied = PluginError::from(HttpError::Denied("grant.http = [\"https://a.example\"]".into()));
        assert_eq!(denied.summary(), "grant.http: grant.http = [\"https://a.example\"]");
        let budget = PluginError::from(HttpError::BudgetExceeded(1500));
        assert!(matches!(
            budget,
            PluginError::RateLimited(Retry {
                after_ms: Some(1500),
                ..
            })
        ));
        let missing = PluginError::from(HttpError::CredentialMissing("token".into()));
        assert_eq!(missing.code(), Some("credential-missing"));
    }

    #[test]
    fn errors_of_connections_do_so_too() {
        let broken = PluginError::from(NetError::Io("انقطع الاتصال".into()));
        assert!(matches!(&broken, PluginError::Transient(_)));
        assert_eq!(broken.summary(), "انقطع الاتصال (net-io)");
        let denied = PluginError::from(NetError::Denied("[[instance.grant.net]]".into()));
        assert_eq!(denied.summary(), "grant.net: [[instance.grant.net]]");
        let missing = PluginError::from(NetError::CredentialMissing("password".into()));
        assert!(matches!(missing, PluginError::Unauthorized(_)));
    }
}
