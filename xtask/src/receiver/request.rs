//! As much of HTTP/1.1 as a receiver needs.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, bail};

const LINE_BYTES_MAX: u64 = 16 * 1024;
const HEADERS_MAX: usize = 100;
const BODY_BYTES_MAX: u64 = 32 << 20;

/// One request.
#[derive(Debug)]
pub(super) struct Request {
    headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads the next request; `None` when the other side has closed.
    pub(super) fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let Some(first) = line(from)? else {
            return Ok(None);
        };
        if !first.contains(" HTTP/1.") {
            bail!("`{first}` is no HTTP/1.1 request");
        }
        let mut headers = Vec::new();
        loop {
            let header = line(from)?.context("the request ends within its headers")?;
            if header.is_empty() {
                break;
            }
            if headers.len() == HEADERS_MAX {
                bail!("a request has more than {HEADERS_MAX} headers");
            }
            let (name, value) = header.split_once(':').context("a header has no colon")?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            headers,
            body: Vec::new(),
        };
        request.read_body(from)?;
        Ok(Some(request))
    }

    /// The value of a header; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> Result<()> {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks(from);
        }
        let length = self.header("content-length").unwrap_or("0");
        let length = length
            .parse()
            .with_context(|| format!("content-length is `{length}`"))?;
        self.append(from, length)
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> Result<()> {
        loop {
            let size = line(from)?.context("the body ends between two chunks")?;
            let size =
                u64::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16).context("a chunk has no size")?;
            if size == 0 {
                while line(from)?.is_some_and(|trailer| !trailer.is_empty()) {}
                return Ok(());
            }
            self.append(from, size)?;
            line(from)?;
        }
    }

    fn append(&mut self, from: &mut impl BufRead, length: u64) -> Result<()> {
        if self.body.len() as u64 + length > BODY_BYTES_MAX {
            bail!("a body is longer than {BODY_BYTES_MAX} bytes");
        }
        let read = from.take(length).read_to_end(&mut self.body)?;
        if read as u64 != length {
            bail!("a body ends {} bytes early", length - read as u64);
        }
        Ok(())
    }
}

/// One line without its end; `None` at the end of the stream.
fn line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if from.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        bail!("a line does not end within {LINE_BYTES_MAX} bytes");
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Request>> {
        Request::read(&mut text.as_bytes())
    }

    #[test]
    fn both_ways_to_send_a_body_give_the_same() {
        let plain = read("POST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\nواحة")
            .unwrap()
            .unwrap();
        let chunked = read("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nوا\r\n4;a=b\r\nحة\r\n0\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(plain.body, "واحة".as_bytes());
        assert_eq!(chunked.body, plain.body);
    }

    #[test]
    fn broken_requests_are_refused() {
        for text in [
            "hello\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabc",
            "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\nabc",
            "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            "POST / HTTP/1.1\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\na: b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("").unwrap().is_none());
    }
}
