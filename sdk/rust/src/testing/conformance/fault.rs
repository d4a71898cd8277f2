//! What goes wrong, and when.

use serde_json::Value as Json;

use super::Trouble;
use super::pause::Asked;
use crate::testing::Answer;
use crate::{Header, HttpError, TransportFailure};

/// Where redirects lead: nobody grants it.
pub(super) const ELSEWHERE: &str = "https://elsewhere.example/login";

/// One thing that can go wrong with a request, or with what is said on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The system says so, and does nothing.
    Trouble(Trouble),
    /// A pause is asked for by this status.
    Pause(u16, Asked),
    /// It is done, and the answer is a failure.
    DoneThenFailed,
    /// It is done, and no answer comes.
    DoneThenSilent,
    /// No connection comes about.
    NoConnection,
    /// Nobody can be trusted to be the other system.
    NoTls,
    /// It is done, and the answer's body is another.
    Garbled(Garble),
    /// The answer leads elsewhere.
    Redirect,
    /// Every answer takes so many milliseconds.
    Slow(u64),
}

/// What stands in place of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garble {
    /// The first half of it.
    Half,
    /// Nothing.
    Nothing,
    /// A page, as some machine between shows it.
    Page,
    /// JSON that has nothing of what was expected.
    Other,
    /// JSON that is a text.
    Text,
    /// The same JSON, in which every address is one that a browser would run.
    Links,
}

/// Whether a request is one of HTTP, or something on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Http,
    Line,
}

/// A fault, and which of a call's requests have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) fault: Fault,
    /// The first of them, from 0.
    pub(super) at: usize,
    /// Whether it is the only one.
    pub(super) is_once: bool,
}

impl Plan {
    /// Whether the request of this number has it.
    pub(super) const fn hits(&self, number: usize) -> bool {
        number == self.at || (number > self.at && !self.is_once)
    }

    /// For people.
    pub(super) fn described(&self) -> String {
        let which = if self.is_once { "" } else { ", and every one after it," };
        format!("request {} of the call{which} {}", self.at + 1, self.fault.described())
    }
}

/// All that can go wrong with the request of this number, of this sort.
pub(super) fn plans(way: Way, at: usize) -> Vec<Plan> {
    let once = |fault| Plan {
        fault,
        at,
        is_once: true,
    };
    let from_here = |fault| Plan {
        fault,
        at,
        is_once: false,
    };
    let mut plans = vec![
        once(Fault::Trouble(Trouble::Failed)),
        from_here(Fault::Trouble(Trouble::Failed)),
        once(Fault::Trouble(Trouble::Refused)),
        from_here(Fault::Trouble(Trouble::Revoked)),
        from_here(Fault::Trouble(Trouble::Gone)),
        once(Fault::DoneThenFailed),
        once(Fault::DoneThenSilent),
        from_here(Fault::NoConnection),
        from_here(Fault::NoTls),
    ];
    let garbles = [
        Garble::Half,
        Garble::Nothing,
        Garble::Page,
        Garble::Other,
        Garble::Text,
        Garble::Links,
    ];
    plans.extend(garbles.map(|garble| once(Fault::Garbled(garble))));
    match way {
        Way::Line => plans.push(from_here(Fault::Trouble(Trouble::Busy))),
        Way::Http => {
            plans.push(from_here(Fault::Redirect));
            plans.extend(super::pause::WAYS.map(|asked| from_here(Fault::Pause(429, asked))));
            plans.push(from_here(Fault::Pause(503, Asked::Words("120"))));
        }
    }
    plans
}

