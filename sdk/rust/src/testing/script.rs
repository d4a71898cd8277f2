//! Scripted HTTP: which request is expected, and what is answered.

use crate::{Header, HttpError, Request, Response, TransportFailure};

/// What a scripted server does with one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) result: Result<Response, HttpError>,
    pub(super) takes_ms: u64,
}

impl Answer {
    /// An answer without headers and body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::body(status, Vec::new())
    }

    /// An answer with a body.
    pub fn body(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            result: Ok(Response {
                status,
                headers: Vec::new(),
                body: body.into(),
            }),
            takes_ms: 0,
        }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, text: impl Into<String>) -> Self {
        Self::body(status, text.into()).header("content-type", "application/json")
    }

    /// No answer: the transport fails with this error.
    #[must_use]
    pub fn fails(error: HttpError) -> Self {
        Self {
            result: Err(error),
            takes_ms: 0,
        }
    }

    /// No answer in time. `sent` tells whether the request may have arrived.
    #[must_use]
    pub fn times_out(sent: bool) -> Self {
        Self::fails(HttpError::Timeout(TransportFailure {
            message: "no answer".into(),
            sent,
        }))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok(response) = &mut self.result {
            response.headers.push(Header {
                name: name.into(),
                value: value.into(),
            });
        }
        self
    }

    /// The answer takes so long: the fake clock moves on and the call's remaining time shrinks.
    #[must_use]
    pub fn takes_ms(mut self, milliseconds: u64) -> Self {
        self.takes_ms = milliseconds;
        self
    }
}

/// One line of the script.
#[derive(Clone, Debug)]
struct Rule {
    method: String,
    url: String,
    answer: Answer,
    /// Answers any number of requests, after the lines that answer once.
    always: bool,
    used: bool,
}

/// The script of a fake host, in order of declaration.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
}

impl Script {
    pub(super) fn expect(&mut self, method: &str, url: &str, answer: Answer, always: bool) {
        self.rules.push(Rule {
            method: method.into(),
            url: url.into(),
            answer,
            always,
            used: false,
        });
    }

    /// The first unused line for this method and URL, or else a line that always answers.
    pub(super) fn play(&mut self, request: &Request) -> Answer {
        let fits = |rule: &Rule| rule.method.eq_ignore_ascii_case(&request.method) && rule.url == request.url;
        let once = self
            .rules
            .iter()
            .position(|rule| fits(rule) && !rule.always && !rule.used);
        match once.or_else(|| self.rules.iter().position(|rule| fits(rule) && rule.always)) {
            Some(at) => {
                let rule = &mut self.rules[at];
                rule.used = true;
                rule.answer.clone()
            }
            None => Answer::fails(HttpError::Denied(format!(
                "no answer is scripted for {} {}: add `.answer(\"{}\", \"{}\", …)`",
                request.method, request.url, request.method, request.url
            ))),
        }
    }

    /// Lines that answered nothing.
    pub(super) fn unused(&self) -> Vec<String> {
        self.rules
            .iter()
            .filter(|rule| !rule.used)
            .map(|rule| format!("{} {}", rule.method, rule.url))
            .collect()
    }
}
