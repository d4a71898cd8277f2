//! Where the other system stands: between it and the plugin the kit looks at what passes, and lets things go wrong.

use std::sync::{Arc, Mutex, PoisonError};

use super::fault::{Fault, Plan, Way};
use super::{Said, System, Trouble};
use crate::testing::Answer;
use crate::testing::live::Live;
use crate::{HttpError, NetError, Request, Security};

/// The other system, and what stands around it.
pub(super) struct Stand<S> {
    pub(super) system: S,
    /// What the system quotes where it refuses something.
    echo: String,
    origins: Vec<String>,
    lines: Vec<(String, u16)>,
    plan: Option<Plan>,
    seen: Vec<Seen>,
}

/// One thing that passed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) way: Way,
    /// What the plugin did.
    pub(super) what: String,
    /// What it got.
    pub(super) how: String,
    /// Whether a grant allows it.
    pub(super) is_granted: bool,
}

impl<S: System> Stand<S> {
    pub(super) fn new(system: S, echo: String, origins: &[String], lines: &[(String, u16)]) -> Self {
        Self {
            system,
            echo,
            origins: origins.iter().map(|origin| usual(origin)).collect(),
            lines: lines.to_vec(),
            plan: None,
            seen: Vec::new(),
        }
    }

    /// A call begins, in which this goes wrong.
    pub(super) fn begin(&mut self, plan: Option<Plan>) {
        self.plan = plan;
        self.seen.clear();
    }

    /// What passed in this call.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.clone()
    }

    /// The fault of what comes next.
    fn fault(&self) -> Option<Fault> {
        let plan = self.plan?;
        plan.hits(self.seen.len()).then_some(plan.fault)
    }

    fn note(&mut self, way: Way, what: String, how: impl Into<String>, is_granted: bool) {
        self.seen.push(Seen {
            way,
            what,
            how: how.into(),
            is_granted,
        });
    }

    fn request(&mut self, request: &Request, now: i64) -> Answer {
        let what = format!("{} {}", request.method, request.url.escape_debug());
        if !self
            .origins
            .iter()
            .any(|origin| Some(origin) == origin_of(&request.url).as_ref())
        {
            self.note(Way::Http, what, "not sent: no grant allows it", false);
            return Answer::fails(HttpError::Denied("no grant allows this origin".into()));
        }
        let is_odd = |text: &str| text.contains(char::is_control);
        let in_header = request
            .headers
            .iter()
            .any(|header| is_odd(&header.name) || is_odd(&header.value));
        if is_odd(&request.url) || in_header {
            self.note(Way::Http, what, "not sent: there is a control character in it", true);
            return Answer::fails(HttpError::InvalidRequest("a control character".into()));
        }
        let answer = match self.fault() {
            Some(fault) => fault.answer(now, &self.echo, || self.system.answer(request)),
            None => self.system.answer(request),
        };
        let how = match &answer.result {
            _ if answer.takes_ms == u64::MAX => "no answer".to_owned(),
            Ok(response) => format!("answered {}", response.status),
            Err(error) => format!("failed: {error:?}"),
        };
        self.note(Way::Http, what, how, true);
        answer
    }

    fn connect(&mut self, line: usize, host: &str, port: u16, security: Security) -> Result<Said, NetError> {
        let what = format!("connection to {}:{port}", host.escape_debug());
        if !self.lines.iter().any(|(of, at)| of == host && *at == port) {
            self.note(Way::Line, what, "not made: no grant allows it", false);
            return Err(NetError::Denied("no grant allows this host and port".into()));
        }
        let fault = self.fault();
        let (how, said) = match fault {
            Some(Fault::NoConnection) => ("refused", Err(NetError::Io("connection refused".into()))),
            Some(Fault::NoTls) if security == Security::Tls => ("TLS failed", Err(NetError::Tls("no trust".into()))),
            Some(fault) => self.spoilt(fault, |system, trouble| system.connected(line, trouble)),
            None => ("made", Ok(self.system.connected(line, None))),
        };
        self.note(Way::Line, what, how, true);
        said
    }

    fn hear(&mut self, line: usize, bytes: &[u8]) -> Said {
        // What people wrote does not belong into a finding either: a few letters tell what it is.
        let first: String = String::from_utf8_lossy(bytes).chars().take(24).collect();
        let what = format!(
            "{} bytes written, beginning with `{}`",
            bytes.len(),
            first.escape_debug()
        );
        let (how, said) = match self.fault() {
            Some(Fault::NoConnection) => ("connection lost", Ok(Said::nothing().closes())),
            Some(fault) => self.spoilt(fault, |system, trouble| system.heard(line, bytes, trouble)),
            None => ("answered", Ok(self.system.heard(line, bytes, None))),
        };
        self.note(Way::Line, what, how, true);
        said.unwrap_or_else(|_| Said::nothing().closes())
    }

    /// What is said on a connection that has this fault.
    fn spoilt(
        &mut self,
        fault: Fault,
        say: impl FnOnce(&mut S, Option<Trouble>) -> Said,
    ) -> (&'static str, Result<Said, NetError>) {
        let system = &mut self.system;
        match fault {
            Fault::Trouble(trouble) => ("answered that there is trouble", Ok(say(system, Some(trouble)))),
            Fault::DoneThenFailed => {
                drop(say(system, None));
                ("done, and the connection closed", Ok(Said::nothing().closes()))
            }
            Fault::DoneThenSilent => {
                drop(say(system, None));
                ("done, and no answer", Ok(Said::nothing()))
            }
            Fault::Garbled(garble) => {
                let said = say(system, None);
                let spoilt = Said::bytes(garble.bytes(&said.bytes, &self.echo)).closes();
                ("answered with something else", Ok(spoilt))
            }
            Fault::NoConnection | Fault::NoTls | Fault::Pause(..) | Fault::Redirect | Fault::Slow(_) => {
                ("answered", Ok(say(system, None)))
            }
        }
    }

    fn seal(&mut self) -> Result<(), NetError> {
        let is_lost = matches!(
            self.fault(),
            Some(Fault::NoTls | Fault::NoConnection | Fault::DoneThenFailed | Fault::DoneThenSilent)
        );
        let how = if is_lost { "failed" } else { "TLS begins" };
        self.note(Way::Line, "TLS".into(), how, true);
        if is_lost {
            return Err(NetError::Tls("as the trial has it".into()));
        }
        Ok(())
    }
}