impl Fault {
    /// For people: what happens to a request.
    fn described(self) -> String {
        match self {
            Self::Trouble(trouble) => format!("is answered {} and not done", said(trouble)),
            Self::Pause(status, asked) => format!("is answered {status} {} and not done", asked.described()),
            Self::DoneThenFailed => "is done, and then answered 500 (on a connection: it is closed)".into(),
            Self::DoneThenSilent => "is done, and no answer comes".into(),
            Self::NoConnection => "finds nobody: there is no connection".into(),
            Self::NoTls => "finds nobody who could be trusted: TLS fails".into(),
            Self::Garbled(Garble::Half) => "is done, and half of the answer is lost".into(),
            Self::Garbled(Garble::Nothing) => "is done, and the answer is empty".into(),
            Self::Garbled(Garble::Page) => "is done, and the answer is an HTML page".into(),
            Self::Garbled(Garble::Other) => "is done, and the answer is JSON of another shape".into(),
            Self::Garbled(Garble::Links) => "is done, and every address in the answer is `javascript:alert(1)`".into(),
            Self::Garbled(Garble::Text) => "is done, and the answer is a text in JSON".into(),
            Self::Redirect => format!("is answered 302 with `Location: {ELSEWHERE}`"),
            Self::Slow(ms) => format!("takes {ms} ms"),
        }
    }

    /// What answers a request that has this fault. `echo` is what the system quotes, as many do; `done` does what was asked for.
    pub(super) fn answer(self, now: i64, echo: &str, done: impl FnOnce() -> Answer) -> Answer {
        let lost = |sent| TransportFailure {
            message: "as the trial has it".into(),
            sent,
        };
        match self {
            Self::Trouble(trouble) => refusal(trouble.status(), echo),
            Self::Pause(status, asked) => match asked.header(now) {
                Some(value) => refusal(status, echo).header("Retry-After", value),
                None => refusal(status, echo),
            },
            Self::DoneThenFailed => {
                drop(done());
                refusal(500, echo)
            }
            // Whoever waits does so as long as the request may take.
            Self::DoneThenSilent => done().takes_ms(u64::MAX),
            Self::NoConnection => Answer::fails(HttpError::Connect(lost(false))),
            Self::NoTls => Answer::fails(HttpError::Tls(lost(false))),
            Self::Garbled(garble) => garble.spoilt(done(), echo),
            Self::Redirect => Answer::status(302).header("Location", ELSEWHERE),
            Self::Slow(ms) => done().takes_ms(ms),
        }
    }
}

impl Garble {
    /// What stands in place of these bytes.
    pub(super) fn bytes(self, bytes: &[u8], echo: &str) -> Vec<u8> {
        match self {
            Self::Half => bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec(),
            Self::Nothing => Vec::new(),
            Self::Page => format!("<html><body>أعد المحاولة: {echo}</body></html>\r\n").into_bytes(),
            Self::Other => serde_json::json!({ "شيء آخر": echo }).to_string().into_bytes(),
            Self::Text => serde_json::json!(echo).to_string().into_bytes(),
            Self::Links => match serde_json::from_slice(bytes) {
                Ok(mut json) => {
                    bend_links(&mut json);
                    json.to_string().into_bytes()
                }
                Err(_) => bytes.to_vec(),
            },
        }
    }

    fn spoilt(self, mut answer: Answer, echo: &str) -> Answer {
        if let Ok(response) = &mut answer.result {
            response.body = self.bytes(&response.body, echo);
            response
                .headers
                .retain(|header| !header.name.eq_ignore_ascii_case("content-length"));
            if self == Self::Page {
                response.headers.push(Header {
                    name: "content-type".into(),
                    value: "text/html".into(),
                });
            }
        }
        answer
    }
}

/// Makes every address in it one that a browser would run.
fn bend_links(json: &mut Json) {
    match json {
        Json::String(text) if text.starts_with("http") => "javascript:alert(1)".clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(bend_links),
        Json::Object(fields) => fields.values_mut().for_each(bend_links),
        _ => {}
    }
}

/// An answer that refuses, and quotes what it was sent.
fn refusal(status: u16, echo: &str) -> Answer {
    let body = serde_json::json!({ "message": echo, "detail": echo });
    Answer::json(status, body.to_string())
}

fn said(trouble: Trouble) -> String {
    let words = match trouble {
        Trouble::Busy => "that it is asked for too much",
        Trouble::Failed => "with a failure that passes",
        Trouble::Refused => "that this item is refused for good",
        Trouble::Revoked => "that the credential is not taken any more",
        Trouble::Gone => "that nothing is there any more",
    };
    format!("{words} (HTTP: {})", trouble.status())
}
