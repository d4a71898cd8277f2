//! Headers that keep browsers from doing more with an answer than it is meant for.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue};

/// For everything that is no page: nothing may be loaded, run or framed.
const CSP_NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// For our own pages: our own style sheet and nothing else.
pub(crate) const CSP_PAGE: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// For the API viewer, which sets styles from its script.
pub(crate) const CSP_VIEWER: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The policy of answers at an address, unless they bring one.
pub(super) fn policy(path: &str) -> &'static str {
    if path.starts_with("/api/docs") {
        CSP_VIEWER
    } else {
        CSP_NOTHING
    }
}

/// Adds the security headers that an answer does not bring itself.
pub(super) fn secure(headers: &mut HeaderMap, policy: &'static str) {
    for (name, value) in ALWAYS {
        set_if_absent(headers, name, value);
    }
    set_if_absent(headers, header::CONTENT_SECURITY_POLICY, policy);
    // Customers' words do not belong into anybody's cache.
    set_if_absent(headers, header::CACHE_CONTROL, "no-store");
}

fn set_if_absent(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}
