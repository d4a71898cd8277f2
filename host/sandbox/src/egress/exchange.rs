//! One request of a guest with its redirects, from check to answer.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use url::{Host, Url};

use super::headers::HOP;
use super::resolver::Blocked;
use super::transport::{Incoming, Outgoing, Transport};
use crate::address::refused_because;
use crate::contract::http::{HttpError, TransportFailure};
use crate::grants::{Origin, Rule, find_grant};

/// Most redirects that are followed, whatever the guest asks for.
const MOST_REDIRECTS: u8 = 5;

/// Finds the header that carries the credential for an origin.
pub(crate) type CredentialFor<'a> =
    dyn Fn(&Origin) -> Result<Option<(HeaderName, HeaderValue)>, HttpError> + Send + Sync + 'a;

/// What an exchange needs besides the request.
pub(crate) struct Exchange<'a> {
    pub(crate) network: &'a dyn Transport,
    pub(crate) asks: &'a [Rule],
    pub(crate) grants: &'a [Rule],
    /// The credential for an origin; asked again for each hop.
    pub(crate) credential: &'a CredentialFor<'a>,
    /// Held back instead of sent, unless GET or HEAD.
    pub(crate) dry_run: bool,
    pub(crate) deadline: Instant,
    pub(crate) most_bytes: u64,
    pub(crate) user_agent: &'a str,
    /// Which hub it comes from: see [`HOP`].
    pub(crate) hop: Option<&'a str>,
}

/// A request as the guest wants it sent.
pub(crate) struct Sending {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) redirects: u8,
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Requests that left the host.
    pub(crate) sent: u32,
    /// `METHOD url` of a request that a dry run held back.
    pub(crate) held_back: Option<String>,
    /// Why this redirect, which was to be followed, was handed back instead.
    pub(crate) not_followed: Option<String>,
}

