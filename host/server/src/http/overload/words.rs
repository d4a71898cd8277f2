//! What is asked for, and what those read who are turned away.

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::away::Later;
use super::gate::Why;
use crate::http::{Problem, Sort};

/// What a request asks of the hub. Each kind has places of its own, so that none starves another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the process is there: always answered.
    Alive,
    /// How the hub is.
    Vital,
    /// To write, in one exchange.
    Write,
    /// To look something up, or a page.
    Read,
    /// Lines in or out, or work that lasts.
    Stream,
    /// Another system's request.
    Hook,
}

impl Kind {
    /// What a request to this address is. Told from the address alone, before it is looked up: a refusal has to be cheap.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path {
            "/health/live" => Self::Alive,
            "/health/ready" | "/metrics" => Self::Vital,
            "/api/v1/imports" | "/api/v1/backup" | "/api/v1/figures" => Self::Stream,
            // A look, by a name that has no place in an address.
            "/api/v1/contacts:find" => Self::Read,
            // One transaction, and no more.
            "/api/v1/destinations:resume" => Self::Write,
            _ if path.starts_with("/hooks/") => Self::Hook,
            // Short, and it must find a place also when all streams are taken: by those who read feeds.
            _ if is_of_department(path, "/feed:ack") => Self::Write,
            // It may be waited for.
            _ if is_of_department(path, "/feed") => Self::Stream,
            _ if is_action(path) => Self::Stream,
            _ if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) => Self::Read,
            _ => Self::Write,
        }
    }

    /// In metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Vital => "health",
            Self::Write => "write",
            Self::Read => "read",
            Self::Stream => "stream",
            Self::Hook => "hook",
        }
    }
}

/// `/api/v1/feedback:batch` and its like.
fn is_action(path: &str) -> bool {
    path.starts_with("/api/") && path.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// Whether it is that address of some department.
fn is_of_department(path: &str, end: &str) -> bool {
    path.starts_with("/api/v1/departments/") && path.ends_with(end)
}

const fn detail(kind: Kind, why: Why) -> &'static str {
    match (why, kind) {
        (Why::Share, Kind::Write) => {
            "this caller has as many requests in work as one may; wait for their answers before sending more, or put many \
             records into one /api/v1/feedback:batch"
        }
        (Why::Share, _) => {
            "this caller has as many requests of this kind in work as one may; wait for their answers before sending more"
        }
        (Why::Full, Kind::Write | Kind::Hook) => {
            "more is coming in than the hub can write; nothing of this request was kept: send it again after the time in \
             Retry-After"
        }
        (Why::Full, Kind::Stream) => {
            "as many streams are open as the hub serves at once (server.streams); nothing of this one was kept: begin it \
             again after the time in Retry-After"
        }
        (Why::Full, Kind::Read | Kind::Vital | Kind::Alive) => {
            "more is being asked than the hub can look up at once; ask again after the time in Retry-After"
        }
    }
}

const fn sort(why: Why) -> Sort {
    match why {
        Why::Full => Sort::Busy,
        Why::Share => Sort::TooManyRequests,
    }
}

/// Why a request is not taken on.
pub(super) fn problem(kind: Kind, why: Why, later: Later) -> Problem {
    Problem::later(sort(why), detail(kind, why), Duration::from_secs(later.seconds))
}

/// Bodies hold as much memory as they may together.
pub(super) fn no_memory() -> Problem {
    let detail = "the hub has as many large bodies in work as fit its memory for them (server.body-memory); nothing of this \
                  request was kept: send it again after the time in Retry-After";
    metrics::counter!("mihwar_http_shed_total", "kind" => "body", "why" => "memory").increment(1);
    Problem::later(Sort::Busy, detail, Duration::from_secs(1))
}

/// A refusal's status and body, made once and sent often.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) status: http::StatusCode,
    pub(super) body: Bytes,
}

impl Words {
    pub(super) fn of(kind: Kind, why: Why) -> Self {
        let view = Problem::new(sort(why), detail(kind, why)).into_view();
        Self {
            status: sort(why).status(),
            body: serde_json::to_vec(&view).unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use http::Method;

    #[test]
    fn the_address_says_what_is_asked() {
        for (method, path, kind) in [
            (Method::GET, "/health/live", Kind::Alive),
            (Method::GET, "/health/ready", Kind::Vital),
            (Method::GET, "/metrics", Kind::Vital),
            (Method::POST, "/api/v1/feedback", Kind::Write),
            (Method::GET, "/api/v1/feedback", Kind::Read),
            (Method::DELETE, "/api/v1/tokens/x", Kind::Write),
            (Method::POST, "/api/v1/feedback:batch", Kind::Stream),
            (Method::GET, "/api/v1/departments/billing/feed", Kind::Stream),
            (Method::POST, "/api/v1/departments/billing/feed:ack", Kind::Write),
            (Method::GET, "/api/v1/departments/billing/feed/cursors", Kind::Read),
            (Method::GET, "/hooks/form/submit", Kind::Hook),
            (Method::GET, "/", Kind::Read),
            (Method::HEAD, "/api/docs/swagger-ui.css", Kind::Read),
            (Method::POST, "/شكوى:x", Kind::Write),
        ] {
            assert_eq!(Kind::of(&method, path), kind, "{method} {path}");
        }
    }
}
