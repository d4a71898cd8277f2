//! Who asks, and whether they may.
//!
//! A handler says in its signature what it demands: `Allowed<Read>`, `Allowed<Write>` or `Allowed<Admin>`.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Version, header};
use mihwar_hub::{Right, Rights, Scope};
use mihwar_model::{Actor, InstanceName, TokenId};

use super::peer::Peer;
use super::{Problem, Sort};
use crate::surface::Surface;

/// Longest credential that is looked at; ours have about 100 bytes.
const CREDENTIAL_BYTES_MAX: usize = 512;

/// Someone who was recognised.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// As whom their deeds stand in the ledger.
    pub(crate) actor: Actor,
    /// Their token; `None` at the console.
    pub(crate) token: Option<TokenId>,
    rights: Rights,
}

impl Caller {
    fn console() -> Self {
        Self {
            actor: Actor::Console,
            token: None,
            rights: Rights::default(),
        }
    }

    /// Whether they may do what `scope` stands for.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        let scopes = &self.rights.scopes;
        self.actor == Actor::Console || scopes.contains(&scope) || scopes.contains(&Scope::Admin)
    }

    /// Whether they may take what is for a department.
    fn may_take(&self, department: &InstanceName) -> bool {
        self.may(Scope::Admin) || self.rights.feeds.contains(department)
    }

    /// Recognises whoever sent a request with these headers; `None` for nobody.
    async fn recognise(surface: &Surface, presented: Option<String>) -> Result<Option<Self>, Problem> {
        let Some(presented) = presented else {
            return Ok(None);
        };
        let known = surface.hub.authenticate(&presented).await?;
        Ok(known.map(|caller| Self {
            actor: Actor::Token(caller.token),
            token: Some(caller.token),
            rights: caller.rights,
        }))
    }
}

/// What a handler demands of its caller.
pub(crate) trait Demand {
    /// The scope that is needed.
    const SCOPE: Scope;
}

/// To read feedback and what became of it.
pub(crate) struct Read;
/// To hand feedback in.
pub(crate) struct Write;
/// To run the hub.
pub(crate) struct Admin;

impl Demand for Read {
    const SCOPE: Scope = Scope::FeedbackRead;
}
impl Demand for Write {
    const SCOPE: Scope = Scope::FeedbackWrite;
}
impl Demand for Admin {
    const SCOPE: Scope = Scope::Admin;
}

/// A caller who may do what `D` stands for.
pub(crate) struct Allowed<D>(pub(crate) Caller, pub(crate) PhantomData<D>);

impl<D: Demand> FromRequestParts<Surface> for Allowed<D> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Problem> {
        if Peer::of(&parts.extensions) == Some(Peer::Console) {
            return Ok(Self(Caller::console(), PhantomData));
        }
        let Some(caller) = Caller::recognise(surface, bearer(&parts.headers)).await? else {
            return Err(unknown());
        };
        if !caller.may(D::SCOPE) {
            let detail = format!("this needs a token with the scope {}", D::SCOPE);
            return Err(Problem::new(Sort::Forbidden, detail));
        }
        Ok(Self(caller, PhantomData))
    }
}

/// Someone who was recognised; what they may do depends on what they ask for.
pub(crate) struct Known {
    /// Who.
    pub(crate) caller: Caller,
    /// What they showed for it.
    presented: Option<String>,
}

impl Known {
    /// That they may take what is for a department.
    ///
    /// # Errors
    /// They may not; nothing is said of whether there is such a department.
    pub(crate) fn may_take(&self, department: &InstanceName) -> Result<(), Problem> {
        if self.caller.may_take(department) {
            return Ok(());
        }
        let right = Right::Feed(department.clone());
        Err(Problem::new(
            Sort::Forbidden,
            format!("this needs a token with the scope {right}"),
        ))
    }

    /// As [`Known::may_take`], as it stands now: for who asks for long. A token may have been revoked, or have come to its end.
    ///
    /// # Errors
    /// They may not any more.
    pub(crate) async fn may_still_take(&self, surface: &Surface, department: &InstanceName) -> Result<(), Problem> {
        if self.caller.actor == Actor::Console {
            return Ok(());
        }
        match Caller::recognise(surface, self.presented.clone()).await? {
            Some(caller) if caller.may_take(department) => Ok(()),
            _ => Err(Problem::new(Sort::Unauthenticated, "the token is not good any more")),
        }
    }
}

impl FromRequestParts<Surface> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Problem> {
        if Peer::of(&parts.extensions) == Some(Peer::Console) {
            return Ok(Self {
                caller: Caller::console(),
                presented: None,
            });
        }
        let presented = bearer(&parts.headers);
        match Caller::recognise(surface, presented.clone()).await? {
            Some(caller) => Ok(Self { caller, presented }),
            None => Err(unknown()),
        }
    }
}

/// That nobody is recognised.
fn unknown() -> Problem {
    let detail = "send \"Authorization: Bearer mhw_…\" with a token that is still good";
    Problem::new(Sort::Unauthenticated, detail)
}