impl Exchange<'_> {
    /// Sends the request and follows what redirects it may. A redirect that leads where the guest may not go
    /// is handed back as it came.
    pub(crate) async fn run(&self, mut sending: Sending) -> Result<Answered, HttpError> {
        let budget = sending.timeout.unwrap_or(Duration::from_secs(30));
        let until = self.deadline.min(Instant::now() + budget);
        let mut left = sending.redirects.min(MOST_REDIRECTS);
        let mut followed: Option<Answered> = None;
        loop {
            let before = followed.as_ref().map_or(0, |redirect| redirect.sent);
            let answered = match (self.hop(&sending, until).await, followed) {
                (Ok(answered), _) => Answered {
                    sent: before + answered.sent,
                    ..answered
                },
                (Err(error), None) => return Err(error),
                (Err(error), Some(redirect)) => return after_redirect(redirect, error),
            };
            let next = (left > 0).then(|| next_hop(&sending, &answered)).flatten();
            let Some(next) = next else {
                return Ok(answered);
            };
            sending = next;
            followed = Some(answered);
            left -= 1;
        }
    }

    /// One request, checked from the start.
    async fn hop(&self, sending: &Sending, until: Instant) -> Result<Answered, HttpError> {
        let origin = Origin::of(&sending.url).map_err(HttpError::InvalidRequest)?;
        let grant = find_grant(self.asks, self.grants, sending.method.as_str(), &sending.url, &origin)
            .map_err(HttpError::Denied)?;
        if self.dry_run && !only_reads(&sending.method) {
            return Ok(held_back(sending));
        }
        check_literal(&sending.url, grant)?;
        let headers = self.headers(sending, &origin)?;
        let Some(timeout) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        else {
            return Err(HttpError::Timeout(TransportFailure {
                message: "no time was left to send it".to_owned(),
                sent: false,
            }));
        };
        let request = Outgoing {
            method: sending.method.clone(),
            url: sending.url.clone(),
            headers,
            body: sending.body.clone(),
            timeout,
            private: grant.private,
            most_bytes: self.most_bytes,
        };
        let Incoming { status, headers, body } = self.network.send(request).await?;
        Ok(Answered {
            status,
            headers,
            body,
            sent: 1,
            held_back: None,
            not_followed: None,
        })
    }

    /// The guest's headers and the host's own.
    fn headers(&self, sending: &Sending, origin: &Origin) -> Result<HeaderMap, HttpError> {
        let mut headers = sending.headers.clone();
        if !headers.contains_key(USER_AGENT)
            && let Ok(agent) = HeaderValue::from_str(self.user_agent)
        {
            headers.insert(USER_AGENT, agent);
        }
        if let Some(hop) = self.hop.and_then(|hop| HeaderValue::from_str(hop).ok()) {
            headers.insert(HOP, hop);
        }
        // The answer is searched for secrets byte by byte: it must come as it is, and whole.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // Last of all, so that nothing the guest set stands beside it.
        if let Some((name, value)) = (self.credential)(origin)? {
            if headers.contains_key(RANGE) {
                return Err(HttpError::InvalidRequest(
                    "the header `range` cannot go along with a credential: cut into ranges, an echo of it would not be found and masked"
                        .to_owned(),
                ));
            }
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// What the guest gets when a request failed to which a redirect had led. One request has left the host by
/// then, so that no error may say that repeating is safe.
fn after_redirect(redirect: Answered, error: HttpError) -> Result<Answered, HttpError> {
    let sent = |failure: TransportFailure| TransportFailure { sent: true, ..failure };
    match error {
        HttpError::Timeout(failure) => Err(HttpError::Timeout(sent(failure))),
        HttpError::Connect(failure) => Err(HttpError::Connect(sent(failure))),
        HttpError::Tls(failure) => Err(HttpError::Tls(sent(failure))),
        HttpError::Protocol(failure) => Err(HttpError::Protocol(sent(failure))),
        // Refused by the host: the guest has the redirect and decides what to do about it.
        HttpError::Denied(why)
        | HttpError::BlockedAddress(why)
        | HttpError::InvalidRequest(why)
        | HttpError::CredentialMissing(why) => Ok(Answered {
            not_followed: Some(why),
            ..redirect
        }),
        other => Err(other),
    }
}

fn only_reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

fn held_back(sending: &Sending) -> Answered {
    Answered {
        status: StatusCode::ACCEPTED,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        sent: 0,
        held_back: Some(format!("{} {}", sending.method, sending.url)),
        not_followed: None,
    }
}

/// A literal address is never resolved, so that it is checked here.
fn check_literal(url: &Url, grant: &Rule) -> Result<(), HttpError> {
    let address = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        _ => return Ok(()),
    };
    match refused_because(address, grant.private) {
        None => Ok(()),
        Some(what) => Err(blocked(&Blocked {
            host: address.to_string(),
            address,
            what,
        })),
    }
}

/// The request that a redirect asks for, or `None` to hand the answer back as it is.
fn next_hop(sending: &Sending, answered: &Answered) -> Option<Sending> {
    let location = answered.headers.get(LOCATION)?.to_str().ok()?;
    let mut url = sending.url.join(location).ok()?;
    url.set_fragment(None);
    let rewritten = match answered.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => sending.method == Method::POST,
        StatusCode::SEE_OTHER => sending.method != Method::GET && sending.method != Method::HEAD,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => return None,
    };
    let own = Origin::of(&sending.url).ok()?;
    let same_origin = Origin::of(&url).is_ok_and(|next| next == own);
    let body = if rewritten { Bytes::new() } else { sending.body.clone() };
    let method = if rewritten { Method::GET } else { sending.method.clone() };
    if !same_origin && (!body.is_empty() || !only_reads(&method)) {
        // What the guest wrote for one origin is not for another; and none may have a change made at another, whose
        // credential would go with it.
        return None;
    }
    let mut headers = if same_origin {
        sending.headers.clone()
    } else {
        HeaderMap::new()
    };
    if rewritten {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_ENCODING);
    }
    Some(Sending {
        method,
        url,
        headers,
        body,
        timeout: sending.timeout,
        redirects: sending.redirects,
    })
}

pub(super) fn blocked(blocked: &Blocked) -> HttpError {
    HttpError::BlockedAddress(blocked.told("[[instance.grant.http]]"))
}

#[cfg(test)]
mod tests;
