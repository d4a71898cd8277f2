//! A small server that stands for a department: it prints each record that arrives.
//!
//! It checks no signature; a real receiver does. It can answer with an error now and then, so that one
//! sees the hub try again under the same id.

mod request;
mod shown;

use std::collections::HashSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::clock;
use crate::receiver::request::Request;

/// Options of `cargo xtask receiver`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8481")]
    listen: SocketAddr,
    /// Answer every N-th request with 500. 0: never.
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_every: u64,
}

/// What a receiver counted, read at any time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: AtomicU64,
    failed_on_purpose: AtomicU64,
    records: Mutex<HashSet<String>>,
    lines_left: AtomicU64,
    fail_every: u64,
}

impl Tally {
    /// Counts nothing yet; prints `lines` records and then only counts.
    pub(crate) fn new(fail_every: u64, lines: u64) -> Arc<Self> {
        Arc::new(Self {
            fail_every,
            lines_left: AtomicU64::new(lines),
            ..Self::default()
        })
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Different records so far, by the id that stays the same over retries.
    pub(crate) fn records(&self) -> usize {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Requests that were answered with an error on purpose.
    pub(crate) fn failed_on_purpose(&self) -> u64 {
        self.failed_on_purpose.load(Ordering::Relaxed)
    }

    /// From now on print every record again.
    pub(crate) fn print_all(&self) {
        self.lines_left.store(u64::MAX, Ordering::Relaxed);
    }

    fn note(&self, request: &Request) -> Verdict {
        let number = 1 + self.requests.fetch_add(1, Ordering::Relaxed);
        if self.fail_every > 0 && number.is_multiple_of(self.fail_every) {
            self.failed_on_purpose.fetch_add(1, Ordering::Relaxed);
            return Verdict::FailOnPurpose;
        }
        let id = request.header("webhook-id").unwrap_or("no id").to_owned();
        match self.records.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            true => Verdict::New,
            false => Verdict::Repeat,
        }
    }

    fn may_print(&self) -> bool {
        self.lines_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    New,
    Repeat,
    FailOnPurpose,
}

/// `cargo xtask receiver`: until it is stopped.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let listener = listen(options.listen)?;
    println!("receiver listens on http://{}", options.listen);
    accept(&listener, &Tally::new(options.fail_every, u64::MAX));
    Ok(())
}

/// Starts a receiver on a thread of its own.
pub(crate) fn start(address: SocketAddr, tally: &Arc<Tally>) -> Result<()> {
    let listener = listen(address)?;
    let tally = Arc::clone(tally);
    std::thread::Builder::new()
        .name("receiver".to_owned())
        .spawn(move || accept(&listener, &tally))?;
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("the receiver cannot listen on {address}; is another one running?"))
}

fn accept(listener: &TcpListener, tally: &Arc<Tally>) {
    for stream in listener.incoming().flatten() {
        let tally = Arc::clone(tally);
        let spawned = std::thread::Builder::new()
            .name("receiver-connection".to_owned())
            .spawn(move || {
                if let Err(error) = converse(&stream, &tally) {
                    eprintln!("receiver: {error:#}");
                }
            });
        if let Err(error) = spawned {
            eprintln!("receiver: {error}");
        }
    }
}

/// Answers one connection until the other side closes it or says nothing for a minute.
fn converse(stream: &TcpStream, tally: &Tally) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let mut reader = std::io::BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let verdict = tally.note(&request);
        if tally.may_print() {
            println!("{}", shown::line(&clock::time_of_day(), verdict, &request));
        }
        let status = if verdict == Verdict::FailOnPurpose {
            "500 Internal Server Error"
        } else {
            "204 No Content"
        };
        let length = if verdict == Verdict::FailOnPurpose {
            "content-length: 0\r\n"
        } else {
            ""
        };
        let mut to = stream;
        to.write_all(format!("HTTP/1.1 {status}\r\n{length}\r\n").as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn request(id: &str) -> Request {
        let text = format!("POST / HTTP/1.1\r\nwebhook-id: {id}\r\ncontent-length: 2\r\n\r\n{{}}");
        Request::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_repeat_is_one_record_and_failures_come_on_time() {
        let tally = Tally::new(3, 0);
        let verdicts: Vec<_> = ["a", "a", "b", "b"].map(|id| tally.note(&request(id))).into();
        assert_eq!(
            verdicts,
            [Verdict::New, Verdict::Repeat, Verdict::FailOnPurpose, Verdict::New]
        );
        assert_eq!(
            (tally.requests(), tally.records(), tally.failed_on_purpose()),
            (4, 2, 1)
        );
    }

    #[test]
    fn only_so_many_lines_are_printed() {
        let tally = Tally::new(0, 2);
        assert_eq!([(); 3].map(|()| tally.may_print()), [true, true, false]);
        tally.print_all();
        assert!(tally.may_print());
    }

    #[test]
    fn one_connection_carries_several_requests() {
        let tally = Tally::new(2, 0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nwebhook-id: a\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nwebhook-id: a\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let (stream, _) = listener.accept().unwrap();
        converse(&stream, &tally).unwrap();
        drop(stream);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert_eq!(
            answers,
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
        );
    }
}
