//! `http`: requests to granted origins, credentials added last, secrets masked in what comes back.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::contract::blobs::BlobError;
use crate::contract::http::{Body, DownloadResult, Host, HttpError, Request, Response};
use crate::contract::types::Header;
use crate::egress::{Answered, Exchange, Sending, guest_headers, shown_headers};
use crate::failure::{cut, kept};
use crate::grants::Origin;
use crate::host::{Admission, CallState};
use crate::instance::Bound;
use crate::limits::FAILURE_BYTES;
use crate::manifest::{Inject, SecretSlot};
use crate::teller::Asked;
use crate::template::filled;

/// Longest URL that is read.
const URL_BYTES: usize = 8 * 1024;

impl Host for CallState {
    async fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        let most = self.bound.limits.response;
        let answered = self.exchange(request, most).await?;
        Ok(Response {
            status: answered.status.as_u16(),
            headers: self.masked_headers(&answered.headers),
            body: self.masked_body(answered.body).to_vec(),
        })
    }

    async fn download(&mut self, request: Request, max_bytes: u64) -> Result<DownloadResult, HttpError> {
        let room = self.bound.limits.blobs.saturating_sub(self.blob_bytes);
        let answered = self.exchange(request, max_bytes.min(room)).await?;
        let headers = self.masked_headers(&answered.headers);
        let media_type = headers
            .iter()
            .find(|header| header.name == "content-type")
            .map_or_else(|| "application/octet-stream".to_owned(), |header| header.value.clone());
        let body = self.masked_body(answered.body);
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let blob = self
            .keep_blob(media_type, body)
            .map_err(|_| HttpError::ResponseTooLarge(room))?;
        Ok(DownloadResult {
            status: answered.status.as_u16(),
            headers,
            blob,
            size,
        })
    }
}

impl CallState {
    async fn exchange(&mut self, request: Request, most_bytes: u64) -> Result<Answered, HttpError> {
        if self.admission == Admission::Offline {
            return Err(HttpError::Denied(
                "this function may not use the network; `check` and the others may".to_owned(),
            ));
        }
        if self.requests >= self.bound.limits.requests {
            let next = u64::try_from(self.remaining().as_millis()).unwrap_or(u64::MAX);
            return Err(HttpError::BudgetExceeded(next));
        }
        self.requests += 1;
        let (sending, named) = self.sending(request).await?;
        let bound = std::sync::Arc::clone(&self.bound);
        let exchange = Exchange {
            network: &*bound.plugin.engine.network,
            asks: &bound.asks,
            grants: &bound.grants,
            credential: &|origin| credential(&bound, named.as_deref(), origin),
            dry_run: self.call.dry_run,
            deadline: self.deadline,
            most_bytes,
            user_agent: &bound.user_agent,
            hop: bound.plugin.engine.hop.as_deref(),
        };
        let asked = Asked::of(&sending);
        let answered = exchange.run(sending).await.map_err(|error| masked_error(&bound, error));
        self.teller.note(asked, &answered, &self.call.keys, &bound.masker);
        let answered = answered?;
        self.exchanges += answered.sent;
        if let Some(why) = &answered.not_followed {
            let why = kept(why.clone(), &bound.masker, FAILURE_BYTES);
            tracing::warn!(instance = bound.name, "a redirect was handed back unfollowed: {why}");
        }
        if let Some(request) = &answered.held_back {
            self.held_back.push(self.bound.masker.text(request.clone()));
        }
        Ok(answered)
    }

    /// Reads the request, and the name of the credential the guest wants.
    async fn sending(&self, request: Request) -> Result<(Sending, Option<String>), HttpError> {
        let invalid = |message: String| HttpError::InvalidRequest(message);
        if request.url.len() > URL_BYTES {
            return Err(invalid(format!("the URL is longer than {URL_BYTES} bytes")));
        }
        let mut url = Url::parse(&request.url).map_err(|error| invalid(format!("the URL cannot be read: {error}")))?;
        url.set_fragment(None);
        let method = Method::from_bytes(request.method.to_ascii_uppercase().as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or_else(|| invalid("the method is not one that may be sent".to_owned()))?;
        let headers = guest_headers(&request.headers).map_err(invalid)?;
        let sending = Sending {
            method,
            url,
            headers,
            body: self.body(request.body).await?,
            timeout: request
                .timeout_ms
                .map(|millis| Duration::from_millis(u64::from(millis))),
            redirects: request.redirects,
        };
        Ok((sending, request.credential))
    }

    async fn body(&self, body: Body) -> Result<Bytes, HttpError> {
        let most = self.bound.limits.request;
        let bytes = match body {
            Body::Empty => Bytes::new(),
            Body::Bytes(bytes) => bytes.into(),
            Body::Blob(id) => self.blob_body(&id, most).await?,
        };
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err(HttpError::RequestTooLarge(most));
        }
        Ok(bytes)
    }

