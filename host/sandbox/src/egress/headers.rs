//! Which headers a guest may set and which it gets to see.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::contract::types::Header;

/// Tells a hub its own requests from all others: one that comes back to it went in a circle.
pub const HOP: HeaderName = HeaderName::from_static("mihwar-hop");

const MOST: usize = 64;
const MOST_BYTES: usize = 32 * 1024;

/// Belong to the connection or say where the request goes: the host's business. `accept-encoding` is among
/// them because the host searches answers for secrets byte by byte, which a compressed echo would get past. The last ones
/// name another method or path than the request line, which some servers then go by: grants are about what is done.
const HOST_ONLY: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "mihwar-hop",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Whether a header of this name is the host's business: neither a guest sets it nor does a manifest put a secret there.
pub(crate) fn is_host_only(name: &HeaderName) -> bool {
    HOST_ONLY.contains(&name.as_str())
}

/// Not shown to guests: connection matters, and cookies, which would be a credential the guest can read.
const HIDDEN: [&str; 10] = [
    "alt-svc",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads a guest's request headers. Bounded before a map is made of them.
pub(crate) fn guest_headers(headers: &[Header]) -> Result<HeaderMap, String> {
    let bytes: usize = headers
        .iter()
        .map(|header| header.name.len() + header.value.len())
        .sum();
    if headers.len() > MOST || bytes > MOST_BYTES {
        return Err(format!(
            "more than {MOST} request headers or {MOST_BYTES} bytes of them"
        ));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| format!("`{}` is no header name", header.name.escape_debug()))?;
        if is_host_only(&name) {
            return Err(format!("the header `{name}` is set by the host"));
        }
        let value = HeaderValue::from_str(&header.value)
            .or_else(|_| HeaderValue::from_bytes(header.value.as_bytes()))
            .map_err(|_| format!("the value of the header `{name}` holds a control character"))?;
        map.append(name, value);
    }
    Ok(map)
}

/// The response headers a guest sees: UTF-8 ones, none of [`HIDDEN`], a bounded number.
pub(crate) fn shown_headers(headers: &HeaderMap) -> Vec<Header> {
    let mut bytes = 0;
    headers
        .iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .filter_map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some(Header {
                name: name.as_str().to_owned(),
                value: value.to_owned(),
            })
        })
        .take(MOST * 2)
        .take_while(|header| {
            bytes += header.name.len() + header.value.len();
            bytes <= MOST_BYTES
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn headers_that_steer_the_connection_are_refused() {
        for name in [
            "Host",
            "HOST",
            "Transfer-Encoding",
            "content-length",
            "Upgrade",
            "Accept-Encoding",
            "Mihwar-Hop",
            "X-HTTP-Method-Override",
            "X-Original-URL",
        ] {
            assert!(guest_headers(&[header(name, "x")]).is_err(), "{name}");
        }
        for (name, value) in [
            ("X", "a\r\nHost: b"),
            ("X Y", "a"),
            ("", "a"),
            ("عنوان", "a"),
            ("x", "a\0b"),
        ] {
            assert!(guest_headers(&[header(name, value)]).is_err(), "{name} {value}");
        }
        assert_eq!(guest_headers(&[header("x-note", "شكرا")]).unwrap().len(), 1);
    }

    #[test]
    fn too_many_headers_are_refused_before_a_map_is_built() {
        let many = vec![header("x-a", "b"); 40_000];
        assert!(guest_headers(&many).is_err());
    }

    #[test]
    fn cookies_are_not_shown() {
        let mut map = HeaderMap::new();
        map.append("set-cookie", HeaderValue::from_static("session=1"));
        map.append("etag", HeaderValue::from_static("\"7\""));
        map.append("x-raw", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(shown_headers(&map), [header("etag", "\"7\"")]);
    }
}