/// Someone who looks at the hub with a browser or a monitor rather than a program of their own.
///
/// From this machine no token is asked for, so that the first look needs nothing. That holds only while nothing
/// suggests a proxy in between, behind which everybody would seem to be local: a `server.public-url`, a header that
/// proxies add, or HTTP/1.0, which no browser speaks and many proxies do unless they are told otherwise. One on this machine
/// that speaks HTTP/1.1, adds no header and names this machine as the host is not recognised: its admin has to set
/// `server.public-url`.
pub(crate) enum Visitor {
    /// Someone at this machine.
    Local,
    /// Someone with a token, given as bearer or as the password of HTTP Basic.
    Known(Caller),
    /// Anybody else.
    Stranger,
}

impl Visitor {
    /// Whether they may see what customers say.
    pub(crate) fn may_read(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Known(caller) => caller.may(Scope::FeedbackRead),
            Self::Stranger => false,
        }
    }

    /// Whether they may see how the hub is.
    pub(crate) const fn may_see_figures(&self) -> bool {
        matches!(self, Self::Local | Self::Known(_))
    }
}

impl FromRequestParts<Surface> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, surface: &Surface) -> Result<Self, Problem> {
        let peer = Peer::of(&parts.extensions);
        let behind_proxy = surface.config().server.public_url.is_some() || came_through_proxy(parts);
        let local = match peer {
            Some(Peer::Console) => true,
            Some(peer) => peer.is_this_machine() && !behind_proxy && names_this_machine(parts),
            None => false,
        };
        if local {
            return Ok(Self::Local);
        }
        let presented = bearer(&parts.headers).or_else(|| basic_password(&parts.headers));
        Ok(Caller::recognise(surface, presented)
            .await?
            .map_or(Self::Stranger, Self::Known))
    }
}

/// The host that the request was made to must be this machine by name: otherwise a foreign page whose name was made
/// to resolve to this machine (DNS rebinding) could read along.
fn names_this_machine(parts: &Parts) -> bool {
    let host = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    let Some(Ok(authority)) = host.map(str::parse::<http::uri::Authority>) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn came_through_proxy(parts: &Parts) -> bool {
    let added_by_proxies = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || ["forwarded", "x-real-ip", "via"].contains(&name)
    };
    parts.version < Version::HTTP_11 || parts.headers.keys().any(added_by_proxies)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    credential(headers, "bearer").map(ToOwned::to_owned)
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let decoded = BASE64.decode(credential(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

fn credential<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (given, credential) = text.split_once(' ')?;
    (given.eq_ignore_ascii_case(scheme) && credential.len() <= CREDENTIAL_BYTES_MAX).then(|| credential.trim())
}

#[cfg(test)]
mod tests {
    use super::{basic_password, bearer, came_through_proxy, names_this_machine};
    use http::{HeaderMap, HeaderValue, Request, Version, header};

    fn authorised(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn credentials_are_read_in_their_usual_spellings() {
        assert_eq!(bearer(&authorised("Bearer mhw_1_2")).as_deref(), Some("mhw_1_2"));
        assert_eq!(bearer(&authorised("bearer  mhw_1_2 ")).as_deref(), Some("mhw_1_2"));
        assert_eq!(bearer(&authorised("Bearer")), None);
        assert_eq!(bearer(&authorised(&format!("Bearer {}", "a".repeat(600)))), None);
        assert_eq!(
            basic_password(&authorised("Basic Om1od18xXzI=")).as_deref(),
            Some("mhw_1_2")
        );
        assert_eq!(basic_password(&authorised("Basic ????")), None);
    }

    #[test]
    fn only_names_of_this_machine_count_as_local() {
        let asked = |host: &str| {
            let (parts, ()) = Request::builder()
                .uri("/")
                .header("host", host)
                .body(())
                .unwrap()
                .into_parts();
            names_this_machine(&parts)
        };
        assert!(asked("localhost:8080") && asked("127.0.0.1") && asked("[::1]:8080"));
        assert!(!asked("evil.example") && !asked("127.0.0.1.evil.example") && !asked("localhost.evil.example"));
    }

    #[test]
    fn a_proxy_gives_itself_away() {
        let proxied = |version: Version, header: Option<&str>| {
            let mut request = Request::builder().uri("/").version(version);
            if let Some(name) = header {
                request = request.header(name, "203.0.113.9");
            }
            came_through_proxy(&request.body(()).unwrap().into_parts().0)
        };
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "X-Real-IP",
            "Forwarded",
            "Via",
        ] {
            assert!(proxied(Version::HTTP_11, Some(name)), "{name}");
        }
        // What a proxy speaks that was only told where to pass requests on.
        assert!(proxied(Version::HTTP_10, None));
        assert!(!proxied(Version::HTTP_11, None) && !proxied(Version::HTTP_11, Some("accept")));
    }
}
