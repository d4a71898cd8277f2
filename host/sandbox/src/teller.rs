//! The last requests of a call and what came of them, kept short: for whoever looks into why something did not go well.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem;
use tokio::time::Instant;
use url::Url;

use crate::contract::http::HttpError;
use crate::effects::{TOLD_MAX, Told};
use crate::egress::{Answered, Sending};
use crate::failure::kept;
use crate::secrets::Masker;

/// Letters of an address or an answer that are kept.
const LETTERS: usize = 512;
/// Bytes in which those are looked for: a secret that begins among them is masked whole, unless it is very long.
const BYTES: usize = 16 * 1024;
/// Names of headers that are kept.
const HEADERS: usize = 64;

/// A request as it was asked for.
pub(crate) struct Asked {
    method: String,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

impl Asked {
    pub(crate) fn of(sending: &Sending) -> Self {
        Self {
            method: sending.method.to_string(),
            url: sending.url.clone(),
            headers: sending.headers.clone(),
            body: sending.body.clone(),
            at: Instant::now(),
        }
    }

    /// Which keys stand in it. In address and body they are looked for only `thoroughly`: that costs more than the rest.
    fn keys(&self, keys: &BTreeSet<String>, thoroughly: bool) -> Vec<String> {
        let values = self.headers.values().filter_map(|value| value.to_str().ok());
        let named: BTreeSet<&str> = values.filter(|value| keys.contains(*value)).collect();
        if !named.is_empty() || !thoroughly {
            return named.into_iter().map(str::to_owned).collect();
        }
        let stands_in = |key: &&String| {
            self.url.as_str().contains(key.as_str()) || memmem::find(&self.body, key.as_bytes()).is_some()
        };
        keys.iter().filter(stands_in).cloned().collect()
    }

    /// The address without whatever could be a secret.
    fn shown_url(&self) -> String {
        let mut shown = format!("{}{}", self.url.origin().ascii_serialization(), self.url.path());
        let written = self.url.query().unwrap_or_default().split('&');
        let written = written.filter(|pair| !pair.is_empty());
        for (number, ((name, _), written)) in self.url.query_pairs().zip(written).enumerate() {
            shown.push(if number == 0 { '?' } else { '&' });
            // A word that is no name of a value may be the secret itself.
            if written.contains('=') {
                shown.push_str(&format!("{name}="));
            }
            shown.push('…');
        }
        shown
    }
}

/// Keeps the last requests of a call.
#[derive(Default)]
pub(crate) struct Teller(VecDeque<Told>);

impl Teller {
    /// A request came to this.
    pub(crate) fn note(
        &mut self,
        asked: Asked,
        answered: &Result<Answered, HttpError>,
        keys: &BTreeSet<String>,
        masker: &Masker,
    ) {
        let (status, went_well, answer) = match answered {
            Ok(answered) => (
                Some(answered.status.as_u16()),
                answered.status.is_success(),
                beginning(&answered.body, masker),
            ),
            Err(error) => (None, false, short(said(error), masker)),
        };
        self.make_room();
        let names = asked.headers.keys().take(HEADERS).map(|name| name.as_str().to_owned());
        self.0.push_back(Told {
            url: short(asked.shown_url(), masker),
            headers: names.collect(),
            bytes: u64::try_from(asked.body.len()).unwrap_or(u64::MAX),
            status,
            answer,
            took_ms: u64::try_from(asked.at.elapsed().as_millis()).unwrap_or(u64::MAX),
            keys: asked.keys(keys, !went_well),
            method: asked.method,
        });
    }

    /// What is left of them.
    pub(crate) fn told(self) -> Vec<Told> {
        self.0.into()
    }

