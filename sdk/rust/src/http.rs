//! Making requests and reading answers.

use serde_json::error::Category;

use crate::{Body, Header, Request, Response};

impl Request {
    /// A request without headers or body, with the deadline of the call and no redirects.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Body::Empty,
            credential: None,
            timeout_ms: None,
            redirects: 0,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Sets the body, without a content type.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Uses the named secret binding instead of the one that the manifest ties to the origin.
    #[must_use]
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.credential = Some(name.into());
        self
    }

    /// Waits at most so many milliseconds; never beyond the deadline of the call.
    #[must_use]
    pub fn timeout_ms(mut self, milliseconds: u32) -> Self {
        self.timeout_ms = Some(milliseconds);
        self
    }

    /// Follows at most so many redirects; each hop is checked against the grants like a new request.
    #[must_use]
    pub fn redirects(mut self, most: u8) -> Self {
        self.redirects = most;
        self
    }
}

impl Response {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; bytes that are not UTF-8 become `U+FFFD`.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The body is not the JSON that `T` expects.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// How long `Retry-After` asks to wait, in milliseconds from `now` (seconds or an HTTP date).
    #[must_use]
    pub fn retry_after_ms(&self, now: i64) -> Option<u64> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse::<u64>() {
            return Some(seconds.saturating_mul(1000));
        }
        let at = crate::time::parse_http_date(value)?;
        Some(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
    }
}

/// What is wrong with JSON that could not be read, and where: for a message, in which nothing may be quoted. The error's own
/// words quote what was read.
#[must_use]
pub fn json_fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Io => "cannot be read",
        Category::Syntax => "is no JSON",
        Category::Data => "has another shape than expected",
        Category::Eof => "ends too early",
    };
    format!("it {what} (line {}, column {})", error.line(), error.column())
}

impl crate::InboundRequest {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|h| h.name.eq_ignore_ascii_case(name))
        .map(|h| h.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(value: &str) -> Option<u64> {
        let headers = vec![Header {
            name: "Retry-After".into(),
            value: value.into(),
        }];
        Response {
            status: 503,
            headers,
            body: Vec::new(),
        }
        .retry_after_ms(784_111_777_000)
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_date() {
        assert_eq!(asks(" 120 "), Some(120_000));
        assert_eq!(asks("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000));
        assert_eq!(
            asks("Sun, 06 Nov 1994 08:00:00 GMT"),
            Some(0),
            "a date in the past means now"
        );
        assert_eq!(asks("غداً"), None);
    }

    #[test]
    fn what_is_wrong_with_json_is_told_without_quoting_it() {
        let told = |text: &str| {
            serde_json::from_str::<Vec<u8>>(text)
                .map_err(|error| json_fault(&error))
                .unwrap_err()
        };
        for (text, what) in [
            ("\"ليلى حداد\"", "it has another shape than expected (line 1, "),
            ("[1,\n2", "it ends too early (line 2, "),
            ("<html>", "it is no JSON (line 1, "),
            ("", "it ends too early (line 1, "),
        ] {
            let told = told(text);
            assert!(told.starts_with(what) && !told.contains("ليلى"), "{told}");
        }
    }
}