/// The same stand, as the fake hub asks it.
pub(super) struct Shared<S>(pub(super) Arc<Mutex<Stand<S>>>);

impl<S: System> Shared<S> {
    fn with<T>(&self, work: impl FnOnce(&mut Stand<S>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: System> Live for Shared<S> {
    fn answer(&mut self, request: &Request, now: i64) -> Answer {
        self.with(|stand| stand.request(request, now))
    }

    fn connect(&mut self, line: usize, host: &str, port: u16, security: Security) -> Result<Said, NetError> {
        self.with(|stand| stand.connect(line, host, port, security))
    }

    fn hear(&mut self, line: usize, bytes: &[u8]) -> Said {
        self.with(|stand| stand.hear(line, bytes))
    }

    fn seal(&mut self, _: usize) -> Result<(), NetError> {
        self.with(Stand::seal)
    }
}

/// The origin of an address; nothing for one that names a user, which the hub refuses.
fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_sound = matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") && !authority.is_empty();
    (is_sound && !authority.contains('@')).then(|| usual(&format!("{scheme}://{authority}")))
}

/// An origin in lower case, without a slash and without the port that it has anyway.
fn usual(origin: &str) -> String {
    let origin = origin.trim_end_matches('/').to_ascii_lowercase();
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(&origin).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_the_hub_does() {
        let crm = Some("https://crm.example".to_owned());
        for url in [
            "https://crm.example/a",
            "https://CRM.example:443/a",
            "HTTPS://crm.example?طلب",
            "https://crm.example",
        ] {
            assert_eq!(origin_of(url), crm, "{url}");
        }
        for url in [
            "http://crm.example/",
            "https://crm.example.evil.example/",
            "https://crm.example@evil.example/",
            "https://crm.example:8443/",
            "crm.example/a",
            "file:///a",
        ] {
            assert_ne!(origin_of(url), crm, "{url}");
        }
    }
}