    /// Of what went well nobody will ask.
    fn make_room(&mut self) {
        if self.0.len() < TOLD_MAX {
            return;
        }
        let went_well = |told: &Told| told.status.is_some_and(|status| (200..300).contains(&status));
        let oldest = self.0.iter().position(went_well).unwrap_or(0);
        self.0.remove(oldest);
    }
}

/// The beginning of a body as text.
fn beginning(body: &[u8], masker: &Masker) -> String {
    let some = body.get(..BYTES).unwrap_or(body);
    short(String::from_utf8_lossy(some).into_owned(), masker)
}

/// Masked before it is cut: half a secret would not be found.
fn short(text: String, masker: &Masker) -> String {
    let masked = kept(text, masker, BYTES);
    match masked.char_indices().nth(LETTERS) {
        None => masked,
        Some(_) => masked.chars().take(LETTERS).chain(['…']).collect(),
    }
}

fn said(error: &HttpError) -> String {
    match error {
        HttpError::Denied(why)
        | HttpError::BlockedAddress(why)
        | HttpError::InvalidRequest(why)
        | HttpError::CredentialMissing(why) => why.clone(),
        HttpError::Timeout(failure) => format!("no answer in time: {}", failure.message),
        HttpError::Connect(failure) => format!("no connection: {}", failure.message),
        HttpError::Tls(failure) => format!("no safe connection: {}", failure.message),
        HttpError::Protocol(failure) => format!("broken off: {}", failure.message),
        HttpError::RequestTooLarge(limit) => format!("the request is longer than {limit} bytes"),
        HttpError::ResponseTooLarge(limit) => format!("the answer is longer than {limit} bytes"),
        HttpError::BudgetExceeded(_) => "the call has made as many requests as it may".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::{HeaderMap, HeaderValue, Method, StatusCode};
    use url::Url;

    use super::{Asked, LETTERS, Teller};
    use crate::contract::http::{HttpError, TransportFailure};
    use crate::effects::{TOLD_MAX, Told};
    use crate::egress::{Answered, Sending};
    use crate::secrets::Masker;

    fn masker() -> Masker {
        Masker::new(std::iter::empty(), std::iter::once("s3cret-value".to_owned()))
    }

    fn sending(url: &str, id: &str, body: &str) -> Sending {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_str(id).unwrap());
        headers.insert("x-note", HeaderValue::from_bytes("سر".as_bytes()).unwrap());
        Sending {
            method: Method::POST,
            url: Url::parse(url).unwrap(),
            headers,
            body: body.to_owned().into(),
            timeout: None,
            redirects: 0,
        }
    }

    fn answered(status: u16, body: &str) -> Result<Answered, HttpError> {
        Ok(Answered {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            sent: 1,
            held_back: None,
            not_followed: None,
        })
    }

    fn told(sending: &Sending, answer: &Result<Answered, HttpError>, keys: &[&str]) -> Told {
        let keys: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
        let mut teller = Teller::default();
        teller.note(Asked::of(sending), answer, &keys, &masker());
        teller.told().remove(0)
    }

    #[test]
    fn what_is_told_of_a_request_holds_no_secret() {
        let url = "https://user:pass@crm.example/s3cret-value/in?token=abc&نوع=شكوى#part";
        let sent = sending(url, "d-1", "نص");
        let told = told(&sent, &answered(422, "key s3cret-value is wrong, رفض"), &["d-1", "d-2"]);
        assert_eq!(told.url, "https://crm.example/•••/in?token=…&نوع=…");
        assert_eq!((told.method.as_str(), told.status, told.bytes), ("POST", Some(422), 4));
        assert_eq!(told.answer, "key ••• is wrong, رفض");
        assert_eq!(told.headers, ["webhook-id", "x-note"]);
        assert_eq!(told.keys, ["d-1"]);
        let bare = sending("https://crm.example/in?k3y-without-a-name&lang=ar", "d-1", "نص");
        assert_eq!(Asked::of(&bare).shown_url(), "https://crm.example/in?…&lang=…");
    }

    #[test]
    fn an_answer_is_cut_at_a_letter_and_never_within_a_secret() {
        let long = format!("{}s3cret-value{}", "ش".repeat(LETTERS - 2), "x".repeat(9_000));
        let told = told(&sending("https://crm.example/", "d-1", ""), &answered(500, &long), &[]);
        assert_eq!(told.answer.chars().count(), LETTERS + 1);
        assert!(
            !told.answer.contains("s3") && told.answer.ends_with('…'),
            "{}",
            told.answer
        );
    }

    #[test]
    fn an_item_is_found_in_the_body_of_a_request_that_failed() {
        let failure = TransportFailure {
            message: "الشبكة".to_owned(),
            sent: true,
        };
        let failed = Err(HttpError::Timeout(failure));
        let sent = sending("https://crm.example/", "-", "{\"id\": \"d-7\"}");
        let told_of = |answer: &Result<Answered, HttpError>| told(&sent, answer, &["d-1", "d-7"]);
        assert_eq!(told_of(&failed).keys, ["d-7"]);
        assert_eq!(told_of(&failed).answer, "no answer in time: الشبكة");
        assert_eq!(told_of(&answered(200, "")).keys, Vec::<String>::new());
    }

    #[test]
    fn what_went_well_makes_room_for_what_did_not() {
        let mut teller = Teller::default();
        let sent = sending("https://crm.example/", "d-1", "");
        for number in 0..3 * TOLD_MAX {
            let status = if number == 5 { 404 } else { 200 };
            teller.note(Asked::of(&sent), &answered(status, ""), &BTreeSet::new(), &masker());
        }
        let told = teller.told();
        assert_eq!(told.len(), TOLD_MAX);
        assert_eq!(told.iter().filter(|told| told.status == Some(404)).count(), 1);
    }
}