    async fn blob_body(&self, id: &str, most: u64) -> Result<Bytes, HttpError> {
        let mut body = Vec::new();
        loop {
            let offset = u64::try_from(body.len()).unwrap_or(u64::MAX);
            if offset > most {
                return Err(HttpError::RequestTooLarge(most));
            }
            let part = self
                .read_blob(id, offset, u32::MAX)
                .await
                .map_err(|error| match error {
                    BlobError::NotFound => HttpError::InvalidRequest("there is no blob of that id".to_owned()),
                    other => HttpError::InvalidRequest(format!("the blob cannot be read: {other}")),
                })?;
            if part.is_empty() {
                return Ok(body.into());
            }
            body.extend_from_slice(&part);
        }
    }

    /// An echoing server must not become a way to read a secret.
    fn masked_body(&self, body: Bytes) -> Bytes {
        match self.bound.masker.masked(&body) {
            Some(masked) => {
                tracing::warn!(
                    instance = self.bound.name,
                    "an answer held a secret value; it was masked"
                );
                masked.into()
            }
            None => body,
        }
    }

    fn masked_headers(&self, headers: &HeaderMap) -> Vec<Header> {
        let mut shown = shown_headers(headers);
        for header in &mut shown {
            header.value = self.bound.masker.text(std::mem::take(&mut header.value));
        }
        shown
    }
}

/// The credential for an origin: the one the guest names, else the one the manifest ties to it.
fn credential(
    bound: &Bound,
    named: Option<&str>,
    origin: &Origin,
) -> Result<Option<(HeaderName, HeaderValue)>, HttpError> {
    let manifest = bound.plugin.manifest();
    let tied = |slot: &SecretSlot| slot.inject.as_ref().is_some_and(|inject| fits(bound, inject, origin));
    let slot = match named {
        Some(name) => {
            let slot = manifest
                .secret(name)
                .ok_or_else(|| HttpError::CredentialMissing(format!("the manifest declares no secret `{name}`")))?;
            if !tied(slot) {
                return Err(HttpError::Denied(format!(
                    "the secret `{name}` is not for {origin}: see `inject` of that [[secret]] in plugin.toml"
                )));
            }
            slot
        }
        None => match manifest.secrets.iter().find(|slot| tied(slot)) {
            Some(slot) => slot,
            None => return Ok(None),
        },
    };
    let Some(inject) = &slot.inject else {
        return Ok(None);
    };
    match bound.secrets.get(&slot.name) {
        Some(secret) => header_for(bound, inject, secret.text.expose_secret()).map(Some),
        None if slot.required || named.is_some() => Err(HttpError::CredentialMissing(format!(
            "the secret `{}` is not set: secrets.{} = {{ env = \"NAME\" }}",
            slot.name, slot.name
        ))),
        None => Ok(None),
    }
}

fn fits(bound: &Bound, inject: &Inject, origin: &Origin) -> bool {
    match &inject.origin {
        // Left out only where the manifest asks for one origin, and no other can be granted.
        None => true,
        Some(template) => filled(template, &bound.settings, None)
            .ok()
            .and_then(|text| Origin::parse(&text).ok())
            .is_some_and(|tied| tied == *origin),
    }
}

fn header_for(bound: &Bound, inject: &Inject, secret: &str) -> Result<(HeaderName, HeaderValue), HttpError> {
    let unusable = |what: String| HttpError::CredentialMissing(what);
    let name = HeaderName::from_bytes(inject.header.as_bytes())
        .map_err(|_| unusable("`inject.header` is no header name".to_owned()))?;
    let text = filled(&inject.format, &bound.settings, Some(secret)).map_err(|error| unusable(error.to_string()))?;
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        unusable(format!(
            "the secret for the header `{name}` holds characters that a header cannot"
        ))
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn masked_error(bound: &Bound, error: HttpError) -> HttpError {
    let text = |text: String| cut(bound.masker.text(text), FAILURE_BYTES);
    match error {
        HttpError::Timeout(mut failure) => {
            failure.message = text(failure.message);
            HttpError::Timeout(failure)
        }
        HttpError::Connect(mut failure) => {
            failure.message = text(failure.message);
            HttpError::Connect(failure)
        }
        HttpError::Tls(mut failure) => {
            failure.message = text(failure.message);
            HttpError::Tls(failure)
        }
        HttpError::Protocol(mut failure) => {
            failure.message = text(failure.message);
            HttpError::Protocol(failure)
        }
        HttpError::Denied(message) => HttpError::Denied(text(message)),
        other => other,
    }
}
